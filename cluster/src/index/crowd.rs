//! Which Jobs of a namespace are more than may wait.
//!
//! Invariant: the oldest wait, the rest waits for its turn, so that one namespace takes no more memory of a plan than its share, and nothing
//! is lost. Does not know what a plan needs of a Job.

use std::collections::{BTreeMap, HashSet};

use api::convert::job::WatchedJob;
use model::status::{Code, Reason};

/// How much may wait in one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceLimits {
    /// Jobs.
    pub jobs: usize,
    /// Bytes that a plan needs for them.
    pub bytes: usize,
}

impl Default for NamespaceLimits {
    fn default() -> Self {
        Self { jobs: 20_000, bytes: 32 << 20 }
    }
}

impl NamespaceLimits {
    /// UIDs of those that are too many among Jobs that wait.
    pub(super) fn beyond<'a>(&self, waiting: impl Iterator<Item = &'a WatchedJob>) -> HashSet<&'a str> {
        let mut all: BTreeMap<&str, Vec<&WatchedJob>> = BTreeMap::new();
        for record in waiting {
            all.entry(&record.job.key.namespace).or_default().push(record);
        }
        let mut beyond = HashSet::new();
        for jobs in all.values_mut() {
            let bytes: usize = jobs.iter().map(|record| record.size).sum();
            if jobs.len() <= self.jobs && bytes <= self.bytes {
                continue;
            }
            jobs.sort_by(|a, b| (a.job.created, &a.job.uid).cmp(&(b.job.created, &b.job.uid)));
            let (mut count, mut bytes) = (0, 0);
            for record in jobs {
                (count, bytes) = (count + 1, bytes + record.size);
                if count > self.jobs || bytes > self.bytes {
                    beyond.insert(record.job.uid.as_str());
                }
            }
        }
        beyond
    }

    /// Why one of those waits.
    pub(super) fn reason(&self) -> Reason {
        let Self { jobs, bytes } = self;
        let message = format!(
            "more Jobs wait in its namespace than are planned for at a time ({jobs}, or {bytes} bytes of what their pods ask of nodes); it is \
             planned for when older ones have started"
        );
        Reason { code: Code::NamespaceWaiting, message }
    }
}
