//! What pods make of nodes, and which of them are units.

use super::*;
use model::snapshot::JobRef;

#[test]
fn a_pod_becomes_a_unit_and_takes_room_once_it_is_on_a_node() {
    let index = index();
    apply::<Node>(&index, &node("n1"));
    apply::<Job>(&index, &job("j"));
    apply::<Pod>(&index, &pod("p", "j"));
    let unit = units(&index).remove(0);
    assert_eq!(unit.place, Place::Waiting);
    assert_eq!(unit.job, Some(JobRef { uid: "uid-j".to_owned(), created: at(-100) }));
    assert_eq!((unit.queue.as_str(), unit.attempt, unit.index), ("q", 1, 0));
    assert_eq!(only_node(&index, at(0)).used, Resources::default());

    apply::<Pod>(&index, &on(pod("p", "j"), "n1"));
    assert_eq!(units(&index)[0].place, bound("n1", false));
    let node = only_node(&index, at(0));
    assert_eq!((node.used, node.foreign, node.units), (cores(1), Resources::default(), 1));
    assert_eq!(index.pods_of_node("n1").len(), 1);

    apply::<Pod>(&index, &in_phase(on(pod("p", "j"), "n1"), "Succeeded"));
    assert_eq!(units(&index), []);
    assert_eq!(only_node(&index, at(0)).used, Resources::default());
    assert_eq!(index.pods_of_node("n1"), []);
}

#[test]
fn foreign_pods_take_room_and_are_no_units() {
    let index = index();
    apply::<Node>(&index, &node("n1"));
    apply::<Pod>(&index, &foreign("f", "n1"));
    apply::<Pod>(&index, &on(pod("p", "j"), "n1"));
    apply::<Pod>(&index, &foreign("g", "elsewhere"));
    let node = only_node(&index, at(0));
    assert_eq!((node.used, node.foreign, node.units), (cores(2), cores(1), 1));
    assert_eq!(units(&index).len(), 1);
    assert_eq!(index.pods_of_node("elsewhere").len(), 1);
}

#[test]
fn a_pod_of_the_api_door_counts_on_its_node_and_is_not_in_a_queue() {
    let index = index();
    apply::<Node>(&index, &node("n1"));
    let mut pod = on(pod("p", "j"), "n1");
    pod["metadata"]["labels"] = json!({keys::JOB_ID: "id"});
    apply::<Pod>(&index, &pod);
    let node = only_node(&index, at(0));
    assert_eq!((node.units, node.foreign), (1, Resources::default()));
    assert_eq!(units(&index), []);
}

#[test]
fn only_nodes_with_an_environment_are_planned_and_all_are_known() {
    let index = index();
    let mut plain = node("plain");
    plain["metadata"]["labels"] = json!({});
    apply::<Node>(&index, &plain);
    apply::<Node>(&index, &node("n1"));
    assert_eq!(only_node(&index, at(0)).name, "n1");
    assert_eq!(index.node_facts().len(), 2);
    assert_eq!(index.node("plain").unwrap().environment_uuid(), None);
    delete::<Node>(&index, &plain);
    assert!(index.node("plain").is_none());
}

#[test]
fn a_node_is_idle_from_the_first_look_without_units() {
    let index = index();
    apply::<Node>(&index, &node("n1"));
    apply::<Pod>(&index, &foreign("daemon", "n1"));
    let idle = |seconds| only_node(&index, at(seconds)).idle_since;
    assert_eq!(idle(10), Some(at(10)));
    assert_eq!(idle(20), Some(at(10)));
    apply::<Pod>(&index, &on(pod("p", "j"), "n1"));
    assert_eq!(idle(30), None);
    delete::<Pod>(&index, &on(pod("p", "j"), "n1"));
    assert_eq!(idle(40), Some(at(40)));
    index.assume_held("uid-h", &["n1".to_owned()], even(at(41)));
    assert_eq!(idle(41), Some(at(40)), "held for a pod that nobody knows");
    let mut held = annotated(pod("h", "j"), keys::HOLD, "n0,n1");
    held["spec"]["schedulerName"] = json!(keys::SCHEDULER_EXTENDED);
    apply::<Pod>(&index, &held);
    assert_eq!(idle(42), None, "room is held on it");
}

#[test]
fn a_node_that_was_replaced_is_idle_anew() {
    let index = index();
    apply::<Node>(&index, &node("n1"));
    assert_eq!(only_node(&index, at(10)).idle_since, Some(at(10)));
    let mut other = node("n1");
    other["metadata"]["uid"] = json!("another");
    apply::<Node>(&index, &other);
    assert_eq!(only_node(&index, at(20)).idle_since, Some(at(20)));
}

#[test]
fn attempts_count_the_pods_that_failed_before() {
    let index = index();
    apply::<Job>(&index, &job("j"));
    apply::<Pod>(&index, &in_phase(indexed(pod("a1", "j"), "0"), "Failed"));
    apply::<Pod>(&index, &in_phase(created(indexed(pod("a2", "j"), "0"), at(10)), "Failed"));
    apply::<Pod>(&index, &created(indexed(pod("a3", "j"), "0"), at(30)));
    apply::<Pod>(&index, &created(indexed(pod("b", "j"), "1"), at(30)));
    apply::<Pod>(&index, &created(indexed(pod("c", "other"), "0"), at(30)));
    let attempts = || -> Vec<u32> { units(&index).iter().map(|unit| unit.attempt).collect() };
    assert_eq!(attempts(), [3, 1, 1]);
    delete::<Pod>(&index, &in_phase(indexed(pod("a1", "j"), "0"), "Failed"));
    assert_eq!(attempts(), [3, 1, 1], "a failure that is gone still counts");
    delete::<Job>(&index, &job("j"));
    assert_eq!(attempts(), [1, 1, 1], "nothing is kept of a Job that is gone");
}

#[test]
fn a_pod_made_before_a_failure_of_another_keeps_its_attempt() {
    let index = index();
    apply::<Job>(&index, &job("j"));
    apply::<Pod>(&index, &pod("b", "j"));
    apply::<Pod>(&index, &in_phase(pod("a", "j"), "Failed"));
    apply::<Pod>(&index, &created(pod("c", "j"), at(10)));
    let attempts: Vec<_> = units(&index).iter().map(|unit| unit.attempt).collect();
    assert_eq!(attempts, [1, 2]);
}
