//! What of a node may not change under tests, whether tests can use it, and how to put it right. Decides only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The label that binds a node to a compute environment.
const OWNED: &str = model::keys::CE_UUID;
/// Taints and annotations that Kubernetes itself sets and removes as it goes.
const PASSING_TAINTS: &str = "node.kubernetes.io/";
const PASSING_ANNOTATIONS: [&str; 3] =
    ["node.alpha.kubernetes.io/ttl", "csi.volume.kubernetes.io/nodeid", "volumes.kubernetes.io/"];

/// The parts of a node that belong to its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    pub(super) name: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    taints: Vec<Value>,
    unschedulable: bool,
}

/// Reads a node.
pub(super) fn shape(node: &Value) -> Shape {
    let map = |value: &Value| -> BTreeMap<String, String> {
        let entries = value.as_object().into_iter().flatten();
        entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    };
    let mut annotations = map(&node["metadata"]["annotations"]);
    annotations.retain(|key, _| !PASSING_ANNOTATIONS.iter().any(|passing| key.starts_with(passing)));
    Shape {
        name: node["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        labels: map(&node["metadata"]["labels"]),
        annotations,
        taints: taints(node).into_iter().filter(|taint| !passes(taint)).collect(),
        unschedulable: node["spec"]["unschedulable"] == true,
    }
}

fn taints(node: &Value) -> Vec<Value> {
    node["spec"]["taints"].as_array().cloned().unwrap_or_default()
}

fn passes(taint: &Value) -> bool {
    taint["key"].as_str().is_some_and(|key| key.starts_with(PASSING_TAINTS))
}

/// Whether pods of tests can run on a node once it is labelled; if not, why.
pub(super) fn usable(node: &Value) -> Result<(), String> {
    let shape = shape(node);
    let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    if !conditions.into_iter().any(|it| it["type"] == "Ready" && it["status"] == "True") {
        return Err("it is not Ready".to_owned());
    }
    if shape.unschedulable {
        return Err("it is cordoned; `kubectl uncordon` it, or name another".to_owned());
    }
    if let Some(uuid) = shape.labels.get(OWNED) {
        return Err(format!("it has the label {OWNED}={uuid}: it belongs to a compute environment; name another"));
    }
    let keeps_out = |taint: &&Value| taint["effect"] == "NoSchedule" || taint["effect"] == "NoExecute";
    if let Some(taint) = taints(node).iter().find(keeps_out) {
        let (key, effect) = (taint["key"].as_str().unwrap_or_default(), taint["effect"].as_str().unwrap_or_default());
        return Err(format!("its taint {key}:{effect} keeps pods of tests away; name another"));
    }
    Ok(())
}

/// What is different now, in words; empty if nothing is.
pub(super) fn difference(before: &Shape, now: &Shape) -> Vec<String> {
    let mut found = Vec::new();
    for (what, old, new) in
        [("label", &before.labels, &now.labels), ("annotation", &before.annotations, &now.annotations)]
    {
        let added = new.iter().filter(|(key, _)| !old.contains_key(*key));
        found.extend(added.map(|(key, value)| format!("{what} {key}={value} is new")));
        let changed = old.iter().filter(|(key, value)| new.get(*key) != Some(value));
        found.extend(changed.map(|(key, value)| format!("{what} {key} was {value}, is {:?}", new.get(key))));
    }
    if before.taints != now.taints {
        found.push(format!("taints were {}, are {}", json!(before.taints), json!(now.taints)));
    }
    if before.unschedulable != now.unschedulable {
        found.push(format!("unschedulable was {}, is {}", before.unschedulable, now.unschedulable));
    }
    found
}

/// A merge patch that makes a node as it was.
pub(super) fn repair(before: &Shape, node: &Value) -> Value {
    let now = shape(node);
    let back = |old: &BTreeMap<String, String>, new: &BTreeMap<String, String>| -> Value {
        let added = new.keys().filter(|key| !old.contains_key(*key)).map(|key| (key.clone(), Value::Null));
        let changed = old.iter().filter(|(key, value)| new.get(*key) != Some(value));
        added.chain(changed.map(|(key, value)| (key.clone(), value.clone().into()))).collect()
    };
    let taints: Vec<Value> = before.taints.iter().cloned().chain(taints(node).into_iter().filter(passes)).collect();
    json!({
        "metadata": {
            "labels": back(&before.labels, &now.labels),
            "annotations": back(&before.annotations, &now.annotations),
        },
        "spec": {
            "taints": if taints.is_empty() { Value::Null } else { taints.into() },
            "unschedulable": if before.unschedulable { Value::Bool(true) } else { Value::Null },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(labels: &Value, taints: &Value) -> Value {
        json!({
            "metadata": {"name": "a", "labels": labels, "annotations": {"node.alpha.kubernetes.io/ttl": "0", "x": "1"}},
            "spec": {"taints": taints},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        })
    }

    #[test]
    fn a_node_is_usable_if_pods_of_tests_can_run_there_and_nobody_else_owns_it() {
        let check = |node: Value, expect: Option<&str>| {
            let got = usable(&node).err();
            assert_eq!(got.is_some(), expect.is_some(), "{node}: {got:?}");
            assert!(got.unwrap_or_default().contains(expect.unwrap_or_default()), "{node}");
        };
        check(node(&json!({"a": "b"}), &Value::Null), None);
        check(node(&json!({}), &json!([{"key": "k", "effect": "PreferNoSchedule"}])), None);
        check(node(&json!({}), &json!([{"key": "k", "effect": "NoSchedule"}])), Some("k:NoSchedule"));
        check(node(&json!({OWNED: "u"}), &Value::Null), Some("belongs to a compute environment"));
        let mut cordoned = node(&json!({}), &Value::Null);
        cordoned["spec"]["unschedulable"] = true.into();
        check(cordoned, Some("cordoned"));
        let mut unready = node(&json!({}), &Value::Null);
        unready["status"]["conditions"][0]["status"] = "Unknown".into();
        check(unready, Some("not Ready"));
    }

    #[test]
    fn what_kubernetes_itself_changes_is_no_difference() {
        let before = shape(&node(&json!({"a": "b"}), &Value::Null));
        let mut now =
            node(&json!({"a": "b"}), &json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]));
        now["metadata"]["annotations"]["node.alpha.kubernetes.io/ttl"] = "15".into();
        assert_eq!(difference(&before, &shape(&now)), Vec::<String>::new());
    }

    #[test]
    fn a_repair_takes_away_what_is_new_and_puts_back_what_was_there() {
        let before = shape(&node(&json!({"a": "b", "c": "d"}), &json!([{"key": "own", "effect": "PreferNoSchedule"}])));
        let passing = json!({"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"});
        let now = node(&json!({"a": "x", OWNED: "u"}), &json!([{"key": "ours", "effect": "NoSchedule"}, passing]));
        assert_eq!(difference(&before, &shape(&now)).len(), 4);
        let patch = repair(&before, &now);
        assert_eq!(patch["metadata"]["labels"], json!({"a": "b", "c": "d", OWNED: null}));
        assert_eq!(patch["metadata"]["annotations"], json!({}));
        assert_eq!(patch["spec"]["taints"], json!([{"key": "own", "effect": "PreferNoSchedule"}, passing]));
        assert_eq!(patch["spec"]["unschedulable"], Value::Null);
    }
}
