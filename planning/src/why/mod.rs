//! Why something waits, as a tree of checks, and what would let it start.
//!
//! Invariant: pure, of the same snapshot and time as the plan, and it changes neither. What is said to let something start was tried: the
//! plan of the snapshot changed like that starts it, or launches a machine for it. Does not know how it is printed.

mod candidates;
mod change;
mod environment;
mod follow;
mod line;
mod queue;
mod subject;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use jiff::Timestamp;
use model::plan::Plan;
use model::resources::Resources;
use model::snapshot::{Job, Place, Snapshot, Unit};
use model::status::{JobState, Reason, Status};

use crate::world::World;
pub use subject::{Asked, What};
use subject::{Subject, Wanted};

/// Something that has to be so for it to start, with what that consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Whether it is so; `None`: it decides nothing by itself.
    pub holds: Option<bool>,
    /// What it is, in a sentence without a period.
    pub text: String,
    /// What it consists of.
    pub below: Vec<Check>,
}

impl Check {
    fn new(holds: impl Into<Option<bool>>, text: impl Into<String>) -> Self {
        Self { holds: holds.into(), text: text.into(), below: Vec::new() }
    }

    fn with(self, below: Vec<Self>) -> Self {
        Self { below, ..self }
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What it is about, and how it is.
    pub title: String,
    /// Why it waits; `None`: it does not.
    pub reason: Option<Reason>,
    /// What has to be so, in the order in which it is looked at.
    pub checks: Vec<Check>,
    /// Changes of which each by itself lets it start, or several that do so together.
    pub changes: Vec<String>,
}

/// What was seen and what was decided.
struct Seen<'s> {
    snapshot: &'s Snapshot,
    plan: &'s Plan,
    now: Timestamp,
    /// What is left on nodes when everything has started that the plan starts, by name.
    free: HashMap<&'s str, Resources>,
}

impl<'s> Seen<'s> {
    fn new(snapshot: &'s Snapshot, plan: &'s Plan, now: Timestamp) -> Self {
        let free = |node: &'s model::snapshot::Node| {
            let mut free = node.allocatable.clone();
            free.sub(&node.used);
            (node.name.as_str(), free)
        };
        let mut free: HashMap<&str, Resources> = snapshot.nodes.iter().map(free).collect();
        let shapes: HashMap<&str, &Unit> = snapshot.units.iter().map(|unit| (unit.uid.as_str(), unit)).collect();
        let mut take = |uid: &str, node: &str| {
            if let (Some(unit), Some(free)) = (shapes.get(uid), free.get_mut(node)) {
                free.sub(&unit.shape.requests);
            }
        };
        for one in &plan.dispatch {
            take(&one.uid, &one.node);
        }
        for one in &plan.hold {
            for node in &one.nodes {
                take(&one.uid, node);
            }
        }
        for unit in &snapshot.units {
            if let Place::Held { nodes, refused: false } = &unit.place {
                for node in nodes {
                    take(&unit.uid, node);
                }
            }
        }
        Self { snapshot, plan, now, free }
    }

    /// State and reason of a Job when the plan has been carried out.
    fn status(&self, job: &Job) -> Option<Status> {
        let Plan { release, status, unwritten, .. } = self.plan;
        let changed = release.iter().chain(status).chain(unwritten).find(|change| change.uid == job.uid);
        changed.map(|change| change.status.clone()).or_else(|| job.status.clone())
    }

    /// Why a unit waits; of one that belongs to a Job, what is said of that.
    fn reason(&self, unit: &Unit) -> Option<Reason> {
        if let Some(record) = unit.record {
            let changed = self.plan.explain.iter().find(|(id, _)| *id == record).map(|(_, reason)| reason);
            // What has not changed is said of it, unless it does not wait any more.
            let said =
                || unit.said.as_ref().filter(|_| !self.starts(unit) && !matches!(unit.place, Place::Bound { .. }));
            return changed.or_else(said).map(|reason| Reason::clone(reason));
        }
        let of_pod = || self.plan.pods.iter().find(|one| one.uid == unit.uid).map(|one| one.reason.clone());
        let of_job = || {
            let job = self.snapshot.jobs.iter().find(|job| unit.job.as_ref().is_some_and(|of| of.uid == job.uid))?;
            self.status(job)?.reason
        };
        of_pod().or_else(|| unit.said.as_deref().cloned()).or_else(of_job)
    }

    fn starts(&self, unit: &Unit) -> bool {
        let Plan { dispatch, hold, .. } = self.plan;
        dispatch.iter().any(|one| one.uid == unit.uid) || hold.iter().any(|one| one.uid == unit.uid)
    }
}

/// Explains why something waits, or what a queue does.
///
/// The error says, in a sentence, why nothing is found under that name.
pub fn explain(snapshot: &Snapshot, now: Timestamp, asked: &Asked<'_>) -> Result<Explained, String> {
    let found = subject::find(snapshot, asked)?;
    let mut world = World::of(snapshot);
    let plan = world.plan(now);
    let seen = Seen::new(snapshot, &plan, now);
    Ok(match found {
        Subject::Queue(one) => queue::explain(&seen, world.facts_at(now), one),
        Subject::Job(job) => {
            let status = seen.status(job);
            let state = status.as_ref().map_or(JobState::Submitted, |status| status.state);
            let title = format!("job {} in queue {}: {}", job.key, job.queue, state.as_str());
            waiting(&seen, &mut world, &Wanted::of_job(snapshot, job), title, status.and_then(|status| status.reason))
        }
        Subject::Unit(unit) => {
            let called = unit.record.map_or_else(|| format!("pod {}", unit.key), |id| format!("job {id}"));
            let (title, reason) =
                (format!("{called} in queue {}: {}", unit.queue, place(&seen, unit)), seen.reason(unit));
            waiting(&seen, &mut world, &Wanted::of_unit(unit), title, reason)
        }
    })
}

fn waiting(
    seen: &Seen<'_>,
    world: &mut World<'_>,
    wanted: &Wanted<'_>,
    title: String,
    reason: Option<Reason>,
) -> Explained {
    if !wanted.waits(seen.plan) {
        return Explained { title, reason, checks: Vec::new(), changes: Vec::new() };
    }
    let needs = Check::new(None, format!("each of its pods asks for {}", wanted.shape.requests));
    let mut checks = vec![needs];
    checks.extend(wanted.own_checks(seen.snapshot));
    checks.extend(line::checks(seen.snapshot, world.facts_at(seen.now), wanted));
    if let Some(queue) = seen.snapshot.queues.iter().find(|queue| queue.name == wanted.queue) {
        for name in &queue.environments {
            checks.push(environment::check(seen, name, Some(wanted)));
        }
    }
    Explained { title, reason, checks, changes: change::changes(seen, wanted) }
}

fn place(seen: &Seen<'_>, unit: &Unit) -> String {
    if let Some(one) = seen.plan.dispatch.iter().find(|one| one.uid == unit.uid) {
        return format!("starts on {}", one.node);
    }
    match &unit.place {
        Place::Bound { node, running: true } => format!("runs on {node}"),
        Place::Bound { node, running: false } => format!("starts on {node}"),
        Place::Held { refused: true, .. } => "with kube-scheduler, which has found no node for it".to_owned(),
        Place::Held { nodes, .. } => format!("with kube-scheduler, which chooses among {}", nodes.join(", ")),
        Place::Waiting => "waits".to_owned(),
    }
}
