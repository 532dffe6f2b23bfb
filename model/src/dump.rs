//! What a plan was made of, written down, so that it can be made again elsewhere.
//!
//! Invariant: the same plan comes of it. It has names, needs and states of jobs, nodes and queues, and nothing of what jobs run or know.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::snapshot::Snapshot;

/// What is written today.
pub const VERSION: u32 = 1;

/// What a plan was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dump {
    /// Of this form; another version of Bulkhead may have another.
    pub version: u32,
    /// When the plan was made.
    pub now: Timestamp,
    /// What it saw.
    pub snapshot: Snapshot,
}
