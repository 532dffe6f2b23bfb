//! The extender's two watches: nodes, and the pods that wait for the scheduler it serves.
//!
//! Invariant: an object that cannot be decoded is logged and left out; it never holds up the watch. Knows nothing about
//! requests.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use model::keys;

use cluster::admin::Check;

use crate::cache::{Cache, Feed};
use crate::facts::{NodeFacts, PodFacts};

/// What the extender knows about the cluster.
#[derive(Clone, Debug, Default)]
pub struct Caches {
    /// Nodes by name.
    pub nodes: Cache<NodeFacts>,
    /// Pods that wait for the scheduler, by `namespace/name`.
    pub pods: Cache<PodFacts>,
}

impl Caches {
    /// What is not known yet; `None`: everything is.
    pub fn missing(&self) -> Option<&'static str> {
        match (self.nodes.is_complete(), self.pods.is_complete()) {
            (true, true) => None,
            (false, _) => Some("nodes"),
            (true, false) => Some("pods"),
        }
    }
}

/// Key of a pod in its cache.
pub fn pod_key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

/// Keeps the nodes up to date.
pub async fn nodes(client: Client, cache: Cache<NodeFacts>, complete: Check) {
    let api: Api<DeserializeGuard<Node>> = Api::all(client);
    let events = watcher(api, watcher::Config::default()).default_backoff();
    let read = |node: DeserializeGuard<Node>| (node.name_any(), decoded(node).map(|node| NodeFacts::read(&node)));
    Feed::new(cache).run("nodes", events, complete, read).await;
}

/// Keeps the pods up to date. Only their metadata is read, and a pod leaves the watch when it is bound.
pub async fn pods(client: Client, cache: Cache<PodFacts>, complete: Check) {
    let api: Api<PartialObjectMeta<Pod>> = Api::all(client);
    let waiting = format!("spec.schedulerName={},spec.nodeName=", keys::SCHEDULER_EXTENDED);
    let events = watcher(api, watcher::Config::default().fields(&waiting)).default_backoff();
    let read = |pod: PartialObjectMeta<Pod>| {
        let namespace = pod.namespace().unwrap_or_default();
        (pod_key(&namespace, &pod.name_any()), Some(PodFacts::read(&pod.metadata)))
    };
    Feed::new(cache).run("pods", events, complete, read).await;
}

fn decoded(node: DeserializeGuard<Node>) -> Option<Node> {
    let name = node.name_any();
    node.0.inspect_err(|error| tracing::warn!(node = name, %error, "node cannot be read and is left out")).ok()
}
