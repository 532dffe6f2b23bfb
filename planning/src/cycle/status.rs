//! The statuses of Jobs that differ from what is written.
//!
//! Invariant: what is written already is not written again. Looks only at Jobs that were given a reason, and at those of which it is known
//! that they say something else: of all others is written what is so. Knows nothing about why something waits.

use std::borrow::Cow;
use std::collections::HashSet;

use model::plan::StatusChange;
use model::snapshot::Job;
use model::status::{Reason, Status};

use super::Cycle;
use crate::explain;
use crate::world::facts::JobFact;
use crate::world::status::status;
use crate::world::uid::Uid;

impl Cycle<'_, '_> {
    /// The statuses that differ from what is written, of older Jobs first. A Job that is released gets its status with the release.
    pub(super) fn changes(&self) -> Vec<StatusChange> {
        let released: HashSet<&str> = self.plan.release.iter().map(|change| change.uid.as_str()).collect();
        let others = self.facts.unwritten.iter().filter(|slot| !self.of_job.contains_key(slot));
        let mut changes: Vec<(&Job, StatusChange)> =
            self.of_job.keys().chain(others).filter_map(|slot| self.change(*slot, &released)).collect();
        changes.sort_by_cached_key(|(job, _)| (job.created, Uid::new(&job.uid)));
        changes.into_iter().map(|(_, change)| change).collect()
    }

    fn change(&self, slot: u32, released: &HashSet<&str>) -> Option<(&Job, StatusChange)> {
        let fact: &JobFact<'_> = self.facts.jobs.get(slot)?;
        let job = fact.job.as_deref().filter(|job| released.is_empty() || !released.contains(job.uid.as_str()))?;
        let (state, reason) = status(job, fact, self.reason_of(slot, job));
        let written = job.status.as_ref();
        if written.is_some_and(|status| status.state == state && status.reason.as_ref() == reason.as_deref()) {
            return None;
        }
        let status = Status { state, reason: reason.map(Cow::into_owned) };
        Some((job, StatusChange { job: job.key.clone(), uid: job.uid.clone(), status }))
    }

    fn reason_of(&self, slot: u32, job: &Job) -> Option<Cow<'_, Reason>> {
        let said = self.of_job.get(&slot)?;
        let reason = &*self.reasons[said.reason.0];
        let clock_runs = job.has_deadline && job.released;
        Some(if clock_runs { Cow::Owned(explain::clock_runs(reason.clone())) } else { Cow::Borrowed(reason) })
    }
}
