//! `statusReason` of a job that waits, as clients may see it.
//!
//! Invariant: pure. What is stored is not changed; only a code of AWS's is not said before it is stable, and where nothing is stored it may be said that
//! no plan has looked at the job. Why a job waits is not decided here.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use model::front::Fronts;
use model::job::JobRecord;
use model::status::{Code, JobState};

/// Clients end a job as soon as they see one of these, for example Nextflow (<https://github.com/nextflow-io/nextflow/issues/7479>).
/// AWS says them of what is stuck
/// (<https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html>), not of what waits for a moment.
const OF_AWS: [Code; 3] = [Code::InsufficientCapacity, Code::MaxResource, Code::ResourceRequirement];
/// So long a reason has to hold before it is stable. Launches in vain count from the first that was tried, because one reason follows the other at
/// each of them.
const STABLE: SignedDuration = SignedDuration::from_mins(1);

/// What is known besides a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    /// The time.
    pub(crate) now: Timestamp,
    /// What the last plan left waiting, if this process plans.
    pub(crate) fronts: Option<&'a Fronts>,
}

/// Why a job is as it is. `queue`: its AWS name.
pub(super) fn told<'r>(record: &'r JobRecord, queue: &str, known: &Known<'_>) -> Option<Cow<'r, str>> {
    stored(record, known.now).map(Cow::Borrowed).or_else(|| of_very_many(record, queue, known).map(Cow::Owned))
}

/// Why a job waits that no plan has looked at.
fn of_very_many(record: &JobRecord, queue: &str, known: &Known<'_>) -> Option<String> {
    let waits = record.state == JobState::Runnable && record.reason.is_none();
    let hidden = known.fronts.filter(|_| waits)?.queues.get(queue)?.hidden;
    let behind = Code::Behind.as_str();
    (hidden > 0).then(|| {
        format!(
            "{behind} - a plan looks at the oldest jobs of its queue and at some of each need; about {hidden} come after those"
        )
    })
}

/// What the planner or its end has said, as it may be seen at this time.
fn stored(record: &JobRecord, now: Timestamp) -> Option<&str> {
    let reason = record.reason.as_deref()?;
    let waits = record.state == JobState::Runnable;
    let is_young = record.reason_since.is_none_or(|since| now.duration_since(since) < STABLE);
    let without = || OF_AWS.iter().find_map(|code| reason.strip_prefix(code.as_str())?.strip_prefix(" - "));
    Some(if waits && is_young { without().unwrap_or(reason) } else { reason })
}

#[cfg(test)]
mod tests {
    use model::front::Front;
    use model::job::JobId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn codes_that_end_jobs_are_not_said_of_what_may_pass() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let check = |state, reason: &str, since: Option<i64>, expect: &str| {
            let mut record = JobRecord::submitted(JobId::new(Uuid::nil()), at(0));
            (record.state, record.reason, record.reason_since) = (state, Some(reason.to_owned()), since.map(at));
            assert_eq!(stored(&record, at(1_000)), Some(expect), "{reason} since {since:?}");
        };
        let (large, waits) = ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - it is too large", JobState::Runnable);
        check(waits, large, Some(941), "it is too large");
        check(waits, large, Some(940), large);
        // Nothing that stores a reason leaves that out; earlier releases did.
        check(waits, large, None, "it is too large");
        // A clock that was set back.
        check(waits, large, Some(2_000), "it is too large");
        check(JobState::Failed, large, Some(999), large);
        let capacity = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - CE: none - for now";
        check(waits, capacity, Some(999), "CE: none - for now");
        for ours in
            ["LIMIT:MAX_VCPUS - CE is at its limit", "Cancelled - by hand", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"]
        {
            check(waits, ours, Some(999), ours);
        }
        assert_eq!(stored(&JobRecord::submitted(JobId::new(Uuid::nil()), at(0)), at(0)), None);
    }

    #[test]
    fn what_no_plan_has_looked_at_says_so() {
        let fronts = |hidden| Fronts {
            queues: [("Q".to_owned(), Front { hidden, ..Front::default() })].into(),
            ..Fronts::default()
        };
        let submitted = JobRecord::submitted(JobId::new(Uuid::nil()), Timestamp::UNIX_EPOCH);
        let runnable = JobRecord { state: JobState::Runnable, ..submitted.clone() };
        let full = JobRecord { reason: Some("CAPACITY:NO_ROOM - full".to_owned()), ..runnable.clone() };
        let said = "ORDER:BEHIND - a plan looks at the oldest jobs of its queue and at some of each need; about 7 come after those";
        let check = |record: &JobRecord, queue: &str, hidden: Option<usize>, expect: Option<&str>| {
            let fronts = hidden.map(fronts);
            let known = Known { now: Timestamp::UNIX_EPOCH, fronts: fronts.as_ref() };
            assert_eq!(told(record, queue, &known).as_deref(), expect, "{record:?} in {queue}, {hidden:?}");
        };
        check(&runnable, "Q", Some(7), Some(said));
        check(&runnable, "Q", Some(0), None);
        check(&runnable, "Q", None, None);
        check(&runnable, "R", Some(7), None);
        check(&submitted, "Q", Some(7), None);
        check(&full, "Q", Some(7), Some("CAPACITY:NO_ROOM - full"));
    }
}
