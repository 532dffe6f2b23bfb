//! Wire format of kube-scheduler's extender, version 1, written by hand: the Go structs have no JSON tags, so their keys are
//! the Go names, and lists that are not set arrive as `null`
//! (<https://pkg.go.dev/k8s.io/kube-scheduler/extender/v1>).
//!
//! Invariant: what is not read here is neither decoded nor kept. Knows nothing about what the answers should be.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// Body of `filter` and `prioritize`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ExtenderArgs {
    /// The pod to place.
    #[serde(rename = "Pod")]
    pub(crate) pod: Pod,
    /// Candidates as whole objects; set if the scheduler thinks that the extender has no cache of its own.
    #[serde(rename = "Nodes", default)]
    pub(crate) nodes: Option<NodeList>,
    /// Candidates by name.
    #[serde(rename = "NodeNames", default)]
    pub(crate) node_names: Option<Vec<String>>,
}

/// What is read of a pod.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Pod {
    /// Its metadata.
    pub(crate) metadata: ObjectMeta,
}

/// Nodes as whole objects, passed through as they came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct NodeList {
    /// The list's own metadata.
    #[serde(default)]
    pub(crate) metadata: Value,
    /// The nodes.
    #[serde(default)]
    pub(crate) items: Vec<Value>,
}

/// Answer to `filter`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct FilterResult {
    /// Admitted nodes, if whole nodes were sent.
    #[serde(rename = "Nodes")]
    pub(crate) nodes: Option<NodeList>,
    /// Names of the admitted nodes, if names were sent.
    #[serde(rename = "NodeNames")]
    pub(crate) node_names: Option<Vec<String>>,
    /// Nodes on which preemption may help: always empty, nothing is preempted for a queue.
    #[serde(rename = "FailedNodes")]
    pub(crate) failed_nodes: BTreeMap<String, String>,
    /// Nodes that are out of the question, and why.
    #[serde(rename = "FailedAndUnresolvableNodes")]
    pub(crate) failed_and_unresolvable_nodes: Reasons,
    /// If not empty: nothing can be said now, try again.
    #[serde(rename = "Error")]
    pub(crate) error: String,
}

/// Reasons by node: a map on the wire. There may be thousands, so they are not sorted for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reasons(Vec<(String, &'static str)>);

impl Serialize for Reasons {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(node, reason)| (node, reason)))
    }
}

/// One entry of the answer to `prioritize`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct HostPriority {
    /// Name of the node.
    #[serde(rename = "Host")]
    pub(crate) host: String,
    /// 0 to 10, higher is better.
    #[serde(rename = "Score")]
    pub(crate) score: i64,
}

/// Body of `bind`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct BindingArgs {
    /// Name of the pod.
    #[serde(rename = "PodName")]
    pub(crate) pod_name: String,
    /// Its namespace.
    #[serde(rename = "PodNamespace")]
    pub(crate) pod_namespace: String,
    /// Its UID.
    #[serde(rename = "PodUID")]
    pub(crate) pod_uid: String,
    /// The node that the scheduler chose.
    #[serde(rename = "Node")]
    pub(crate) node: String,
}

/// Answer to `bind`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct BindingResult {
    /// If not empty: the pod was not bound, and why.
    #[serde(rename = "Error")]
    pub(crate) error: String,
}

impl ExtenderArgs {
    /// Takes out the names of the candidates, whichever way they came.
    pub(crate) fn candidates(&mut self) -> Vec<String> {
        match (&mut self.node_names, &self.nodes) {
            (Some(names), _) => std::mem::take(names),
            (None, Some(nodes)) => nodes.items.iter().filter_map(name_of).map(str::to_owned).collect(),
            (None, None) => Vec::new(),
        }
    }
}

impl FilterResult {
    /// No answer now.
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self { error: message.into(), ..Self::default() }
    }

    /// Admits some of the candidates, in the form in which they came.
    pub(crate) fn new(args: ExtenderArgs, admitted: Vec<String>, refused: Vec<(String, &'static str)>) -> Self {
        let (nodes, node_names) = match (args.node_names, args.nodes) {
            (None, Some(mut nodes)) => {
                nodes.items.retain(|node| name_of(node).is_some_and(|name| admitted.iter().any(|one| one == name)));
                (Some(nodes), None)
            }
            _ => (None, Some(admitted)),
        };
        Self { nodes, node_names, failed_and_unresolvable_nodes: Reasons(refused), ..Self::default() }
    }
}

fn name_of(node: &Value) -> Option<&str> {
    node.pointer("/metadata/name").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_of_a_scheduler_that_caches_nodes_is_read() {
        let mut args: ExtenderArgs = serde_json::from_str(include_str!("fixtures/filter-names.json")).unwrap();
        assert_eq!(args.candidates(), ["batch-1", "batch-2"]);
        assert_eq!(args.pod.metadata.name.as_deref(), Some("train-0-x7k2p"));
        assert!(args.nodes.is_none());
    }

    #[test]
    fn whole_nodes_come_back_as_they_were_sent() {
        let mut args: ExtenderArgs = serde_json::from_str(include_str!("fixtures/filter-nodes.json")).unwrap();
        assert_eq!(args.candidates(), ["batch-1", "batch-2"]);
        let sent = args.nodes.clone().unwrap();
        let result = FilterResult::new(args, vec!["batch-2".to_owned()], Vec::new());
        assert!(result.node_names.is_none());
        assert_eq!(result.nodes.unwrap().items, [sent.items[1].clone()]);
    }

    #[test]
    fn answers_have_the_go_names() {
        let refused = vec![("b".to_owned(), "no")];
        let args: ExtenderArgs =
            serde_json::from_value(json!({"Pod": {"metadata": {}}, "Nodes": null, "NodeNames": ["a", "b"]})).unwrap();
        assert_eq!(
            serde_json::to_value(FilterResult::new(args, vec!["a".to_owned()], refused)).unwrap(),
            json!({"Nodes": null, "NodeNames": ["a"], "FailedNodes": {}, "FailedAndUnresolvableNodes": {"b": "no"}, "Error": ""})
        );
        assert_eq!(
            serde_json::to_value([HostPriority { host: "a".to_owned(), score: 10 }]).unwrap(),
            json!([{"Host": "a", "Score": 10}])
        );
        assert_eq!(serde_json::to_value(BindingResult::default()).unwrap(), json!({"Error": ""}));
    }

    #[test]
    fn no_candidates_at_all_are_none() {
        let mut args: ExtenderArgs =
            serde_json::from_value(json!({"Pod": {"metadata": {}}, "Nodes": null, "NodeNames": null})).unwrap();
        assert!(args.candidates().is_empty());
    }

    #[test]
    fn a_bind_request_is_read() {
        let args: BindingArgs =
            serde_json::from_value(json!({"PodName": "p", "PodNamespace": "ns", "PodUID": "11aa", "Node": "batch-1"}))
                .unwrap();
        assert_eq!((args.pod_uid.as_str(), args.node.as_str()), ("11aa", "batch-1"));
    }
}
