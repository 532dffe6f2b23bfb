//! State and reason of a Job, of what is so and why it waits.
//!
//! Invariant: hangs on the Job, its units and the reason alone. Knows nothing about why something waits.

use std::borrow::Cow;

use model::snapshot::Job;
use model::status::{JobState, Reason};

use super::facts::{JobFact, together};
use crate::explain;

/// Whether that is what is written on a Job, if it waits for this reason.
pub(crate) fn is_written(fact: &JobFact<'_>, waits: Option<&Reason>) -> bool {
    let Some(job) = fact.job.as_deref() else { return true };
    let (state, reason) = status(job, fact, waits.map(Cow::Borrowed));
    job.status.as_ref().is_some_and(|status| status.state == state && status.reason.as_ref() == reason.as_deref())
}

/// State and reason of a Job that has not ended.
pub(crate) fn status<'c>(
    job: &'c Job,
    fact: &JobFact<'_>,
    waits: Option<Cow<'c, Reason>>,
) -> (JobState, Option<Cow<'c, Reason>>) {
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
