//! How placements end, and whether there is another.

use super::super::wake_at;
use super::*;

/// What becomes of a job with one attempt when its pod is seen like this.
#[track_caller]
fn fails(state: JobState, change: impl Fn(&mut PodFacts), reason: &str, times: &str) {
    let record = record(state);
    let mut seen = ended(&record, 1);
    change(&mut seen);
    check(&record, &spec(1), &Event::PodSeen(&seen), &format!("FAILED 1/0 ({reason}) | 1: {times} {reason}"));
}

fn never_ran(seen: &mut PodFacts) {
    seen.containers = vec![waits("main", None)];
}

#[test]
fn each_kind_of_end_has_its_text() {
    use JobState::{Running, Starting};
    fails(Running, |_| (), "Essential container in task exited", "10..30");
    let evicted = |seen: &mut PodFacts| {
        seen.reason = Some("Evicted".into());
        seen.message = Some("The node was low on resource: memory.".into());
        seen.disruption = Some("TerminationByKubelet".into());
    };
    fails(Running, evicted, "Evicted: The node was low on resource: memory.", "10..30");
    let drained = |seen: &mut PodFacts| {
        seen.disruption = Some("EvictionByEvictionAPI".into());
        seen.deleting = Some(at(29));
    };
    fails(Running, drained, "Evicted: EvictionByEvictionAPI", "10..30");
    let too_late = |seen: &mut PodFacts| {
        drained(seen);
        seen.deleting = Some(at(31));
    };
    fails(Running, too_late, "Essential container in task exited", "10..30");
    let shut_down = |seen: &mut PodFacts| {
        seen.reason = Some("Terminated".into());
        seen.disruption = Some("TerminationByKubelet".into());
    };
    fails(Running, shut_down, "Host EC2 (instance node-1) terminated.", "10..30");
    let collected = |seen: &mut PodFacts| {
        seen.disruption = Some("DeletionByPodGC".into());
        seen.containers = vec![runs("main")];
    };
    fails(Running, collected, "Host EC2 (instance node-1) terminated.", "10..50");
    let deleted = |seen: &mut PodFacts| seen.deleting = Some(at(29));
    fails(Running, deleted, "Pod was deleted by somebody else", "10..30");
    let ended_well = |seen: &mut PodFacts| {
        *seen = ended(&record(Running), 0);
        seen.deleting = Some(at(29));
    };
    fails(Running, ended_well, "Pod was deleted by somebody else", "10..30");
    let mute = |seen: &mut PodFacts| seen.containers.clear();
    fails(Running, mute, "Pod failed", "10..50");
    let overdue = |seen: &mut PodFacts| seen.reason = Some("DeadlineExceeded".into());
    fails(Running, overdue, "DeadlineExceeded", "10..30");
    let init = |seen: &mut PodFacts| {
        never_ran(seen);
        seen.init_containers = vec![exits("fetch", 2, "Error")];
    };
    fails(Starting, init, "Task failed to start: init container fetch exited with 2", "never..30");
    let unstartable = |seen: &mut PodFacts| {
        let message = Some("exec: no such file".into());
        let (reason, finished) = (Some("StartError".into()), Some(at(30)));
        let state = ContainerState::Ended { exit_code: 128, reason, message, started: None, finished };
        seen.containers = vec![container("main", state)];
    };
    fails(Starting, unstartable, "Task failed to start: exec: no such file", "never..30");
}

#[test]
fn an_attempt_keeps_how_its_containers_ended() {
    let record = record(JobState::Running);
    let mut seen = ended(&record, 3);
    seen.init_containers = vec![exits("init", 0, "Completed")];
    seen.containers.push(waits("side", Some("ErrImagePull")));
    let attempt = next(&record, &spec(1), &Event::PodSeen(&seen), at(50)).unwrap().attempt.unwrap();
    let end = |end: &model::job::ContainerEnd| (end.name.clone(), end.exit_code, end.reason.clone().unwrap());
    assert_eq!(end(&attempt.init_containers[0]), ("init".into(), Some(0), "Completed".into()));
    assert_eq!(end(&attempt.containers[0]), ("main".into(), Some(3), "Error".into()));
    let side = "CannotPullContainerError: ErrImagePull";
    assert_eq!(end(&attempt.containers[1]), ("side".into(), None, side.into()));
    assert_eq!((attempt.node.as_str(), attempt.pod_name), ("node-1", pod_name(id(), 1, 0)));
}

#[test]
fn what_another_pod_does_is_not_heard() {
    let running = record(JobState::Running);
    let other = id().with_child(1);
    for change in [
        |seen: &mut PodFacts, _| seen.attempt = 2,
        |seen: &mut PodFacts, _| seen.placement = 1,
        |seen: &mut PodFacts, other| seen.job = other,
        |seen: &mut PodFacts, _| seen.name = "aws-batch.other".into(),
        |seen: &mut PodFacts, _| seen.namespace = "other".into(),
    ] {
        let mut seen = ended(&running, 0);
        change(&mut seen, other);
        check(&running, &spec(1), &Event::PodSeen(&seen), "-");
    }
    // Ours is gone if another has its name.
    let replaced = PodFacts { uid: "other".into(), ..ended(&running, 0) };
    let text = "Pod was deleted by somebody else";
    check(&running, &spec(1), &Event::PodSeen(&replaced), &format!("FAILED 1/0 ({text}) | 1: 10..50 {text}"));
}

/// A pod that the kubelet did not let in.
fn refused(record: &JobRecord) -> PodFacts {
    let message = Some("Pod was rejected: Node didn't have enough resource: cpu".into());
    PodFacts { phase: PodPhase::Failed, reason: Some("OutOfcpu".into()), message, containers: vec![], ..pod(record) }
}

#[test]
fn a_refused_pod_uses_no_attempt_until_there_are_too_many() {
    let text = "OutOfcpu: Pod was rejected: Node didn't have enough resource: cpu";
    let mut record = record(JobState::Starting);
    for (placement, wait) in [(1, ""), (2, " not before 60"), (3, " not before 70"), (4, " not before 90")] {
        let seen = refused(&record);
        let expected = format!("RUNNABLE 1/{placement} ({text}){wait}");
        let back = check(&record, &spec(1), &Event::PodSeen(&seen), &expected);
        assert_eq!((wake_at(&back, &spec(1)).map(|wake| wake.due), &back.placed), (back.not_before, &None));
        let again = JobRecord { not_before: None, ..back };
        record = check(&again, &spec(1), &Event::Dispatched(&placed(&again)), &format!("STARTING 1/{placement}"));
    }
    let expected = format!("FAILED 1/4 ({text}) | 1: never..50 {text}");
    check(&record, &spec(1), &Event::PodSeen(&refused(&record)), &expected);
    let expected = format!("RUNNABLE 2/0 ({text}) | 1: never..50 {text}");
    check(&record, &spec(2), &Event::PodSeen(&refused(&record)), &expected);
}

#[test]
fn what_counts_as_refused() {
    let starting = record(JobState::Starting);
    let is_refused = |change: &dyn Fn(&mut PodFacts)| {
        let mut seen = refused(&starting);
        change(&mut seen);
        next(&starting, &spec(1), &Event::PodSeen(&seen), at(50)).unwrap().record.state == JobState::Runnable
    };
    for reason in ["OutOfpods", "NodeAffinity", "NodeShutdown", "UnexpectedAdmissionError", "Preempting"] {
        let bare = |seen: &mut PodFacts| (seen.reason, seen.message) = (Some(reason.into()), None);
        assert!(is_refused(&bare), "{reason}");
    }
    assert!(is_refused(&|seen| seen.reason = Some("Evicted".into())), "a node under pressure lets nobody in");
    assert!(is_refused(&never_ran));
    assert!(!is_refused(&|seen| (seen.reason, seen.message) = (Some("Evicted".into()), None)));
    assert!(!is_refused(&|seen| seen.containers = vec![exits("main", 137, "Error")]));
    assert!(!is_refused(&|seen| seen.init_containers = vec![exits("init", 137, "Error")]));
}

#[test]
fn while_it_backs_off_a_job_is_not_placed_and_says_why_it_waits() {
    let not_before = Some(at(60));
    let waiting = JobRecord { not_before, reason: Some("OutOfcpu".into()), ..record(JobState::Runnable) };
    let spec = spec(1);
    assert_eq!(next(&waiting, &spec, &Event::Dispatched(&placed(&waiting)), at(59)), None);
    assert_eq!(next(&waiting, &spec, &Event::Explained(Some("full")), at(59)), None);
    assert_eq!(next(&waiting, &spec, &Event::Tick, at(59)), None);
    let over = next(&waiting, &spec, &Event::Tick, at(60)).unwrap();
    assert_eq!(show(Some(&over)), "RUNNABLE 1/0 (OutOfcpu)");
    let placed = next(&waiting, &spec, &Event::Dispatched(&placed(&waiting)), at(60)).unwrap();
    assert_eq!(show(Some(&placed)), "STARTING 1/0");
}

/// What a job with three attempts does after this end, if its definition says so: `RETRY` only, and else nothing.
#[track_caller]
fn retries(entry: &[(&str, &str)], change: impl Fn(&mut PodFacts), expected: bool) {
    let pattern = |name: &str| entry.iter().find(|(field, _)| *field == name).map(|(_, pattern)| (*pattern).to_owned());
    let retry = EvaluateOnExit {
        on_status_reason: pattern("status"),
        on_reason: pattern("reason"),
        on_exit_code: pattern("code"),
        action: RetryAction::Retry,
    };
    let exit = EvaluateOnExit {
        on_status_reason: None,
        on_reason: Some("*".into()),
        on_exit_code: None,
        action: RetryAction::Exit,
    };
    let strategy = RetryStrategy { attempts: 3, evaluate_on_exit: vec![retry, exit] };
    let (record, spec) = (record(JobState::Starting), Spec { retry: Some(strategy), ..spec(3) });
    let mut seen = ended(&record, 1);
    change(&mut seen);
    let after = next(&record, &spec, &Event::PodSeen(&seen), at(50)).unwrap().record;
    assert_eq!(after.state == JobState::Runnable, expected, "{entry:?} {after:?}");
}

#[test]
fn the_first_entry_that_matches_decides() {
    retries(&[("code", "1")], |_| (), true);
    retries(&[("code", "2")], |_| (), false);
    retries(&[("code", "1*"), ("reason", "Error")], |_| (), true);
    retries(&[("code", "1*"), ("reason", "OOMKilled")], |_| (), false);
    retries(&[("status", "Essential container*")], |_| (), true);
    let first = |seen: &mut PodFacts| {
        seen.containers = vec![exits("a", 0, "Completed"), exits("b", 7, "Error"), exits("c", 1, "Error")];
    };
    retries(&[("code", "7")], first, true);
    retries(&[("code", "1")], first, false);
}

#[test]
fn users_of_amazon_ecs_find_their_words() {
    let killed = |seen: &mut PodFacts| seen.containers = vec![exits("main", 137, "OOMKilled")];
    retries(&[("reason", "OutOfMemoryError*")], killed, true);
    retries(&[("reason", "OOMKilled")], killed, true);
    let evicted = |seen: &mut PodFacts| seen.reason = Some("Evicted".into());
    retries(&[("reason", "Evicted")], evicted, true);
    retries(&[("status", "Evicted*")], evicted, true);
    let unpulled = |seen: &mut PodFacts| {
        seen.containers = vec![waits("main", Some("ImagePullBackOff"))];
        seen.deleting = Some(at(40));
    };
    retries(&[("reason", "CannotPullContainerError*")], unpulled, true);
    retries(&[("status", "Task failed to start")], unpulled, true);
    retries(&[("status", "Host EC2*")], unpulled, false);
    let lost = |seen: &mut PodFacts| seen.disruption = Some("DeletionByPodGC".into());
    retries(&[("status", "Host EC2*")], lost, true);
    retries(&[("status", "Task failed to start")], |_| (), false);
}

#[test]
fn nothing_known_is_matched_by_a_star_alone() {
    let mute = |seen: &mut PodFacts| seen.containers.clear();
    retries(&[("code", "*"), ("reason", "*"), ("status", "*")], mute, true);
    retries(&[("reason", "Error")], mute, false);
}

#[test]
fn what_never_started_has_no_exit_code() {
    // Its volume did not mount, and it was told to end: the kubelet has nothing to say about it, and says 137.
    let unknown = |seen: &mut PodFacts| {
        let reason = Some("ContainerStatusUnknown".into());
        let state = ContainerState::Ended { exit_code: 137, reason, message: None, started: None, finished: None };
        seen.containers = vec![container("main", state)];
    };
    retries(&[("code", "137")], unknown, false);
    retries(&[("reason", "ContainerStatusUnknown")], unknown, true);
    let starting = record(JobState::Starting);
    let mut seen = PodFacts { phase: PodPhase::Failed, ..pod(&starting) };
    unknown(&mut seen);
    let ended = next(&starting, &spec(1), &Event::PodSeen(&seen), at(50)).unwrap().attempt.unwrap();
    assert_eq!((ended.containers[0].exit_code, ended.started), (None, None));
}

#[test]
fn no_job_has_more_attempts_than_it_asked_for() {
    let spec = spec(3);
    let mut record = record(JobState::Running);
    for attempt in [2, 3] {
        let after = next(&record, &spec, &Event::PodSeen(&ended(&record, 1)), at(50)).unwrap();
        assert_eq!((after.record.attempt, after.record.started), (attempt, None));
        let again = next(&after.record, &spec, &Event::Dispatched(&placed(&after.record)), at(50)).unwrap();
        record = again.record;
    }
    let last = next(&record, &spec, &Event::PodSeen(&ended(&record, 1)), at(50)).unwrap();
    assert_eq!((last.record.state, last.record.attempt), (JobState::Failed, 3));
    // The node's clock is behind: it says that this attempt ran before it was placed.
    assert_eq!((last.record.started, last.record.stopped), (Some(at(50)), Some(at(50))));
}

#[test]
fn nothing_is_stored_as_begun_later_than_it_was_seen() {
    // The leader that placed it had a clock so many seconds ahead, or behind.
    for (since, expect) in [(-50, 10), (15, 15), (3600, 40), (300_000_000, 40)] {
        let starting = record(JobState::Starting);
        let place = starting.placed.clone().map(|place| Placed { since: Some(at(since)), ..place });
        let starting = JobRecord { placed: place, ..starting };
        let seen = PodFacts { containers: vec![runs("main")], phase: PodPhase::Running, ..pod(&starting) };
        let after = next(&starting, &spec(1), &Event::PodSeen(&seen), at(40)).unwrap().record;
        assert_eq!((after.state, after.started), (JobState::Running, Some(at(expect))), "{since}");
        let over = next(&starting, &spec(1), &Event::PodSeen(&ended(&starting, 0)), at(40)).unwrap().attempt.unwrap();
        assert_eq!((over.started, over.stopped), (Some(at(expect)), at(expect.max(30))), "{since}");
    }
}
