//! What is created and submitted. Decides only.
//!
//! Invariant: the pods of all series request the same and have one container, which fake nodes never run.

use model::keys;
use serde_json::{Value, json};

/// The most children that an array job can have.
pub(super) const CHILDREN: u32 = 10_000;
/// Name of the job definition.
pub(super) const DEFINITION: &str = "bench-units";
/// Label of the fake nodes that are not Bulkhead's.
pub(super) const PLAIN_NODE: (&str, &str) = ("bench-units", "plain");

/// Where a pod gets its node from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// It is made there.
    Named(String),
    /// The cluster's own scheduler chooses one.
    Chosen,
}

/// A pod that Bulkhead has nothing to do with.
pub(super) fn pod(number: usize, node: &Node) -> Value {
    let (key, value) = PLAIN_NODE;
    let mut spec = json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "containers": [container()],
        "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
    });
    match node {
        Node::Named(name) => spec["nodeName"] = name.as_str().into(),
        Node::Chosen => spec["nodeSelector"] = json!({key: value}),
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("unit-{number}")}, "spec": spec})
}

fn container() -> Value {
    json!({
        "name": "main",
        "image": "docker.io/library/busybox",
        "command": ["true"],
        "resources": {"requests": {"cpu": "0.25", "memory": "64Mi"}},
    })
}

/// What `RegisterJobDefinition` is sent.
pub(super) fn definition() -> Value {
    json!({
        "jobDefinitionName": DEFINITION,
        "type": "container",
        "eksProperties": {"podProperties": {"containers": [container()]}},
    })
}

/// What `SubmitJob` is sent.
pub(super) fn submission(queue: &str, name: &str, children: Option<u32>) -> Value {
    let mut body = json!({"jobName": name, "jobQueue": queue, "jobDefinition": DEFINITION});
    if let Some(size) = children {
        body["arrayProperties"] = json!({"size": size});
    }
    body
}

/// What identifies the unit that a pod is of: the label with its job and index, or else its own name.
pub(super) fn unit<'a>(label: Option<&'a String>, name: &'a str) -> &'a str {
    label.map_or(name, String::as_str)
}

/// The label that is read for it.
pub(super) const UNIT_LABEL: &str = keys::JOB_ID;
