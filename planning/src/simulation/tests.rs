//! Courses of small worlds, and what holds in any.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::tests::any::worlds;
use crate::tests::build::{World as Built, noon, world};

const TERMS: Terms = Terms { boots: SignedDuration::from_secs(60), runs: SignedDuration::from_secs(600) };

/// What happens within a day, with the seconds.
#[track_caller]
fn check(built: &Built, expected: &str) {
    let mut simulation = Simulation::new(built.0.clone(), noon(), TERMS);
    let mut course = String::new();
    while let Some((at, plan)) = simulation.step(noon() + SignedDuration::from_hours(24)) {
        let Plan { release, dispatch, hold, launch, retire, .. } = plan;
        let counts = [
            ("release", release.len()),
            ("dispatch", dispatch.len()),
            ("hold", hold.len()),
            ("launch", launch.len()),
            ("retire", retire.len()),
        ];
        let some: Vec<String> =
            counts.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{what} {count}")).collect();
        writeln!(course, "{} {}", at.duration_since(noon()).as_secs(), some.join(" ")).unwrap();
    }
    let expected: Vec<&str> = expected.lines().map(str::trim).collect();
    assert_eq!(course.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn machines_come_work_runs_and_they_go_again() {
    // Two at a time fit: maxvCpus is 2, and a machine has two.
    let base = world().managed("ce", 2).queue("q", 1, &["ce"]);
    check(
        &base.clone().job("q", "j", 1, 900, 10),
        "0 launch 1
         60 release 1
         60 dispatch 1
         720 retire 1",
    );
    check(
        &base.job("q", "j", 1, 900, 10).job("q", "k", 1, 900, 9).job("q", "l", 1, 900, 8),
        "0 launch 1
         60 release 2
         60 dispatch 2
         660 release 1
         660 dispatch 1
         1320 retire 1",
    );
}

#[test]
fn what_can_never_run_waits_to_the_end() {
    check(&world().managed("ce", 2).queue("q", 1, &["ce"]).job("q", "j", 1, 64_000, 10), "");
    check(&world().job("missing", "j", 1, 100, 10), "");
}

/// What nodes lack at the beginning they may go on lacking.
fn overfull(snapshot: &Snapshot) -> Vec<String> {
    let is_over = |node: &&model::snapshot::Node| !node.used.fits(&node.allocatable);
    snapshot.nodes.iter().filter(is_over).map(|node| node.name.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn time_goes_on_and_comes_to_an_end_and_no_node_gets_too_much(given in worlds()) {
        let snapshot = given.snapshot();
        let before = overfull(&snapshot);
        let mut simulation = Simulation::new(snapshot, noon(), TERMS);
        let mut last = noon();
        for round in 0.. {
            prop_assert!(round < 1000, "it never ends");
            let Some((at, _)) = simulation.step(noon() + SignedDuration::from_hours(2)) else { break };
            prop_assert!(at >= last);
            last = at;
            let over = overfull(simulation.snapshot());
            prop_assert!(over.iter().all(|node| before.contains(node)), "{over:?} are overfull");
        }
    }
}
