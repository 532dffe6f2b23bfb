//! What the loop counts.

use std::sync::Arc;
use std::time::Duration;

use model::plan::Plan;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// What the loop counts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    plan_seconds: Histogram,
    released: Counter,
    dispatched: Counter,
    held: Counter,
    reasons: Counter,
}

impl Metrics {
    /// Registers under prefix `queue`.
    pub fn register(registry: &mut Registry) -> Self {
        let counters = Counters {
            plan_seconds: Histogram::new(exponential_buckets(0.0001, 4.0, 9)),
            released: Counter::default(),
            dispatched: Counter::default(),
            held: Counter::default(),
            reasons: Counter::default(),
        };
        let registry = registry.sub_registry_with_prefix("queue");
        registry.register("plan_seconds", "Time to plan one cycle", counters.plan_seconds.clone());
        registry.register("jobs_released", "Jobs planned to be unsuspended", counters.released.clone());
        registry.register("units_dispatched", "Units planned to be bound to a node", counters.dispatched.clone());
        registry.register("units_held", "Units handed to kube-scheduler with room held", counters.held.clone());
        registry.register("status_changes", "Statuses planned to be written on Jobs", counters.reasons.clone());
        Self(Arc::new(counters))
    }

    pub(crate) fn planned(&self, took: Duration, plan: &Plan) {
        let count = |counter: &Counter, number: usize| {
            counter.inc_by(number as u64);
        };
        self.0.plan_seconds.observe(took.as_secs_f64());
        count(&self.0.released, plan.release.len());
        count(&self.0.dispatched, plan.dispatch.len());
        count(&self.0.held, plan.hold.len());
        count(&self.0.reasons, plan.status.len());
    }
}
