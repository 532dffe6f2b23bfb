//! The record store: what is kept of jobs, their attempts and their definitions, long after their objects are gone.
//!
//! Invariant: what was answered `Ok` is on the disk. One code path for SQLite and PostgreSQL; only the way to connect, the types of
//! columns and a handful of words differ ([`database`]). The gateway adds jobs and requests; the leader alone changes what is there, and
//! one that is late is refused ([`Leading`]). What has ended never changes.
//!
//! It does not decide which other change of state is allowed, nor who is the leader.

mod database;
mod definitions;
mod error;
mod front;
mod inbox;
mod jobs;
mod lead;
mod list;
mod looks;
mod metrics;
mod mirror;
mod quota;
mod retain;
mod rows;
mod store;
mod submit;
mod usage;
mod write;
mod writer;

#[cfg(test)]
mod tests;

pub use definitions::Definition;
pub use error::{Cause, Error};
pub use inbox::{Inbox, Request};
pub use jobs::Kept;
pub use lead::{Leading, Term};
pub use list::{By, Filter, Page, Pattern, Scope};
pub use metrics::Metrics;
pub use quota::{Amount, Counted, Exceeded, Measure, Quotas};
pub use retain::Size;
pub use store::Store;
pub use submit::Submission;
