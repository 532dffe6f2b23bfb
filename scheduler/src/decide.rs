//! Which nodes a pod may go to, in which order, and what its binding says. Pure.
//!
//! Invariant: a pod goes only where the plan holds room for it, on a batch node of the environment it was dispatched to that
//! is not leaving. Does not judge whether the pod fits: that is kube-scheduler's part, and the plan's.

use std::collections::HashMap;
use std::fmt;

use model::keys;
use serde_json::{Map, Value, json};

use crate::facts::{NodeFacts, WaitingPod};
use crate::wire::{BindingArgs, HostPriority};

/// The best score that an extender can give.
const MAX_SCORE: usize = 10;

/// Why a pod may not go to a node. The scheduler shows the sentence in the pod's events, counted by equal text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// The pod has no hold anywhere.
    NoHold,
    /// The pod's hold does not name the node.
    NotHeld,
    /// The node is not known here yet, or gone.
    UnknownNode,
    /// The node carries no environment's label.
    NoBatchNode,
    /// The node is of another environment than the one the pod was dispatched to.
    OtherEnvironment,
    /// The node gets no more work.
    Leaving,
}

impl Refusal {
    /// A word for metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoHold => "no_hold",
            Self::NotHeld => "not_held",
            Self::UnknownNode => "unknown_node",
            Self::NoBatchNode => "no_batch_node",
            Self::OtherEnvironment => "other_environment",
            Self::Leaving => "leaving",
        }
    }
}

impl Refusal {
    /// A sentence for people.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::NoHold => "Bulkhead holds no room for this pod yet",
            Self::NotHeld => "Bulkhead holds no room for this pod on this node",
            Self::UnknownNode => "Bulkhead does not know this node yet",
            Self::NoBatchNode => "this node belongs to no compute environment of Bulkhead",
            Self::OtherEnvironment => "this node belongs to another compute environment of Bulkhead",
            Self::Leaving => "Bulkhead is retiring this node",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// What filtering came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filtered {
    /// Nodes that the pod may go to, in the order in which they were asked about.
    pub(crate) admitted: Vec<String>,
    /// All others in that order, and why not.
    pub(crate) refused: Vec<(String, Refusal)>,
}

/// Which of the candidates the pod may go to.
pub(crate) fn filter<'a>(
    pod: &WaitingPod,
    candidates: Vec<String>,
    node: impl Fn(&str) -> Option<&'a NodeFacts>,
) -> Filtered {
    let (mut filtered, places) = (Filtered::default(), places(pod));
    for name in candidates {
        let is_held = places.as_ref().map(|places| places.contains_key(name.as_str()));
        match judge(pod, is_held, node(&name)) {
            Ok(()) => filtered.admitted.push(name),
            Err(refusal) => filtered.refused.push((name, refusal)),
        }
    }
    filtered
}

/// Scores by the order of the hold: its first node gets 10, its last 0, spread evenly, so that the plan's order outweighs the
/// scheduler's own preference for empty nodes.
pub(crate) fn prioritize(pod: &WaitingPod, candidates: Vec<String>) -> Vec<HostPriority> {
    let places = places(pod).unwrap_or_default();
    let rank = |name: &str| places.get(name).copied();
    let mut ranks: Vec<usize> = candidates.iter().filter_map(|name| rank(name)).collect();
    ranks.sort_unstable();
    let last = ranks.len().saturating_sub(1);
    let score = |name: &str| {
        let place = ranks.binary_search(&rank(name)?).ok()?;
        Some((MAX_SCORE * (last - place)).checked_div(last).unwrap_or(MAX_SCORE))
    };
    candidates
        .into_iter()
        .map(|host| HostPriority { score: score(&host).and_then(|score| i64::try_from(score).ok()).unwrap_or(0), host })
        .collect()
}

/// The Binding to post: only for this very pod (UID), and with everything that tells the pod where it is, in the same write.
/// API servers before 1.35 ignore its labels; the controller, which sees the pod bound, puts them on it.
pub(crate) fn bind(order: &BindingArgs, pod: &WaitingPod, node: Option<&NodeFacts>) -> Result<Value, String> {
    let BindingArgs { pod_name, pod_namespace, pod_uid, node: node_name } = order;
    if pod.uid != *pod_uid {
        return Err(format!("pod {pod_namespace}/{pod_name} was replaced by another of the same name"));
    }
    let is_held = pod.hold.as_ref().map(|hold| hold.contains(node_name));
    judge(pod, is_held, node).map_err(|refusal| format!("node {node_name}: {refusal}"))?;
    let node = node.ok_or_else(|| format!("node {node_name}: {}", Refusal::UnknownNode))?;
    let mut annotations = Map::new();
    annotations.insert(keys::NODE_UID.to_owned(), node.uid.clone().into());
    for (key, value) in [(keys::COMPUTE_ENVIRONMENT, &pod.environment), (keys::ATTEMPT, &pod.attempt)] {
        if let Some(value) = value {
            annotations.insert(key.to_owned(), value.clone().into());
        }
    }
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {
            "name": pod_name,
            "namespace": pod_namespace,
            "uid": pod_uid,
            "annotations": annotations,
            "labels": labels(node),
        },
        "target": {"apiVersion": "v1", "kind": "Node", "name": node_name},
    }))
}

fn labels(node: &NodeFacts) -> Value {
    json!({keys::NODE_UID: node.uid, keys::CE_UUID: node.environment_uuid})
}

/// The nodes of a pod's hold with their places in it; `None`: it has no hold.
fn places(pod: &WaitingPod) -> Option<HashMap<&str, usize>> {
    let mut places = HashMap::new();
    for (place, name) in pod.hold.as_ref()?.iter().enumerate() {
        places.entry(name.as_str()).or_insert(place);
    }
    Some(places)
}

/// `is_held`: whether the pod's hold names the node; `None`: it has no hold.
fn judge(pod: &WaitingPod, is_held: Option<bool>, node: Option<&NodeFacts>) -> Result<(), Refusal> {
    if !is_held.ok_or(Refusal::NoHold)? {
        return Err(Refusal::NotHeld);
    }
    let node = node.ok_or(Refusal::UnknownNode)?;
    let owner = node.environment_uuid.as_ref().ok_or(Refusal::NoBatchNode)?;
    if pod.environment_uuid.as_ref().is_some_and(|wanted| wanted != owner) {
        return Err(Refusal::OtherEnvironment);
    }
    if node.leaving { Err(Refusal::Leaving) } else { Ok(()) }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
