//! The admission webhook: an HTTPS server that the API server asks about Jobs, Pods and Nodes.
//!
//! Invariant: decode → decide → answer. Every decision is `planning::admission`'s; here are only the wire, what has to be looked
//! up, limits, logs and metrics. It writes nothing to the cluster. An answer that cannot be given in time or for want of
//! knowledge is an HTTP error, so that the hook's failure policy decides.

mod hooks;
mod look_up;
mod metrics;
mod review;
mod routes;
mod run;
mod watch;

pub use hooks::Hook;
pub use look_up::{Facts, LookUp};
pub use metrics::Metrics;
pub use routes::{Webhook, router};
pub use run::{Config, Error, run};
