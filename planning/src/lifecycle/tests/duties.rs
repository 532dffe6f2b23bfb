//! What is done to pods.

use super::super::{duty, is_current};
use super::*;

fn terminated(state: JobState) -> JobRecord {
    JobRecord { stop: Some(stop(StopKind::Terminate)), ..record(state) }
}

fn unseen() -> JobRecord {
    let record = record(JobState::Starting);
    JobRecord { placed: Some(placed(&record)), ..record }
}

#[test]
fn a_pod_is_made_once_its_place_is_stored_and_never_again() {
    assert_eq!(duty(&unseen(), None), Duty::Create);
    for state in [JobState::Submitted, JobState::Runnable, JobState::Starting, JobState::Running, JobState::Failed] {
        assert_eq!(duty(&record(state), None), Duty::Nothing, "{state:?}");
    }
    let stopped = JobRecord { stop: Some(stop(StopKind::Terminate)), ..unseen() };
    assert_eq!(duty(&stopped, None), Duty::Nothing);
}

#[test]
fn the_pod_of_the_current_placement() {
    let (running, kind) = (record(JobState::Running), StopKind::Cancel);
    let cancelled = JobRecord { stop: Some(stop(kind)), ..running.clone() };
    let going = PodFacts { deleting: Some(at(1)), ..pod(&running) };
    for (name, record, pod, expected) in [
        ("it runs", &running, pod(&running), Duty::Nothing),
        ("it was not seen before", &unseen(), pod(&running), Duty::Nothing),
        ("its outcome is not stored", &running, ended(&running, 0), Duty::Nothing),
        ("it is to end", &terminated(JobState::Running), pod(&running), Duty::Delete),
        ("it is to end while it starts", &terminated(JobState::Starting), pod(&running), Duty::Delete),
        ("it ends already", &terminated(JobState::Running), going, Duty::Nothing),
        ("it has ended", &terminated(JobState::Running), ended(&running, 143), Duty::Nothing),
        ("a cancellation came too late", &cancelled, pod(&running), Duty::Nothing),
    ] {
        assert_eq!(duty(record, Some(&pod)), expected, "{name}");
    }
}

#[test]
fn a_pod_that_is_nobodys_is_deleted_and_let_go() {
    let runnable = record(JobState::Runnable);
    let running = JobRecord { attempt: 2, ..record(JobState::Running) };
    let other = PodFacts { uid: "other".into(), ..pod(&record(JobState::Running)) };
    for (record, pod) in [
        (&record(JobState::Failed), pod(&runnable)),
        (&record(JobState::Succeeded), pod(&runnable)),
        (&runnable, pod(&runnable)),
        (&running, pod(&runnable)),
        (&JobRecord { placement: 1, ..record(JobState::Starting) }, pod(&runnable)),
        (&record(JobState::Running), other),
        (&record(JobState::Running), PodFacts { name: "forged".into(), ..pod(&runnable) }),
    ] {
        let going = PodFacts { deleting: Some(at(1)), ..pod.clone() };
        let done = PodFacts { phase: PodPhase::Succeeded, ..pod.clone() };
        let released = PodFacts { kept: false, ..done.clone() };
        let seen = [pod, going, done, released].map(|pod| duty(record, Some(&pod)));
        assert_eq!(seen, [Duty::Delete, Duty::Release, Duty::Release, Duty::Nothing], "{record:?}");
    }
}

#[test]
fn a_pod_is_that_of_a_job_by_all_its_marks_or_not_at_all() {
    type Change = fn(&mut PodFacts);
    let (seen, unseen) = (record(JobState::Starting), unseen());
    let cases: [(&str, Change, bool, bool); 6] = [
        ("as it was made", |_| (), true, true),
        ("the same name elsewhere", |pod| pod.namespace = "elsewhere".into(), false, false),
        ("another placement", |pod| pod.placement += 1, false, false),
        ("another attempt", |pod| pod.attempt += 1, false, false),
        ("another UID", |pod| pod.uid = "another".into(), false, true),
        ("without our finalizer", |pod| pod.kept = false, true, false),
    ];
    for (what, change, if_seen, if_new) in cases {
        let mut facts = pod(&seen);
        facts.kept = true;
        change(&mut facts);
        assert_eq!((is_current(&seen, &facts), is_current(&unseen, &facts)), (if_seen, if_new), "{what}");
        // A pod that is none of it keeps nothing from being made.
        assert_eq!(duty(&unseen, None), Duty::Create);
    }
}
