//! The failed pods of Jobs, from which the attempts of later ones are counted.
//!
//! Invariant: a failed pod counts for pods made after it, once, whatever the order of events and also after it is gone, as long
//! as its Job is known. Does not know what counts against a backoff limit.

use std::collections::HashMap;

use jiff::Timestamp;

/// Failed pods by UID of their Job.
#[derive(Debug, Default)]
pub(super) struct Failures(HashMap<String, HashMap<String, Failure>>);

#[derive(Debug)]
struct Failure {
    index: Option<u32>,
    created: Timestamp,
}

impl Failures {
    /// A pod of `job` has failed. Returns whether that was new.
    pub(super) fn add(&mut self, job: &str, pod: &str, index: Option<u32>, created: Timestamp) -> bool {
        let pods = self.0.entry(job.to_owned()).or_default();
        pods.insert(pod.to_owned(), Failure { index, created }).is_none()
    }

    /// Drops what is known about a Job that is gone. Returns whether something was.
    pub(super) fn drop_job(&mut self, job: &str) -> bool {
        self.0.remove(job).is_some()
    }

    /// Number of the attempt of a pod that does not say it: one more than the pods that failed before it was made. Pods of
    /// one index never overlap, so there the same second counts; pods without an index do.
    pub(super) fn attempt(&self, job: Option<&str>, index: Option<u32>, created: Timestamp) -> u32 {
        let Some(pods) = job.and_then(|job| self.0.get(job)) else { return 1 };
        let before = |failure: &&Failure| {
            failure.index == index
                && if index.is_some() { failure.created <= created } else { failure.created < created }
        };
        u32::try_from(pods.values().filter(before).count()).unwrap_or(u32::MAX).saturating_add(1)
    }
}
