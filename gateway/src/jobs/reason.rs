//! `statusReason` of a job that waits, as clients may see it.
//!
//! Invariant: pure. What is stored is not changed; only a code of AWS's is not said before it is stable. Why a job waits is not decided here.

use jiff::{SignedDuration, Timestamp};
use model::job::JobRecord;
use model::status::{Code, JobState};

/// Clients end a job as soon as they see one of these, for example Nextflow (<https://github.com/nextflow-io/nextflow/issues/7479>).
/// AWS says them of what is stuck
/// (<https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html>), not of what waits for a moment.
const OF_AWS: [Code; 3] = [Code::InsufficientCapacity, Code::MaxResource, Code::ResourceRequirement];
/// So long a reason has to hold before it is stable. Launches in vain count from the first that was tried, because one reason follows the other at
/// each of them.
const STABLE: SignedDuration = SignedDuration::from_mins(1);

/// Why a job is as it is, at this time.
pub(super) fn told(record: &JobRecord, now: Timestamp) -> Option<&str> {
    let reason = record.reason.as_deref()?;
    let waits = record.state == JobState::Runnable;
    let is_young = record.reason_since.is_none_or(|since| now.duration_since(since) < STABLE);
    let without = || OF_AWS.iter().find_map(|code| reason.strip_prefix(code.as_str())?.strip_prefix(" - "));
    Some(if waits && is_young { without().unwrap_or(reason) } else { reason })
}

#[cfg(test)]
mod tests {
    use model::job::JobId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn codes_that_end_jobs_are_not_said_of_what_may_pass() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let check = |state, reason: &str, since: Option<i64>, expect: &str| {
            let mut record = JobRecord::submitted(JobId::new(Uuid::nil()), at(0));
            (record.state, record.reason, record.reason_since) = (state, Some(reason.to_owned()), since.map(at));
            assert_eq!(told(&record, at(1_000)), Some(expect), "{reason} since {since:?}");
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
        assert_eq!(told(&JobRecord::submitted(JobId::new(Uuid::nil()), at(0)), at(0)), None);
    }
}
