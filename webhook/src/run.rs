//! The process `bulkhead webhook`: certificate, watches, the HTTPS listener, health and metrics.
//!
//! Invariant: it is ready once it has a certificate, has seen all namespaces, queues and environments and has asked for all kinds of
//! network policies. Every replica serves;
//! none elects.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::admin::{Admin, AdminError, Readiness};
use cluster::client::{self, ConnectError};
use cluster::policies::{self, Policies};
use cluster::serve::{self, ServeError, ServingCert, TlsListener};
use cluster::shutdown::Shutdown;
use cluster::tasks::{TaskError, Tasks};
use cluster::telemetry;

use crate::look_up::{Facts, LookUp};
use crate::metrics::Metrics;
use crate::routes::{Webhook, router};
use crate::watch;

/// API servers keep their connections for a moment after this pod has left the Service.
const DRAIN_DELAY: Duration = Duration::from_secs(3);
/// No API server waits longer for an answer than it has asked for, which is three seconds.
const DRAIN_CAP: Duration = Duration::from_secs(10);

/// How the webhook runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the API server reaches it, by HTTPS.
    pub listen: SocketAddr,
    /// Where health checks and metrics are, by plain HTTP.
    pub admin: SocketAddr,
    /// The kubeconfig to use; `None`: from the environment or the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// Never give a pod the host network.
    pub never_host_network: bool,
    /// Bytes that a pod template may have.
    pub most_template: usize,
}

/// Why the webhook did not run until the end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No client.
    #[error("the webhook has no way to the Kubernetes API")]
    Connect(#[from] ConnectError),
    /// Signals cannot be received.
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    /// The admin listener.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The HTTPS listener.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A part ended.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Runs until SIGTERM or until a part fails. Logging is set up by the caller.
pub async fn run(config: Config) -> Result<(), Error> {
    let Config { listen, admin, kubeconfig, never_host_network, most_template } = config;
    let (readiness, shutdown) = (Readiness::new(), Shutdown::new());
    shutdown.on_signals(readiness.clone(), DRAIN_DELAY).map_err(Error::Signals)?;
    let mut registry = telemetry::registry("webhook");
    let metrics = Metrics::new(&mut registry);
    let checks = ["certificate", "namespaces", "job queues", "compute environments", "network policies"];
    let [certified, namespaces_seen, queues_seen, environments_seen, policies_asked] =
        checks.map(|name| readiness.check(name));

    client::install_crypto();
    let certificate = ServingCert::empty();
    let listener = TlsListener::bind(listen, certificate.clone()).await?;
    let admin = Admin::bind(admin).await?;
    let clients = client::connect(kubeconfig.as_deref()).await?;
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn_infallible("admin listener", admin.run(Arc::new(registry), readiness, shutdown.clone()));

    let policies = Policies::unknown(never_host_network, Some(policies_asked));
    policies::spawn(&clients.retrying, &policies, &mut tasks);
    let (client, facts) = (clients.retrying, Facts::new(policies));
    let follow = certs::follow(client.clone(), certs::Config::default(), certificate, certified);
    tasks.spawn_interruptible("certificate", follow);
    let watch = watch::namespaces(client.clone(), facts.clone(), namespaces_seen);
    tasks.spawn_interruptible("namespace watch", watch);
    tasks.spawn_interruptible("queue watch", watch::queues(client.clone(), facts.clone(), queues_seen));
    tasks.spawn_interruptible("environment watch", watch::environments(client, facts.clone(), environments_seen));

    tracing::info!(addr = %listener.address(), "serving the API server");
    let look_up = LookUp::new(facts, clients.once).with_most_template(most_template);
    let router = router(Webhook::new(look_up, metrics));
    tasks.spawn_infallible("webhook", {
        let shutdown = shutdown.clone();
        async move { serve::run(listener, router, &shutdown, DRAIN_CAP).await }
    });
    tasks.run(DRAIN_CAP).await?;
    Ok(())
}
