//! Step 5: nodes that were there before Bulkhead and stay.
//!
//! Invariant: only Bulkhead's taints and annotations come off; the label of a compute environment stays, because whoever
//! labelled the node may want it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use model::keys;
use planning::removal::{self, NodeFate};

use super::access::{Access, Patched, Target, kind};
use super::say;

/// Takes our marks off all nodes.
pub(super) async fn clean(access: &Access, environments: &BTreeSet<String>) -> anyhow::Result<()> {
    let nodes = kind::<Node>();
    let mut unclear = BTreeSet::new();
    access
        .until_none("somebody else keeps changing them", async || {
            let mut left = Vec::new();
            for node in access.list(&nodes, None, &ListParams::default()).await? {
                let target = Target::of(&nodes, &node);
                match removal::node(&node, environments) {
                    NodeFate::Leave => {}
                    NodeFate::Unclear => drop(unclear.insert(target.name)),
                    NodeFate::Clean(patch) => match access.patch(&target, &patch).await? {
                        Patched::Done => say::done(&format!("{target}: our taints and annotations are off")),
                        Patched::Changed => left.push(target.to_string()),
                        Patched::Refused(message) => anyhow::bail!("the taints of {target} do not come off: {message}"),
                    },
                }
            }
            Ok(left)
        })
        .await?;
    for node in unclear {
        say::note(&format!(
            "left Node {node}: its taint {key} may belong to AWS Batch; if not: kubectl taint node {node} {key}-",
            key = keys::BATCH_TAINT
        ));
    }
    Ok(())
}
