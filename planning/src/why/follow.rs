//! What comes of a world in which providers deliver: machines join as promised, and the plan is made again.
//!
//! Invariant: nothing else happens meanwhile; nothing ends, and what a plan starts is not taken for started in the next, which starts it again.

use jiff::Timestamp;
use model::plan::{Launch, Plan};
use model::snapshot::{Environment, Machine, Node, Snapshot, Stage};

use super::subject::Wanted;
use crate::promise::Promise;

/// More deliveries than a provider that is not trusted yet needs for any set of machines that is worth explaining.
const ROUNDS: usize = 64;

/// How far something comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// It waits, whatever is delivered.
    Waits,
    /// It starts when machines have joined.
    Launches,
    /// It starts at once.
    Starts,
}

/// How far it comes; more of its units than `before` have to start.
pub(super) fn follow(mut snapshot: Snapshot, now: Timestamp, wanted: &Wanted<'_>, before: usize) -> Step {
    for round in 0..ROUNDS {
        let plan = crate::plan(&snapshot, now);
        if is_started(&plan, wanted, before) {
            return if round == 0 { Step::Starts } else { Step::Launches };
        }
        if !deliver(&mut snapshot, &plan) {
            break;
        }
    }
    Step::Waits
}

fn is_started(plan: &Plan, wanted: &Wanted<'_>, before: usize) -> bool {
    plan.release.iter().any(|change| change.uid == wanted.uid) || wanted.started(plan) > before
}

/// Lets machines join that are on their way or that a plan launches. False: there are none.
fn deliver(snapshot: &mut Snapshot, plan: &Plan) -> bool {
    let of_plan = (0..).zip(&plan.launch).map(|(number, launch)| launched(snapshot, launch, number));
    let mut new: Vec<Machine> = of_plan.collect();
    let coming = snapshot.machines.iter_mut().filter(|machine| machine.stage == Stage::Coming);
    let joined: Vec<Machine> = coming
        .map(|machine| {
            machine.stage = Stage::Serving;
            machine.clone()
        })
        .chain(new.iter().cloned())
        .collect();
    snapshot.machines.append(&mut new);
    for machine in &joined {
        let environment = snapshot.environments.iter_mut().find(|one| one.name == machine.environment);
        let Some(environment) = environment else { continue };
        if let Some(scaling) = &mut environment.scaling {
            scaling.delivered = scaling.delivered.saturating_add(1);
        }
        let node = node(environment, machine);
        snapshot.nodes.retain(|other| other.name != node.name);
        snapshot.nodes.push(node);
    }
    !joined.is_empty()
}

fn launched(snapshot: &Snapshot, launch: &Launch, number: usize) -> Machine {
    let offer = &launch.offer;
    Machine {
        name: format!("launched {} {number}", snapshot.machines.len()),
        environment: launch.environment.clone(),
        offer: offer.name.clone(),
        milli_vcpus: offer.milli_vcpus,
        allocatable: offer.allocatable.clone(),
        labels: offer.labels.clone(),
        stage: Stage::Serving,
    }
}

/// The node of a machine, as it is expected to be.
fn node(environment: &Environment, machine: &Machine) -> Node {
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
