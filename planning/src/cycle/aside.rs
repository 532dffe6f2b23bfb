//! What steps aside because the cluster did not let happen what was planned for it.
//!
//! Invariant: it takes no room and no machine, delays nobody, and says why; it comes back by itself. Knows nothing about how long that takes.

use std::collections::{BTreeMap, HashMap};

use model::plan::StatusChange;
use model::snapshot::{Place, Refused, Unit, Write};
use model::status::Reason;

use super::future::released;
use super::row::LeftOut;
use crate::explain;
use crate::world::facts::Facts;
use crate::world::lines::Demand;
use crate::world::rank::Rank;
use crate::world::uid::Uid;

/// A demand that is not served, and the refusal because of which it is not.
#[derive(Clone, Copy)]
pub(super) struct Stood<'w> {
    pub(super) demand: Demand,
    pub(super) rank: &'w Rank,
    pub(super) refused: &'w Refused,
}

/// The refusals by UID and what was to be written.
pub(super) fn by_uid<'w>(facts: &'w Facts<'_>) -> HashMap<(&'w str, Write), &'w Refused> {
    facts.refused.iter().map(|one| ((one.uid.as_str(), one.write), one)).collect()
}

/// What steps aside, in order, left out of what is served.
pub(super) fn stood<'w>(facts: &'w Facts<'_>) -> (Vec<Stood<'w>>, LeftOut<'w>) {
    let mut all: Vec<Stood<'w>> = by_uid(facts).into_values().filter_map(|refused| one(facts, refused)).collect();
    all.sort_unstable_by_key(|one| (one.rank, one.refused.write));
    // One that kube-scheduler has may be refused twice.
    all.dedup_by_key(|one| one.rank);
    let mut left_out = LeftOut::default();
    for one in &all {
        if let Some(lane) = facts.lane_of(one.demand) {
            left_out.add(lane, one.demand);
        }
    }
    (all, left_out)
}

fn one<'w>(facts: &'w Facts<'_>, refused: &'w Refused) -> Option<Stood<'w>> {
    let uid = Uid::new(&refused.uid);
    let (rank, demand) = match refused.write {
        Write::Status => return None,
        // A machine would be launched for it again and again: it comes back when a trial goes through.
        Write::Release => {
            let job = facts.jobs.find(&uid)?;
            facts
                .future(job)
                .filter(|_| facts.jobs.get(job).and_then(|fact| fact.job.as_ref()).is_some_and(|job| !job.released))?
        }
        Write::Bind | Write::Hold => {
            let slot = facts.units.find(&uid)?;
            let unit: &Unit = &facts.units.get(slot)?.unit;
            // kube-scheduler binds what it has, and it is handed more nodes.
            let is_due = match unit.place {
                Place::Held { .. } => true,
                _ => (refused.write == Write::Bind) == unit.shape.judged,
            };
            facts.in_line(slot).filter(|_| refused.rests && is_due)?
        }
    };
    Some(Stood { demand, rank, refused })
}

/// The releases that are due to be tried without effect.
pub(super) fn probes(facts: &Facts<'_>, stood: &[Stood<'_>]) -> Vec<StatusChange> {
    let due = stood.iter().filter(|one| !one.refused.rests);
    let job = |one: &Stood<'_>| match one.demand {
        Demand::Future(job, _) => facts.jobs.get(job)?.job.as_ref().map(|job| released(job)),
        Demand::Unit(_) => None,
    };
    due.filter_map(job).collect()
}

/// Why a demand that stepped aside waits.
pub(super) fn reason(refused: &Refused) -> Reason {
    explain::write_refused(refused.write, &refused.message)
}

/// What queues show of refusals, by name: how many, and the first.
pub(super) fn notes<'w>(
    facts: &'w Facts<'_>,
    stood: &[Stood<'w>],
    changes: &[StatusChange],
) -> HashMap<&'w str, String> {
    let mut all: HashMap<&str, BTreeMap<String, &str>> = HashMap::new();
    for Stood { demand, refused, .. } in stood {
        let job = |slot| facts.jobs.get(slot).and_then(|fact| fact.job.as_ref());
        let of_job = |slot| job(slot).map(|job| (job.queue.as_str(), job.key.to_string()));
        let named = match demand {
            Demand::Future(slot, _) => of_job(*slot),
            Demand::Unit(slot) => facts.units.get(*slot).and_then(|fact| {
                let own = || Some((fact.unit.queue.as_str(), fact.unit.key.to_string()));
                fact.job.and_then(of_job).or_else(own)
            }),
        };
        if let Some((queue, name)) = named {
            all.entry(queue).or_default().insert(name, &refused.message);
        }
    }
    let refused = by_uid(facts);
    for change in changes {
        let Some(refused) = refused.get(&(change.uid.as_str(), Write::Status)) else { continue };
        let job = facts.jobs.at(&Uid::new(&change.uid)).and_then(|fact| fact.job.as_ref());
        if let Some(job) = job {
            all.entry(&job.queue).or_default().entry(job.key.to_string()).or_insert(&refused.message);
        }
    }
    all.into_iter()
        .filter_map(|(queue, jobs)| {
            let (first, message) = jobs.first_key_value()?;
            Some((queue, explain::refused_in_queue(jobs.len(), first, message)))
        })
        .collect()
}
