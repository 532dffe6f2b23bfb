//! Pods that grew until they cannot be read: what they take does not become free.

use kube::core::error_boundary::InvalidObject;

use super::super::Change;
use super::*;
use crate::lean::Lean;

/// A version of a pod of which the tolerations are too many.
fn grown(mut pod: Value) -> Lean<Pod> {
    let metadata = serde_json::from_value(pod["metadata"].clone()).unwrap();
    pod["spec"].as_object_mut().unwrap().remove("containers");
    let remains = serde_json::from_value(pod).unwrap();
    let object =
        DeserializeGuard(Err(InvalidObject { error: "it is larger than Bulkhead reads".to_owned(), metadata }));
    Lean { object, remains: Some(Box::new(remains)) }
}

fn apply_grown(index: &Index, pod: Value) {
    index.feed(Change::Pod(Box::new(Event::Apply(grown(pod)))));
}

fn with_node() -> Index {
    let index = index();
    apply::<Node>(&index, &node("n1"));
    index
}

fn free(index: &Index) -> i64 {
    let node = only_node(index, at(0));
    node.allocatable.cpu - node.used.cpu
}

#[test]
fn a_pod_that_grows_too_large_keeps_its_room_and_stays_a_unit() {
    let index = with_node();
    apply::<Pod>(&index, &on(pod("p", "j"), "n1"));
    let before = (units(&index), only_node(&index, at(0)));
    apply_grown(&index, on(pod("p", "j"), "n1"));
    assert_eq!((units(&index), only_node(&index, at(0))), before);
    // A new list shows it, too.
    index.feed(Event::<DeserializeGuard<Pod>>::Init);
    index.feed(Change::Pod(Box::new(Event::InitApply(grown(on(pod("p", "j"), "n1"))))));
    index.feed(Event::<DeserializeGuard<Pod>>::InitDone);
    assert_eq!((units(&index), only_node(&index, at(0))), before);
    apply_grown(&index, in_phase(on(pod("p", "j"), "n1"), "Succeeded"));
    assert_eq!((free(&index), units(&index).len()), (4000, 0), "it has ended");
}

#[test]
fn the_node_of_a_large_pod_that_was_never_read_is_full() {
    let index = with_node();
    apply_grown(&index, on(pod("p", "j"), "n1"));
    assert!(free(&index) <= 0);
    assert_eq!((only_node(&index, at(0)).units, units(&index).len()), (1, 1), "it was dispatched there");
    apply_grown(&index, foreign("f", "n1"));
    apply::<Pod>(&index, &on(pod("p", "j"), "n1"));
    assert!(free(&index) <= 0, "another one is there");
    delete::<Pod>(&index, &foreign("f", "n1"));
    assert_eq!(free(&index), 3000);
}

#[test]
fn a_pod_that_waits_and_grows_too_large_is_not_dispatched_and_teaches_nothing() {
    let index = with_node();
    apply::<Job>(&index, &job("j"));
    let shape = || index.snapshot(even(at(0))).jobs.remove(0).shape;
    let before = shape();
    apply_grown(&index, pod("p", "j"));
    assert_eq!((units(&index), shape()), (vec![], before));
}
