//! Cases: the next step of a machine in a given situation, and what becomes of fleets whose provider errs.

use std::collections::HashMap;

use model::clock::Moment;

use super::books::{Books, Listed};
use super::loss::Tally;
use super::*;

const S: fn(u64) -> Duration = Duration::from_secs;

fn facts(phase: Phase, age: u64) -> Facts {
    Facts {
        phase,
        age: S(age),
        deleted: false,
        node: NodeState::Absent,
        instance: Instance::Alive,
        unready: None,
        quiet: None,
        asked: S(age),
        known: S(age),
        has_units: false,
        held: false,
    }
}

const JOINED: NodeState = NodeState::Present { ready: false, marked: true, retiring: false };
const SERVES: NodeState = NodeState::Present { ready: true, marked: true, retiring: false };
const BARE: NodeState = NodeState::Present { ready: true, marked: false, retiring: false };
const GOES: NodeState = NodeState::Present { ready: true, marked: true, retiring: true };
const SILENT: NodeState = NodeState::Present { ready: false, marked: true, retiring: true };

const ENDED: &str = "the machine was lost: its provider says that it has ended";
const NOT_LISTED: &str = "the machine was lost: its node is not Ready, and its provider has not listed it for a minute";
const NOT_READY: &str = "its node was not Ready for 6 minutes";

#[test]
fn a_machine_goes_from_stored_to_gone() {
    for (name, facts, expected) in [
        ("a stored one is launched", facts(Phase::Pending, 0), Step::Launch),
        ("a launched one waits for its node", facts(Phase::Launching, 1), Step::Wait),
        ("its node joins", Facts { node: JOINED, ..facts(Phase::Launching, 2) }, Step::Wait),
        ("a node without our marks gets them", Facts { node: BARE, ..facts(Phase::Launching, 2) }, Step::Mark),
        ("a Ready node serves", Facts { node: SERVES, ..facts(Phase::Launching, 2) }, Step::Serve),
        ("it goes on serving", Facts { node: SERVES, ..facts(Phase::Ready, 9999) }, Step::Wait),
        ("marks are put back", Facts { node: BARE, ..facts(Phase::Ready, 1) }, Step::Mark),
        ("a retiring one is tainted", Facts { node: SERVES, ..facts(Phase::Retiring, 1) }, Step::Taint),
        ("and waits for its units", Facts { node: GOES, has_units: true, ..facts(Phase::Retiring, 1) }, Step::Wait),
        ("then its pods are looked at once more", Facts { node: GOES, ..facts(Phase::Retiring, 1) }, Step::Drain),
        ("and it is taken down", facts(Phase::Terminating, 1), Step::Terminate),
    ] {
        assert_eq!(next(&facts), expected, "{name}");
    }
}

#[test]
fn what_never_comes_is_given_up() {
    let lost = "the machine was lost before its node was Ready";
    for (facts, expected) in [
        (facts(Phase::Pending, 300), "the provider did not confirm the launch within 5 minutes"),
        (facts(Phase::Launching, 600), "its node was not Ready within 10 minutes"),
        (Facts { instance: Instance::Ended, ..facts(Phase::Launching, 1) }, lost),
        (Facts { instance: Instance::Absent(S(61)), ..facts(Phase::Launching, 62) }, lost),
        // However many: nothing runs there yet.
        (Facts { instance: Instance::Ended, held: true, ..facts(Phase::Launching, 1) }, lost),
        (facts(Phase::Ready, 1), "its Node object was deleted"),
        (facts(Phase::Retiring, 1), "retired"),
        (Facts { deleted: true, ..facts(Phase::Pending, 1) }, "deleted before its launch"),
    ] {
        assert_eq!(next(&facts), Step::GiveUp(expected), "{facts:?}");
    }
}

/// What becomes of a machine that serves or retires, by what its provider says and for how long its node has not been Ready.
#[test]
fn a_machine_is_lost_when_its_provider_and_its_node_agree_or_its_node_is_silent_for_long() {
    let absent = |seconds| Instance::Absent(S(seconds));
    for (instance, unready, expected) in [
        // A node that is Ready is not lost, whatever is said about its machine, and for however long.
        (Instance::Ended, None, None),
        (absent(0), None, None),
        (absent(100_000), None, None),
        (Instance::Unknown, None, None),
        // The provider says that it has ended, and its node agrees.
        (Instance::Ended, Some(0), Some(ENDED)),
        // Absence is proven by lists over more than a minute and a node that is not Ready, not only for a moment.
        (absent(0), Some(300), None),
        (absent(60), Some(300), None),
        (absent(61), Some(300), Some(NOT_LISTED)),
        (absent(61), Some(14), None),
        (absent(61), Some(15), Some(NOT_LISTED)),
        // A node that stays silent is lost in the end, whatever the provider says.
        (Instance::Alive, Some(359), None),
        (Instance::Alive, Some(360), Some(NOT_READY)),
        (Instance::Unknown, Some(360), Some(NOT_READY)),
        (absent(3), Some(360), Some(NOT_READY)),
    ] {
        for phase in [Phase::Ready, Phase::Retiring] {
            let node = if unready.is_some() { SILENT } else { GOES };
            let facts = Facts { node, instance, unready: unready.map(S), has_units: true, ..facts(phase, 9999) };
            let step = expected.map_or(Step::Wait, Step::GiveUp);
            assert_eq!(next(&facts), step, "{phase:?} {instance:?}, not Ready for {unready:?}");
            let held = next(&Facts { held: true, ..facts });
            assert_eq!(held, Step::Wait, "held: {phase:?} {instance:?}, not Ready for {unready:?}");
        }
    }
}

/// Its images are too many for us, or it has a field that this version does not understand: its work runs.
#[test]
fn a_machine_whose_node_cannot_be_read_is_not_lost_and_goes_when_nothing_runs_on_it() {
    let facts = |phase, age| Facts { node: NodeState::Unreadable, has_units: true, ..facts(phase, age) };
    for instance in [Instance::Alive, Instance::Unknown, Instance::Ended, Instance::Absent(S(100_000))] {
        for (facts, expected) in [
            (facts(Phase::Launching, 599), Step::Wait),
            (facts(Phase::Launching, 600), Step::GiveUp("its node was not Ready within 10 minutes")),
            (facts(Phase::Ready, 99_999), Step::Wait),
            (Facts { deleted: true, ..facts(Phase::Ready, 9) }, Step::Retire),
            (facts(Phase::Retiring, 9), Step::Wait),
            (Facts { has_units: false, ..facts(Phase::Retiring, 9) }, Step::Drain),
        ] {
            assert_eq!(next(&Facts { instance, ..facts }), expected, "{instance:?} {facts:?}");
        }
    }
}

#[test]
fn while_too_many_seem_lost_none_of_those_is_drained_and_an_admin_may_end_one() {
    let held = Facts { node: GOES, held: true, ..facts(Phase::Retiring, 1) };
    assert_eq!(next(&held), Step::Drain, "its provider lists it");
    assert_eq!(next(&Facts { instance: Instance::Absent(S(0)), ..held }), Step::Wait);
    assert_eq!(next(&Facts { instance: Instance::Ended, ..held }), Step::Wait);
    assert_eq!(next(&Facts { node: SILENT, unready: Some(S(60)), ..held }), Step::Wait);
    // Its BatchNode was deleted: that machine may go.
    let lost = Facts { node: SILENT, instance: Instance::Ended, unready: Some(S(60)), deleted: true, ..held };
    assert_eq!(next(&lost), Step::GiveUp(ENDED));
    assert_eq!(next(&Facts { phase: Phase::Ready, ..lost }), Step::GiveUp(ENDED));
}

#[test]
fn an_object_that_somebody_deletes_retires_and_does_not_kill() {
    for (phase, node) in [(Phase::Launching, JOINED), (Phase::Ready, SERVES)] {
        for instance in [Instance::Alive, Instance::Ended, Instance::Absent(S(100))] {
            let facts = Facts { deleted: true, node, instance, has_units: true, ..facts(phase, 1) };
            assert_eq!(next(&facts), Step::Retire);
        }
    }
}

#[test]
fn a_machine_that_may_be_at_two_providers_is_absent_only_where_both_say_so() {
    let (short, long) = (Instance::Absent(S(3)), Instance::Absent(S(90)));
    for (a, b, expected) in [
        (Instance::Alive, long, Instance::Alive),
        (Instance::Alive, Instance::Ended, Instance::Alive),
        (Instance::Ended, long, Instance::Ended),
        (Instance::Ended, Instance::Unknown, Instance::Ended),
        (Instance::Unknown, long, Instance::Unknown),
        (short, long, short),
    ] {
        assert_eq!((a.or(b), b.or(a)), (expected, expected), "{a:?} {b:?}");
    }
}

#[test]
fn more_than_three_and_more_than_a_third_at_once_are_too_many() {
    for (serving, doubted, expected) in
        [(1, 1, false), (3, 3, false), (4, 4, true), (11, 4, true), (12, 4, false), (12, 5, true), (400, 133, false)]
    {
        let mut tally = Tally::default();
        for number in 0..serving {
            let instance = if number < doubted { Instance::Ended } else { Instance::Alive };
            tally.add(&Facts { node: SERVES, instance, ..facts(Phase::Ready, 1) });
        }
        assert_eq!(tally.is_mass(), expected, "{doubted} of {serving}");
    }
    let mut tally = Tally::default();
    for phase in [Phase::Pending, Phase::Launching, Phase::Terminating] {
        (0..9).for_each(|_| tally.add(&Facts { instance: Instance::Ended, ..facts(phase, 1) }));
    }
    assert!(!tally.is_mass(), "what does not serve does not count");
}

/// What a provider answers at a second.
type List = Box<dyn Fn(u64) -> Option<Vec<(usize, Listed)>>>;

/// A fleet of machines with units on them, for twenty minutes with a list every three seconds. `list` is what the provider answers at a
/// second, `None` nothing; `unready` since when a node is not Ready. Returns who is given up, and when.
fn fleet(
    size: usize,
    list: impl Fn(u64) -> Option<Vec<(usize, Listed)>>,
    unready: impl Fn(usize) -> Option<u64>,
) -> Vec<(usize, u64)> {
    let names: Vec<String> = (0..size).map(|number| format!("m{number}")).collect();
    let (mut books, mut gone) = (Books::default(), Vec::new());
    for second in (0..1200).step_by(3) {
        let left: Vec<usize> =
            (0..size).filter(|number| !gone.iter().any(|(lost, _): &(usize, u64)| lost == number)).collect();
        if let Some(list) = list(second) {
            let list: HashMap<String, Listed> =
                list.into_iter().filter_map(|(number, listed)| Some((names.get(number)?.clone(), listed))).collect();
            let launched: Vec<String> = left.iter().map(|&number| names[number].clone()).collect();
            books.take(Moment::after(S(second)), &launched, &list);
        }
        let mut all: Vec<(usize, Facts)> = Vec::new();
        for number in left {
            let unready = unready(number).and_then(|since| second.checked_sub(since)).map(S);
            let node = NodeState::Present { ready: unready.is_none(), marked: true, retiring: false };
            let instance = books.of(&names[number]);
            all.push((number, Facts { node, instance, unready, has_units: true, ..facts(Phase::Ready, second) }));
        }
        let mut tally = Tally::default();
        for (_, facts) in &all {
            tally.add(facts);
        }
        for (number, facts) in all {
            if let Step::GiveUp(_) = next(&Facts { held: tally.is_mass(), ..facts }) {
                gone.push((number, second));
            }
        }
    }
    gone
}

#[test]
fn no_answer_of_a_provider_ends_machines_whose_nodes_are_ready() {
    let all = |listed| (0..12).map(move |number| (number, listed)).collect::<Vec<_>>();
    let sometimes = move |second: u64| if second % 60 < 30 { vec![] } else { all(Listed::Alive) };
    let lists: Vec<(&str, List)> = vec![
        ("empty books", Box::new(|_| Some(vec![]))),
        ("half a list", Box::new(move |_| Some(all(Listed::Alive)[..6].to_vec()))),
        ("one is missing", Box::new(move |_| Some(all(Listed::Alive)[1..].to_vec()))),
        ("a list of yesterday", Box::new(|_| Some((20..32).map(|number| (number, Listed::Alive)).collect()))),
        ("all have ended", Box::new(move |_| Some(all(Listed::Ended)))),
        ("one has ended", Box::new(|_| Some(vec![(3, Listed::Ended)]))),
        ("now and then empty", Box::new(move |second| Some(sometimes(second)))),
        ("no answer", Box::new(|_| None)),
    ];
    for (what, list) in &lists {
        for size in [1, 3, 4, 12] {
            assert_eq!(fleet(size, list, |_| None), [], "{what}, {size} machines");
        }
    }
}

#[test]
fn few_machines_that_are_really_gone_are_given_up_soon() {
    // Cut off at second 100; the cluster says so 45 s later.
    let without = |listed: Option<Listed>| {
        move |second: u64| {
            let all = (0..12).filter_map(|number| match listed {
                _ if number > 1 || second < 100 => Some((number, Listed::Alive)),
                listed => Some((number, listed?)),
            });
            Some(all.collect())
        }
    };
    let unready = |number: usize| (number < 2).then_some(145);
    assert_eq!(fleet(12, without(Some(Listed::Ended)), unready), [(0, 147), (1, 147)]);
    assert_eq!(fleet(12, without(None), unready), [(0, 165), (1, 165)]);
}

#[test]
fn a_large_part_that_seems_lost_stays_until_the_lists_agree_again() {
    let empty_until = |end: u64| {
        move |second: u64| {
            let all = (0..12).map(|number| (number, Listed::Alive)).collect();
            Some(if second < end { Vec::new() } else { all })
        }
    };
    // All nodes are cut off, or five.
    assert_eq!(fleet(12, empty_until(9999), |_| Some(30)), []);
    assert_eq!(fleet(12, empty_until(9999), |number| (number < 5).then_some(30)), []);
    assert_eq!(fleet(12, |_| None, |_| Some(30)), []);
    // The lists agree again: what is silent for long goes, as far as it is few.
    assert_eq!(fleet(12, empty_until(600), |number| (number < 2).then_some(30)), [(0, 600), (1, 600)]);
}

#[test]
fn the_notice_names_the_command_that_helps() {
    let mut tally = Tally::default();
    (0..5).for_each(|_| tally.add(&Facts { node: SERVES, instance: Instance::Ended, ..facts(Phase::Ready, 1) }));
    let notice = tally.notice("ce");
    assert!(notice.starts_with("5 of its 5 machines seem lost at once"), "{notice}");
    assert!(notice.ends_with("kubectl annotate computeenvironment ce bulkhead.dev/lost-machines=gone"), "{notice}");
}
