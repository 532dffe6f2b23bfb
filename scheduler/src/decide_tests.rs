//! Tables for the pure part.

use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn pod(hold: &[&str]) -> WaitingPod {
    WaitingPod {
        uid: "pod-1".to_owned(),
        hold: Some(names(hold)),
        environment_uuid: Some("ce-1".to_owned()),
        environment: Some("My-CE".to_owned()),
        attempt: Some("2".to_owned()),
        ..WaitingPod::default()
    }
}

fn node(environment: Option<&str>, leaving: bool) -> NodeFacts {
    NodeFacts { uid: "node-uid-1".to_owned(), environment_uuid: environment.map(str::to_owned), leaving }
}

fn check(pod: &WaitingPod, node: Option<&NodeFacts>, expected: Result<(), Refusal>) {
    let filtered = filter(pod, names(&["n"]), |_| node);
    match expected {
        Ok(()) => assert_eq!(filtered.admitted, ["n"]),
        Err(refusal) => assert_eq!(filtered.refused, [("n".to_owned(), refusal)]),
    }
    let order = order("n");
    assert_eq!(bind(&order, pod, node).is_ok(), expected.is_ok(), "bind agrees with filter");
}

fn order(node: &str) -> BindingArgs {
    BindingArgs {
        pod_name: "p".to_owned(),
        pod_namespace: "ns".to_owned(),
        pod_uid: "pod-1".to_owned(),
        node: node.to_owned(),
    }
}

#[test]
fn only_a_held_batch_node_of_the_right_environment_that_stays_is_admitted() {
    let good = node(Some("ce-1"), false);
    check(&pod(&["n"]), Some(&good), Ok(()));
    check(&pod(&["other"]), Some(&good), Err(Refusal::NotHeld));
    check(&pod(&[]), Some(&good), Err(Refusal::NotHeld));
    check(&WaitingPod { hold: None, ..pod(&[]) }, Some(&good), Err(Refusal::NoHold));
    check(&pod(&["n"]), None, Err(Refusal::UnknownNode));
    check(&pod(&["n"]), Some(&node(None, false)), Err(Refusal::NoBatchNode));
    check(&pod(&["n"]), Some(&node(Some("ce-2"), false)), Err(Refusal::OtherEnvironment));
    check(&pod(&["n"]), Some(&node(Some("ce-1"), true)), Err(Refusal::Leaving));
    check(&WaitingPod { environment_uuid: None, ..pod(&["n"]) }, Some(&good), Ok(()));
}

#[test]
fn every_candidate_is_either_admitted_or_refused() {
    let good = node(Some("ce-1"), false);
    let filtered = filter(&pod(&["c", "a"]), names(&["a", "b", "c", "d"]), |name| (name != "d").then_some(&good));
    assert_eq!(filtered.admitted, ["a", "c"]);
    assert_eq!(filtered.refused, [("b".to_owned(), Refusal::NotHeld), ("d".to_owned(), Refusal::NotHeld)]);
}

#[test]
fn a_pod_without_a_hold_is_told_so() {
    assert_eq!(Refusal::NoHold.to_string(), "Bulkhead holds no room for this pod yet");
    assert_eq!(Refusal::NotHeld.to_string(), "Bulkhead holds no room for this pod on this node");
}

#[test]
fn scores_follow_the_order_of_the_hold() {
    for (hold, candidates, scores) in [
        (&["a"][..], &["a"][..], &[10][..]),
        (&["b", "a"], &["a", "b"], &[0, 10]),
        (&["b", "x", "a"], &["a", "b"], &[0, 10]),
        (&["a", "b", "c"], &["a", "b", "c"], &[10, 5, 0]),
        (&["a"], &["a", "stranger"], &[10, 0]),
        (&[], &["a"], &[0]),
    ] {
        let got: Vec<i64> = prioritize(&pod(hold), names(candidates)).iter().map(|one| one.score).collect();
        assert_eq!(got, scores, "{hold:?} {candidates:?}");
    }
}

#[test]
fn many_nodes_share_the_ten_scores_and_never_leave_their_range() {
    let many: Vec<String> = (0..100).map(|index| format!("n{index}")).collect();
    let scores: Vec<i64> =
        prioritize(&WaitingPod { hold: Some(many.clone()), ..pod(&[]) }, many).iter().map(|one| one.score).collect();
    assert_eq!((scores[0], scores[99]), (10, 0));
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.iter().all(|score| (0..=10).contains(score)));
}

#[test]
fn a_binding_is_for_this_pod_only_and_says_where_it_is() {
    let binding = bind(&order("n"), &pod(&["n"]), Some(&node(Some("ce-1"), false))).unwrap();
    assert_eq!(
        binding,
        json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {
                "name": "p",
                "namespace": "ns",
                "uid": "pod-1",
                "annotations": {
                    "batch.amazonaws.com/node-uid": "node-uid-1",
                    "bulkhead.dev/compute-environment": "My-CE",
                    "bulkhead.dev/attempt": "2",
                },
                "labels": {
                    "batch.amazonaws.com/node-uid": "node-uid-1",
                    "batch.amazonaws.com/compute-environment-uuid": "ce-1",
                },
            },
            "target": {"apiVersion": "v1", "kind": "Node", "name": "n"},
        })
    );
}

#[test]
fn a_pod_that_was_replaced_is_not_bound() {
    let other = WaitingPod { uid: "pod-2".to_owned(), ..pod(&["n"]) };
    let error = bind(&order("n"), &other, Some(&node(Some("ce-1"), false))).unwrap_err();
    assert_eq!(error, "pod ns/p was replaced by another of the same name");
}

#[test]
fn a_node_that_is_leaving_by_now_is_not_bound_to() {
    let error = bind(&order("n"), &pod(&["n"]), Some(&node(Some("ce-1"), true))).unwrap_err();
    assert_eq!(error, "node n: Bulkhead is retiring this node");
}
