//! What is on the cluster while units are started: fake nodes, half of them Bulkhead's, namespaces, environments and queues.
//!
//! Invariant: all of it has fixed names, making it again is harmless, and removing it works from whatever is there. Fake nodes that were
//! there before go, too.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use api::provider::Taint;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use model::keys;
use testbed::{Cluster, FakeNodes};

use super::super::gateway::Gateway;
use super::super::ground::Ground;
use super::sample;

/// A series, and where its pods are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Pods made on their node.
    Created,
    /// Pods of the cluster's own scheduler.
    Scheduled,
    /// Jobs of Bulkhead's API.
    Bulkhead,
}

impl Kind {
    /// The namespace of the pods.
    pub(super) fn namespace(self) -> &'static str {
        match self {
            Self::Created => "bench-units-created",
            Self::Scheduled => "bench-units-scheduled",
            Self::Bulkhead => QUEUE,
        }
    }
}

/// The queue whose environment has nodes; namespace and environment have the same name.
pub(super) const QUEUE: &str = "bench-units";
/// The queue whose environment, of the same name, has none.
pub(super) const EMPTY: &str = "bench-units-empty";

/// The place on one cluster.
pub(super) struct Place {
    ground: Ground,
    cluster: Cluster,
    /// Tries nothing again.
    once: Client,
}

impl Place {
    /// On a cluster; makes nothing yet.
    pub(super) fn new(ground: Ground, cluster: Cluster, once: Client) -> Self {
        Self { ground, cluster, once }
    }

    /// The cluster.
    pub(super) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// The cluster's processes.
    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A cluster administrator whose requests are sent once.
    pub(super) fn once(&self) -> &Client {
        &self.once
    }

    /// The API, wherever the controller is now.
    pub(super) async fn gateway(&self) -> Result<Gateway> {
        Gateway::at(&self.ground.blocking(crate::install::local::api_url).await?)
    }

    /// Makes everything but the nodes, and waits until it can be used.
    pub(super) async fn make(&self) -> Result<()> {
        eprintln!("making namespaces, queues and environments");
        let work = |cluster: &Cluster| {
            cluster.kubectl_input(&["apply", "-f", "-"], &objects())?;
            for name in [QUEUE, EMPTY] {
                for kind in ["computeenvironment", "jobqueue"] {
                    let valid = "--for=jsonpath={.status.status}=VALID";
                    cluster.kubectl_run(&["wait", valid, "--timeout=60s", &format!("{kind}/{name}")])?;
                }
            }
            for kind in [Kind::Created, Kind::Scheduled, Kind::Bulkhead] {
                let account = "serviceaccount/default";
                cluster.kubectl_run(&["wait", "-n", kind.namespace(), "--for=create", "--timeout=60s", account])?;
            }
            Ok(())
        };
        self.ground.blocking(work).await?;
        // Of a run that was killed.
        self.end_jobs().await?;
        self.gateway().await?.call("RegisterJobDefinition", &sample::definition()).await.map(drop)
    }

    /// Makes the fake nodes, and waits until they take pods.
    pub(super) async fn make_nodes(&self, count: u32) -> Result<()> {
        eprintln!("making {} fake nodes", 2 * count);
        let work = move |cluster: &Cluster| {
            let environment = format!("computeenvironment/{QUEUE}");
            let uuid = cluster.kubectl_run(&["get", &environment, "-o", "jsonpath={.status.uuid}"])?;
            cluster.fake_nodes(&plain_nodes(0))?;
            cluster.fake_nodes(&plain_nodes(count))?;
            cluster.fake_nodes(&batch_nodes(2 * count, uuid.trim()))?;
            let (key, value) = sample::PLAIN_NODE;
            let ready = ["wait", "--for=condition=Ready", "--timeout=120s", "node", "-l"];
            cluster.kubectl_run(&[&ready[..], &[&format!("{key}={value}")]].concat())?;
            let seen = format!("--for=jsonpath={{.status.nodes.ready}}={count}");
            cluster.kubectl_run(&["wait", &seen, "--timeout=120s", &environment])?;
            Ok(())
        };
        self.ground.blocking(work).await
    }

    /// Names of the nodes on which a series' pods may be.
    pub(super) async fn nodes(&self, kind: Kind) -> Result<BTreeSet<String>> {
        let (key, value) = sample::PLAIN_NODE;
        let selector = match kind {
            Kind::Created | Kind::Scheduled => format!("{key}={value}"),
            Kind::Bulkhead => format!("type=kwok,{key}!={value}"),
        };
        let nodes: Api<Node> = Api::all(self.ground.client().clone());
        let list = nodes.list(&ListParams::default().labels(&selector)).await.context("the nodes cannot be listed")?;
        Ok(list.iter().map(Node::name_any).collect())
    }

    async fn end_jobs(&self) -> Result<()> {
        let gateway = self.gateway().await?;
        for queue in [QUEUE, EMPTY] {
            gateway.end_all(queue).await?;
        }
        Ok(())
    }

    /// Removes everything. Jobs end first, as nothing ends them when their queue has gone.
    pub(super) async fn remove(&self) -> Result<()> {
        let ended = self.end_jobs().await;
        let work = |cluster: &Cluster| {
            let gone = ["--ignore-not-found", "--timeout=5m"];
            let namespaces = [Kind::Created, Kind::Scheduled, Kind::Bulkhead].map(Kind::namespace);
            cluster.kubectl_run(&[&["delete", "namespace"][..], &gone, &namespaces].concat())?;
            cluster.kubectl_run(&[&["delete", "jobqueue"][..], &gone, &[QUEUE, EMPTY]].concat())?;
            cluster.kubectl_run(&[&["delete", "computeenvironment"][..], &gone, &[QUEUE, EMPTY]].concat())?;
            cluster.fake_nodes(&plain_nodes(0))
        };
        self.ground.blocking(work).await?;
        ended
    }
}

fn plain_nodes(count: u32) -> FakeNodes {
    let (key, value) = sample::PLAIN_NODE;
    FakeNodes {
        count,
        cpu: "32".to_owned(),
        memory: "256Gi".to_owned(),
        labels: BTreeMap::from([(key.to_owned(), value.to_owned())]),
        fenced: true,
        taints: Vec::new(),
    }
}

/// Without KWOK's taint, which no job tolerates: Bulkhead's own keeps ordinary pods away.
fn batch_nodes(count: u32, environment: &str) -> FakeNodes {
    let taint = Taint {
        key: keys::BATCH_TAINT.to_owned(),
        value: keys::BATCH_TAINT_VALUE.to_owned(),
        effect: "NoSchedule".to_owned(),
    };
    let labels = BTreeMap::from([(keys::CE_UUID.to_owned(), environment.to_owned())]);
    FakeNodes { labels, fenced: false, taints: vec![taint], ..plain_nodes(count) }
}

fn objects() -> String {
    let namespaces = [Kind::Created, Kind::Scheduled, Kind::Bulkhead].map(Kind::namespace);
    let namespaces = namespaces.map(|name| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"));
    let queues = [QUEUE, EMPTY].map(|name| {
        format!(
            "apiVersion: bulkhead.dev/v1alpha1
kind: ComputeEnvironment
metadata: {{name: {name}}}
spec: {{type: UNMANAGED, namespace: {QUEUE}}}
---
apiVersion: bulkhead.dev/v1alpha1
kind: JobQueue
metadata: {{name: {name}}}
spec: {{computeEnvironments: [{name}]}}
"
        )
    });
    let rights = planning::rights::objects(QUEUE).map(|object| format!("{object}\n"));
    namespaces.into_iter().chain(rights).chain(queues).collect::<Vec<_>>().join("---\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_as_the_types_have_them() {
        let all: Vec<serde_json::Value> = serde_saphyr::from_multiple(&objects()).unwrap();
        assert_eq!(all.len(), 9);
        for one in all {
            match one["kind"].as_str() {
                Some("ComputeEnvironment") => drop(serde_json::from_value::<api::ComputeEnvironment>(one).unwrap()),
                Some("JobQueue") => drop(serde_json::from_value::<api::JobQueue>(one).unwrap()),
                Some("Role" | "RoleBinding") => assert_eq!(one["metadata"]["namespace"], QUEUE),
                kind => assert_eq!(kind, Some("Namespace")),
            }
        }
    }

    #[test]
    fn every_node_keeps_ordinary_pods_away() {
        assert!(plain_nodes(1).fenced);
        assert_eq!(batch_nodes(1, "u").taints[0].effect, "NoSchedule");
    }
}
