//! Everything that talks to the cluster and to the outside: clients, election, events, logs, metrics, serving.
//!
//! Invariant: decisions are made elsewhere; here they are fed and carried out.

pub mod access;
pub mod admin;
pub mod answer;
pub mod cache;
pub mod client;
pub mod clock;
pub mod events;
pub mod fault;
pub mod gone;
pub mod index;
pub mod lean;
pub mod lease;
pub mod pace;
pub mod policies;
pub mod serve;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod watch;

/// The version in the user agent and in the metrics.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
