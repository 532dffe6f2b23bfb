//! Whether a job that has a place is still there.
//!
//! Invariant: a node that has come back under its old name is another one, and a pod that was never seen is not missed.

use model::job::Placed;

/// Where a placed job is, going by its node and its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// As far as anybody can say, where it was put.
    There,
    /// Its node is gone for good.
    NodeGone,
    /// Its pod was seen before, and is gone.
    PodGone,
}

/// Where a job is: `node` is the UID of the node of the stored name, if there is one, and `pod_is_here` whether its pod is seen.
pub fn whereabouts(placed: &Placed, node: Option<&str>, pod_is_here: bool) -> Whereabouts {
    // Where kube-scheduler chose the node its UID is not known, and until then not even its name.
    let is_another = |uid: &str| !placed.node_uid.is_empty() && uid != placed.node_uid;
    if !placed.node.is_empty() && node.is_none_or(is_another) {
        Whereabouts::NodeGone
    } else if placed.pod_uid.is_some() && !pod_is_here {
        Whereabouts::PodGone
    } else {
        Whereabouts::There
    }
}
