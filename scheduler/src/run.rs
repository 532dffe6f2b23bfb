//! The process `bulkhead extender`: watches, the extender's listener, health and metrics.
//!
//! Invariant: it is ready once it has seen all nodes and waiting pods. Every replica serves; none elects.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::admin::{self, Admin, Readiness};
use cluster::client::{self, ConnectError};
use cluster::shutdown::{DRAIN_CAP, Shutdown};
use cluster::tasks::{TaskError, Tasks};
use cluster::{serve, telemetry};
use tokio::net::TcpListener;

use crate::bind::Binder;
use crate::metrics::Metrics;
use crate::routes::{self, Extender};
use crate::watch::{self, Caches};

/// The only client is the scheduler in the same pod, which ends at the same time: there is no Service to leave first.
const DRAIN_DELAY: Duration = Duration::ZERO;

/// How the extender runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where kube-scheduler reaches it. There is no authentication: use a loopback address.
    pub listen: SocketAddr,
    /// Where health checks and metrics are.
    pub admin: SocketAddr,
    /// The kubeconfig to use; `None`: from the environment or the pod's service account.
    pub kubeconfig: Option<PathBuf>,
}

/// Why the extender did not run until the end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No client.
    #[error("the extender has no way to the Kubernetes API")]
    Connect(#[from] ConnectError),
    /// Signals cannot be received.
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    /// The admin listener.
    #[error(transparent)]
    Admin(#[from] admin::AdminError),
    /// The extender's own address is taken.
    #[error("cannot listen on {addr} for kube-scheduler")]
    Listen {
        /// The address that was asked for.
        addr: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A part ended.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Runs until SIGTERM or until a part fails. Logging is set up by the caller.
pub async fn run(config: Config) -> Result<(), RunError> {
    let Config { listen, admin: admin_address, kubeconfig } = config;
    let (readiness, shutdown) = (Readiness::new(), Shutdown::new());
    shutdown.on_signals(readiness.clone(), DRAIN_DELAY).map_err(RunError::Signals)?;
    let mut registry = telemetry::registry("extender");
    let metrics = Metrics::new(&mut registry);
    let caches = Caches::default();
    let nodes_seen = readiness.check("nodes");
    let pods_seen = readiness.check("pods");

    let admin = Admin::bind(admin_address).await?;
    let listener = TcpListener::bind(listen).await.map_err(|source| RunError::Listen { addr: listen, source })?;
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn_infallible("admin listener", admin.run(Arc::new(registry), readiness, shutdown.clone()));

    let clients = client::connect(kubeconfig.as_deref()).await?;
    tracing::info!(addr = %listen, "serving kube-scheduler");

    let client = clients.retrying.clone();
    tasks.spawn_interruptible("node watch", watch::nodes(client.clone(), caches.nodes.clone(), nodes_seen));
    tasks.spawn_interruptible("pod watch", watch::pods(client, caches.pods.clone(), pods_seen));
    let router = routes::router(Extender { caches, binder: Binder { clients }, metrics });
    tasks.spawn_infallible("extender", {
        let shutdown = shutdown.clone();
        async move { serve::run(listener, router, &shutdown, DRAIN_CAP).await }
    });
    tasks.run(DRAIN_CAP).await?;
    Ok(())
}
