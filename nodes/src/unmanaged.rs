//! Nodes that users label: the batch taint goes on with the label and off with it.
//!
//! Invariant: only a taint that we put there is taken away (annotation `bulkhead.dev/tainted`). Nothing that runs on the node is
//! disturbed: the effect is `NoSchedule` only.

use std::time::Duration;

use api::convert::node::NodeRecord;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time;

use crate::marks;
use crate::shared::{ActError, Shared};
use model::keys;

/// Failed writes are tried again after this time.
const RETRY: Duration = Duration::from_secs(2);

/// What is to be done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Taint,
    Untaint,
}

/// Keeps the taint where the label is, and nowhere else.
pub(crate) async fn run(shared: &Shared) {
    let mut version = shared.index.version();
    loop {
        version.borrow_and_update();
        let uuids: Vec<String> = shared
            .index
            .snapshot(cluster::clock::now())
            .environments
            .into_iter()
            .filter(|environment| environment.scaling.is_none())
            .map(|environment| environment.uuid)
            .collect();
        let mut failed = false;
        for node in shared.index.node_facts() {
            if let Some(change) = change(&node, &uuids)
                && let Err(error) = apply(shared, &node.node.name, change).await
            {
                failed = true;
                tracing::warn!(
                    node = node.node.name,
                    error = cluster::telemetry::chain(&error),
                    "cannot change taints"
                );
            }
        }
        let pause = if failed { RETRY } else { Duration::from_secs(30) };
        tokio::select! {
            _ = version.changed(), if !failed => {}
            () = time::sleep(pause) => {}
        }
    }
}

fn change(node: &NodeRecord, unmanaged: &[String]) -> Option<Change> {
    let ours = node.annotations.contains_key(keys::TAINTED);
    match node.environment_uuid() {
        Some(uuid) if unmanaged.iter().any(|one| one == uuid) => {
            let complete = marks::UNMANAGED.iter().all(|effect| marks::has_batch_taint(&node.taints, effect)) && ours;
            (!complete).then_some(Change::Taint)
        }
        None if ours => Some(Change::Untaint),
        _ => None,
    }
}

async fn apply(shared: &Shared, name: &str, change: Change) -> Result<(), ActError> {
    let api: Api<Node> = Api::all(shared.clients.once.clone());
    let Some(node) = api.get_opt(name).await? else { return Ok(()) };
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let (taints, mark) = match change {
        Change::Taint => (marks::with_batch(&taints, &marks::UNMANAGED), json!("true")),
        Change::Untaint => (marks::without_batch(&taints), Value::Null),
    };
    let patch = json!({
        "metadata": {"resourceVersion": node.metadata.resource_version, "annotations": {keys::TAINTED: mark}},
        "spec": {"taints": taints},
    });
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    tracing::info!(node = name, ?change, "taints changed");
    Ok(())
}
