//! What was seen, kept for the checks: pods and nodes are gone when the story ends.

use std::collections::BTreeMap;

/// Everything that the checks look at.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// UUID of the compute environment.
    pub(super) environment_uuid: String,
    /// Jobs by namespace.
    pub(super) jobs: BTreeMap<String, JobSeen>,
    /// Pods by UID.
    pub(super) pods: BTreeMap<String, PodSeen>,
    /// Nodes by name.
    pub(super) nodes: BTreeMap<String, NodeSeen>,
    /// Machines that exist now: thousandths of a vCPU by name.
    pub(super) machines: BTreeMap<String, u64>,
    /// How many machines there ever were.
    pub(super) machines_ever: usize,
    /// Thousandths of a vCPU of all machines when there were most.
    pub(super) peak_milli: u64,
    /// What is left at the end.
    pub(super) left: Left,
}

/// A Job.
#[derive(Clone, Debug, Default)]
pub(super) struct JobSeen {
    /// `Complete` or `Failed`, once it has ended.
    pub(super) ended: Option<String>,
    /// For example `0-4`.
    pub(super) completed_indexes: String,
}

/// A pod.
#[derive(Clone, Debug, Default)]
pub(super) struct PodSeen {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) index: Option<usize>,
    /// Name of its node, once it has one.
    pub(super) node: Option<String>,
    /// Its label with the environment's UUID.
    pub(super) environment_uuid: Option<String>,
    /// Its label with the node's UID.
    pub(super) node_uid: Option<String>,
    /// `Succeeded` or `Failed`, once it has ended.
    pub(super) ended: Option<String>,
    /// What it printed, or why that could not be read.
    pub(super) output: Option<Result<String, String>>,
}

/// A node.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeSeen {
    pub(super) uid: String,
    /// Its label with the environment's UUID.
    pub(super) environment_uuid: Option<String>,
    /// Its taints, as kubectl writes them.
    pub(super) taints: Vec<String>,
}

/// What is left of machines, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Nodes with the environment's label.
    pub(super) nodes: Vec<String>,
    /// `BatchNode` objects.
    pub(super) batch_nodes: Vec<String>,
    /// Instances at the provider.
    pub(super) instances: Vec<String>,
}

impl Left {
    /// Whether nothing is left.
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let Self { nodes, batch_nodes, instances } = self;
        write!(
            f,
            "nodes: {}; BatchNodes: {}; instances at the provider: {}",
            list(nodes),
            list(batch_nodes),
            list(instances)
        )
    }
}
