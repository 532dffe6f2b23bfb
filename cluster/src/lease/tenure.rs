//! How long a leader leads, asked by whoever is about to write.
//!
//! Invariant: it is over at the same moment whether or not this process runs then: a process that was stopped, or a machine that was asleep,
//! finds it over before it writes again. Does not renew, and does not end the process: [`Leader`](super::Leader) does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::Method;
use kube::Client;
use kube::client::Body;
use rustix::time::{ClockId, clock_gettime};

/// A write that came too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process has not renewed its Lease in time and may not lead any more: nothing is written")]
pub struct Over;

/// The time for which this process leads. Clones share it.
#[derive(Clone, Debug)]
pub struct Tenure(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// In milliseconds since the machine started.
    until: AtomicU64,
    lease: String,
    turn: i64,
}

impl Tenure {
    pub(super) fn new(lease: &str, turn: i64, until: Duration) -> Self {
        let tenure = Self(Arc::new(Shared { until: AtomicU64::new(0), lease: lease.to_owned(), turn }));
        tenure.extend(until);
        tenure
    }

    /// For those who have no Lease: benchmarks and tests.
    pub fn for_ever() -> Self {
        Self::new("", 0, Duration::MAX)
    }

    /// One that is over: of whoever does not lead.
    pub fn over() -> Self {
        Self::new("", 0, Duration::ZERO)
    }

    /// It lasts until this moment, counted from the start of the machine.
    pub(super) fn extend(&self, until: Duration) {
        self.0.until.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether it lasts.
    pub fn holds(&self) -> bool {
        awake_or_not().as_millis() < u128::from(self.0.until.load(Ordering::Relaxed))
    }

    /// As [`holds`](Self::holds), for those who return the error.
    pub fn check(&self) -> Result<(), Over> {
        if self.holds() { Ok(()) } else { Err(Over) }
    }

    /// UID of the Lease.
    pub fn lease(&self) -> &str {
        &self.0.lease
    }

    /// How often the Lease had changed hands.
    pub fn turn(&self) -> i64 {
        self.0.turn
    }

    /// The same client, but that it writes nothing when the time is over.
    pub fn guard(&self, client: &Client) -> Client {
        let (tenure, inner) = (self.clone(), client.clone());
        let service = tower::service_fn(move |request: axum::http::Request<Body>| {
            let (tenure, inner) = (tenure.clone(), inner.clone());
            async move {
                if request.method() != Method::GET {
                    tenure.check().map_err(|over| kube::Error::Service(over.into()))?;
                }
                inner.send(request).await
            }
        });
        Client::new(service, client.default_namespace())
    }
}

/// Time since the machine started, that in which it slept included.
pub(super) fn awake_or_not() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    // Never negative.
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanoseconds.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_until_its_end() {
        assert!(Tenure::for_ever().holds());
        let tenure = Tenure::new("uid", 3, awake_or_not() + Duration::from_mins(1));
        assert_eq!((tenure.check(), tenure.lease(), tenure.turn()), (Ok(()), "uid", 3));
        tenure.extend(awake_or_not());
        assert_eq!(tenure.check(), Err(Over));
    }

    #[tokio::test]
    async fn a_guarded_client_reads_for_ever_and_writes_no_longer_than_it_lasts() {
        let server = tower::service_fn(async |request: axum::http::Request<Body>| {
            Ok::<_, kube::Error>(axum::http::Response::new(Body::from(request.method().to_string().into_bytes())))
        });
        let tenure = Tenure::for_ever();
        let client = tenure.guard(&Client::new(server, "default"));
        let send = async |method: &str| {
            let request = axum::http::Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
            client.request_text(request.map(|_| Vec::new())).await.map_err(|error| crate::telemetry::chain(&error))
        };
        assert_eq!(send("POST").await.as_deref(), Ok("POST"));
        tenure.extend(Duration::ZERO);
        assert_eq!(send("GET").await.as_deref(), Ok("GET"));
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let error = send(method).await.unwrap_err();
            assert!(error.contains("has not renewed its Lease in time"), "{method}: {error}");
        }
    }
}
