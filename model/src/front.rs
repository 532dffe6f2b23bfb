//! What the leader tells of its queues after each plan: who comes next, how much has room, and how many were not looked at.
//!
//! Invariant: as it was when that plan was made; nobody changes it afterwards. Does not know who asks.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::job::JobId;

/// So many jobs of a queue are told, as AWS Batch tells them
/// (<https://docs.aws.amazon.com/batch/latest/APIReference/API_GetJobQueueSnapshot.html>).
pub const MOST: usize = 100;

/// All queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fronts {
    /// When the plan was made.
    pub at: Timestamp,
    /// By AWS name; one that is not here has no work.
    pub queues: BTreeMap<String, Front>,
}

/// One queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Front {
    /// The first of its jobs that are RUNNABLE, in the order in which they are served.
    pub jobs: Vec<InLine>,
    /// Thousandths of a CPU that those of its units ask for that are on a node.
    pub milli_cpu: u32,
    /// About how many of its jobs are RUNNABLE and no plan has looked at.
    pub hidden: usize,
}

/// A job in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InLine {
    /// Which.
    pub job: JobId,
    /// Since when it has been at its place.
    pub since: Timestamp,
}
