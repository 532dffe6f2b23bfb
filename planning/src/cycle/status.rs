//! State and reason of each Job, as far as they differ from what is written.
//!
//! Invariant: what is written already is not written again. Knows nothing about why something waits.

use std::borrow::Cow;
use std::collections::HashSet;

use model::plan::StatusChange;
use model::snapshot::Job;
use model::status::{JobState, Reason, Status};

use super::Cycle;
use crate::explain;
use crate::world::facts::{JobFact, together};
use crate::world::uid::Uid;

impl Cycle<'_, '_> {
    /// The statuses that differ from what is written, of older Jobs first. A Job that is released gets its status with the release.
    pub(super) fn changes(&self) -> Vec<StatusChange> {
        let released: HashSet<&str> = self.plan.release.iter().map(|change| change.uid.as_str()).collect();
        let mut changes = Vec::new();
        for (slot, fact) in self.facts.jobs.iter() {
            let Some(job) = fact.job.as_deref() else { continue };
            if !released.is_empty() && released.contains(job.uid.as_str()) {
                continue;
            }
            let (state, reason) = status(job, fact, self.reason_of(slot, job));
            let is_written = job
                .status
                .as_ref()
                .is_some_and(|status| status.state == state && status.reason.as_ref() == reason.as_deref());
            if !is_written {
                let status = Status { state, reason: reason.map(Cow::into_owned) };
                changes.push((job, StatusChange { job: job.key.clone(), uid: job.uid.clone(), status }));
            }
        }
        changes.sort_by_cached_key(|(job, _)| (job.created, Uid::new(&job.uid)));
        changes.into_iter().map(|(_, change)| change).collect()
    }

    fn reason_of(&self, slot: u32, job: &Job) -> Option<Cow<'_, Reason>> {
        let said = self.of_job.get(slot as usize)?.as_ref()?;
        let reason = &*self.reasons[said.reason.0];
        let clock_runs = job.has_deadline && job.released;
        Some(if clock_runs { Cow::Owned(explain::clock_runs(reason.clone())) } else { Cow::Borrowed(reason) })
    }
}

/// State and reason of a Job that has not ended.
fn status<'c>(job: &'c Job, fact: &JobFact<'_>, waits: Option<Cow<'c, Reason>>) -> (JobState, Option<Cow<'c, Reason>>) {
    if !job.released {
        if job.held {
            return (JobState::Pending, Some(Cow::Owned(explain::held())));
        }
        let idle = || (together(job) == 0).then(|| Cow::Owned(explain::nothing_to_run()));
        return (JobState::Runnable, job.barred.as_ref().map(Cow::Borrowed).or(waits).or_else(idle));
    }
    let refusal = job.refusal.as_deref().filter(|_| fact.made < together(job));
    let refused = refusal.map(|refusal| Cow::Owned(explain::pods_refused(refusal)));
    let is_refused = refused.is_some();
    let stuck = || job.stuck.as_deref().map(|why| Cow::Owned(explain::pods_wait(why)));
    let waits = refused.or(waits);
    // Between two waves of pods nothing may run for a moment: a job that has begun does not go back.
    let has_run = job.status.as_ref().is_some_and(|status| status.state == JobState::Running);
    if fact.running > 0 || has_run {
        (JobState::Running, waits.or_else(stuck))
    } else if fact.starting > 0 {
        (JobState::Starting, waits.or_else(stuck))
    } else if fact.made == 0 {
        let reason = waits.filter(|_| is_refused).or_else(stuck);
        (JobState::Starting, Some(reason.unwrap_or_else(|| Cow::Owned(explain::creating_pods()))))
    } else if waits.is_some() {
        (JobState::Runnable, waits)
    } else {
        // Every unit has just been dispatched; what is written stays until that is seen.
        job.status
            .as_ref()
            .map_or((JobState::Starting, None), |status| (status.state, status.reason.as_ref().map(Cow::Borrowed)))
    }
}
