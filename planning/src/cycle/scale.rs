//! Which machines go, and which are kept or launched for `minvCpus`.
//!
//! Invariant: a node with a unit on it, or with room wanted in this cycle, never goes. Knows nothing about how machines are taken down.

use std::collections::HashMap;

use jiff::Timestamp;
use model::plan::{Launch, Retire};
use model::snapshot::{Environment, Machine, Node, Scaling, Stage};

use super::Cycle;
use super::choose::{self, Market, may_come};
use crate::world::site::{Room, Site};

enum Verdict {
    Stays,
    StaysUntil(Timestamp),
    Goes(String),
}

/// A machine that serves, and what speaks for or against it.
struct Candidate<'c> {
    environment: &'c Environment,
    scaling: &'c Scaling,
    site: &'c Site,
    node: &'c Node,
    /// Its room; `None`: its node takes no work, because somebody has closed it (`kubectl cordon`, `kubectl drain`). It serves nobody, and its
    /// vCPUs count, so it stands in for no minimum.
    room: Option<&'c Room>,
    /// Without it the machines that serve have less than `minvCpus`; one that is still on its way does not stand in for it.
    is_minimum: bool,
}

impl Cycle<'_, '_> {
    /// Launches what is missing to `minvCpus`, as many at a time as may be under way, those that work has asked for included; nothing while
    /// the vCPUs are kept for work that needs a larger machine.
    pub(super) fn keep_minimum(&mut self) {
        let environments = self.environments;
        for slot in environments.markets() {
            let (environment, site) = (&environments[slot], &mut self.sites[slot]);
            let Some(scaling) = environment.scaling.as_ref().filter(|_| environment.enabled) else { continue };
            if site.counts.makes_way {
                continue;
            }
            while site.counts.staying < scaling.min_milli && site.counts.coming < may_come(scaling.delivered) {
                let market = Market { environment, scaling, site };
                let chosen = choose::cheapest_of_all(&market, self.now).map(|(number, _, offer)| (number, offer));
                let Some((number, offer)) = chosen else { break };
                self.plan.launch.push(Launch::new(environment, offer, None));
                site.launch(number, offer);
            }
        }
    }

    /// Retires nodes that have been idle for long enough, and those whose environment is gone, disabled or over its limit.
    pub(super) fn retire_idle(&mut self) {
        let facts = self.facts;
        if facts.machines.is_empty() {
            return;
        }
        let serving = || facts.machines.values().map(|machine| &**machine).filter(|one| one.stage == Stage::Serving);
        let mut left: HashMap<&str, i64> = HashMap::new();
        for machine in serving() {
            *left.entry(&machine.environment).or_default() += machine.milli_vcpus;
        }
        for machine in serving() {
            let Some(index) = self.environments.slot(&machine.environment) else {
                let gone = format!("its compute environment {} does not exist any more", machine.environment);
                if facts.nodes.at(&machine.name).is_some_and(|node| node.units == 0) {
                    self.plan.retire.push(Retire { machine: machine.name.clone(), reason: gone });
                }
                continue;
            };
            let Some(left) = left.get_mut(machine.environment.as_str()) else { continue };
            let Some(candidate) = self.candidate(index, machine, *left) else { continue };
            match verdict(&candidate, self.now) {
                Verdict::Stays => {}
                Verdict::StaysUntil(time) => self.wake(time),
                Verdict::Goes(reason) => {
                    self.plan.retire.push(Retire { machine: machine.name.clone(), reason });
                    // It no longer counts for the machines after it.
                    *left -= machine.milli_vcpus;
                    self.sites[index].count(|counts| counts.staying -= machine.milli_vcpus);
                }
            }
        }
    }

    fn candidate<'c>(&'c self, index: usize, machine: &Machine, left: i64) -> Option<Candidate<'c>> {
        let (environment, site) = (&self.environments[index], &self.sites[index]);
        let scaling = environment.scaling.as_ref()?;
        let room = site.by_name.get(&machine.name).map(|room| &site.rooms[*room as usize]);
        let node: &Node = match room {
            Some(room) => self.facts.nodes.get(room.node?)?,
            None => self.facts.nodes.at(&machine.name).filter(|node| node.cordoned && !node.retiring)?,
        };
        let is_minimum = room.is_some() && left - machine.milli_vcpus < scaling.min_milli;
        Some(Candidate { environment, scaling, site, node, room, is_minimum })
    }
}

/// Whether a machine goes.
fn verdict(candidate: &Candidate<'_>, now: Timestamp) -> Verdict {
    let Candidate { environment, scaling, site, node, room, is_minimum } = candidate;
    let Some(idle_since) = node.idle_since.filter(|_| node.units == 0) else { return Verdict::Stays };
    if room.is_some_and(|room| room.wanted) {
        return Verdict::Stays;
    }
    if room.is_some_and(|room| room.closed) {
        return Verdict::Goes("it makes way for a larger machine".to_owned());
    }
    if !environment.enabled {
        return Verdict::Goes("its compute environment is DISABLED".to_owned());
    }
    if site.counts.staying > scaling.max_milli {
        return Verdict::Goes("its compute environment is above maxvCpus".to_owned());
    }
    if *is_minimum {
        return Verdict::Stays;
    }
    // To save money is no reason to break a promise; the reasons above are.
    let due = idle_since.checked_add(scaling.scale_down_delay).ok().max(node.logs_until);
    match due.filter(|due| *due > now) {
        Some(due) => Verdict::StaysUntil(due),
        None => Verdict::Goes(format!("idle for {:#}", scaling.scale_down_delay)),
    }
}
