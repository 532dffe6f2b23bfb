//! Tests of selectors, affinity and tolerations.

#![allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]

use super::*;
use serde_json::{Value, json};

fn of(spec: Value) -> Shape {
    shape(&serde_json::from_value(spec).unwrap(), Resources::default(), true)
}

fn tolerates(tolerations: Value, expected: &[(Option<&str>, Option<&str>, Option<Effect>)]) {
    let text = tolerations.to_string();
    let mut found = of(json!({"containers": [], "tolerations": tolerations})).tolerations;
    found.retain(|one| one.key.as_deref() != Some(keys::BATCH_TAINT));
    let own = |text: Option<&str>| text.map(str::to_owned);
    let expected: Vec<_> = expected
        .iter()
        .map(|(key, value, effect)| Toleration { key: own(*key), value: own(*value), effect: *effect })
        .collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn tolerations_are_read_as_kubernetes_means_them() {
    tolerates(json!([{"operator": "Exists"}]), &[(None, None, None)]);
    tolerates(
        json!([{"key": "a", "value": "b", "effect": "NoSchedule"}]),
        &[(Some("a"), Some("b"), Some(Effect::NoSchedule))],
    );
    tolerates(json!([{"key": "a", "operator": "Equal"}]), &[(Some("a"), Some(""), None)]);
    tolerates(
        json!([{"key": "a", "operator": "Exists", "effect": "NoExecute"}]),
        &[(Some("a"), None, Some(Effect::NoExecute))],
    );
    tolerates(
        json!([{"key": "a", "operator": "Gt", "value": "5"}, {"key": "b", "operator": "Exists", "effect": "New"}]),
        &[],
    );
}

#[test]
fn a_template_and_its_pods_have_equal_shapes() {
    let user = json!({"key": "a", "operator": "Exists"});
    let template = json!({"containers": [], "tolerations": [user]});
    let pod = json!({"containers": [], "tolerations": [
        {"key": keys::BATCH_TAINT, "operator": "Exists"},
        user,
        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
    ]});
    assert_eq!(of(template), of(pod));
}

#[test]
fn selectors_and_required_affinity_are_kept() {
    let spec = json!({
        "containers": [],
        "nodeSelector": {"zone": "a"},
        "affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{
                "matchExpressions": [{"key": "gpu", "operator": "Gt", "values": ["1"]}, {"key": "k", "operator": "Near"}],
                "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}],
            }]},
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}],
        }},
    });
    let shape = of(spec);
    let requirement = |key: &str, operator, values: &[&str]| Requirement {
        key: key.to_owned(),
        operator,
        values: values.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(shape.node_selector.get("zone").map(String::as_str), Some("a"));
    assert_eq!(
        shape.affinity,
        [NodeTerm {
            labels: vec![requirement("gpu", Operator::Gt, &["1"]), requirement("k", Operator::Unknown, &[])],
            fields: vec![requirement("metadata.name", Operator::In, &["n1"])],
        }]
    );
}
