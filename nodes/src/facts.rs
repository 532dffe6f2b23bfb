//! What is known about the machines, put together for the decision.
//!
//! Invariant: reads memory only. Does not decide.

use std::collections::HashSet;

use api::BatchNode;
use api::convert::node::NodeRecord;
use api::crd::{Phase as Stored, Provider};
use kube::ResourceExt as _;
use model::clock::Moment;
use model::keys;
use planning::machine::{Facts, Instance, NodeState, Phase};

use crate::ages::Ages;
use crate::marks;
use crate::shared::Shared;
use crate::whose::Whose;

/// All machines, each with everything that its next step depends on, but for what becomes of the others.
pub(crate) fn collect(shared: &Shared, ages: &mut Ages) -> Vec<(BatchNode, Facts)> {
    let (machines, now) = (shared.index.batch_nodes(), cluster::clock::moment());
    let names: HashSet<String> = machines.iter().map(kube::ResourceExt::name_any).collect();
    ages.keep(|name| names.contains(name));
    shared.keep(|name| names.contains(name));
    shared.writes().keep(|name| names.contains(name));
    let whose = Whose::read(&shared.index);
    let with_facts = |machine: BatchNode| {
        let facts = facts(shared, ages, &whose.of(&machine), &machine, now);
        (machine, facts)
    };
    machines.into_iter().map(with_facts).collect()
}

fn facts(shared: &Shared, ages: &mut Ages, providers: &[Provider], machine: &BatchNode, now: Moment) -> Facts {
    let name = machine.name_any();
    let (phase, node) = (phase(machine), shared.index.node(&name));
    let quiet = node.as_ref().is_none_or(|node| node.unready_since.is_some());
    let unready = node.as_ref().is_some_and(|node| node.unready_since.is_some());
    let state = |node: NodeRecord| {
        if node.unreadable {
            return NodeState::Unreadable;
        }
        NodeState::Present {
            ready: node.kubelet_ready,
            marked: marks::is_marked(&node, &machine.spec.compute_environment_uuid),
            retiring: node.has_taint(keys::RETIRING_TAINT),
        }
    };
    let books = shared.books();
    let of =
        |provider: &api::crd::Provider| books.get(&provider.key()).map_or(Instance::Unknown, |books| books.of(&name));
    let instance = providers.iter().map(of).reduce(Instance::or).unwrap_or(Instance::Unknown);
    drop(books);
    Facts {
        phase,
        age: ages.phase(&name, phase, now),
        deleted: machine.metadata.deletion_timestamp.is_some(),
        node: node.map_or(NodeState::Absent, state),
        instance,
        unready: ages.unready(&name, unready, now),
        quiet: ages.quiet(&name, quiet, now),
        asked: ages.asked(&name, phase, now),
        known: ages.known(&name, now),
        has_units: shared.index.units_on(&name) > 0,
        held: false,
    }
}

/// Where a machine is in its life, as stored.
pub(crate) fn phase(machine: &BatchNode) -> Phase {
    match machine.phase() {
        Stored::Pending => Phase::Pending,
        Stored::Launching => Phase::Launching,
        Stored::Ready => Phase::Ready,
        Stored::Retiring => Phase::Retiring,
        Stored::Terminating => Phase::Terminating,
    }
}
