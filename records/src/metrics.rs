//! What the store counts about itself.
//!
//! Invariant: every call of [`Store`](crate::Store) that reaches the database is in here, whether it failed or not.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

type Label = [(&'static str, &'static str); 1];

/// What the store counts about itself.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    calls: Family<Label, Histogram, fn() -> Histogram>,
    errors: Family<Label, Counter>,
    batch: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        // 0.5 ms to 16 s.
        let seconds: fn() -> Histogram = || Histogram::new((0..16).map(|it| 0.0005 * f64::from(1 << it)));
        Self {
            calls: Family::new_with_constructor(seconds),
            errors: Family::default(),
            batch: Histogram::new((0..10).map(|it| f64::from(1 << it))),
        }
    }
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("records");
        let help = "How long calls of the record store took, by call";
        registry.register_with_unit("call", help, Unit::Seconds, self.calls.clone());
        registry.register("errors", "Calls of the record store that failed, by kind of error", self.errors.clone());
        registry.register("batch_size", "Submissions and requests per transaction", self.batch.clone());
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
