//! Room for units of one class: nodes in any environment first, else machines on their way or new ones.
//!
//! Invariant: as if each unit were placed by itself, one after the other; the rest is told why it waits, and fares no better if it is asked
//! again in this cycle. Does not know who the units are.

use model::plan::Launch;
use model::status::{Code, Reason};

use super::Cycle;
use super::choose::Market;
use crate::explain::{self, Note};
use crate::world::class::ClassId;
use crate::world::look::Look;

/// Environments that are asked, in order; those that cannot be used as notes.
pub(super) type Asked<'e> = &'e [Result<usize, Note>];

/// Room for so many units in one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) site: usize,
    pub(super) room: u32,
    pub(super) count: u32,
}

/// What came of units.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// The first of them start on nodes.
    pub(super) ready: Vec<Chunk>,
    /// The next wait for machines of these sites.
    pub(super) coming: Vec<(usize, u32)>,
    /// The rest waits.
    pub(super) rest: Option<Wait>,
}

impl Placed {
    /// How many start.
    pub(super) fn starting(&self) -> u32 {
        self.ready.iter().map(|chunk| chunk.count).sum()
    }
}

/// Why units wait.
#[derive(Clone, Debug)]
pub(super) struct Wait {
    pub(super) reason: Reason,
    /// No machine is on its way for them.
    pub(super) is_final: bool,
}

/// Units that want room; the job of each, for Events.
pub(super) type JobOf<'j> = &'j dyn Fn(u32) -> Option<String>;

impl Cycle<'_, '_> {
    /// Finds room for so many units of a class.
    pub(super) fn place(&mut self, environments: Asked<'_>, class: ClassId, count: u32, job_of: JobOf<'_>) -> Placed {
        let mut placed = Placed::default();
        let mut left = count;
        for &site in environments.iter().flatten() {
            // Where it is known that there is no room, it does not matter for whom some is kept.
            if left > 0 && !self.sites[site].is_full(class) {
                self.pay(site);
            }
            while left > 0 {
                let mut look = Look { facts: self.facts, kinds: self.kinds };
                let here = &mut self.sites[site];
                let Some(room) = here.ready(class, &mut look) else { break };
                let count = at_most(here.capacity(room, class, &self.facts.classes), left);
                here.take(room, class, i64::from(count), &self.facts.classes);
                placed.ready.push(Chunk { site, room, count });
                left -= count;
            }
        }
        let has_market =
            |site: &Result<usize, Note>| site.as_ref().is_ok_and(|site| self.environments[*site].scaling.is_some());
        let is_asked = left > 0 && environments.iter().any(has_market);
        let wanted = if is_asked { self.pending(class).saturating_sub(u64::from(count - left)) } else { 0 };
        self.await_machines(environments, class, (left, wanted), &mut placed, &|index| job_of(count - left + index));
        self.pending.less(class, u64::from(count));
        placed
    }

    /// Room for units on machines on their way, or new ones. `wanted`: of the class in all, these included.
    fn await_machines(
        &mut self,
        environments: Asked<'_>,
        class: ClassId,
        (mut left, mut wanted): (u32, u64),
        placed: &mut Placed,
        job_of: JobOf<'_>,
    ) {
        let all = left;
        let mut notes = Vec::new();
        for environment in environments {
            if left == 0 {
                return;
            }
            let note = match environment {
                Err(note) => note.clone(),
                Ok(site) => {
                    let before = left;
                    let note = self.machines_in(*site, class, (&mut left, &mut wanted), &|left| job_of(all - left));
                    if left < before {
                        placed.coming.push((*site, before - left));
                    }
                    let Some(note) = note else { return };
                    note
                }
            };
            if !note.is_final {
                placed.rest = Some(Wait { reason: explain::reason(&[note]), is_final: false });
                return;
            }
            notes.push(note);
        }
        if left > 0 {
            placed.rest = Some(Wait { reason: explain::reason(&notes), is_final: true });
        }
    }

    /// Machines of one environment, until none is left over, or why there are no more.
    fn machines_in(
        &mut self,
        site: usize,
        class: ClassId,
        (left, wanted): (&mut u32, &mut u64),
        job_of: JobOf<'_>,
    ) -> Option<Note> {
        while *left > 0 {
            let room = match self.machine(site, class, *wanted, false, || job_of(*left)) {
                Ok(room) => room,
                Err(note) => return Some(note),
            };
            let here = &mut self.sites[site];
            let count = at_most(here.capacity(room, class, &self.facts.classes), *left);
            here.take(room, class, i64::from(count), &self.facts.classes);
            *left -= count;
            *wanted = wanted.saturating_sub(u64::from(count));
        }
        None
    }

    /// A machine of one environment that is on its way and takes a unit, or a new one for `wanted` of them; `alone`: one that nobody else
    /// waits for, for one unit.
    pub(super) fn machine(
        &mut self,
        site: usize,
        class: ClassId,
        wanted: u64,
        alone: bool,
        job: impl FnOnce() -> Option<String>,
    ) -> Result<u32, Note> {
        let environments = self.environments;
        let environment = &environments[site];
        if environment.scaling.is_some() {
            self.pay(site);
        }
        let mut look = Look { facts: self.facts, kinds: self.kinds };
        let here = &mut self.sites[site];
        let Some(scaling) = &environment.scaling else {
            let known = here.refusal(class).cloned();
            return Err(known.unwrap_or_else(|| {
                let note = unmanaged_note(&environment.aws_name, here, class, &mut look);
                here.refuse(class, note)
            }));
        };
        if let Some(room) = here.coming(class, alone, &mut look) {
            return Ok(room);
        }
        if let Some(note) = here.refusal(class) {
            return Err(note.clone());
        }
        if here.counts.makes_way {
            return Err(Note::making_way(&environment.aws_name));
        }
        let count = if alone { 1 } else { i64::try_from(wanted.clamp(1, u64::from(u32::MAX))).unwrap_or(1) };
        let market = Market { environment, scaling, site: here };
        let chosen = market.choose(class, count, self.now, &mut look).map(|(number, _, offer)| (number, offer));
        let (number, offer) = match chosen {
            Ok(chosen) => chosen,
            Err(note) => return Err(here.refuse(class, note)),
        };
        self.plan.launch.push(Launch::new(environment, offer, job()));
        Ok(here.launch(number, offer))
    }
}

fn at_most(capacity: i64, count: u32) -> u32 {
    u32::try_from(capacity.max(1)).unwrap_or(u32::MAX).min(count)
}

fn unmanaged_note(name: &str, site: &crate::world::site::Site, class: ClassId, look: &mut Look<'_, '_>) -> Note {
    let nodes = &site.rooms[..site.nodes];
    let shape = &look.facts.classes[class].shape;
    if !nodes.is_empty() && !nodes.iter().any(|room| look.suits(room, class)) {
        let largest = nodes.iter().map(|room| &room.given).max_by_key(|given| (given.cpu(), given.memory()));
        let largest = largest.map_or_else(|| shape.requests.clone(), |given| look.facts.names.resources(given));
        let slots = nodes.iter().filter_map(|room| look.facts.nodes.get(room.node?));
        let taint = slots.into_iter().find_map(|node| shape.kept_away_by(&node.taints));
        return Note::too_large(name, shape, &largest, taint);
    }
    Note::no_room(name, &look.facts.classes[class].requests, nodes.len())
}

/// Whether a note says that an environment is at its limit.
pub(super) fn is_at_limit(note: &Note) -> bool {
    note.code == Code::MaxVcpus
}
