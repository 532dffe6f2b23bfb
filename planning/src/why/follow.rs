//! What comes of a world in which providers deliver: machines join as promised, and the plan is made again.
//!
//! Invariant: nothing else happens meanwhile; nothing ends, and what a plan starts is not taken for started in the next, which starts it again.

use jiff::Timestamp;
use model::plan::Plan;
use model::snapshot::{Machine, Snapshot, Stage};

use super::subject::Wanted;
use crate::delivery;

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
    let name = |number: usize| format!("launched {} {number}", snapshot.machines.len());
    let of_plan = (0..).zip(&plan.launch);
    let mut new: Vec<Machine> =
        of_plan.map(|(number, launch)| delivery::machine(launch, name(number), Stage::Serving)).collect();
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
        let node = delivery::node(environment, machine);
        snapshot.nodes.retain(|other| other.name != node.name);
        snapshot.nodes.push(node);
    }
    !joined.is_empty()
}
