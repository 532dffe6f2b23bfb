//! Decisions, all pure: where things go, when, and why. No I/O, no clock, no randomness: time and ids are arguments.

pub mod access;
pub mod admission;
pub mod api_pod;

mod cycle;
mod delivery;
mod explain;
pub mod health;
pub mod labels;
pub mod learned;
pub mod ledger;
pub mod lifecycle;
pub mod machine;
pub mod membership;
pub mod no_execute;
pub mod plan;
pub mod pod_security;
mod promise;
pub mod refusal;
pub mod removal;
pub mod retention;
pub mod rights;
pub mod simulation;
pub mod stuck;
pub mod why;
pub mod world;

#[cfg(test)]
mod tests;

pub use plan::plan;
