//! The `bulkhead` binary: arguments and wiring, nothing else.

mod api;
mod certificates;
mod connection;
mod controller;
mod dump;
mod explain;
mod jobs;
mod keys;
mod logs;
mod namespace;
mod simulate;
mod uninstall;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cluster::lease::step::Lost;
use cluster::telemetry::{self, LogFormat};

/// AWS Batch for any Kubernetes cluster.
#[derive(Parser)]
#[command(name = "bulkhead", version, about, long_about = None)]
struct Cli {
    /// How to log: one JSON object a line, or text for people.
    #[arg(long, global = true, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
    /// Kubeconfig file; default: $KUBECONFIG, ~/.kube/config, the pod's service account, in this order.
    #[arg(long, global = true)]
    kubeconfig: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the API server: mutates Jobs, Pods and Nodes at admission.
    Webhook(Webhook),
    /// Serves kube-scheduler: filters, scores and binds pods that the planner does not judge itself.
    Extender(Extender),
    /// Plans and carries out: queue loop, node manager, certificates. One replica leads.
    Controller(Box<controller::Arguments>),
    /// Shows jobs: what is in the queues, why it waits, what became of it.
    Jobs(jobs::JobsArgs),
    /// Prints what a job of the API has printed, and goes on as long as it runs, if asked to.
    Logs(logs::LogsArgs),
    /// Says why a job or pod waits, and what would let it start; or what a queue does.
    Explain(explain::ExplainArgs),
    /// Writes what the planner sees, as JSON.
    Dump(dump::DumpArgs),
    /// Makes the plan of a dump again, offline: what would start, and why the rest waits.
    Simulate(simulate::SimulateArgs),
    /// Lets the AWS Batch API make pods in namespaces, or ends that.
    Namespace(namespace::NamespaceArgs),
    /// Makes access keys, with which AWS's clients call the AWS Batch API.
    Keys(keys::KeysArgs),
    /// Removes Bulkhead from the cluster: webhooks, waiting work, machines, custom resources, its namespace.
    Uninstall(uninstall::UninstallArgs),
}

impl Command {
    /// Its errors are read by people, not by what collects logs.
    fn is_for_people(&self) -> bool {
        !matches!(self, Self::Webhook(_) | Self::Extender(_) | Self::Controller(_))
    }
}

/// Arguments of the webhook.
#[derive(Args)]
struct Webhook {
    /// Where to serve.
    #[arg(long, default_value = "0.0.0.0:9443")]
    listen: SocketAddr,
    /// Where /healthz, /readyz and /metrics are: an address, with or without port. In a pod its own, so that its kubelet can ask.
    #[arg(long, value_parser = address::<8080>, default_value_t = SocketAddr::from(([127, 0, 0, 1], 8080)))]
    admin: SocketAddr,
    #[command(flatten)]
    network: NetworkArgs,
    /// Bytes, as JSON, that the pod template of a Job of a queue may have, and a pod that names a queue itself.
    #[arg(long, default_value_t = planning::admission::size::MOST_TEMPLATE_BYTES)]
    max_template_bytes: usize,
}

/// What the installation says about pods' networks. Webhook and controller should be told the same.
#[derive(Args)]
struct NetworkArgs {
    /// Whether pods of a queue get the host network, as on AWS Batch: by default, where nothing speaks against it, or never.
    #[arg(long, value_enum, default_value_t = HostNetwork::Default)]
    host_network: HostNetwork,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum HostNetwork {
    Default,
    Never,
}

impl NetworkArgs {
    /// Whether no pod ever gets the host network.
    fn never(&self) -> bool {
        self.host_network == HostNetwork::Never
    }
}

/// Addresses of the extender.
#[derive(Args)]
struct Extender {
    /// Where to serve kube-scheduler, which runs in the same pod. There is no authentication: keep it on loopback.
    #[arg(long, default_value = "127.0.0.1:8888")]
    listen: SocketAddr,
    /// Where /healthz, /readyz and /metrics are: an address, with or without port. In a pod its own, so that its kubelet can ask.
    #[arg(long, value_parser = address::<8081>, default_value = "127.0.0.1")]
    admin: SocketAddr,
}

/// An address of this machine; where it names no port, this one. (A pod's own address comes without, and IPv6 has it in brackets only then.)
fn address<const PORT: u16>(text: &str) -> Result<SocketAddr, String> {
    let bare = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
    text.parse()
        .or_else(|_| bare())
        .map_err(|_| "write an IP address, or one with a port: 127.0.0.1:8080, [::1]:8080".to_owned())
}

/// A duration, as Kubernetes objects have them.
fn duration(text: &str) -> Result<Duration, String> {
    let read = ::api::convert::duration(text).and_then(|duration| Duration::try_from(duration).ok());
    read.ok_or_else(|| "write a duration such as 90s, 5m or 720h".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    cluster::client::install_crypto();
    let cli = Cli::parse();
    if let Err(error) = telemetry::init(cli.log_format) {
        eprintln!("bulkhead: {}", telemetry::chain(&error));
        return ExitCode::FAILURE;
    }
    let for_people = cli.command.is_for_people();
    match run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if for_people => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "ended");
            exit_code(&error)
        }
    }
}

/// Exit status of a controller that lost its Lease and ended by design (`EX_TEMPFAIL` of sysexits.h): no crash, start it again.
const LEASE_LOST: u8 = 75;

fn exit_code(error: &anyhow::Error) -> ExitCode {
    let lost = error.chain().any(<dyn std::error::Error>::is::<Lost>);
    if lost { ExitCode::from(LEASE_LOST) } else { ExitCode::FAILURE }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let Cli { log_format: _, kubeconfig, command } = cli;
    match command {
        Command::Webhook(Webhook { listen, admin, network, max_template_bytes: most_template }) => {
            let never_host_network = network.never();
            Ok(webhook::run(webhook::Config { listen, admin, kubeconfig, never_host_network, most_template }).await?)
        }
        Command::Extender(Extender { listen, admin }) => {
            Ok(scheduler::run(scheduler::Config { listen, admin, kubeconfig }).await?)
        }
        Command::Controller(arguments) => controller::run(*arguments, kubeconfig).await,
        Command::Jobs(arguments) => jobs::run(arguments, kubeconfig.as_deref()).await,
        Command::Logs(arguments) => logs::run(arguments, kubeconfig.as_deref()).await,
        Command::Explain(arguments) => explain::run(arguments, kubeconfig.as_deref()).await,
        Command::Dump(arguments) => dump::run(arguments, kubeconfig.as_deref()).await,
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Namespace(arguments) => namespace::run(arguments, kubeconfig.as_deref()).await,
        Command::Keys(arguments) => keys::run(arguments, kubeconfig.as_deref()).await,
        Command::Uninstall(arguments) => uninstall::run(arguments, kubeconfig.as_deref()).await,
    }
}

#[cfg(test)]
mod tests {
    use cluster::shutdown::Shutdown;
    use cluster::tasks::Tasks;

    use super::*;

    async fn ends_with(error: impl std::error::Error + Send + Sync + 'static) -> ExitCode {
        let mut tasks = Tasks::new(Shutdown::new());
        tasks.spawn("leader", async move { Err::<(), _>(error) });
        let error = tasks.run(Duration::ZERO).await.unwrap_err();
        exit_code(&error.into())
    }

    #[test]
    fn an_address_may_come_without_port() {
        for (text, expect) in [
            ("10.0.0.7", Some("10.0.0.7:8080")),
            ("10.0.0.7:1", Some("10.0.0.7:1")),
            ("fd00::7", Some("[fd00::7]:8080")),
            ("[fd00::7]:1", Some("[fd00::7]:1")),
            ("localhost", None),
            ("", None),
        ] {
            assert_eq!(address::<8080>(text).ok().map(|found| found.to_string()).as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn nothing_but_what_is_to_be_reached_listens_on_all_addresses() {
        let cli = |command: &str| Cli::try_parse_from(["bulkhead", command]).unwrap().command;
        let Command::Webhook(webhook) = cli("webhook") else { panic!() };
        let Command::Extender(extender) = cli("extender") else { panic!() };
        let Command::Controller(controller) = cli("controller") else { panic!() };
        for admin in [webhook.admin, extender.admin, extender.listen, controller.admin] {
            assert!(admin.ip().is_loopback(), "{admin}");
        }
    }

    #[tokio::test]
    async fn a_lost_lease_has_an_exit_status_of_its_own() {
        assert_eq!(ends_with(Lost::Deadline).await, ExitCode::from(LEASE_LOST));
        assert_eq!(ends_with(std::fmt::Error).await, ExitCode::FAILURE);
    }
}
