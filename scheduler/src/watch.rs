//! The extender's two watches: nodes, and the pods that wait for the scheduler it serves.
//!
//! Invariant: knows nothing about requests.

use cluster::admin::Check;
use cluster::cache::Cache;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher::Config;
use kube::{Api, Client, ResourceExt as _};
use model::keys;

use crate::facts::{NodeFacts, WaitingPod};

/// Pods of a page. Little of each is kept, but its user may have given it 1.5 MiB of labels, which take twenty times that while they are read.
const PAGE: u32 = 2;

/// What the extender knows about the cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caches {
    /// Nodes by name.
    pub(crate) nodes: Cache<NodeFacts>,
    /// Pods that wait for the scheduler, by `namespace/name`.
    pub(crate) pods: Cache<WaitingPod>,
}

impl Caches {
    /// What is not known yet; `None`: everything is.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        match (self.nodes.is_complete(), self.pods.is_complete()) {
            (true, true) => None,
            (false, _) => Some("nodes"),
            (true, false) => Some("pods"),
        }
    }
}

/// Key of a pod in its cache.
pub(crate) fn pod_key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

/// Keeps the nodes up to date.
pub(crate) async fn nodes(client: Client, cache: Cache<NodeFacts>, complete: Check) {
    let read = |node: DeserializeGuard<Node>| {
        (node.name_any(), node.0.map(|node| NodeFacts::read(&node)).map_err(|error| error.to_string()))
    };
    cache.follow(Api::all(client), Config::default(), complete, read).await;
}

/// Keeps the pods up to date. Only their metadata is read, and a pod leaves the watch when it is bound.
pub(crate) async fn pods(client: Client, cache: Cache<WaitingPod>, complete: Check) {
    let waiting = format!("spec.schedulerName={},spec.nodeName=", keys::SCHEDULER_EXTENDED);
    let read = |pod: PartialObjectMeta<Pod>| {
        let namespace = pod.namespace().unwrap_or_default();
        (pod_key(&namespace, &pod.name_any()), Ok(WaitingPod::read(&pod.metadata)))
    };
    cache.follow(Api::all(client), Config::default().fields(&waiting).page_size(PAGE), complete, read).await;
}
