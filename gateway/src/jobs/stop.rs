//! `CancelJob` and `TerminateJob`: whether anything is to be asked for.
//!
//! Invariant: pure; to cancel a job that has started, or to stop one that has ended, is no error and does nothing.

use model::job::{JobRecord, Stop, StopKind};
use model::status::JobState;
use records::Request;

use super::request;
use crate::failure::Invalid;

/// Checks the reason.
pub(crate) fn validate(request: &request::Stop) -> Result<(), Invalid> {
    match request.reason.chars().count() {
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
        let check = |reason: &str| {
            validate(&request::Stop { job_id: String::new(), reason: reason.to_owned() }).map_err(|it| it.0)
        };
        assert_eq!(check("x"), Ok(()));
        assert_eq!(check(""), Err("reason is required.".to_owned()));
        assert!(check(&"x".repeat(1025)).is_err());
    }
}
