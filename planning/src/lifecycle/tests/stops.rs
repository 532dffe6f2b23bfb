//! Stops and timeouts: what was asked for, and what was true already.

use super::super::wake_at;
use super::*;

fn stopped(state: JobState, kind: StopKind) -> JobRecord {
    JobRecord { stop: Some(stop(kind)), ..record(state) }
}

/// Its deletion was asked for at 30 s, when its container ended, or later.
fn deleted(pod: PodFacts, seconds: i64) -> PodFacts {
    PodFacts { deleting: Some(at(seconds)), ..pod }
}

#[test]
fn a_terminated_job_fails_with_the_users_reason_and_is_not_retried() {
    let (running, spec) = (stopped(JobState::Running, StopKind::Terminate), spec(3));
    let failed = "FAILED 1/0 (enough) stop Terminate | 1: 10..30 enough";
    check(&running, &spec, &Event::PodSeen(&deleted(ended(&running, 143), 29)), failed);
    check(&running, &spec, &Event::PodSeen(&ended(&running, 1)), failed);
    let lost = "FAILED 1/0 (enough) stop Terminate | 1: 10..50 enough";
    check(&running, &spec, &Event::PodGone, lost);
    check(&running, &spec, &Event::NodeGone { instance: "i-1" }, lost);
    let starting = stopped(JobState::Starting, StopKind::Terminate);
    let never = "FAILED 1/0 (enough) stop Terminate | 1: never..50 enough";
    check(&starting, &spec, &Event::NodeGone { instance: "i-1" }, never);
    let confirmed = PodFacts { confirmed: true, ..deleted(pod(&starting), 29) };
    check(&starting, &spec, &Event::PodSeen(&confirmed), never);
}

#[test]
fn success_counts_only_if_it_came_before_the_deletion() {
    for kind in [StopKind::Terminate, StopKind::Timeout] {
        let (running, spec) = (stopped(JobState::Running, kind), spec(1));
        let well = format!("SUCCEEDED 1/0 stop {kind:?} | 1: 10..30 well");
        let badly = format!("FAILED 1/0 (enough) stop {kind:?} | 1: 10..30 enough");
        check(&running, &spec, &Event::PodSeen(&ended(&running, 0)), &well);
        check(&running, &spec, &Event::PodSeen(&deleted(ended(&running, 0), 31)), &well);
        check(&running, &spec, &Event::PodSeen(&deleted(ended(&running, 0), 30)), &badly);
        check(&running, &spec, &Event::PodSeen(&deleted(ended(&running, 0), 29)), &badly);
    }
}

#[test]
fn the_first_stop_counts() {
    let running = stopped(JobState::Running, StopKind::Timeout);
    check(&running, &spec(1), &Event::StopAsked(&stop(StopKind::Terminate)), "-");
    assert_eq!(next(&stopped(JobState::Running, StopKind::Terminate), &spec(1), &Event::Tick, at(999)), None);
}

#[test]
fn a_job_whose_pod_was_never_seen_ends_at_once() {
    let record = record(JobState::Starting);
    let unseen = JobRecord { placed: Some(placed(&record)), ..record };
    let ended =
        check(&unseen, &spec(1), &Event::StopAsked(&stop(StopKind::Terminate)), "FAILED 1/0 (enough) stop Terminate");
    assert_eq!(ended.placed, None);
    check(&unseen, &spec(1), &Event::PodGone, "-");
}

#[test]
fn an_attempt_may_run_so_long_and_no_longer() {
    let (running, spec) = (record(JobState::Running), spec(3));
    assert_eq!(wake_at(&running, &spec).map(|wake| wake.due), Some(at(70)));
    let tick = |seconds| next(&running, &spec, &Event::Tick, at(seconds));
    assert_eq!(tick(69), None);
    let over = tick(70).unwrap().record;
    assert_eq!(over.stop.as_ref().unwrap().kind, StopKind::Timeout);
    assert_eq!((over.state, wake_at(&over, &spec)), (JobState::Running, None));
    let text = "Job attempt duration exceeded timeout";
    let seen = deleted(ended(&over, 137), 29);
    check(&over, &spec, &Event::PodSeen(&seen), &format!("FAILED 1/0 ({text}) stop Timeout | 1: 10..30 {text}"));
    let unlimited = Spec { timeout_seconds: None, ..spec };
    assert_eq!((wake_at(&running, &unlimited), next(&running, &unlimited, &Event::Tick, at(9999))), (None, None));
    assert_eq!(wake_at(&record(JobState::Starting), &unlimited), None);
}

#[test]
fn what_does_not_go_is_taken_for_gone_only_if_its_job_is_to_end_anyway() {
    let (running, spec) = (record(JobState::Running), spec(3));
    let going = deleted(PodFacts { containers: vec![runs("main")], ..pod(&running) }, 30);
    check(&running, &spec, &Event::PodOverdue(&going), "-");
    let terminated = stopped(JobState::Running, StopKind::Terminate);
    check(&terminated, &spec, &Event::PodSeen(&going), "-");
    let failed = "FAILED 1/0 (enough) stop Terminate | 1: 10..50 enough";
    check(&terminated, &spec, &Event::PodOverdue(&going), failed);
    check(&terminated, &spec, &Event::PodOverdue(&PodFacts { uid: "other".into(), ..going.clone() }), "-");
    check(&record(JobState::Failed), &spec, &Event::PodOverdue(&going), "-");
}
