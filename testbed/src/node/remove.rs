//! Nodes that go: by leaving, or by vanishing. Invariant: power is cut before the Node object is deleted, so that no
//! kubelet brings it back.

use std::fs;

use anyhow::{Result, bail};

use super::{NodeRecord, all, find, leftovers};
use crate::cluster::Cluster;
use crate::files::{Hold, Lock};
use crate::say::say;

/// Drains the node, switches it off and deletes its Node object.
pub(super) fn leave(cluster: &Cluster, name: &str) -> Result<()> {
    let record = find(cluster.layout(), name);
    let in_cluster = cluster.kubectl_run(&["get", "node", name, "-o", "name"]).is_ok();
    if record.is_none() && !in_cluster {
        bail!(unknown(cluster, name));
    }
    if let Some(record) = record {
        let drain = [
            "drain",
            name,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            "--force",
            "--grace-period=2",
            "--timeout=20s",
        ];
        if in_cluster && let Err(error) = cluster.kubectl_run(&drain) {
            say(&format!("node {name} is switched off without being drained: {error:#}"));
        }
        let _shared = cluster.share()?;
        power_off(cluster, &record)?;
    }
    cluster.kubectl_run(&["delete", "node", name, "--ignore-not-found"])?;
    Ok(())
}

/// Kills everything on a node and removes its record. The Node object stays.
pub(super) fn power_off(cluster: &Cluster, record: &NodeRecord) -> Result<()> {
    let layout = cluster.layout();
    // Somebody else may have removed it in the meantime.
    let Ok(_lock) = Lock::take(&layout.node(record.index), Hold::Alone) else { return Ok(()) };
    leftovers::scrap(layout, cluster.slot(), record.index)?;
    let name = &record.options.name;
    for stem in [format!("node-{name}"), format!("node-{name}-serving-{}", record.index)] {
        for file in [layout.pki(&format!("{stem}.crt")), layout.pki(&format!("{stem}.key"))] {
            let _ = fs::remove_file(file);
        }
        let _ = fs::remove_file(layout.config(&format!("{stem}.kubeconfig")));
    }
    Ok(())
}

/// Message for a name that no node has.
pub(super) fn unknown(cluster: &Cluster, name: &str) -> String {
    let names: Vec<String> = all(cluster.layout()).into_iter().map(|record| record.options.name).collect();
    let known = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
    format!("the cluster `{}` has no node `{name}`; {known}", cluster.name())
}
