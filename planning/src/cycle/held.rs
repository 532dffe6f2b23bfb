//! Units that kube-scheduler places: the nodes among which it may choose.
//!
//! Invariant: room is held on every node that is named. Knows nothing about how holds are written.

use model::plan::Hold;
use model::snapshot::{Place, Unit};

use super::Cycle;
use super::place::Asked;
use super::row::Ranked;
use super::serve::Blocked;
use super::together::Taken;
use crate::explain::{self, Note};
use crate::world::class::ClassId;
use crate::world::look::Look;

/// Nodes named in one hold. kube-scheduler's refusal adds more, so this bounds the annotation, not the choice.
const HOLD_NODES: usize = 32;

impl<'w> Cycle<'w, '_> {
    /// Serves a pod that kube-scheduler has: if it was refused everywhere, one more node is found or launched for it.
    pub(super) fn serve_held(
        &mut self,
        environments: Asked<'_>,
        turn: usize,
        ranked: Ranked<'w>,
        slot: u32,
    ) -> Option<Blocked> {
        let facts = self.facts;
        let fact = facts.units.get(slot)?;
        let (unit, class): (&Unit, ClassId) = (&fact.unit, fact.class);
        let Place::Held { nodes: held, refused } = &unit.place else { return None };
        let of_hold: Vec<bool> =
            self.sites.iter().map(|site| held.iter().any(|node| site.by_name.contains_key(node))).collect();
        let lost = !of_hold.contains(&true);
        if !refused && !lost {
            let reason = self.say(explain::with_scheduler(false));
            self.explain(turn, ranked, reason);
            return None;
        }
        // The pod's selector names the environment of its hold, and cannot be changed any more.
        let of_hold = environments.iter().flatten().copied().filter(|site| lost || of_hold[*site]);
        if let Some((site, room)) = self.fresh(of_hold, class, held) {
            self.sites[site].take(room, class, 1, &facts.classes);
            self.hold(unit, class, site, room, if lost { &[] } else { held });
            return None;
        }
        // Where an empty node was refused, another empty one would be, too: only somebody else's pod can help.
        let named = |site: &crate::world::site::Site, name: &String| {
            site.by_name.get(name).is_some_and(|room| {
                let room = &site.rooms[*room as usize];
                room.node.is_some() && room.units == 0
            })
        };
        let refused_empty = self.sites.iter().any(|site| held.iter().any(|name| named(site, name)));
        let note = if refused_empty { None } else { self.machine_alone(environments, class, fact.job) };
        let reason = note.map_or_else(|| explain::with_scheduler(true), |note| explain::reason(&[note]));
        let reason = self.say(reason);
        self.explain(turn, ranked, reason);
        Some(Blocked { first: ranked.1, stuck: None, taken: Taken::default(), rest: None })
    }

    /// A node that takes a unit and is not among those held.
    fn fresh(&mut self, sites: impl Iterator<Item = usize>, class: ClassId, held: &[String]) -> Option<(usize, u32)> {
        for site in sites {
            self.pay(site);
            let mut look = Look { facts: self.facts, kinds: self.kinds };
            let here = &self.sites[site];
            let mut known = (0..).zip(&here.rooms[..here.nodes]);
            let fresh = known.find(|(_, room)| look.takes(room, class) && !held.contains(&room.name));
            if let Some((room, _)) = fresh {
                return Some((site, room));
            }
        }
        None
    }

    /// A machine for one unit alone, on its way or new, or why there will be one later.
    fn machine_alone(&mut self, environments: Asked<'_>, class: ClassId, job: Option<u32>) -> Option<Note> {
        let facts = self.facts;
        let job = || facts.jobs.get(job?)?.job.as_ref().map(|job| job.uid.clone());
        for &site in environments.iter().flatten() {
            match self.machine(site, class, 1, true, job) {
                Ok(room) => {
                    self.sites[site].take(room, class, 1, &facts.classes);
                    self.sites[site].close(room);
                    return Some(Note::launching(&self.environments[site].aws_name));
                }
                Err(note) if !note.is_final => return Some(note),
                Err(_) => {}
            }
        }
        None
    }

    /// Lets kube-scheduler choose: among all nodes of the environment with room, the fullest first.
    pub(super) fn hold(&mut self, unit: &Unit, class: ClassId, site: usize, chosen: u32, held: &[String]) {
        let environments = self.environments;
        let environment = &environments[site];
        let mut look = Look { facts: self.facts, kinds: self.kinds };
        let here = &mut self.sites[site];
        let mut nodes: Vec<String> = held.to_vec();
        nodes.push(here.rooms[chosen as usize].name.clone());
        for room in here.fullest(class, HOLD_NODES, &mut look) {
            let name = &here.rooms[room as usize].name;
            if !nodes.contains(name) {
                nodes.push(name.clone());
                here.take(room, class, 1, &self.facts.classes);
            }
        }
        self.plan.hold.push(Hold {
            unit: unit.key.clone(),
            uid: unit.uid.clone(),
            record: unit.record,
            job: unit.job.as_ref().map(|job| job.uid.clone()),
            nodes,
            environment: environment.aws_name.clone(),
            environment_uuid: environment.uuid.clone(),
            attempt: unit.attempt,
            first: matches!(unit.place, Place::Waiting),
        });
    }
}
