//! The Node hook: a batch node is tainted before any pod can slip onto it.
//!
//! Invariant: taints that are there stay, none is doubled. A node whose environment is unknown gets only the taint that harms
//! nothing that runs there.

use super::edit::{Editor, items, text};
use super::{Admit, Outcome};
use model::keys;
use serde_json::{Value, json};

/// What is known about the compute environment that a node's label names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeOwner {
    /// Bulkhead adds and removes its nodes: nothing but batch work may ever run there.
    Managed,
    /// The user labels its nodes: what runs there already may stay.
    Unmanaged,
    /// There is no such environment, yet.
    Unknown,
}

/// The compute environment that a node says it belongs to.
pub fn environment_uuid(node: &Value) -> Option<&str> {
    text(node, &["metadata", "labels", keys::CE_UUID])
}

/// Taints a node that is created with the label of a compute environment.
pub fn mutate(node: &Value, environment: NodeOwner) -> Admit {
    if environment_uuid(node).is_none() {
        return Admit::unchanged(Outcome::LeftAlone);
    }
    let effects: &[&str] = match environment {
        NodeOwner::Managed => &["NoSchedule", "NoExecute"],
        NodeOwner::Unmanaged | NodeOwner::Unknown => &["NoSchedule"],
    };
    let mut editor = Editor::new(node.clone());
    let path = ["spec", "taints"];
    for effect in effects {
        let present = items(editor.document(), &path)
            .iter()
            .any(|taint| text(taint, &["key"]) == Some(keys::BATCH_TAINT) && text(taint, &["effect"]) == Some(effect));
        if !present {
            editor.append(&path, json!({"key": keys::BATCH_TAINT, "value": keys::BATCH_TAINT_VALUE, "effect": effect}));
        }
    }
    Admit::edited(Outcome::Tainted, editor, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::super::Allowed;
    use super::*;

    fn check(taints: &Value, environment: NodeOwner, expected: &Value) {
        let node = json!({"metadata": {"labels": {keys::CE_UUID: "u"}}, "spec": {"taints": taints}});
        let Admit::Allowed(Allowed { patch, .. }) = mutate(&node, environment) else {
            panic!("nodes are never refused")
        };
        let mut patched = node;
        json_patch::patch(&mut patched, &patch).unwrap();
        assert_eq!(&patched["spec"]["taints"], expected);
    }

    fn ours(effect: &str) -> Value {
        json!({"key": keys::BATCH_TAINT, "value": "true", "effect": effect})
    }

    #[test]
    fn a_managed_node_gets_both_taints() {
        check(&Value::Null, NodeOwner::Managed, &json!([ours("NoSchedule"), ours("NoExecute")]));
    }

    #[test]
    fn what_runs_on_an_unmanaged_or_unknown_node_is_not_evicted() {
        check(&Value::Null, NodeOwner::Unmanaged, &json!([ours("NoSchedule")]));
        check(&json!([]), NodeOwner::Unknown, &json!([ours("NoSchedule")]));
    }

    #[test]
    fn taints_are_kept_and_never_doubled() {
        let other = json!({"key": "example.com/gpu", "effect": "NoSchedule"});
        check(
            &json!([other, ours("NoSchedule")]),
            NodeOwner::Managed,
            &json!([other, ours("NoSchedule"), ours("NoExecute")]),
        );
        check(&json!([ours("NoSchedule")]), NodeOwner::Unmanaged, &json!([ours("NoSchedule")]));
    }

    #[test]
    fn a_node_without_the_label_is_not_touched() {
        assert_eq!(mutate(&json!({"metadata": {}}), NodeOwner::Managed), Admit::unchanged(Outcome::LeftAlone));
    }
}
