//! What the store counts about itself.
//!
//! Invariant: every call of [`Store`](crate::Store) that reaches the database is in here, whether it failed or not.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::retain::Size;

type Label = [(&'static str, &'static str); 1];

/// What the store counts about itself. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    calls: Family<Label, Histogram, fn() -> Histogram>,
    errors: Family<Label, Counter>,
    batch: Histogram,
    jobs: Gauge,
    live: Gauge,
    bytes: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        // 0.5 ms to 16 s.
        let seconds: fn() -> Histogram = || Histogram::new((0..16).map(|it| 0.0005 * f64::from(1 << it)));
        Self {
            calls: Family::new_with_constructor(seconds),
            errors: Family::default(),
            batch: Histogram::new((0..10).map(|it| f64::from(1 << it))),
            jobs: Gauge::default(),
            live: Gauge::default(),
            bytes: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Registers everything with the prefix `records`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("records");
        let help = "How long calls of the record store took, by call";
        registry.register_with_unit("call", help, Unit::Seconds, metrics.calls.clone());
        registry.register("errors", "Calls of the record store that failed, by kind of error", metrics.errors.clone());
        registry.register("batch_size", "Submissions and requests per transaction", metrics.batch.clone());
        registry.register("jobs", "Jobs and children that are kept", metrics.jobs.clone());
        registry.register("live_jobs", "Jobs and children that have not ended", metrics.live.clone());
        registry.register_with_unit("size", "Room that records take", Unit::Bytes, metrics.bytes.clone());
        metrics
    }

    pub(crate) fn size(&self, size: &Size) {
        for (gauge, number) in [(&self.jobs, size.jobs), (&self.live, size.live), (&self.bytes, size.bytes)] {
            gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn call(&self, name: &'static str, seconds: f64) {
        self.calls.get_or_create(&[("call", name)]).observe(seconds);
    }

    pub(crate) fn error(&self, kind: &'static str) {
        self.errors.get_or_create(&[("kind", kind)]).inc();
    }

    pub(crate) fn batch(&self, size: usize) {
        self.batch.observe(f64::from(u32::try_from(size).unwrap_or(u32::MAX)));
    }
}
