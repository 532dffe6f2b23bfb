//! Health, readiness and metrics on a plain HTTP listener of their own, so that probes never depend on certificates.
//!
//! Invariant: `/readyz` is true only while every named check is true and the process is not shutting down; `/healthz` is
//! true as long as the process answers and no registered loop has been silent for longer than it promised.
//!
//! It does not know what the checks mean.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;

use crate::{serve, shutdown::Shutdown};

/// The media type of the `OpenMetrics` text format.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Probes are short; nobody waits for a scrape while the process ends.
const DRAIN_CAP: Duration = Duration::from_secs(1);

/// Why the admin listener could not serve.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address cannot be bound.
    #[error("cannot listen on {addr} for health checks and metrics")]
    Bind {
        /// The address that was asked for.
        addr: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The named conditions under which this process is ready, and the loops that must keep going. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    checks: Mutex<BTreeMap<String, Arc<AtomicBool>>>,
    beats: Mutex<BTreeMap<String, Beat>>,
    shutting_down: AtomicBool,
}

#[derive(Debug)]
struct Beat {
    last: Instant,
    max_silence: Duration,
}

/// One named condition. False until it is set.
#[derive(Clone, Debug)]
pub struct Check(Arc<AtomicBool>);

impl Check {
    /// Says whether the condition holds now.
    pub fn set(&self, holds: bool) {
        self.0.store(holds, Ordering::Release);
    }
}

/// The sign of life of one loop.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    name: String,
    inner: Arc<Inner>,
}

impl Heartbeat {
    /// Says that the loop goes on.
    pub fn beat(&self) {
        if let Some(beat) = lock(&self.inner.beats).get_mut(&self.name) {
            beat.last = Instant::now();
        }
    }
}

impl Readiness {
    /// Nothing to wait for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition, false until it is set. The same name gives the same condition.
    pub fn check(&self, name: &str) -> Check {
        let mut checks = lock(&self.inner.checks);
        Check(checks.entry(name.to_owned()).or_default().clone())
    }

    /// Adds a loop that promises to beat at least every `max_silence`; when it does not, `/healthz` fails and the
    /// kubelet restarts the process.
    pub fn heartbeat(&self, name: &str, max_silence: Duration) -> Heartbeat {
        let last = Instant::now();
        lock(&self.inner.beats).insert(name.to_owned(), Beat { last, max_silence });
        Heartbeat { name: name.to_owned(), inner: self.inner.clone() }
    }

    /// From now on the process is not ready, whatever the checks say.
    pub fn begin_shutdown(&self) {
        self.inner.shutting_down.store(true, Ordering::Release);
    }

    /// Whether everything holds.
    pub fn is_ready(&self) -> bool {
        self.failing().is_empty()
    }

    /// What keeps the process from being ready, by name.
    pub fn failing(&self) -> Vec<String> {
        let mut failing: Vec<String> = lock(&self.inner.checks)
            .iter()
            .filter(|(_, holds)| !holds.load(Ordering::Acquire))
            .map(|(name, _)| name.clone())
            .collect();
        if self.inner.shutting_down.load(Ordering::Acquire) {
            failing.push("shutting down".to_owned());
        }
        failing
    }

    /// The loops that have been silent for too long at `now`.
    fn silent(&self, now: Instant) -> Vec<String> {
        lock(&self.inner.beats)
            .iter()
            .filter(|(_, beat)| now.saturating_duration_since(beat.last) > beat.max_silence)
            .map(|(name, beat)| {
                let silence = now.saturating_duration_since(beat.last).as_secs();
                format!("{name} has been silent for {silence} s")
            })
            .collect()
    }
}

/// A listener that is bound and not yet served.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Admin {
    /// Binds `addr`.
    pub async fn bind(addr: SocketAddr) -> Result<Self, AdminError> {
        let failed = |source| AdminError::Bind { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, addr })
    }

    /// Where it listens; differs from what was asked for when the port was 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` stops.
    pub async fn run(self, registry: Arc<Registry>, readiness: Readiness, shutdown: Shutdown) {
        tracing::info!(addr = %self.addr, "serving health checks and metrics");
        serve::run(self.listener, router(registry, readiness), &shutdown, DRAIN_CAP).await;
    }
}

/// Binds `addr` and serves `/healthz`, `/readyz` and `/metrics` there until `shutdown` stops.
pub async fn serve(
    addr: SocketAddr,
    registry: Arc<Registry>,
    readiness: Readiness,
    shutdown: Shutdown,
) -> Result<(), AdminError> {
    let admin = Admin::bind(addr).await?;
    admin.run(registry, readiness, shutdown).await;
    Ok(())
}

fn router(registry: Arc<Registry>, readiness: Readiness) -> Router {
    let health = Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(readiness);
    Router::new().route("/metrics", get(metrics)).with_state(registry).merge(health)
}

async fn healthz(State(readiness): State<Readiness>) -> Response {
    verdict(&readiness.silent(Instant::now()))
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    verdict(&readiness.failing())
}

fn verdict(failing: &[String]) -> Response {
    if failing.is_empty() {
        return (StatusCode::OK, "ok\n").into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, failing.join("\n") + "\n").into_response()
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A panic elsewhere must not take the probes with it: the maps are valid after every single operation.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use prometheus_client::metrics::counter::Counter;
    use tower::ServiceExt;

    use super::*;

    async fn fetch(readiness: &Readiness, registry: Registry, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let router = router(Arc::new(registry), readiness.clone());
        let response = router.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 65_536).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn check(readiness: &Readiness, path: &str, status: u16, body: &str) {
        let got = fetch(readiness, Registry::default(), path).await;
        assert_eq!(got, (status, body.to_owned()), "{path}");
    }

    #[tokio::test]
    async fn a_process_without_checks_is_ready() {
        check(&Readiness::new(), "/readyz", 200, "ok\n").await;
    }

    #[tokio::test]
    async fn readiness_lists_what_fails_until_everything_holds() {
        let readiness = Readiness::new();
        let index = readiness.check("index");
        let certificate = readiness.check("certificate");
        check(&readiness, "/readyz", 503, "certificate\nindex\n").await;
        index.set(true);
        check(&readiness, "/readyz", 503, "certificate\n").await;
        certificate.set(true);
        check(&readiness, "/readyz", 200, "ok\n").await;
        index.set(false);
        check(&readiness, "/readyz", 503, "index\n").await;
    }

    #[tokio::test]
    async fn a_process_that_shuts_down_is_healthy_but_not_ready() {
        let readiness = Readiness::new();
        readiness.check("index").set(true);
        readiness.begin_shutdown();
        check(&readiness, "/readyz", 503, "shutting down\n").await;
        check(&readiness, "/healthz", 200, "ok\n").await;
    }

    #[test]
    fn a_loop_that_goes_silent_makes_the_process_unhealthy() {
        let readiness = Readiness::new();
        let heartbeat = readiness.heartbeat("queue loop", Duration::from_mins(1));
        let now = Instant::now();
        assert!(readiness.silent(now + Duration::from_secs(50)).is_empty());
        let late = readiness.silent(now + Duration::from_secs(62));
        assert_eq!(late.len(), 1);
        assert!(late[0].starts_with("queue loop has been silent for 6"), "{late:?}");
        heartbeat.beat();
        assert!(readiness.silent(Instant::now()).is_empty());
    }

    #[tokio::test]
    async fn metrics_are_openmetrics_text() {
        let mut registry = Registry::default();
        let counter = Counter::<u64>::default();
        registry.register("jobs", "Jobs seen", counter.clone());
        counter.inc();
        let (status, body) = fetch(&Readiness::new(), registry, "/metrics").await;
        assert_eq!(status, 200);
        assert!(body.contains("jobs_total 1") && body.ends_with("# EOF\n"), "{body}");
    }

    #[tokio::test]
    async fn a_taken_address_is_named_with_its_cause() {
        let first = Admin::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let error = Admin::bind(first.local_addr()).await.unwrap_err();
        let AdminError::Bind { addr, source } = &error;
        assert_eq!(*addr, first.local_addr());
        assert_eq!(source.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&first.local_addr().to_string()));
    }
}
