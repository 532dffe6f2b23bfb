//! Wiring of `bulkhead controller`: watches on every replica, everything that writes on the leader only.
//!
//! Invariant: who leads has looked at everything after it got the Lease, before it writes the first time; a process that loses its Lease
//! ends at once; one that is asked to end stops writing before it gives the Lease back.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use cluster::admin::{Admin, Check, Heartbeat, Readiness};
use cluster::client::{self, Clients};
use cluster::events::{self, Reporter};
use cluster::index::{Index, NamespaceLimits};
use cluster::lease::{self, Leader, Lease};
use cluster::policies::{self, Policies};
use cluster::shutdown::Shutdown;
use cluster::tasks::Tasks;
use cluster::telemetry;
use cluster::watch::{self, Sight};
use kube::Client;
use model::keys;
use model::names::ArnBase;

use crate::NetworkArgs;
use crate::api::{self, ApiArgs, Stores};
use crate::certificates::CertificateArgs;

/// A cycle that takes longer than this means that the loop hangs.
const MAX_SILENCE: Duration = Duration::from_mins(2);
/// What the leader is writing may take this long to end.
const DRAIN: Duration = Duration::from_secs(10);
/// Versions from which labels on a Binding are copied to the pod (KEP-4742, on by default since 1.35).
const LABELS_ON_BINDINGS: (u32, u32) = (1, 35);

/// Arguments of `bulkhead controller`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where /healthz, /readyz and /metrics are: an address, with or without port. In a pod its own, so that its kubelet can ask.
    #[arg(long, value_parser = crate::address::<8080>, default_value = "127.0.0.1")]
    pub(crate) admin: SocketAddr,
    /// Region in the ARNs that Bulkhead makes.
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Account in the ARNs that Bulkhead makes.
    #[arg(long, default_value = "123456789012")]
    account: String,
    /// Namespace of the Lease and the certificates.
    #[arg(long, default_value = keys::NAMESPACE)]
    namespace: String,
    /// Name of this process in the Lease and in Events.
    #[arg(long, env = "HOSTNAME", default_value = "bulkhead-controller")]
    identity: String,
    /// Seconds after which a leader that says nothing has lost the Lease.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(2..))]
    lease_seconds: u16,
    /// Jobs made with kubectl of one namespace that are planned for at a time while they wait, and as many pods; the younger ones say so and wait
    /// for their turn.
    #[arg(long, default_value_t = NamespaceLimits::default().jobs)]
    namespace_waiting_jobs: usize,
    /// Bytes that planning for the Jobs may take in one namespace, and as many for the pods.
    #[arg(long, default_value_t = NamespaceLimits::default().bytes)]
    namespace_waiting_bytes: usize,
    /// Machines that are launched at a time; the next ones follow when these are stored. A provider that has not delivered yet, or has failed, is
    /// asked for 1, then 2, then 4 in any case.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    launches_at_once: u16,
    /// Where `bulkhead dump` asks, on the loopback of the pod. Where something else listens there already, everything works but that.
    #[arg(long, default_value_t = crate::dump::LISTEN)]
    dump_listen: SocketAddr,
    /// Milliseconds between the starts of two planning cycles.
    #[arg(long, default_value_t = 50)]
    plan_interval_ms: u64,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    certificates: CertificateArgs,
    #[command(flatten)]
    api: ApiArgs,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the leader works with.
struct Leading {
    clients: Clients,
    /// As the user in whose name pods of the API are made.
    batch: Client,
    index: Index,
    sight: Sight,
    policies: Policies,
    queue: queue::Metrics,
    nodes: nodes::Metrics,
    heartbeat: Heartbeat,
    shutdown: Shutdown,
    stores: Arc<Stores>,
    dumps: queue::Asked,
    fronts: queue::Told,
    arguments: Arguments,
}

/// Runs until SIGTERM, or until the Lease is lost or a part fails.
pub(crate) async fn run(arguments: Arguments, kubeconfig: Option<PathBuf>) -> anyhow::Result<()> {
    // Refused at the start, not when this replica leads one day.
    arguments.certificates.config(&arguments.namespace, arguments.api.names())?;
    let (readiness, shutdown) = (Readiness::new(), Shutdown::new());
    shutdown.on_signals(readiness.clone(), Duration::ZERO).context("signals cannot be received")?;
    let mut registry = telemetry::registry("controller");
    let queue = queue::Metrics::register(&mut registry);
    let nodes = nodes::Metrics::register(&mut registry);
    let synced = readiness.check("watches");
    let heartbeat = readiness.heartbeat("queue loop", MAX_SILENCE);

    let admin = Admin::bind(arguments.admin).await?;
    tracing::info!(admin = %admin.local_addr(), "listening");
    let clients = client::connect(kubeconfig.as_deref()).await?;
    let batch = client::connect_as(kubeconfig.as_deref(), keys::BATCH_USER).await?;
    let base = ArnBase { region: arguments.region.clone(), account: arguments.account.clone() };
    let limits = NamespaceLimits { jobs: arguments.namespace_waiting_jobs, bytes: arguments.namespace_waiting_bytes };
    let index = Index::limited(base.clone(), limits);
    let stores = Arc::new(Stores::new(&arguments.api, &mut registry));
    let fronts = queue::Told::default();
    let mut tasks = Tasks::new(shutdown.clone());
    let sources = api::Sources { stores: &stores, fronts: fronts.subscribe(), batch: batch.clone() };
    let process = api::Process {
        namespace: &arguments.namespace,
        registry: &mut registry,
        readiness: &readiness,
        shutdown: &shutdown,
        tasks: &mut tasks,
    };
    api::serve(&arguments.api, base, &clients, sources, process).await?;
    tasks.spawn_infallible("record store", {
        let (stores, shutdown) = (stores.clone(), shutdown.clone());
        async move { stores.open(false, shutdown).await }
    });
    tasks.spawn_infallible("admin listener", admin.run(Arc::new(registry), readiness, shutdown.clone()));
    let sight = watch::spawn_watches(&clients.retrying, &index, &mut tasks);
    let (asker, dumps) = queue::dumps();
    if let Some(serving) = crate::dump::serve(arguments.dump_listen, asker, shutdown.clone()).await? {
        tasks.spawn_infallible("dumps", serving);
    }
    let policies = Policies::unknown(arguments.network.never(), None);
    policies::spawn(&clients.retrying, &policies, &mut tasks);
    tasks.spawn_interruptible("readiness", ready_when_synced(index.clone(), synced));
    let leading = Leading {
        clients,
        batch,
        index,
        sight,
        policies,
        queue,
        nodes,
        heartbeat,
        shutdown: shutdown.clone(),
        stores,
        dumps,
        fronts,
        arguments,
    };
    tasks.spawn("leader", async move { lead(leading).await });
    tasks.run(DRAIN).await?;
    Ok(())
}

/// Holds the check from the first complete look at the cluster on.
async fn ready_when_synced(index: Index, synced: Check) {
    index.wait_synced().await;
    synced.set(true);
    std::future::pending::<()>().await;
}

/// Waits for the Lease, works until asked to stop, gives the Lease back.
async fn lead(leading: Leading) -> Result<(), BoxError> {
    let Leading {
        clients,
        batch,
        index,
        mut sight,
        policies,
        queue,
        nodes,
        heartbeat,
        shutdown,
        stores,
        dumps,
        fronts,
        arguments,
    } = leading;
    let candidate = Lease::new(clients.once.clone(), candidacy(&arguments))?;
    let Some(leader) = elected(candidate, &index, &heartbeat, &shutdown).await else { return Ok(()) };
    let clients = clients.guarded(&leader.tenure());
    index.keep_departed();
    tokio::select! {
        () = sight.renew() => {}
        () = beat(&heartbeat) => {}
        // As it is: the exit status depends on it.
        lost = leader.lost() => return Err(Box::new(lost)),
        () = shutdown.stopped() => {
            leader.release().await;
            return Ok(());
        }
    }
    let version = clients.retrying.apiserver_version().await.context("the API server's version cannot be read")?;
    let reporter = Reporter { controller: "bulkhead.dev/controller".to_owned(), instance: arguments.identity.clone() };
    let (events, writer) = events::channel(clients.retrying.clone(), reporter);
    let manager = nodes::Manager::new(clients.clone(), index.clone(), events.clone(), leader.tenure(), nodes)?;
    let nodes = orders(&manager);
    let config = loop_config(&arguments, minor(&version.major, &version.minor));
    let mut work = Tasks::new(shutdown.clone());
    work.spawn_infallible("events", writer.run(shutdown.clone()));
    if let Some(config) = arguments.certificates.config(&arguments.namespace, arguments.api.names())? {
        work.spawn_interruptible("certificates", certs::keep(clients.retrying.clone(), config)?);
    } else {
        tracing::info!("the webhook's certificate is left to somebody else");
    }
    work.spawn_infallible("node manager", manager.run(shutdown.clone()));
    work.spawn_infallible("the leader's record store", {
        let (stores, shutdown) = (stores.clone(), shutdown.clone());
        async move { stores.open(true, shutdown).await }
    });
    let client = clients.once.clone();
    let store = stores.of_leader(&leader.tenure());
    let (metrics, batch) = (queue, leader.tenure().guard(&batch));
    let parts =
        queue::Parts { client, batch, index, policies, events, nodes, metrics, heartbeat, store, dumps, fronts };
    work.spawn("queue loop", queue::run(parts, config, shutdown.clone()));
    tokio::select! {
        // As it is: the exit status depends on it.
        lost = leader.lost() => return Err(Box::new(lost)),
        ended = work.run(DRAIN) => ended?,
    }
    leader.release().await;
    Ok(())
}

/// How this process stands for election.
fn candidacy(arguments: &Arguments) -> lease::Config {
    let mut config = lease::Config::new(&arguments.namespace, "bulkhead-controller", &arguments.identity);
    config.timing = timing(arguments.lease_seconds);
    config
}

/// Who carries out what a plan says about nodes.
fn orders(manager: &nodes::Manager) -> queue::NodeOrders {
    let manager = manager.clone();
    Box::new(move |launches, retires| {
        let manager = manager.clone();
        Box::pin(async move { manager.execute(launches, retires).await })
    })
}

/// How the loop runs against an API server of this version.
fn loop_config(arguments: &Arguments, version: (u32, u32)) -> queue::Config {
    queue::Config {
        min_interval: Duration::from_millis(arguments.plan_interval_ms),
        label_after_bind: version < LABELS_ON_BINDINGS,
        limits: arguments.api.limits(),
        launches_at_once: usize::from(arguments.launches_at_once),
    }
}

/// Waits for the Lease. `None`: the process is to end.
async fn elected(candidate: Lease, index: &Index, heartbeat: &Heartbeat, shutdown: &Shutdown) -> Option<Leader> {
    let leader = async {
        index.wait_synced().await;
        candidate.acquire().await
    };
    tokio::select! {
        () = shutdown.stopped() => None,
        () = beat(heartbeat) => None,
        leader = leader => Some(leader),
    }
}

/// Says that all is well, for as long as somebody waits.
async fn beat(heartbeat: &Heartbeat) {
    loop {
        heartbeat.beat();
        tokio::time::sleep(MAX_SILENCE / 4).await;
    }
}

/// The proportions of client-go: renewal is given up at two thirds, and it is renewed every seventh.
fn timing(seconds: u16) -> lease::step::Timing {
    let duration = Duration::from_secs(u64::from(seconds));
    lease::step::Timing {
        duration,
        renew_deadline: duration * 2 / 3,
        renew_every: duration * 2 / 15,
        ..lease::step::Timing::default()
    }
}

fn minor(major: &str, minor: &str) -> (u32, u32) {
    let number = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
    (number(major), number(minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_with_a_suffix_are_read() {
        assert_eq!(minor("1", "35"), (1, 35));
        assert_eq!(minor("1", "34+"), (1, 34));
        assert!(minor("1", "34+") < LABELS_ON_BINDINGS);
    }

    #[test]
    fn any_lease_duration_gives_times_that_belong_together() {
        for seconds in [2, 15, 600] {
            timing(seconds).validate().unwrap();
        }
    }
}
