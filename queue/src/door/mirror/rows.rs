//! What is stored of a Job of the Job door, from what is seen or told of it.
//!
//! Invariant: times never go back, whatever clocks they come from; how a Job ended that nobody saw is never guessed. Pure.

use api::convert::asked::Asked;
use api::convert::job::WatchedJob as Seen;
use api::convert::outcome::Outcome;
use jiff::{SignedDuration, Timestamp};
use model::job::{Door, JobRecord, OUTCOME_UNKNOWN, Spec};
use model::status::{JobState, Status};
use planning::lifecycle;
use planning::world::World;

/// Why a Job failed that did not end. A watch of Jobs with a queue shows both alike.
const DELETED: &str = "The Job was deleted, or taken out of its queue, before it ended";

/// What is seen of a Job.
pub(super) struct Look<'a> {
    pub(super) seen: &'a Seen,
    pub(super) asked: &'a Asked,
    /// What is written on it, or would be if the cluster let it.
    pub(super) status: Option<&'a Status>,
    /// It was there until it was seen to go.
    pub(super) gone: bool,
}

/// What is stored of a Job that is seen.
pub(super) fn seen(look: &Look, stored: Option<&JobRecord>, now: Timestamp) -> JobRecord {
    let Look { seen, asked, status, gone } = *look;
    let written = status.map_or(JobState::Submitted, |status| status.state);
    // Whoever deletes a Job that is done but for pods that have to end deletes one that has succeeded.
    let ended = seen.ended.or((gone && seen.is_met).then_some(JobState::Succeeded));
    let deleted = gone && ended.is_none();
    // A status that says it ended was written for a Job that has.
    let state = if deleted { JobState::Failed } else { ended.unwrap_or(written) };
    let waits = status.and_then(|status| status.reason.as_ref());
    let reason = match ended {
        _ if deleted => Some(DELETED.to_owned()),
        Some(_) => asked.failure.clone(),
        None => waits.map(ToString::to_string),
    };
    let runs = matches!(state, JobState::Running | JobState::Succeeded | JobState::Failed);
    let known = stored.and_then(|stored| stored.started);
    let new = JobRecord::submitted(asked.id, seen.job.created);
    let before = stored.unwrap_or(&new);
    let record = JobRecord {
        state,
        reason,
        started: known.or(seen.job.started).filter(|_| runs),
        stopped: state.is_terminal().then(|| asked.stopped.unwrap_or(now)),
        version: before.version,
        ..new.clone()
    };
    in_order(JobRecord { reason_since: lifecycle::reason_since(before, &record, now), ..record })
}

/// What is stored of a Job that went while nobody looked.
pub(super) fn told(stored: &JobRecord, outcome: Option<&Outcome>, now: Timestamp) -> JobRecord {
    let unknown = || {
        format!(
            "{OUTCOME_UNKNOWN}: the Job was gone before its end was seen, and no Event of the Job controller tells it"
        )
    };
    in_order(JobRecord {
        state: outcome.map_or(JobState::Failed, |outcome| outcome.state),
        reason: outcome.map_or_else(|| Some(unknown()), |outcome| outcome.failure.clone()),
        stopped: Some(outcome.map_or(now, |outcome| outcome.at)),
        ..stored.clone()
    })
}

/// Clocks of several machines wrote these times.
fn in_order(record: JobRecord) -> JobRecord {
    let started = record.started.map(|started| started.max(record.created));
    let stopped = record.stopped.map(|stopped| stopped.max(started.unwrap_or(record.created)));
    JobRecord { started, stopped, ..record }
}

/// Whether a Job ended so long ago that its record has been removed.
pub(super) fn is_forgotten(seen: &Seen, asked: &Asked, retention: SignedDuration, now: Timestamp) -> bool {
    let stopped = asked.stopped.filter(|_| seen.ended.is_some());
    stopped.is_some_and(|stopped| now.duration_since(stopped) > retention)
}

pub(super) fn spec(seen: &Seen, asked: &Asked, world: &World<'_>) -> Spec {
    let queue = world.queue(&seen.job.queue);
    Spec {
        name: seen.job.key.name.clone(),
        door: Door::Job,
        queue: queue.map_or_else(|| seen.job.queue.clone(), |queue| queue.aws_name.clone()),
        definition: String::new(),
        namespace: Some(seen.job.key.namespace.clone()),
        uid: Some(seen.job.uid.clone()),
        pod: asked.pod_properties(),
        retry: None,
        timeout_seconds: None,
        depends_on: Vec::new(),
        container: None,
        array_size: None,
        parameters: std::collections::BTreeMap::new(),
        tags: std::collections::BTreeMap::new(),
        share: None,
        priority: None,
        submitter: None,
    }
}

#[cfg(test)]
mod tests {
    use api::convert::Problems;
    use k8s_openapi::api::batch::v1::Job;
    use model::keys;
    use model::status::{Code, Reason};
    use serde_json::{Value, json};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        "2026-11-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    /// A Job that was made at 0 s and started at 5 s, with this condition since 9 s.
    fn job(condition: Option<&str>) -> Seen {
        let conditions: Vec<Value> = condition
            .map(|condition| json!({"type": condition, "status": "True", "lastTransitionTime": at(9).to_string()}))
            .into_iter()
            .collect();
        let job: Job = serde_json::from_value(json!({
            "metadata": {
                "name": "j", "namespace": "n", "uid": "u", "creationTimestamp": at(0).to_string(),
                "labels": {keys::QUEUE: "q", keys::JOB_ID: "2d044787-c663-4ce6-a6fe-f2baf7e51b04"},
                "annotations": {keys::STATUS: "{\"state\":\"RUNNING\"}"},
            },
            "status": {"startTime": at(5).to_string(), "conditions": conditions},
        }))
        .unwrap();
        api::convert::job::job(&job, &mut Problems::new()).unwrap()
    }

    fn look(seen: &Seen, gone: bool) -> Look<'_> {
        Look { seen, asked: seen.asked.as_ref().unwrap(), status: seen.job.status.as_ref(), gone }
    }

    fn row(job: &Seen, gone: bool) -> JobRecord {
        seen(&look(job, gone), None, at(20))
    }

    #[test]
    fn a_job_that_goes_has_failed_only_if_it_had_not_ended() {
        use JobState::{Failed, Running, Succeeded};
        for (condition, gone, state, stopped) in [
            (None, false, Running, None),
            (None, true, Failed, Some(at(20))),
            (Some("Complete"), false, Succeeded, Some(at(9))),
            (Some("Complete"), true, Succeeded, Some(at(9))),
            (Some("Failed"), true, Failed, Some(at(9))),
            // Its pods have still to end.
            (Some("SuccessCriteriaMet"), false, Running, None),
            (Some("SuccessCriteriaMet"), true, Succeeded, Some(at(20))),
            (Some("FailureTarget"), true, Failed, Some(at(20))),
        ] {
            let record = row(&job(condition), gone);
            assert_eq!((record.state, record.stopped), (state, stopped), "{condition:?} {gone}");
            let cut_short = matches!(condition, None | Some("FailureTarget"));
            assert_eq!(record.reason.as_deref() == Some(DELETED), gone && cut_short, "{condition:?} {gone}");
        }
    }

    #[test]
    fn a_job_waits_for_the_same_until_it_waits_for_something_else() {
        let job = job(None);
        let waits = |code, message: &str| Status {
            state: JobState::Runnable,
            reason: Some(Reason { code, message: message.to_owned() }),
        };
        let runs = Status { state: JobState::Running, reason: None };
        let mut stored = None;
        for (second, status, since) in [
            (20, &waits(Code::ResourceRequirement, "too large"), Some(20)),
            (80, &waits(Code::ResourceRequirement, "too large by far"), Some(20)),
            (90, &waits(Code::NoRoom, "full"), Some(90)),
            (95, &runs, None),
            (99, &waits(Code::NoRoom, "full"), Some(99)),
        ] {
            let look = Look { status: Some(status), ..look(&job, false) };
            let record = seen(&look, stored.as_ref(), at(second));
            assert_eq!(record.reason_since, since.map(at), "{second} s");
            assert_eq!(seen(&look, Some(&record), at(second + 1)), record, "nothing is stored twice");
            stored = Some(record);
        }
        // As releases before stored it.
        let without = JobRecord { reason_since: None, ..stored.unwrap() };
        let look = Look { status: Some(&waits(Code::NoRoom, "full")), ..look(&job, false) };
        assert_eq!(seen(&look, Some(&without), at(200)).reason_since, Some(at(200)));
    }

    #[test]
    fn what_nobody_saw_is_what_was_told_or_unknown() {
        let stored = JobRecord { version: 3, ..row(&job(None), false) };
        let outcome = |state, failure: Option<&str>, seconds| {
            let failure = failure.map(ToOwned::to_owned);
            Outcome { uid: "u".into(), name: "j".into(), state, failure, at: at(seconds) }
        };
        let done = told(&stored, Some(&outcome(JobState::Succeeded, None, 9)), at(20));
        assert_eq!((done.state, done.reason, done.stopped), (JobState::Succeeded, None, Some(at(9))));
        let bad = told(&stored, Some(&outcome(JobState::Failed, Some("DeadlineExceeded"), 9)), at(20));
        assert_eq!((bad.state, bad.reason.as_deref()), (JobState::Failed, Some("DeadlineExceeded")));
        let lost = told(&stored, None, at(20));
        assert!(lost.state == JobState::Failed && lost.reason.unwrap().starts_with(OUTCOME_UNKNOWN));
        // The clock of the Job controller is behind.
        let early = told(&stored, Some(&outcome(JobState::Succeeded, None, -60)), at(20));
        assert_eq!((early.started, early.stopped), (Some(at(5)), Some(at(5))));
    }

    #[test]
    fn times_are_in_order_whatever_clocks_say() {
        let (mut early, done) = (job(None), job(Some("Complete")));
        early.job.started = Some(at(-3));
        assert_eq!(row(&early, false).started, Some(at(0)));
        let stored = JobRecord { started: Some(at(12)), ..row(&done, false) };
        let record = seen(&look(&done, false), Some(&stored), at(20));
        assert_eq!((record.started, record.stopped), (Some(at(12)), Some(at(12))));
    }

    #[test]
    fn a_record_is_not_made_again_after_its_time() {
        let day = SignedDuration::from_hours(24);
        let check = |condition, seconds| {
            let job = job(condition);
            is_forgotten(&job, job.asked.as_ref().unwrap(), day, at(seconds))
        };
        assert!(!check(Some("Complete"), 24 * 3600) && check(Some("Complete"), 24 * 3600 + 10));
        assert!(!check(None, 1_000_000), "it runs");
    }
}
