//! `CancelJob` and `TerminateJob`, and the same for many jobs: whether anything is to be asked for.
//!
//! Invariant: pure; to cancel a job that has started, or to stop one that has ended, is no error and does nothing.

use model::job::{JobRecord, Stop, StopKind};
use model::status::JobState;
use records::Request;

use super::request;
use crate::failure::Invalid;

/// Jobs that one request ends at most.
const MOST: usize = 50;

/// Checks how many there are, and the reason.
pub(crate) fn validate_all(request: &request::StopAll) -> Result<(), Invalid> {
    match request.jobs.len() {
        0 => return Invalid::err("jobs is required."),
        1..=MOST => {}
        many => return Invalid::err(format!("jobs can have at most {MOST} entries, got {many}.")),
    }
    validate(&request.reason)
}

/// Checks the reason.
pub(crate) fn validate(reason: &str) -> Result<(), Invalid> {
    match reason.chars().count() {
        0 => Invalid::err("reason is required."),
        1..=1024 => Ok(()),
        _ => Invalid::err("reason can have at most 1024 characters."),
    }
}

/// What is to be noted of a job.
pub(crate) fn wanted(record: &JobRecord, kind: StopKind, reason: &str) -> Option<Request> {
    let stops = match record.state {
        JobState::Submitted | JobState::Pending | JobState::Runnable => true,
        JobState::Starting | JobState::Running => kind == StopKind::Terminate,
        JobState::Succeeded | JobState::Failed => false,
    };
    stops.then(|| Request { id: record.id, stop: Stop { kind, reason: reason.to_owned() } })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use model::job::JobId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_what_has_not_started_is_cancelled_and_what_has_ended_stays() {
        for (state, cancelled, terminated) in [
            (JobState::Submitted, true, true),
            (JobState::Pending, true, true),
            (JobState::Runnable, true, true),
            (JobState::Starting, false, true),
            (JobState::Running, false, true),
            (JobState::Succeeded, false, false),
            (JobState::Failed, false, false),
        ] {
            let record = JobRecord { state, ..JobRecord::submitted(JobId::new(Uuid::nil()), Timestamp::UNIX_EPOCH) };
            let asks = |kind| wanted(&record, kind, "why").is_some();
            assert_eq!((asks(StopKind::Cancel), asks(StopKind::Terminate)), (cancelled, terminated), "{state:?}");
        }
    }

    #[test]
    fn a_reason_is_needed() {
        let check = |reason: &str| validate(reason).map_err(|it| it.0);
        assert_eq!(check("x"), Ok(()));
        assert_eq!(check(""), Err("reason is required.".to_owned()));
        assert!(check(&"x".repeat(1025)).is_err());
        let all = |count: usize, reason: &str| {
            let jobs = vec!["a".to_owned(); count];
            validate_all(&request::StopAll { jobs, reason: reason.to_owned() }).map_err(|it| it.0)
        };
        assert_eq!((all(1, "x"), all(50, "x")), (Ok(()), Ok(())));
        assert_eq!(all(0, "x"), Err("jobs is required.".to_owned()));
        assert_eq!(all(51, "x"), Err("jobs can have at most 50 entries, got 51.".to_owned()));
        assert_eq!(all(1, ""), Err("reason is required.".to_owned()));
    }
}
