//! What a launch brings if its provider delivers what it promises.
//!
//! Invariant: a node is what a plan expected of it. Does not know when it comes.

use model::plan::Launch;
use model::snapshot::{Environment, Machine, Node, Stage};

use crate::promise::Promise;

/// The machine of a launch.
pub(crate) fn machine(launch: &Launch, name: String, stage: Stage) -> Machine {
    let offer = &launch.offer;
    Machine {
        name,
        environment: launch.environment.clone(),
        offer: offer.name.clone(),
        milli_vcpus: offer.milli_vcpus,
        allocatable: offer.allocatable.clone(),
        labels: offer.labels.clone(),
        stage,
    }
}

/// The node of a machine, as it is expected to be.
pub(crate) fn node(environment: &Environment, machine: &Machine) -> Node {
    let given = environment.scaling.as_ref().and_then(|scaling| scaling.learned.get(&machine.offer));
    let promise = Promise::new(&machine.allocatable, &machine.labels, given, &environment.uuid);
    Node {
        name: machine.name.clone(),
        uid: machine.name.clone(),
        environment_uuid: environment.uuid.clone(),
        ready: true,
        labels: promise.labels,
        taints: promise.taints,
        allocatable: promise.room,
        ..Node::default()
    }
}
