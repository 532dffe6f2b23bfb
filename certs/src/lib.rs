//! The webhook's certificates: issued and renewed by the leader, trusted by the API server, served by every replica.
//!
//! Two certificate authorities (CAs) with staggered lives live in one Secret, which only the leader reads, next to the serving certificate
//! ("leaf") that one of them has signed; the leaf alone is in another one, for those who serve. Both CAs stand in the `caBundle` of every webhook, so that the leaf can move from one to the other
//! without a moment in which some API server does not trust what some replica serves.
//!
//! Invariant: a leaf is signed only by a CA that every `caBundle` has held for some minutes, unless there is no leaf that
//! could be trusted anyway; a CA leaves the bundles only some minutes after the last leaf it signed was replaced.
//!
//! [`keep`] is for the leader, [`follow`] for whoever serves. Neither needs the other to be alive.

mod config;
mod data;
mod decide;
mod examine;
mod follow;
mod inject;
mod issue;
mod keep;
mod memory;
#[cfg(test)]
mod simulation_tests;

pub use config::{Config, ConfigError, Times, is_dns_name};
pub use follow::follow;
pub use keep::keep;
