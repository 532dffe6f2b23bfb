//! About how much memory it takes to keep what a pod asks of its node.
//!
//! Invariant: never far below what it really is, because somebody's patience with a tenant depends on it. Judges nothing.

use model::placement::{NodeTerm, Requirement, Shape};
use model::resources::Resources;

/// A text or a number in a list or map, with what the list or map needs for it.
const ENTRY: usize = 64;

/// Of a shape, without its requests.
pub(super) fn of_shape(shape: &Shape) -> usize {
    let selector = shape.node_selector.iter().map(|(key, value)| 2 * ENTRY + key.len() + value.len());
    let affinity = shape.affinity.iter().map(of_term);
    let tolerations = shape
        .tolerations
        .iter()
        .map(|one| 2 * ENTRY + one.key.as_ref().map_or(0, String::len) + one.value.as_ref().map_or(0, String::len));
    selector.chain(affinity).chain(tolerations).fold(0, usize::saturating_add)
}

/// Of requests.
pub(super) fn of_requests(requests: &Resources) -> usize {
    requests.other.keys().map(|name| ENTRY + name.len()).fold(2 * ENTRY, usize::saturating_add)
}

fn of_term(term: &NodeTerm) -> usize {
    let all = term.labels.iter().chain(&term.fields).map(of_requirement);
    all.fold(ENTRY, usize::saturating_add)
}

fn of_requirement(one: &Requirement) -> usize {
    one.values.iter().map(|value| ENTRY + value.len()).fold(2 * ENTRY + one.key.len(), usize::saturating_add)
}
