//! Tests of what is kept of a node.

#![allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]

use super::*;
use model::placement::Effect;
use model::resources::Resources;
use serde_json::{Value, json};

fn record(change: impl FnOnce(&mut Value)) -> NodeRecord {
    let mut object = json!({
        "metadata": {"name": "n1", "uid": "node-1", "labels": {keys::CE_UUID: "ce-1", "zone": "a"}, "annotations": {"other": "x"}},
        "spec": {},
        "status": {
            "allocatable": {"cpu": "1930m", "memory": "1Gi", "pods": "110"},
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
        },
    });
    change(&mut object);
    node(&serde_json::from_value(object).unwrap(), &mut Problems::new())
}

#[test]
fn a_node_is_kept_with_its_room() {
    let node = record(|_| ()).node;
    assert_eq!((node.name.as_str(), node.uid.as_str(), node.environment_uuid.as_str()), ("n1", "node-1", "ce-1"));
    assert_eq!(node.allocatable, Resources::new(1930, 1 << 30).with("pods", 110));
    assert_eq!(node.labels.get("zone").map(String::as_str), Some("a"));
    assert!(record(|node| node["metadata"]["labels"] = json!({})).environment_uuid().is_none());
}

#[test]
fn a_node_is_ready_when_nothing_speaks_against_it() {
    let check = |change: fn(&mut Value), expected| assert_eq!(record(change).node.ready, expected);
    check(|_| (), true);
    check(|node| node["status"]["conditions"][1]["status"] = json!("Unknown"), false);
    check(|node| node["status"]["conditions"] = json!([]), false);
    check(|node| node["status"] = json!({}), false);
    check(|node| node["spec"]["unschedulable"] = json!(true), false);
    check(|node| node["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z"), false);
    assert!(record(|node| node["spec"]["unschedulable"] = json!(true)).kubelet_ready);
}

#[test]
fn a_node_that_still_has_a_taint_of_its_start_is_not_ready() {
    for (key, expected) in [
        ("node.kubernetes.io/not-ready", false),
        ("node.cloudprovider.kubernetes.io/uninitialized", false),
        ("node.kubernetes.io/disk-pressure", true),
    ] {
        let record = record(|node| node["spec"]["taints"] = json!([{"key": key, "effect": "NoSchedule"}]));
        assert_eq!((record.kubelet_ready, record.node.ready), (expected, expected), "{key}");
    }
}

#[test]
fn the_taint_that_goes_last_does_not_keep_a_ready_node_waiting() {
    let lagging = |status: &'static str| {
        record(move |node| {
            node["spec"]["taints"] = json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]);
            node["status"]["conditions"] = json!([{"type": "Ready", "status": status}]);
        })
    };
    assert!(lagging("True").node.ready);
    assert_eq!(lagging("True").node.taints, []);
    assert!(!lagging("False").node.ready);
    assert_eq!(lagging("False").node.taints.len(), 1);
}

#[test]
fn all_taints_but_the_batch_taint_are_kept() {
    let record = record(|node| {
        node["spec"]["taints"] = json!([
            {"key": keys::BATCH_TAINT, "value": "true", "effect": "NoSchedule"},
            {"key": keys::BATCH_TAINT, "value": "true", "effect": "NoExecute"},
            {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"},
            {"key": keys::RETIRING_TAINT, "effect": "NoSchedule"},
        ]);
    });
    let taint = |key: &str| Taint { key: key.to_owned(), value: String::new(), effect: Effect::NoSchedule };
    assert_eq!(record.node.taints, [taint("node.kubernetes.io/disk-pressure"), taint(keys::RETIRING_TAINT)]);
    assert!(record.node.retiring);
    assert_eq!(record.taints.len(), 4);
    assert!(record.has_taint(keys::BATCH_TAINT));
}

#[test]
fn a_heartbeat_changes_nothing() {
    let beat = |time: &str| {
        record(|node| {
            node["metadata"]["resourceVersion"] = json!(time);
            node["metadata"]["annotations"]["other"] = json!(time);
            node["status"]["conditions"][1]["lastHeartbeatTime"] = json!(time);
            node["status"]["images"] = json!([{"names": [time]}]);
        })
    };
    assert_eq!(beat("2026-01-02T03:04:05Z"), beat("2026-01-02T03:04:15Z"));
    assert_ne!(
        beat("2026-01-02T03:04:05Z"),
        record(|node| node["metadata"]["annotations"][keys::TAINTED] = json!("x"))
    );
}
