//! Stores where a machine is in its life.
//!
//! Invariant: what is stored is seen by the next decision at once, whenever the watch shows it. Does not decide.

use api::BatchNode;
use api::crd::{BatchNodeStatus, Phase};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::shared::{ActError, Shared, answered};

/// Stores which phase a machine is in, since when, and why.
pub(crate) async fn enter(
    shared: &Shared,
    machine: &BatchNode,
    phase: Phase,
    message: Option<&str>,
    instance: Option<&str>,
) -> Result<(), ActError> {
    let before = machine.status.clone().unwrap_or_default();
    let since = before.since.filter(|_| before.phase == phase).unwrap_or_else(Timestamp::now);
    let status = BatchNodeStatus {
        phase,
        instance_id: instance.map(ToOwned::to_owned).or(before.instance_id),
        node_name: (phase != Phase::Launching).then(|| machine.name_any()),
        units: before.units,
        message: message.map(ToOwned::to_owned),
        ending: before.ending,
        since: Some(since),
    };
    let mut patch = json!({"metadata": {"uid": machine.metadata.uid}, "status": status});
    if message.is_none() {
        patch["status"]["message"] = serde_json::Value::Null;
    }
    let api: Api<BatchNode> = Api::all(shared.clients.once.clone());
    let (name, params) = (machine.name_any(), PatchParams::default());
    let stored = answered(api.patch_status(&name, &params, &Patch::Merge(patch))).await?;
    shared.index.apply_batch_node(stored);
    Ok(())
}

/// Stores why a machine is still in its phase, unless it says so already.
pub(crate) async fn explain(shared: &Shared, machine: &BatchNode, why: &str) -> Result<(), ActError> {
    let said = machine.status.as_ref().and_then(|status| status.message.as_deref());
    if said != Some(why) {
        tracing::warn!(machine = machine.name_any(), "{why}");
        enter(shared, machine, machine.phase(), Some(why), None).await?;
    }
    Ok(())
}

/// Stores that the provider has said that it is taking a machine down.
pub(crate) async fn ending(shared: &Shared, machine: &BatchNode) -> Result<(), ActError> {
    let patch = json!({"metadata": {"uid": machine.metadata.uid}, "status": {"ending": true}});
    let api: Api<BatchNode> = Api::all(shared.clients.once.clone());
    let (name, params) = (machine.name_any(), PatchParams::default());
    let stored = answered(api.patch_status(&name, &params, &Patch::Merge(patch))).await?;
    shared.index.apply_batch_node(stored);
    Ok(())
}
