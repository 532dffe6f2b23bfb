//! What the Job controller's Events say of how a Job ended. They outlive it, by an hour as a rule.
//!
//! Invariant: only the Job controller's own words count, and only those that it says when a Job has ended. Does not know which Jobs are gone.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use model::status::JobState;

/// Who says so (`NewController` in
/// <https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/job/job_controller.go>).
pub const SOURCE: &str = "job-controller";
/// Reason of the Event of a Job that has succeeded (`recordJobFinished`, there, too).
const COMPLETED: &str = "Completed";
/// Those of one that has failed: the reasons of condition `Failed`
/// (<https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/api/batch/v1/types.go>).
const FAILED: [&str; 5] =
    ["BackoffLimitExceeded", "DeadlineExceeded", "PodFailurePolicy", "FailedIndexes", "MaxFailedIndexesExceeded"];

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// UID of the Job.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// SUCCEEDED or FAILED.
    pub state: JobState,
    /// Why it failed, in the Job controller's words.
    pub failure: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The end that an Event reports; `None`: it reports something else.
pub fn outcome(event: &Event) -> Option<Outcome> {
    let about = &event.involved_object;
    let source = event.source.as_ref().and_then(|source| source.component.as_deref()).filter(|it| !it.is_empty());
    if source.or(event.reporting_component.as_deref()) != Some(SOURCE) || about.kind.as_deref() != Some("Job") {
        return None;
    }
    let reason = event.reason.as_deref()?;
    let failure = || match event.message.as_deref().map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    };
    let (state, failure) = match reason {
        COMPLETED => (JobState::Succeeded, None),
        reason if FAILED.contains(&reason) => (JobState::Failed, Some(failure())),
        _ => return None,
    };
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    let made = event.metadata.creation_timestamp.as_ref().map(|time| time.0);
    Some(Outcome {
        uid: about.uid.clone()?,
        name: about.name.clone().unwrap_or_default(),
        state,
        failure,
        at: last.or(first).or(made)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What an Event says after a member of it, by its path, was changed.
    #[track_caller]
    fn check(path: &str, value: Value, expect: Option<(JobState, Option<&str>)>) {
        let mut event = json!({
            "metadata": {"name": "e", "namespace": "n", "creationTimestamp": "2026-11-01T12:00:05Z"},
            "involvedObject": {"kind": "Job", "name": "j", "namespace": "n", "uid": "u"},
            "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit",
            "source": {"component": "job-controller"}, "reportingComponent": "job-controller",
            "lastTimestamp": "2026-11-01T12:00:04Z",
        });
        *event.pointer_mut(path).unwrap() = value;
        let found = outcome(&serde_json::from_value(event).unwrap());
        let found = found.as_ref().map(|it| (it.state, it.failure.as_deref()));
        assert_eq!(found, expect, "{path}");
    }

    #[test]
    fn the_end_of_a_job_is_told_by_its_controller() {
        let failure = Some("BackoffLimitExceeded: Job has reached the specified backoff limit");
        check("/reason", json!("Completed"), Some((JobState::Succeeded, None)));
        check("/reason", json!("BackoffLimitExceeded"), Some((JobState::Failed, failure)));
        check("/message", Value::Null, Some((JobState::Failed, Some("BackoffLimitExceeded"))));
        check("/source", Value::Null, Some((JobState::Failed, failure)));
        check("/lastTimestamp", Value::Null, Some((JobState::Failed, failure)));
    }

    #[test]
    fn other_events_and_other_voices_say_nothing() {
        for reason in ["SuccessfulCreate", "FailedCreate", "Suspended", "TooManySucceededPods", ""] {
            check("/reason", json!(reason), None);
        }
        check("/source/component", json!("somebody"), None);
        check("/involvedObject/kind", json!("Pod"), None);
        check("/involvedObject/uid", Value::Null, None);
    }
}
