//! What AWS Batch completes in containers: names, and requests from limits.
//!
//! Invariant: what was given stays as it is.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Name of a container without one; those after the first are numbered.
const DEFAULT: &str = "default";
/// Name of an init container without one.
const DEFAULT_INIT: &str = "init";

/// Completes the containers of a pod spec.
pub(super) fn complete(spec: &mut Map<String, Value>) -> Result<(), String> {
    let is_empty = |list: Option<&Value>| list.and_then(Value::as_array).is_none_or(Vec::is_empty);
    if is_empty(spec.get("containers")) {
        return Err("The job has no containers.".to_owned());
    }
    if is_empty(spec.get("initContainers")) {
        spec.remove("initContainers");
    }
    let mut taken = BTreeSet::new();
    for list in ["containers", "initContainers"] {
        let names = items(spec, list).iter().filter_map(|container| container["name"].as_str());
        taken.extend(names.map(ToOwned::to_owned));
    }
    for (list, default) in [("containers", DEFAULT), ("initContainers", DEFAULT_INIT)] {
        for container in items(spec, list) {
            if container.get("name").is_none() {
                container["name"] = free(default, &mut taken).into();
            }
            complete_resources(container);
        }
    }
    Ok(())
}

/// Names of the containers of a spec that is complete; those that run first come last.
pub(super) fn names(spec: &Map<String, Value>) -> Vec<String> {
    let of = |list| spec.get(list).and_then(Value::as_array).into_iter().flatten();
    let all = ["containers", "initContainers"].into_iter().flat_map(of);
    all.filter_map(|container| container["name"].as_str().map(ToOwned::to_owned)).collect()
}

fn items<'a>(spec: &'a mut Map<String, Value>, list: &str) -> &'a mut [Value] {
    spec.get_mut(list).and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

/// The first of `default`, `default-2`, `default-3`, … that no other container has.
fn free(default: &str, taken: &mut BTreeSet<String>) -> String {
    let name = (2..).map(|number| format!("{default}-{number}"));
    let name = std::iter::once(default.to_owned()).chain(name).find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(name.clone());
    name
}

/// Limits are requests where there are none. Of devices Kubernetes wants a limit, and both are the same.
fn complete_resources(container: &mut Value) {
    let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) else { return };
    let amounts = |kind: &str| resources.get(kind).and_then(Value::as_object).cloned().unwrap_or_default();
    let (mut limits, mut requests) = (amounts("limits"), amounts("requests"));
    for (name, amount) in &limits {
        requests.entry(name.as_str()).or_insert_with(|| amount.clone());
    }
    for (name, amount) in requests.iter().filter(|(name, _)| name.contains('/')) {
        limits.entry(name.as_str()).or_insert_with(|| amount.clone());
    }
    for (kind, amounts) in [("limits", limits), ("requests", requests)] {
        if !amounts.is_empty() {
            resources.insert(kind.to_owned(), Value::Object(amounts));
        }
    }
}
