//! Pods that have not done for too long what they should: mount their volumes, or go when they were told to.
//!
//! Invariant: only what has elapsed here counts, by a time that cannot be set; what is stored was written by another clock, or by this one
//! before somebody set it. A leader that has just begun gives every pod its whole time again.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use model::clock::Moment;
use model::job::{JobRecord, PodFacts, Stop, StopKind};

use super::trouble;

/// After this time a pod that was told to end is taken for ended, if its job is to end anyway: the grace period four times.
const OVERDUE: Duration = Duration::from_mins(2);

/// Pods by UID.
#[derive(Debug, Default)]
pub struct Patience {
    /// Since when a volume is seen not to be mounted, and what the kubelet says of when that began: if it says something else, it was mounted
    /// in between.
    unmounted: HashMap<String, (Option<Timestamp>, Moment)>,
    /// Since when a pod is seen to be told to go.
    going: HashMap<String, Moment>,
}

impl Patience {
    /// The end of a job of which a volume is not mounted for `patience`. AWS Batch ends such a job, too
    /// (<https://docs.aws.amazon.com/batch/latest/userguide/batch-eks-job-stuck-in-starting.html>).
    pub fn hopeless(&mut self, record: &JobRecord, facts: &PodFacts, patience: Duration, now: Moment) -> Option<Stop> {
        let Some(reason) = trouble::unmounted(record, facts) else {
            self.unmounted.remove(&facts.uid);
            return None;
        };
        let seen = self.unmounted.entry(facts.uid.clone()).or_insert((facts.unready_since, now));
        if seen.0 != facts.unready_since {
            *seen = (facts.unready_since, now);
        }
        (now.since(seen.1) >= patience).then_some(Stop { kind: StopKind::Hopeless, reason })
    }

    /// Whether a pod was told to go so long ago that nobody will say any more that it has.
    pub fn is_overdue(&mut self, facts: &PodFacts, now: Moment) -> bool {
        if facts.deleting.is_none() || facts.ended() {
            return false;
        }
        let since = self.going.entry(facts.uid.clone()).or_insert(now);
        now.since(*since) >= OVERDUE
    }

    /// Forgets pods that are gone.
    pub fn keep<'a>(&mut self, pods: impl Iterator<Item = &'a PodFacts>) {
        if self.unmounted.is_empty() && self.going.is_empty() {
            return;
        }
        let here: HashSet<&str> = pods.map(|pod| pod.uid.as_str()).collect();
        self.unmounted.retain(|uid, _| here.contains(uid.as_str()));
        self.going.retain(|uid, _| here.contains(uid.as_str()));
    }
}
