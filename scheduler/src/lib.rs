//! kube-scheduler's extender: admits only nodes on which the plan holds room for a pod, scores them in the plan's order, and
//! binds.
//!
//! Invariant: with no extender nothing is bound; with one, nothing is bound outside a hold. It needs nothing but its own two
//! watches: the hold is an annotation on the pod. Knows nothing about queues and plans.

mod bind;
mod decide;
mod facts;
mod metrics;
mod routes;
mod run;
mod watch;
mod wire;

pub use routes::fixed;
pub use run::{Config, RunError, run};
