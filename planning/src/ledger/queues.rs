//! Who waits for room, by queue, in order: retries first, then first in, first out.
//!
//! Invariant: the same order as in a plan. Does not know why anybody waits.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use model::job::{JobId, JobRecord};

/// First attempt or not, time of submission, id.
type Rank = (bool, Timestamp, JobId);

/// Jobs that wait for room.
#[derive(Debug, Default)]
pub(super) struct Queues(BTreeMap<String, BTreeSet<Rank>>);

impl Queues {
    pub(super) fn insert(&mut self, queue: &str, record: &JobRecord) {
        if let Some(jobs) = self.0.get_mut(queue) {
            jobs.insert(rank(record));
        } else {
            self.0.insert(queue.to_owned(), BTreeSet::from([rank(record)]));
        }
    }

    pub(super) fn remove(&mut self, queue: &str, record: &JobRecord) {
        if let Some(jobs) = self.0.get_mut(queue) {
            jobs.remove(&rank(record));
            if jobs.is_empty() {
                self.0.remove(queue);
            }
        }
    }

    /// The jobs of each queue, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = impl Iterator<Item = JobId>> {
        self.0.values().map(|jobs| jobs.iter().map(|(_, _, id)| *id))
    }

    pub(super) fn len(&self, queue: &str) -> usize {
        self.0.get(queue).map_or(0, BTreeSet::len)
    }
}

fn rank(record: &JobRecord) -> Rank {
    (record.attempt <= 1, record.created, record.id)
}
