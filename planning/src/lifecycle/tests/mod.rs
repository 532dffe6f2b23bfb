//! Tables and properties of the life of a job. Here: what they are made of.

mod children;
mod chores;
mod duties;
mod ends;
mod given;
mod patience;
mod properties;
mod stops;
mod table;
mod troubles;
mod whereabouts;

use jiff::{SignedDuration, Timestamp};
use model::job::{
    ContainerFacts, ContainerState, Door, EvaluateOnExit, JobId, JobRecord, Placed, PodFacts, PodPhase, RetryAction,
    RetryStrategy, Spec, Stop, StopKind,
};
use model::names::pod_name;
use model::status::JobState;
use serde_json::json;

use super::{Duty, Event, Transition, next};

/// A time, in seconds after the job was dispatched.
fn at(seconds: i64) -> Timestamp {
    "2026-11-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn id() -> JobId {
    "2d044787-c663-4ce6-a6fe-f2baf7e51b04".parse().unwrap()
}

/// So many attempts, 60 s each.
fn spec(attempts: u32) -> Spec {
    Spec {
        name: "job".into(),
        door: Door::Api,
        queue: "queue".into(),
        definition: String::new(),
        namespace: None,
        uid: None,
        pod: json!({}),
        retry: Some(RetryStrategy { attempts, evaluate_on_exit: vec![] }),
        timeout_seconds: Some(60),
        depends_on: vec![],
        container: None,
        array_size: None,
        parameters: [].into(),
        tags: [].into(),
        share: None,
        priority: None,
        submitter: None,
    }
}

fn array(size: u32) -> Spec {
    Spec { array_size: Some(size), ..spec(1) }
}

fn placed(record: &JobRecord) -> Placed {
    Placed {
        since: None,
        pod_name: pod_name(record.id, record.attempt, record.placement),
        namespace: "ns".into(),
        pod_uid: None,
        node: "node-1".into(),
        node_uid: "node-uid".into(),
        hold: vec![],
        environment: "CE".into(),
        environment_uuid: "ce-uuid".into(),
        trouble: None,
    }
}

/// The place of a job of which kube-scheduler chooses the node.
fn given(record: &JobRecord) -> Placed {
    let hold = vec!["node-1".to_owned(), "node-2".to_owned()];
    Placed { node: String::new(), node_uid: String::new(), hold, ..placed(record) }
}

/// A job in this state; its pod has been seen, and RUNNING began at 10 s.
fn record(state: JobState) -> JobRecord {
    let record = JobRecord { state, ..JobRecord::submitted(id(), at(-100)) };
    match state {
        JobState::Starting | JobState::Running => JobRecord {
            placed: Some(Placed { pod_uid: Some("uid".into()), ..placed(&record) }),
            started: (state == JobState::Running).then(|| at(10)),
            ..record
        },
        JobState::Succeeded | JobState::Failed => JobRecord { stopped: Some(at(20)), ..record },
        _ => record,
    }
}

/// The pod of the current placement of a job, not started.
fn pod(record: &JobRecord) -> PodFacts {
    PodFacts {
        job: record.id,
        attempt: record.attempt,
        placement: record.placement,
        name: pod_name(record.id, record.attempt, record.placement),
        namespace: "ns".into(),
        uid: "uid".into(),
        node: Some("node-1".into()),
        hold: vec![],
        unschedulable: None,
        misbound: false,
        unmounted: None,
        unready_since: None,
        ready_to_start: None,
        phase: PodPhase::Pending,
        reason: None,
        message: None,
        disruption: None,
        containers: vec![waits("main", None)],
        init_containers: vec![],
        deleting: None,
        confirmed: false,
        kept: true,
    }
}

fn container(name: &str, state: ContainerState) -> ContainerFacts {
    ContainerFacts { name: name.into(), id: None, state }
}

fn waits(name: &str, reason: Option<&str>) -> ContainerFacts {
    container(name, ContainerState::Waiting { reason: reason.map(Into::into), message: None })
}

fn runs(name: &str) -> ContainerFacts {
    container(name, ContainerState::Running { since: Some(at(10)) })
}

/// It ran from 10 s to 30 s.
fn exits(name: &str, exit_code: i32, reason: &str) -> ContainerFacts {
    let (started, finished) = (Some(at(10)), Some(at(30)));
    container(name, ContainerState::Ended { exit_code, reason: Some(reason.into()), message: None, started, finished })
}

/// The pod after its main container has ended.
fn ended(record: &JobRecord, exit_code: i32) -> PodFacts {
    let (phase, reason) = if exit_code == 0 { (PodPhase::Succeeded, "Completed") } else { (PodPhase::Failed, "Error") };
    PodFacts { phase, containers: vec![exits("main", exit_code, reason)], ..pod(record) }
}

fn stop(kind: StopKind) -> Stop {
    Stop { kind, reason: "enough".into() }
}

/// A transition in one line: state, attempt/placement, reason, what is stored on top; then the attempt that ended.
fn show(transition: Option<&Transition>) -> String {
    let Some(Transition { record, attempt }) = transition else { return "-".into() };
    let state = serde_json::to_value(record.state).unwrap();
    let mut text = format!("{} {}/{}", state.as_str().unwrap(), record.attempt, record.placement);
    let seconds = |time: Timestamp| time.duration_since(at(0)).as_secs();
    let marks = [
        record.reason.as_ref().map(|reason| format!(" ({reason})")),
        record.not_before.map(|time| format!(" not before {}", seconds(time))),
        record.stop.as_ref().map(|stop| format!(" stop {:?}", stop.kind)),
        attempt.as_ref().map(|attempt| {
            let started = attempt.started.map_or("never".into(), |time| seconds(time).to_string());
            let reason = attempt.reason.as_deref().unwrap_or("well");
            format!(" | {}: {started}..{} {reason}", attempt.number, seconds(attempt.stopped))
        }),
    ];
    text.extend(marks.into_iter().flatten());
    text
}

/// What an event at 50 s makes of a job; applied to its result it changes nothing more.
#[track_caller]
fn check(record: &JobRecord, spec: &Spec, event: &Event, expected: &str) -> JobRecord {
    let transition = next(record, spec, event, at(50));
    assert_eq!(show(transition.as_ref()), expected, "{event:?}");
    let Some(Transition { record, .. }) = transition else { return record.clone() };
    assert_eq!(next(&record, spec, event, at(51)), None, "twice: {event:?}");
    record
}
