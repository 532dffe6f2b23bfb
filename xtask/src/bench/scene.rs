//! What is there while starts are measured: three namespaces, two environments with their queues, one node that waits.
//!
//! Invariant: all of it has fixed names, making it again is harmless, and removing it works from whatever is there.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use api::BatchNode;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use model::keys;
use testbed::NodeOptions;

use super::ground::Ground;

const PATIENCE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(200);
/// The node that waits.
const NODE: &str = "bench-start-warm";

/// Where a Job is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a namespace that Bulkhead has nothing to do with.
    Plain,
    /// In a queue of an environment with a node.
    Warm,
    /// In a queue of an environment without one.
    Cold,
}

impl Place {
    /// The namespace; the queue and its environment have the same name.
    pub(super) fn namespace(self) -> &'static str {
        match self {
            Self::Plain => "bench-start-plain",
            Self::Warm => "bench-start-warm",
            Self::Cold => "bench-start-cold",
        }
    }

    /// The environment of which a machine has to come.
    pub(super) fn environment_without_node(self) -> Option<&'static str> {
        (self == Self::Cold).then(|| self.namespace())
    }
}

/// The scene on one cluster.
pub(super) struct Scene {
    ground: Ground,
}

impl Scene {
    /// On a cluster; makes nothing yet.
    pub(super) fn new(ground: Ground) -> Self {
        Self { ground }
    }

    /// The cluster.
    pub(super) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// A cluster administrator.
    pub(super) fn client(&self) -> &Client {
        self.ground.client()
    }

    /// Makes everything, and waits until it can be used.
    pub(super) async fn make(&self) -> Result<()> {
        eprintln!("making namespaces, queues, environments and a node");
        self.ground
            .blocking(|cluster| {
                cluster.kubectl_input(&["apply", "-f", "-"], &objects(&cluster.provider_url()))?;
                for place in [Place::Warm, Place::Cold] {
                    let environment = format!("computeenvironment/{}", place.namespace());
                    cluster.kubectl_run(&[
                        "wait",
                        "--for=jsonpath={.status.status}=VALID",
                        "--timeout=60s",
                        &environment,
                    ])?;
                }
                let options = NodeOptions {
                    name: NODE.to_owned(),
                    cpu: Some("500m".to_owned()),
                    memory: Some("1Gi".to_owned()),
                    ..NodeOptions::default()
                };
                cluster.add_node(&options)?;
                let environment = format!("computeenvironment/{}", Place::Warm.namespace());
                let uuid = cluster.kubectl_run(&["get", &environment, "-o", "jsonpath={.status.uuid}"])?;
                let label = format!("{}={uuid}", keys::CE_UUID);
                cluster.kubectl_run(&["label", "node", NODE, "--overwrite", &label])?;
                Ok(())
            })
            .await
    }

    /// Removes everything.
    pub(super) async fn remove(&self) -> Result<()> {
        self.ground
            .blocking(|cluster| {
                let all = [Place::Plain, Place::Warm, Place::Cold].map(Place::namespace);
                let [_, warm, cold] = all;
                cluster
                    .kubectl_run(&[&["delete", "namespace", "--ignore-not-found", "--wait=true"][..], &all].concat())?;
                cluster.kubectl_run(&["delete", "jobqueue", "--ignore-not-found", warm, cold])?;
                cluster.kubectl_run(&[
                    "delete",
                    "computeenvironment",
                    "--ignore-not-found",
                    "--timeout=2m",
                    warm,
                    cold,
                ])?;
                let there = cluster.kubectl_run(&["get", "node", "--ignore-not-found", "-o", "name", NODE])?;
                if !there.trim().is_empty() {
                    cluster.remove_node(NODE)?;
                }
                Ok(())
            })
            .await?;
        self.no_machines().await
    }

    /// Waits until a place has no pods.
    pub(super) async fn no_pods(&self, place: Place) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client().clone(), place.namespace());
        self.gone(&format!("pods in {}", place.namespace()), || async {
            Ok(pods.list(&ListParams::default()).await?.iter().map(Pod::name_any).collect())
        })
        .await
    }

    /// Waits until the cold environment has no machine: neither as an object nor as a node.
    pub(super) async fn no_machines(&self) -> Result<()> {
        let (machines, nodes) = (Api::<BatchNode>::all(self.client().clone()), Api::<Node>::all(self.client().clone()));
        let cold = Place::Cold.namespace();
        self.gone("machines of the start before", || async {
            let all = machines.list(&ListParams::default()).await?.items;
            let mine = all.iter().filter(|it| it.spec.compute_environment == cold).map(BatchNode::name_any);
            let nodes = nodes.list(&ListParams::default()).await?.items;
            Ok(mine.chain(nodes.iter().map(Node::name_any).filter(|name| name.starts_with(cold))).collect())
        })
        .await
    }

    async fn gone<F>(&self, what: &str, mut left: impl FnMut() -> F) -> Result<()>
    where
        F: Future<Output = Result<Vec<String>>>,
    {
        let begin = Instant::now();
        loop {
            let names = left().await?;
            if names.is_empty() {
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                bail!("{what} are still there after {} s: {}", PATIENCE.as_secs(), names.join(" "));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What Bulkhead says about a Job that does not start.
    pub(super) async fn waits_for(&self, place: Place, job: &str) -> String {
        let jobs: Api<Job> = Api::namespaced(self.client().clone(), place.namespace());
        let status = jobs.get(job).await.ok().and_then(|job| job.annotations().get(keys::STATUS).cloned());
        status.unwrap_or_else(|| "it does not say".to_owned())
    }
}

fn objects(provider: &str) -> String {
    let [plain, warm, cold] = [Place::Plain, Place::Warm, Place::Cold].map(Place::namespace);
    let queue = keys::QUEUE;
    format!(
        "apiVersion: v1
kind: Namespace
metadata: {{name: {plain}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: {warm}, labels: {{{queue}: {warm}}}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: {cold}, labels: {{{queue}: {cold}}}}}
---
apiVersion: bulkhead.dev/v1alpha1
kind: ComputeEnvironment
metadata: {{name: {warm}}}
spec: {{type: UNMANAGED}}
---
apiVersion: bulkhead.dev/v1alpha1
kind: ComputeEnvironment
metadata: {{name: {cold}}}
spec: {{type: MANAGED, maxvCpus: 1, scaleDownDelay: 1s, provider: {{external: {{url: \"{provider}\"}}}}}}
---
apiVersion: bulkhead.dev/v1alpha1
kind: JobQueue
metadata: {{name: {warm}}}
spec: {{computeEnvironments: [{warm}]}}
---
apiVersion: bulkhead.dev/v1alpha1
kind: JobQueue
metadata: {{name: {cold}}}
spec: {{computeEnvironments: [{cold}]}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_as_the_types_have_them() {
        let all: Vec<serde_json::Value> = serde_saphyr::from_multiple(&objects("http://p:1")).unwrap();
        for one in all {
            match one["kind"].as_str() {
                Some("ComputeEnvironment") => drop(serde_json::from_value::<api::ComputeEnvironment>(one).unwrap()),
                Some("JobQueue") => drop(serde_json::from_value::<api::JobQueue>(one).unwrap()),
                kind => assert_eq!(kind, Some("Namespace")),
            }
        }
    }
}
