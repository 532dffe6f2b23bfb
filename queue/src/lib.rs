//! The queue loop: what is seen → one plan → what is done to Jobs and Pods.
//!
//! Invariant: every action is idempotent and carries the UID it was planned for, so a plan that is carried out twice, or half,
//! is harmless. Knows nothing about how nodes are launched: that part of the plan is handed on.

mod context;
mod cycle;
mod door;
mod dumps;
mod jobs;
mod kept;
mod labels;
mod metrics;
mod orders;
mod pods;
mod positions;
mod report;
mod rights;
mod said;
mod status;
mod write;

pub use cycle::{Config, NodeOrders, Parts, run};
pub use door::{LeadersStore, Limits};
pub use dumps::{Asked, Asker, channel as dumps};
pub use metrics::Metrics;
pub use positions::Told;
