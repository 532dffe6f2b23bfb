//! The little that is kept of a pod or a node, made from the objects that watches and requests bring.
//!
//! Invariant: no Kubernetes object is kept. Knows nothing about what the facts lead to.

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use model::keys;

/// What is known about a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WaitingPod {
    /// Its UID.
    pub(crate) uid: String,
    /// Its resource version as a number: API servers count up.
    pub(crate) version: Option<u64>,
    /// Nodes on which the plan holds room for it, best first; `None`: there is no hold.
    pub(crate) hold: Option<Vec<String>>,
    /// UUID of the environment that it was dispatched to.
    pub(crate) environment_uuid: Option<String>,
    /// AWS name of that environment.
    pub(crate) environment: Option<String>,
    /// Number of its attempt.
    pub(crate) attempt: Option<String>,
}

/// What is known about a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeFacts {
    /// Its UID.
    pub(crate) uid: String,
    /// UUID of its environment; `None`: no batch node.
    pub(crate) environment_uuid: Option<String>,
    /// It gets no more work.
    pub(crate) leaving: bool,
}

impl WaitingPod {
    /// From a pod's metadata.
    pub(crate) fn read(metadata: &ObjectMeta) -> Self {
        let annotation = |key| metadata.annotations.as_ref().and_then(|all| all.get(key)).cloned();
        let label = |key| metadata.labels.as_ref().and_then(|all| all.get(key)).cloned();
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            version: metadata.resource_version.as_deref().and_then(|version| version.parse().ok()),
            hold: annotation(keys::HOLD).map(|nodes| parse_hold(&nodes)),
            environment_uuid: label(keys::CE_UUID),
            environment: annotation(keys::COMPUTE_ENVIRONMENT),
            attempt: annotation(keys::ATTEMPT),
        }
    }

    /// The newer of two views of the same pod. The scheduler's own watch and ours are independent: either may be ahead. A
    /// view of another pod with the same name is never taken.
    #[must_use]
    pub(crate) fn newer(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.uid == self.uid && other.version > self.version && self.version.is_some() => other,
            _ => self,
        }
    }
}

impl NodeFacts {
    /// From a node.
    pub(crate) fn read(node: &Node) -> Self {
        let metadata = &node.metadata;
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            environment_uuid: metadata.labels.as_ref().and_then(|labels| labels.get(keys::CE_UUID)).cloned(),
            leaving: metadata.deletion_timestamp.is_some()
                || taints.iter().any(|taint| taint.key == keys::RETIRING_TAINT),
        }
    }
}

fn parse_hold(nodes: &str) -> Vec<String> {
    nodes.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_hold_is_read_with_all_that_was_dispatched() {
        let args: crate::wire::ExtenderArgs = serde_json::from_str(include_str!("fixtures/filter-names.json")).unwrap();
        assert_eq!(
            WaitingPod::read(&args.pod.metadata),
            WaitingPod {
                uid: "0d1c9f6e-5a8d-4b55-9f4e-0d7f5f6c1a01".to_owned(),
                version: Some(4711),
                hold: Some(vec!["batch-2".to_owned(), "batch-1".to_owned()]),
                environment_uuid: Some("ce-uuid-1".to_owned()),
                environment: Some("My-Eks-CE1".to_owned()),
                attempt: Some("1".to_owned()),
            }
        );
    }

    #[test]
    fn an_empty_hold_is_a_hold_on_no_node() {
        let metadata = |value: &str| ObjectMeta {
            annotations: Some([(keys::HOLD.to_owned(), value.to_owned())].into()),
            ..ObjectMeta::default()
        };
        assert_eq!(WaitingPod::read(&metadata("")).hold, Some(Vec::new()));
        assert_eq!(WaitingPod::read(&metadata(" a , b,")).hold, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(WaitingPod::read(&ObjectMeta::default()).hold, None);
    }

    #[test]
    fn the_newer_view_of_the_same_pod_counts() {
        let view = |uid: &str, version| WaitingPod { uid: uid.to_owned(), version, ..WaitingPod::default() };
        for (requested, cached, expected) in [
            (view("a", Some(5)), Some(view("a", Some(6))), 6),
            (view("a", Some(5)), Some(view("a", Some(4))), 5),
            (view("a", Some(5)), Some(view("b", Some(9))), 5),
            (view("a", Some(5)), Some(view("a", None)), 5),
            (view("a", Some(5)), None, 5),
        ] {
            assert_eq!(requested.newer(cached).version, Some(expected));
        }
        assert_eq!(view("a", None).newer(Some(view("a", Some(9)))).version, None);
    }

    #[test]
    fn nodes_that_are_tainted_for_retirement_or_deleted_are_leaving() {
        for (node, leaving) in [
            (json!({"metadata": {"uid": "u", "labels": {keys::CE_UUID: "ce"}}}), false),
            (
                json!({"metadata": {"uid": "u"}, "spec": {"taints": [{"key": keys::RETIRING_TAINT, "effect": "NoSchedule"}]}}),
                true,
            ),
            (
                json!({"metadata": {"uid": "u"}, "spec": {"taints": [{"key": keys::BATCH_TAINT, "effect": "NoSchedule"}]}}),
                false,
            ),
            (json!({"metadata": {"uid": "u", "deletionTimestamp": "2026-11-01T08:00:00Z"}}), true),
        ] {
            let node: Node = serde_json::from_value(node).unwrap();
            assert_eq!(NodeFacts::read(&node).leaving, leaving, "{node:?}");
        }
    }
}
