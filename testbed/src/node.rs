//! Nodes of a cluster: real kubelets, each with a network namespace, a containerd and a kube-proxy of its own.
//! Invariant: a node's record is stored before anything of it is made; its index (hence its addresses) belongs to it as
//! long as the record's directory exists.

mod boot;
mod leftovers;
mod record;
mod remove;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::cluster::Cluster;
use crate::process;
use crate::say::say;
use crate::shape::Machine;

pub(crate) use leftovers::remove_leftovers;
pub use record::NodeOptions;
pub(crate) use record::{NodeRecord, all, find};

/// Processes of a node in the order they start.
pub(crate) const COMPONENTS: [&str; 3] = ["containerd", "kubelet", "kube-proxy"];

impl Cluster {
    /// Boots a node and waits until it is Ready. If a node of this name runs already, only waits for it.
    pub fn add_node(&self, options: &NodeOptions) -> Result<()> {
        let record = self.boot_node(options)?;
        boot::wait_ready(self, &record)
    }

    /// Boots a node and returns as soon as its processes have started.
    pub(crate) fn boot_node(&self, options: &NodeOptions) -> Result<NodeRecord> {
        options.check(&Machine::read()?)?;
        let _shared = self.share()?;
        let record = record::claim(self.layout(), options)?;
        boot::boot(self, &record)?;
        Ok(record)
    }

    /// A node leaves: it is drained, switched off, and its Node object deleted.
    pub fn remove_node(&self, name: &str) -> Result<()> {
        remove::leave(self, name)
    }

    /// A node vanishes: everything on it dies at once; its Node object stays.
    pub fn kill_node(&self, name: &str) -> Result<()> {
        let record = find(self.layout(), name).with_context(|| remove::unknown(self, name))?;
        let _shared = self.share()?;
        remove::power_off(self, &record)
    }
}

/// Boots again every recorded node of which a process has died.
pub(crate) fn restart_dead(cluster: &Cluster) -> Result<()> {
    let dead: Vec<NodeRecord> =
        all(cluster.layout()).into_iter().filter(|node| !is_alive(&cluster.layout().node(node.index))).collect();
    let cluster = Arc::new(cluster.clone());
    let threads: Vec<_> = dead
        .into_iter()
        .map(|record| {
            let cluster = Arc::clone(&cluster);
            say(&format!("booting node {} again", record.options.name));
            std::thread::spawn(move || -> Result<()> {
                let _shared = cluster.share()?;
                boot::boot(&cluster, &record)?;
                boot::wait_ready(&cluster, &record)
            })
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("booting a node panicked"))??;
    }
    Ok(())
}

/// True if every process of the node in this directory runs.
pub(crate) fn is_alive(directory: &Path) -> bool {
    COMPONENTS.iter().all(|component| process::state(&directory.join(format!("{component}.pid"))).alive)
}
