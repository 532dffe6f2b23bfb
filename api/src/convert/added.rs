//! What the API server adds to a pod that is made from a template, besides what webhooks do: the requests that `LimitRanges` give to
//! containers, and overhead and placement of its `RuntimeClass`.
//!
//! Invariant: as the admission plugins do it, before any webhook (<https://kubernetes.io/docs/concepts/policy/limit-range/>,
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/pod-overhead/>). Where several `LimitRanges` of a namespace differ, Kubernetes
//! takes any of them; the largest is counted. Does not know which pods there are.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::LimitRange;
use k8s_openapi::api::node::v1::RuntimeClass;
use model::placement::{Shape, Toleration};
use model::resources::Resources;

use super::Problems;
use super::requests::{Stated, amounts};
use super::shape;

/// What is added to the requests of a pod before it is stored, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Additions {
    /// To each container that does not state them: what `LimitRanges` have.
    pub each: Option<Stated>,
    /// Of its `RuntimeClass`; `None`: what the pod says itself.
    pub overhead: Option<Resources>,
    /// To the first container of a pod of which none asks for anything: what the queue has.
    pub once: Resources,
}

/// What a `LimitRange` gives to containers; `None`: nothing. Its own defaulting has made a default request of every default, minimum and
/// maximum.
pub fn limit_range(object: &LimitRange, problems: &mut Problems) -> Option<Stated> {
    let limits = object.spec.iter().flat_map(|spec| &spec.limits).filter(|limit| limit.type_ == "Container");
    let mut all = BTreeMap::new();
    for limit in limits {
        all.extend(limit.default_request.clone().unwrap_or_default());
    }
    (!all.is_empty()).then(|| Stated::read(&all, "default requests", problems))
}

/// What is kept of a `RuntimeClass`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassRecord {
    /// What its pods take besides their containers.
    pub overhead: Option<Resources>,
    /// Labels that nodes of its pods must have.
    selector: BTreeMap<String, String>,
    tolerations: Vec<Toleration>,
}

/// What is kept of a `RuntimeClass`.
pub fn runtime_class(object: &RuntimeClass, problems: &mut Problems) -> ClassRecord {
    let overhead = object.overhead.as_ref().and_then(|overhead| overhead.pod_fixed.as_ref());
    let scheduling = object.scheduling.as_ref();
    ClassRecord {
        overhead: overhead.map(|fixed| amounts(Some(fixed), "overhead", problems)),
        selector: scheduling.and_then(|scheduling| scheduling.node_selector.clone()).unwrap_or_default(),
        tolerations: scheduling
            .and_then(|it| it.tolerations.as_deref())
            .map(shape::all_tolerations)
            .unwrap_or_default(),
    }
}

/// What a template with a `RuntimeClass` asks for by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Classed {
    pub(super) class: String,
    selector: BTreeMap<String, String>,
    tolerations: Vec<Toleration>,
}

impl Classed {
    pub(super) fn new(class: &str, shape: &Shape) -> Self {
        let (selector, tolerations) = (shape.node_selector.clone(), shape.tolerations.clone());
        Self { class: class.to_owned(), selector, tolerations }
    }

    /// Makes a shape that of the pods to come.
    pub(super) fn place(&self, class: Option<&ClassRecord>, shape: &mut Shape) {
        shape.node_selector.clone_from(&self.selector);
        shape.tolerations.clone_from(&self.tolerations);
        if let Some(class) = class {
            // Where both say something else the API server refuses the pod.
            shape.node_selector.extend(class.selector.clone());
            let all: BTreeSet<Toleration> = self.tolerations.iter().chain(&class.tolerations).cloned().collect();
            shape.tolerations = all.into_iter().collect();
        }
    }
}

#[cfg(test)]
#[path = "added_tests.rs"]
mod tests;
