//! What is due to pods in one cycle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::clock::Moment;

use super::super::chores::{chores, is_left};
use super::*;

fn moment(seconds: u64) -> Moment {
    Moment::after(Duration::from_secs(seconds))
}

/// How many of each duty are due at second 100 to so many pods with this duty, whose log is promised until then.
#[track_caller]
fn check(pods: &[(usize, Duty, Option<u64>)], expect: &[(Duty, usize)], next: Option<u64>) {
    let running = record(JobState::Running);
    let all: Vec<_> = pods
        .iter()
        .flat_map(|(count, duty, until)| vec![(Arc::new(pod(&running)), *duty, until.map(moment)); *count])
        .collect();
    let given = all.iter().map(|(pod, duty, until)| (pod, *duty, *until));
    let found = chores(given, moment(100), |_, _| true);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, duty) in &found.due {
        *counts.entry(format!("{duty:?}")).or_default() += 1;
    }
    let expect = expect.iter().map(|(duty, count)| (format!("{duty:?}"), *count)).collect();
    assert_eq!((counts, found.next), (expect, next.map(moment)));
}

#[test]
fn a_pod_goes_when_its_log_is_not_promised_any_more() {
    check(&[(1, Duty::Nothing, None)], &[], None);
    check(&[(1, Duty::Nothing, Some(101)), (1, Duty::Nothing, Some(150))], &[], Some(101));
    check(&[(1, Duty::Nothing, Some(100)), (1, Duty::Nothing, Some(150))], &[(Duty::Delete, 1)], Some(150));
}

#[test]
fn no_kind_of_duty_takes_the_turn_of_another() {
    let many = [
        (600, Duty::Nothing, Some(1)),
        (600, Duty::Delete, None),
        (600, Duty::Release, None),
        (600, Duty::Hold, None),
        (600, Duty::Create, None),
    ];
    check(&many, &[(Duty::Delete, 1000), (Duty::Hold, 600), (Duty::Release, 500)], None);
}

#[test]
fn what_may_not_be_done_now_takes_nobodys_place() {
    let running = record(JobState::Running);
    let named = |number: usize| Arc::new(PodFacts { name: number.to_string(), ..pod(&running) });
    let all: Vec<_> = (0..1200).map(named).collect();
    let refused = |pod: &PodFacts| pod.name.parse::<usize>().is_ok_and(|number| number < 700);
    let given = all.iter().map(|pod| (pod, Duty::Release, None));
    let found = chores(given, moment(0), |pod, _| !refused(pod));
    assert_eq!(found.due.len(), 500);
}

#[test]
fn a_pod_is_left_once_it_has_ended_and_was_let_go() {
    let ended = |kept| PodFacts { phase: PodPhase::Succeeded, kept, ..pod(&record(JobState::Running)) };
    assert!(is_left(&ended(false)));
    assert!(!is_left(&ended(true)), "its outcome is not stored");
    assert!(!is_left(&PodFacts { deleting: Some(at(1)), ..ended(false) }), "it goes by itself");
    assert!(!is_left(&PodFacts { phase: PodPhase::Running, ..ended(false) }));
}
