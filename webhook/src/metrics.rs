//! What the webhook counts.
//!
//! Invariant: the number of series is bounded: labels come from fixed sets, never from requests.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::hooks::Hook;

/// A decision takes well under a millisecond, one with a look-up a few; the API server gives up after three seconds.
const BUCKETS: [f64; 10] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.025, 0.1, 0.5, 3.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    hook: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    hook: &'static str,
}

/// What the webhook counts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<Answered, Counter>,
    durations: Family<Asked, Histogram, fn() -> Histogram>,
}

impl Metrics {
    /// Registers everything with the prefix `webhook`.
    pub fn new(registry: &mut Registry) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let metrics = Self { requests: Family::default(), durations: Family::new_with_constructor(histogram) };
        let registry = registry.sub_registry_with_prefix("webhook");
        registry.register("requests", "Requests by hook and outcome", metrics.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "Time from a request's head to its answer",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        metrics
    }

    /// A request was answered.
    pub(crate) fn answered(&self, hook: Hook, outcome: &'static str, took: Duration) {
        let hook = hook.as_str();
        self.requests.get_or_create(&Answered { hook, outcome }).inc();
        self.durations.get_or_create(&Asked { hook }).observe(took.as_secs_f64());
    }
}
