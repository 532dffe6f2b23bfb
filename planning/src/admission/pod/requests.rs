//! The queue's default requests, for a pod in which no container asks for anything.
//!
//! Invariant: a pod that states any request or limit, of a container or for all of them, is not touched; the defaults are the pod's, so
//! many small containers do not add up to what no node has.

use super::super::edit::{Editor, has_any};
use super::container_paths;
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) fn apply(editor: &mut Editor, defaults: &BTreeMap<String, String>) {
    let states = |document: &Value, resources: &[&str]| {
        has_any(document, &[resources, &["requests"]].concat()) || has_any(document, &[resources, &["limits"]].concat())
    };
    let pod = editor.document();
    let paths = container_paths(pod);
    let any = paths.iter().any(|(list, index)| states(pod, &["spec", list, index, "resources"]));
    // Init containers are over before the others run: the first of those is always there, and what it takes is kept for them, too.
    let has_first = paths.iter().any(|(list, _)| *list == "containers");
    if any || !has_first || states(pod, &["spec", "resources"]) {
        return;
    }
    for (name, amount) in defaults {
        editor.set(&["spec", "containers", "0", "resources", "requests", name], amount.as_str());
    }
}
