//! Wiring of the AWS Batch API in the controller: the record store, where the API listens, what environments made through it get.
//!
//! Invariant: a SQLite file is opened by the leader alone; while there is no store, or it does not answer, the Job door works on and the API
//! says 503. A database's URL may hold a password and is never logged.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::crd::{ExternalProvider, Provider};
use axum::Router;
use clap::Args;
use cluster::admin::Readiness;
use cluster::client::Clients;
use cluster::lease::Tenure;
use cluster::serve::{self, Addressed, ServingCert, TlsListener};
use cluster::shutdown::{DRAIN_CAP, Shutdown};
use cluster::tasks::Tasks;
use gateway::KubeObjects;
use jiff::SignedDuration;
use model::front::Fronts;
use model::keys;
use model::names::{ArnBase, is_reserved_namespace};
use outputs::{Both, Kept, KubeOutputs, Outputs};
use prometheus_client::registry::Registry;
use records::{Amount, Quotas, Store, Term};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A store that cannot be opened is tried again after this time.
const OPEN_AGAIN: Duration = Duration::from_secs(2);

/// An address that only this machine, or this pod, reaches.
fn on_loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error| format!("{error}; give IP:PORT"))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("whoever reaches this address could do what Bulkhead can; use one on loopback, or --insecure-listen for a local cluster".to_owned())
    }
}

/// Arguments about the AWS Batch API.
#[derive(Args, Clone)]
pub(crate) struct ApiArgs {
    /// Where records of jobs are kept: `sqlite:///path/to/file.db`, or `postgres://user:password@host/database`, with which several
    /// replicas may run. Without it there is no API. From a Secret: set the variable.
    #[arg(long, env = "BULKHEAD_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// Where the AWS Batch API is served to whoever has keys, over TLS: signed with AWS Signature Version 4, judged by the cluster's RBAC.
    /// Without it there is no such address.
    #[arg(long)]
    api_secure_listen: Option<SocketAddr>,
    /// Where on loopback the AWS Batch API is served without asking for keys: to whoever may use `kubectl port-forward` in this namespace.
    #[arg(long, default_value = "127.0.0.1:8070", value_parser = on_loopback)]
    api_listen: SocketAddr,
    /// Serve the API here instead, to whoever reaches this address. For local clusters.
    #[arg(long)]
    insecure_listen: Option<SocketAddr>,
    /// Serve the API under this name, too, and have certificates made for it: `name`, or `name:port` for that port alone; may be said several times. Requests under other names are refused, so that no web
    /// page can call it. Names of the loopback and of Service bulkhead-api are always served, and the address that a request comes in at.
    #[arg(long = "served-host", value_name = "NAME")]
    served_hosts: Vec<String>,
    /// Domain of the cluster's DNS, in which the Service has its longest name.
    #[arg(long, default_value = "cluster.local")]
    cluster_domain: String,
    /// Where MANAGED compute environments made through the API get their machines: `external=http://…`.
    #[arg(long, value_parser = provider)]
    default_provider: Option<Provider>,
    /// Namespace for pods of compute environments that are made through the API without `eksConfiguration`, as clients of AWS Batch on Amazon
    /// ECS do; user aws-batch needs the right to make pods there. Without it: default.
    #[arg(long, value_name = "NAMESPACE", value_parser = namespace)]
    default_namespace: Option<String>,
    /// How long a finished pod of a job of the API stays, and its node if that is otherwise idle, so that its log can be read; 0s: it goes at
    /// once.
    #[arg(long, value_parser = crate::duration, default_value = "10m")]
    finished_pod_ttl: Duration,
    /// Directory in which what jobs of the API print is kept, for as long as their records: a volume of this pod's alone. Without it, output goes with
    /// the pods.
    #[arg(long, value_name = "DIRECTORY")]
    keep_output_in: Option<PathBuf>,
    /// Bytes of output that are kept there; of more the oldest goes.
    #[arg(long, default_value_t = 4 << 30)]
    keep_output_bytes: u64,
    /// How long the record of a job stays after its end.
    #[arg(long, value_parser = crate::duration, default_value = "168h")]
    retention: Duration,
    /// How long a volume of a job may fail to be attached or mounted; then the job is ended, as AWS Batch does. The job says why it waits meanwhile.
    #[arg(long, value_parser = crate::duration, default_value = "10m")]
    mount_patience: Duration,
    /// Jobs of the API that have not ended and whose pods go to one namespace, each child of an array job counted. What would be more is refused at `SubmitJob`. Each takes
    /// about 1 KB of the controller's memory, so its limit goes with this one.
    #[arg(long, default_value_t = Quotas::default().namespace.jobs)]
    namespace_api_jobs: u64,
    /// Bytes that may be stored of what those of one namespace ask for; children share their array job's.
    #[arg(long, default_value_t = Quotas::default().namespace.bytes)]
    namespace_api_bytes: u64,
    /// The same for all namespaces together.
    #[arg(long, default_value_t = Quotas::default().all.jobs)]
    api_jobs: u64,
    /// The same for all namespaces together.
    #[arg(long, default_value_t = Quotas::default().all.bytes)]
    api_bytes: u64,
}

fn namespace(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name =
        (1..=63).contains(&text.len()) && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-');
    match (is_name, is_reserved_namespace(text)) {
        (false, _) => Err("that is no name of a namespace".to_owned()),
        (true, true) => Err("pods of jobs never go there".to_owned()),
        (true, false) => Ok(text.to_owned()),
    }
}

fn provider(text: &str) -> Result<Provider, String> {
    match text.split_once('=') {
        Some(("external", url)) if url.starts_with("http://") => {
            Ok(Provider { external: Some(ExternalProvider { url: url.to_owned() }) })
        }
        _ => Err("name a provider and its address: external=http://host:port".to_owned()),
    }
}

impl ApiArgs {
    /// How much may be stored of jobs that have not ended.
    fn quotas(&self) -> Quotas {
        Quotas {
            namespace: Amount { jobs: self.namespace_api_jobs, bytes: self.namespace_api_bytes },
            all: Amount { jobs: self.api_jobs, bytes: self.api_bytes },
        }
    }

    /// Names for which the certificate has to be good, besides those that every installation has. It is for names alone: who serves under
    /// an address, or a name that is none, brings a certificate.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let domain = format!("{}.{}.svc.{}", keys::API_SERVICE, keys::NAMESPACE, self.cluster_domain);
        let hosts = self.served_hosts.iter().filter_map(|host| gateway::Served::name(host));
        hosts.chain([domain]).filter(|name| certs::is_dns_name(name))
    }

    /// Where output is kept. Where that cannot be, everything else works.
    fn kept(&self) -> Option<Kept> {
        let limits = outputs::Limits { bytes: self.keep_output_bytes };
        Kept::in_directory(self.keep_output_in.as_ref()?, limits)
            .inspect_err(|error| {
                tracing::error!(error = cluster::telemetry::chain(error), "output goes with its pods");
            })
            .ok()
    }

    /// How the leader serves the API's jobs.
    pub(crate) fn limits(&self) -> queue::Limits {
        let signed = |duration: Duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        queue::Limits {
            finished_pod_ttl: signed(self.finished_pod_ttl),
            retention: signed(self.retention),
            mount_patience: self.mount_patience,
            ..queue::Limits::default()
        }
    }
}

/// The record store of this process, once it is open, and where output is kept.
pub(crate) struct Stores {
    database: Option<String>,
    quotas: Quotas,
    metrics: records::Metrics,
    kept: Option<Kept>,
    sender: watch::Sender<Option<Store>>,
}

impl Stores {
    /// Not open yet.
    pub(crate) fn new(arguments: &ApiArgs, registry: &mut Registry) -> Self {
        let metrics = records::Metrics::register(registry);
        Self {
            database: arguments.database.clone(),
            quotas: arguments.quotas(),
            metrics,
            kept: arguments.kept(),
            sender: watch::Sender::new(None),
        }
    }

    /// The store, once it is open.
    fn subscribe(&self) -> watch::Receiver<Option<Store>> {
        self.sender.subscribe()
    }

    /// The store in the hands of the leader.
    pub(crate) fn of_leader(&self, tenure: &Tenure) -> queue::LeadersStore {
        queue::LeadersStore {
            stores: self.subscribe(),
            configured: self.database.is_some(),
            term: Term { lease: tenure.lease().to_owned(), turn: tenure.turn() },
            kept: self.kept.clone(),
        }
    }

    /// Whether only the leader may open it.
    fn is_a_file(&self) -> bool {
        self.database.as_deref().is_some_and(|url| url.starts_with("sqlite:"))
    }

    /// Opens the store now if it belongs to every replica, else if this one leads; closes it when asked to stop.
    pub(crate) async fn open(&self, leads: bool, shutdown: Shutdown) {
        let stopped = shutdown.stopped();
        tokio::pin!(stopped);
        let Some(url) = self.database.as_deref().filter(|_| leads == self.is_a_file()) else { return stopped.await };
        loop {
            match Store::open_limited(url, self.quotas, self.metrics.clone()).await {
                Ok(store) => {
                    tracing::info!("the record store is open");
                    self.sender.send_replace(Some(store.clone()));
                    stopped.await;
                    store.close().await;
                    return;
                }
                Err(error) => tracing::error!(
                    error = cluster::telemetry::chain(&error),
                    "the record store cannot be opened; the API answers 503 until it can"
                ),
            }
            tokio::select! {
                () = &mut stopped => return,
                () = tokio::time::sleep(OPEN_AGAIN) => {}
            }
        }
    }
}

/// What the API answers from.
pub(crate) struct Sources<'a> {
    pub(crate) stores: &'a Stores,
    /// Who comes next in each queue, while this process leads.
    pub(crate) fronts: watch::Receiver<Option<Arc<Fronts>>>,
    /// Client of user `aws-batch`, in whose name logs are read.
    pub(crate) batch: kube::Client,
}

/// What of this process the API is part of.
pub(crate) struct Process<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) registry: &'a mut Registry,
    pub(crate) readiness: &'a Readiness,
    pub(crate) shutdown: &'a Shutdown,
    pub(crate) tasks: &'a mut Tasks,
}

/// Starts to serve the API.
pub(crate) async fn serve(
    arguments: &ApiArgs,
    arn: ArnBase,
    clients: &Clients,
    sources: Sources<'_>,
    mut process: Process<'_>,
) -> anyhow::Result<()> {
    let objects = KubeObjects::new(clients.retrying.clone());
    let metrics = gateway::Metrics::new(process.registry);
    let served_hosts = arguments.served_hosts.iter().map(String::as_str);
    let served = gateway::Served::new(&arguments.cluster_domain, served_hosts)
        .map_err(|message| anyhow::anyhow!("--served-host: {message}"))?;
    let (default_provider, default_namespace) =
        (arguments.default_provider.clone(), arguments.default_namespace.clone());
    let config = gateway::Config {
        arn,
        default_provider,
        default_namespace,
        guard: None,
        outputs: outputs_of(sources.batch, sources.stores.kept.clone()),
        room: gateway::Room::default(),
        served,
        metrics,
    };
    if let Some(address) = arguments.api_secure_listen {
        let guard = Some(guard(clients, &mut process));
        let config = gateway::Config { guard, ..config.clone() };
        let router = gateway::router(sources.stores.subscribe(), sources.fronts.clone(), objects.clone(), config);
        serve_with_keys(address, router, clients, &mut process).await?;
    }
    let router = gateway::router(sources.stores.subscribe(), sources.fronts, objects, config);
    let address = arguments.insecure_listen.unwrap_or(arguments.api_listen);
    let listener = TcpListener::bind(address).await.with_context(|| format!("the API cannot listen on {address}"))?;
    tracing::info!(api = %address, "listening");
    let shutdown = process.shutdown.clone();
    process.tasks.spawn_infallible("API listener", async move {
        serve::run(Addressed(listener), router, &shutdown, DRAIN_CAP).await;
    });
    Ok(())
}

/// Where output is found.
fn outputs_of(batch: kube::Client, kept: Option<Kept>) -> Arc<dyn Outputs> {
    let pods = Arc::new(KubeOutputs::new(batch));
    match kept {
        Some(kept) => Arc::new(Both { kept, pods }),
        None => pods,
    }
}

/// Who lets in callers that have keys.
fn guard(clients: &Clients, process: &mut Process<'_>) -> gateway::Guard {
    let masters = watch::Sender::default();
    let guard = gateway::Guard::new(gateway::KubeJudge::new(clients.retrying.clone()), masters.subscribe());
    let keeping = gateway::keep_masters(clients.retrying.clone(), process.namespace.to_owned(), masters);
    process.tasks.spawn_interruptible("access keys", keeping);
    guard
}

/// Serves over TLS, with the certificate that the leader keeps.
async fn serve_with_keys(
    address: SocketAddr,
    router: Router,
    clients: &Clients,
    process: &mut Process<'_>,
) -> anyhow::Result<()> {
    let (cert, check) = (ServingCert::empty(), process.readiness.check("API certificate"));
    let config = certs::Config::in_namespace(process.namespace);
    process
        .tasks
        .spawn_interruptible("API certificate", certs::follow(clients.retrying.clone(), config, cert.clone(), check));
    let listener = TlsListener::bind(address, cert).await?;
    tracing::info!(api = %listener.address(), "listening, with keys");
    let shutdown = process.shutdown.clone();
    process.tasks.spawn_infallible("API listener with keys", async move {
        serve::run(listener, router, &shutdown, DRAIN_CAP).await;
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_listens_on_loopback_alone() {
        for (text, expect) in [
            ("127.0.0.1:8070", true),
            ("127.9.9.9:1", true),
            ("[::1]:8070", true),
            ("0.0.0.0:8070", false),
            ("[::]:8070", false),
            ("10.0.0.1:8070", false),
            ("[::ffff:10.0.0.1]:8070", false),
            ("localhost:8070", false),
            ("8070", false),
        ] {
            assert_eq!(on_loopback(text).is_ok(), expect, "{text}");
        }
    }

    #[test]
    fn pods_go_into_namespaces_that_are_nobodys_of_the_system() {
        let long = "a".repeat(64);
        for (text, expect) in [
            ("default", true),
            ("team-1", true),
            ("kube-system", false),
            (keys::NAMESPACE, false),
            ("", false),
            ("-a", false),
            ("A", false),
            (&long, false),
        ] {
            assert_eq!(namespace(text).is_ok(), expect, "{text}");
        }
    }
}
