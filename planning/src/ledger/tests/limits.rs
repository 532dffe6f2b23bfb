//! Jobs that wait for too long for one reason.

use super::*;

const ROOM: &str = "CAPACITY:NO_ROOM";

fn at(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn limits(queue: &str, seconds: u32) -> BTreeMap<String, Vec<TimeLimit>> {
    let limit = |reason: &str| TimeLimit { reason: reason.to_owned(), max_seconds: seconds };
    [(queue.to_owned(), vec![limit("LIMIT:MAX_VCPUS"), limit(ROOM)])].into()
}

/// A job that waits for room from the second `since` on.
fn waiting(since: i64) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.submitted(JobRecord::submitted(id(1), now()), &Arc::new(spec(None, vec![])), &Arc::new(Shape::default()));
    ledger.consider(&HashMap::new(), now());
    ledger.explained(id(1), Some("ORDER:BEHIND - it is not its turn"), at(since - 1));
    ledger.explained(id(1), Some(&format!("{ROOM} - 3 CPU are missing")), at(since));
    ledger
}

/// When the job is cancelled, looked at each ten seconds; the clock is set forward after 300 s.
fn cancelled(mut ledger: Ledger, jump: i64) -> Option<i64> {
    for seconds in (0..2000).step_by(10) {
        if seconds == 300 {
            ledger.clock_was_set(SignedDuration::from_secs(jump));
        }
        let clock = at(seconds + if seconds >= 300 { jump } else { 0 });
        ledger.tick(clock);
        if ledger.get(id(1)).is_none() {
            let record = &ledger.changes().last().unwrap().record;
            let text = format!("Canceled by JobStateTimeLimit action due to reason: {ROOM}");
            assert_eq!((record.state, record.reason.as_ref()), (JobState::Failed, Some(&text)));
            assert_eq!(record.stop.as_ref().map(|stop| stop.kind), Some(StopKind::Cancel));
            return Some(seconds);
        }
        assert!(ledger.wake_at().is_none_or(|due| due > clock), "it would never rest");
    }
    None
}

#[test]
fn a_job_is_cancelled_that_waits_for_one_reason_as_long_as_its_queue_allows() {
    for (queue, since, max, jump, expected) in [
        ("q", 1, 600, 0, Some(610)),
        ("q", 51, 600, 0, Some(660)),
        ("q", 1, 600, 3600, Some(610)),
        ("q", 1, 600, -3600, Some(610)),
        ("q", 1, 86_400, 0, None),
        ("other", 1, 600, 0, None),
    ] {
        let mut before = waiting(since);
        before.limit(&limits(queue, max), at(since));
        assert_eq!(cancelled(before, jump), expected, "{queue} {since} {max} {jump}");
    }
}

#[test]
fn only_another_reason_begins_anew() {
    let mut other_numbers = waiting(1);
    other_numbers.limit(&limits("q", 600), at(1));
    other_numbers.explained(id(1), Some(&format!("{ROOM} - 2 CPU are missing")), at(200));
    assert_eq!(cancelled(other_numbers, 0), Some(610));
    let mut other_reason = waiting(1);
    other_reason.limit(&limits("q", 600), at(1));
    other_reason.explained(id(1), Some("ORDER:BEHIND - another is first"), at(100));
    other_reason.explained(id(1), Some(&format!("{ROOM} - again")), at(200));
    assert_eq!(cancelled(other_reason, 0), Some(800));
}

/// A provider that has no machine is asked again and again.
#[test]
fn a_launch_that_is_tried_in_vain_is_no_other_reason() {
    let none = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY";
    let limit = TimeLimit { reason: none.to_owned(), max_seconds: 600 };
    let mut ledger = waiting(1);
    ledger.limit(&[("q".to_owned(), vec![limit])].into(), at(1));
    for seconds in (10..600).step_by(60) {
        ledger.explained(id(1), Some(&format!("{none} - m5.large is sold out")), at(seconds));
        ledger.tick(at(seconds + 55));
        ledger.explained(id(1), Some("CAPACITY:LAUNCHING - a machine"), at(seconds + 55));
    }
    ledger.tick(at(700));
    assert!(ledger.get(id(1)).is_some(), "nobody knows yet whether this launch is in vain");
    ledger.explained(id(1), Some(&format!("{none} - m5.large is sold out")), at(701));
    ledger.tick(at(701));
    assert!(ledger.get(id(1)).is_none());
}

#[test]
fn limits_hold_for_what_waits_already_also_after_another_has_been_elected() {
    let mut later = waiting(1);
    later.limit(&limits("q", 900), at(1));
    later.limit(&limits("q", 600), at(2));
    let record = later.get(id(1)).unwrap().record.clone();
    assert_eq!(cancelled(later, 0), Some(610));
    let mut anew = Ledger::default();
    anew.limit(&limits("q", 600), at(0));
    anew.take_in(record.clone(), &Arc::new(spec(None, vec![])), &Arc::new(Shape::default()), at(5));
    assert_eq!(cancelled(anew, 0), Some(610));
    let mut without = Ledger::default();
    without.limit(&limits("q", 600), at(0));
    without.take_in(record, &Arc::new(spec(None, vec![])), &Arc::new(Shape::default()), at(5));
    without.limit(&BTreeMap::new(), at(5));
    assert_eq!(cancelled(without, 0), None);
}
