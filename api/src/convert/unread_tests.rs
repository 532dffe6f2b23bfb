//! Tests of what is kept of a pod that cannot be read as a whole.

#![allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]

use model::keys;
use serde_json::{Value, json};

use super::*;

fn raw(spec: Value, status: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"namespace": "n", "name": "p", "uid": "u", "labels": {keys::QUEUE: "q"}, "annotations": {keys::NODE_UID: "m"}},
        "spec": spec, "status": status,
    }))
    .unwrap()
}

fn known(spec: Value) -> WatchedPod {
    let mut spec = spec;
    spec["schedulerName"] = json!(keys::SCHEDULER_DIRECT);
    spec["containers"] = json!([{"name": "c", "resources": {"requests": {"cpu": "2"}}}]);
    pod(&raw(spec, json!({"phase": "Pending"})), &mut Problems::new())
}

#[test]
fn what_it_took_it_takes_and_nobody_dispatches_it() {
    let bound = Some(Place::Bound { node: "n1".to_owned(), running: false });
    let gate = json!([{"name": keys::GATE}]);
    let on_node = json!({"nodeName": "n1"});
    let check = |before: Option<Value>, now: Value, cpu: i64, fills: bool, place: &Option<Place>| {
        let before = before.map(known);
        let kept = unread(&raw(now.clone(), json!({})), before.as_ref(), None);
        let found = (kept.requests.cpu, kept.fills_node, &kept.queued.as_ref().unwrap().place);
        assert_eq!(found, (cpu, fills, place), "{before:?} {now}");
    };
    check(Some(on_node.clone()), on_node.clone(), 2000, false, &bound);
    check(Some(on_node.clone()), json!({}), 2000, false, &bound);
    check(Some(json!({})), on_node.clone(), 2000, false, &bound);
    check(None, on_node, 0, true, &bound);
    check(None, json!({}), 0, true, &None);
    check(Some(json!({"schedulingGates": gate})), json!({}), 2000, false, &None);
    // Its owners are what cannot be read, say: what it requests is known, also what it requests now.
    let larger = json!([{"name": "c", "resources": {"requests": {"cpu": "3"}}}]);
    check(Some(json!({})), json!({"nodeName": "n1", "containers": larger}), 3000, false, &bound);
    check(None, json!({"nodeName": "n1", "containers": larger}), 3000, false, &bound);
}

#[test]
fn how_it_ends_is_seen() {
    let before = known(json!({"nodeName": "n1"}));
    let seen = |phase: &str| unread(&raw(json!({}), json!({"phase": phase})), Some(&before), None);
    let (failed, running) = (seen("Failed"), seen("Running"));
    assert_eq!((failed.ended, running.ended), (Some(super::super::pod::Ending::Failed), None));
    let mut going = raw(json!({}), json!({}));
    going.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert!(unread(&going, Some(&before), None).terminating && !running.terminating);
}
