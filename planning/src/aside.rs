//! What steps aside because the cluster did not let happen what was planned for it.
//!
//! Invariant: it takes no room and no machine, delays nobody, and says why; it comes back by itself. Knows nothing about how long that takes.

use std::collections::{BTreeMap, HashMap};

use model::plan::StatusChange;
use model::snapshot::{Place, Refused, Snapshot, Write};
use model::status::Reason;

use crate::dispatch;
use crate::explain;
use crate::order::{Demand, Line, Wanted};

/// The refusals of a snapshot.
pub(crate) struct Aside<'a>(HashMap<(&'a str, Write), &'a Refused>);

/// A demand that is not served, and the refusal because of which it is not.
pub(crate) type Stood<'a> = (Demand<'a>, &'a Refused);

impl<'a> Aside<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        Self(snapshot.refused.iter().map(|one| ((one.uid.as_str(), one.write), one)).collect())
    }

    pub(crate) fn of(&self, uid: &str, write: Write) -> Option<&'a Refused> {
        self.0.get(&(uid, write)).copied()
    }

    /// Takes out of a line what steps aside.
    pub(crate) fn take_out(&self, line: &mut Line<'a>) -> Vec<Stood<'a>> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut all = Vec::new();
        line.demands.retain(|demand| match self.why(demand) {
            Some(refused) => {
                all.push((*demand, refused));
                false
            }
            None => true,
        });
        all
    }

    fn why(&self, demand: &Demand<'_>) -> Option<&'a Refused> {
        match demand.wanted {
            // A machine would be launched for it again and again: it comes back when a trial goes through.
            Wanted::Future(_) => {
                let job = demand.job.filter(|job| !job.released)?;
                self.of(&job.uid, Write::Release)
            }
            Wanted::Unit(unit) => {
                let write = if matches!(unit.place, Place::Held { .. }) || !unit.shape.judged {
                    Write::Hold
                } else {
                    Write::Bind
                };
                self.of(&unit.uid, write).filter(|refused| refused.rests)
            }
        }
    }
}

/// The releases that are due to be tried without effect.
pub(crate) fn probes(stood: &[Stood<'_>]) -> Vec<StatusChange> {
    let due = stood.iter().filter(|(demand, refused)| matches!(demand.wanted, Wanted::Future(_)) && !refused.rests);
    due.filter_map(|(demand, _)| Some(dispatch::released(demand.job?))).collect()
}

/// Why a demand that stepped aside waits.
pub(crate) fn reason(refused: &Refused) -> Reason {
    explain::write_refused(refused.write, &refused.message)
}

/// What queues show of refusals, by name: how many, and the first.
pub(crate) fn notes<'a>(
    snapshot: &'a Snapshot,
    stood: &[Stood<'a>],
    aside: &Aside<'a>,
    changes: &[StatusChange],
) -> HashMap<&'a str, String> {
    let mut all: HashMap<&str, BTreeMap<String, &str>> = HashMap::new();
    for (demand, refused) in stood {
        let (queue, name) = match (demand.job, demand.wanted) {
            (Some(job), _) => (job.queue.as_str(), job.key.to_string()),
            (None, Wanted::Unit(unit)) => (unit.queue.as_str(), unit.key.to_string()),
            (None, Wanted::Future(_)) => continue,
        };
        all.entry(queue).or_default().insert(name, &refused.message);
    }
    let unwritten: HashMap<&str, &Refused> = changes
        .iter()
        .filter_map(|change| Some((change.uid.as_str(), aside.of(&change.uid, Write::Status)?)))
        .collect();
    for job in snapshot.jobs.iter().filter(|_| !unwritten.is_empty()) {
        if let Some(refused) = unwritten.get(job.uid.as_str()) {
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
