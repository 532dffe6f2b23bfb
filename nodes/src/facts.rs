//! What is known about one machine, put together for the decision.
//!
//! Invariant: reads memory only. Does not decide.

use api::BatchNode;
use api::convert::pod::Origin;
use api::crd::Phase as Stored;
use jiff::Timestamp;
use kube::ResourceExt as _;
use model::keys;
use planning::machine::{Facts, NodeState, Phase};

use crate::manager::Shared;
use crate::marks;

/// Everything the next step of a machine depends on.
pub(crate) fn collect(shared: &Shared, machine: &BatchNode, now: Timestamp) -> Facts {
    let name = machine.name_any();
    let since = since(machine).unwrap_or(now);
    let node = shared.index.node(&name).map_or(NodeState::Absent, |node| NodeState::Present {
        ready: node.kubelet_ready,
        marked: marks::is_marked(&node, &machine.spec.compute_environment_uuid),
        retiring: node.has_taint(keys::RETIRING_TAINT),
    });
    let unready_since = shared.index.node(&name).and_then(|node| node.unready_since);
    Facts {
        unready_since,
        phase: phase(machine),
        since,
        deleted: machine.metadata.deletion_timestamp.is_some(),
        node,
        instance: shared.instances().of(machine, since),
        has_units: shared.index.pods_of_node(&name).iter().any(|pod| pod.origin == Origin::Unit),
    }
}

/// Since when a machine is in its phase.
pub(crate) fn since(machine: &BatchNode) -> Option<Timestamp> {
    let entered = machine.status.as_ref().and_then(|status| status.since);
    entered.or_else(|| machine.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

fn phase(machine: &BatchNode) -> Phase {
    match machine.phase() {
        Stored::Pending => Phase::Pending,
        Stored::Launching => Phase::Launching,
        Stored::Ready => Phase::Ready,
        Stored::Retiring => Phase::Retiring,
        Stored::Terminating => Phase::Terminating,
    }
}
