//! The queue's default requests, for containers that state neither requests nor limits.
//!
//! Invariant: a container that states anything, or a pod that states resources for all its containers, is not touched.

use super::super::edit::{Editor, has_any};
use super::container_paths;
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) fn apply(editor: &mut Editor, defaults: &BTreeMap<String, String>) {
    let states = |document: &Value, resources: &[&str]| {
        has_any(document, &[resources, &["requests"]].concat()) || has_any(document, &[resources, &["limits"]].concat())
    };
    if states(editor.document(), &["spec", "resources"]) {
        return;
    }
    for (list, index) in container_paths(editor.document()) {
        let resources = ["spec", list, &index, "resources"];
        if !states(editor.document(), &resources) {
            for (name, amount) in defaults {
                editor.set(&[&resources[..], &["requests", name]].concat(), amount.as_str());
            }
        }
    }
}
