//! The local cluster on which something is measured.
//!
//! Invariant: it was there before and is there afterwards; only what a benchmark makes on it comes and goes.

use anyhow::{Context as _, Result, ensure};
use api::BatchNode;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};
use testbed::Cluster;

/// A cluster and a client of it.
pub(super) struct Ground {
    cluster: Cluster,
    client: Client,
}

impl Ground {
    /// On a cluster.
    pub(super) fn new(cluster: Cluster, client: Client) -> Self {
        Self { cluster, client }
    }

    /// A cluster administrator.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The cluster's processes.
    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// How many nodes there are.
    pub(super) async fn nodes(&self) -> Result<usize> {
        Ok(Api::<Node>::all(self.client.clone()).list(&ListParams::default()).await?.items.len())
    }

    /// Fails with advice unless Bulkhead is installed and a node takes ordinary pods.
    pub(super) async fn check(&self) -> Result<()> {
        let name = self.cluster.name();
        let nodes = Api::<Node>::all(self.client.clone()).list(&ListParams::default()).await;
        let nodes = nodes
            .with_context(|| format!("the cluster {name} does not answer: `cargo xtask cluster up --name {name}`"))?;
        let ordinary = |node: &&Node| node.spec.as_ref().is_none_or(|spec| spec.taints.iter().flatten().count() == 0);
        ensure!(
            nodes.items.iter().any(|node| ordinary(&node)),
            "the cluster {name} has no ordinary node: `cargo xtask cluster --name {name} node add ordinary`"
        );
        let installed = Api::<BatchNode>::all(self.client.clone()).list(&ListParams::default().limit(1)).await;
        ensure!(
            installed.is_ok(),
            "Bulkhead is not installed in the cluster {name}: `cargo xtask cluster --name {name} install`"
        );
        Ok(())
    }

    /// Does something that blocks, such as a call of kubectl.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Cluster) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let cluster = self.cluster.clone();
        tokio::task::spawn_blocking(move || work(&cluster)).await.context("a step panicked")?
    }
}
