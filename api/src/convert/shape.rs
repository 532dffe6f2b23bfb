//! What a pod asks of its node, from its spec: selectors, node affinity, tolerations.
//!
//! Invariant: a Job's template and the pods made from it come to equal shapes, so what the API server adds to pods alone is left
//! out. Does not decide who places the pod.

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Toleration as RawToleration};
use model::keys;
use model::placement::{Effect, NodeTerm, Operator, Requirement, Shape, Toleration};
use model::resources::Resources;

/// The shape of a pod with this spec, these effective requests and this judge.
pub fn shape(spec: &PodSpec, requests: Resources, judged: bool) -> Shape {
    let required = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    Shape {
        requests,
        node_selector: spec.node_selector.clone().unwrap_or_default(),
        affinity: required.map(|selector| selector.node_selector_terms.iter().map(term).collect()).unwrap_or_default(),
        tolerations: tolerations(spec),
        judged,
    }
}

fn term(term: &NodeSelectorTerm) -> NodeTerm {
    let all = |list: &Option<Vec<NodeSelectorRequirement>>| list.iter().flatten().map(requirement).collect();
    NodeTerm { labels: all(&term.match_expressions), fields: all(&term.match_fields) }
}

fn requirement(raw: &NodeSelectorRequirement) -> Requirement {
    let operator = match raw.operator.as_str() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::Gt,
        "Lt" => Operator::Lt,
        _ => Operator::Unknown,
    };
    Requirement { key: raw.key.clone(), operator, values: raw.values.clone().unwrap_or_default() }
}

/// Those of them that this version knows.
pub(super) fn all_tolerations(raw: &[RawToleration]) -> Vec<Toleration> {
    raw.iter().filter_map(toleration).collect()
}

/// In a fixed order, with the toleration of the batch taint that every queued pod gets.
fn tolerations(spec: &PodSpec) -> Vec<Toleration> {
    let mut all = all_tolerations(spec.tolerations.as_deref().unwrap_or_default());
    all.retain(|one| one.key.as_deref() != Some(keys::BATCH_TAINT) && !is_default(one));
    all.push(Toleration { key: Some(keys::BATCH_TAINT.to_owned()), value: None, effect: None });
    all.sort();
    all.dedup();
    all
}

/// Whether it is one that the API server adds to every pod (admission plugin `DefaultTolerationSeconds`). A node that is not
/// ready gets no units anyway.
fn is_default(one: &Toleration) -> bool {
    let key = one.key.as_deref();
    one.value.is_none()
        && one.effect == Some(Effect::NoExecute)
        && (key == Some("node.kubernetes.io/not-ready") || key == Some("node.kubernetes.io/unreachable"))
}

/// `None`: with an operator or effect that this version does not know, so it is not counted on.
pub(super) fn toleration(raw: &RawToleration) -> Option<Toleration> {
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let value = match raw.operator.as_deref() {
        Some("Exists") => None,
        None | Some("" | "Equal") => Some(raw.value.clone().unwrap_or_default()),
        Some(_) => return None,
    };
    let effect = match filled(&raw.effect) {
        None => None,
        Some(text) => Some(effect(&text)?),
    };
    Some(Toleration { key: filled(&raw.key), value, effect })
}

/// A taint's effect; `None`: one that this version does not know.
pub fn effect(text: &str) -> Option<Effect> {
    Some(match text {
        "NoSchedule" => Effect::NoSchedule,
        "PreferNoSchedule" => Effect::PreferNoSchedule,
        "NoExecute" => Effect::NoExecute,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
