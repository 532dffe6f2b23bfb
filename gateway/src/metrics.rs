//! What the gateway counts.
//!
//! Invariant: the number of series is bounded: labels come from fixed sets, never from requests.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// A read takes about a millisecond, a submission a few; the longest is the gateway's time limit.
const BUCKETS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 20.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    operation: &'static str,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    operation: &'static str,
}

/// What the gateway counts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<Answered, Counter>,
    durations: Family<Asked, Histogram, fn() -> Histogram>,
}

impl Metrics {
    /// Registers everything with the prefix `gateway`.
    pub fn new(registry: &mut Registry) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let metrics = Self { requests: Family::default(), durations: Family::new_with_constructor(histogram) };
        let registry = registry.sub_registry_with_prefix("gateway");
        registry.register("requests", "Requests by operation and status code", metrics.requests.clone());
        let help = "Time from a request's head to its answer";
        registry.register_with_unit("request_duration", help, Unit::Seconds, metrics.durations.clone());
        metrics
    }

    /// A request was answered.
    pub(crate) fn answered(&self, operation: &'static str, code: u16, took: Duration) {
        self.requests.get_or_create(&Answered { operation, code }).inc();
        self.durations.get_or_create(&Asked { operation }).observe(took.as_secs_f64());
    }
}
