//! What the extender counts.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The scheduler's cycle waits for `filter` and `prioritize`, which take well under a millisecond; `bind` talks to the API
/// server.
const BUCKETS: [f64; 10] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0, 5.0];

/// The verb and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    verb: &'static str,
    outcome: &'static str,
}

/// Why nodes were refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// What the extender counts. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    durations: Family<Request, Histogram, fn() -> Histogram>,
    refusals: Family<Reason, Counter>,
}

impl Metrics {
    /// Registers everything with the prefix `extender`.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let metrics = Self { durations: Family::new_with_constructor(histogram), refusals: Family::default() };
        let registry = registry.sub_registry_with_prefix("extender");
        registry.register_with_unit(
            "request_duration",
            "Time to answer kube-scheduler, by verb and outcome",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        registry.register("refused_nodes", "Nodes that filter refused, by reason", metrics.refusals.clone());
        metrics
    }

    /// A request was answered.
    pub(crate) fn answered(&self, verb: &'static str, outcome: &'static str, took: Duration) {
        self.durations.get_or_create(&Request { verb, outcome }).observe(took.as_secs_f64());
    }

    /// Nodes were refused, each for a reason.
    pub(crate) fn refused(&self, reasons: impl Iterator<Item = &'static str>) {
        let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
        for reason in reasons {
            *counts.entry(reason).or_default() += 1;
        }
        for (reason, count) in counts {
            self.refusals.get_or_create(&Reason { reason }).inc_by(count);
        }
    }
}
