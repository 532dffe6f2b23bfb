//! One queue: its demands in their order, like ones together.
//!
//! Invariant: what passes one that waits does not delay it; a lane sleeps only if looking at it would change nothing but that room is kept for
//! its first. Knows nothing about how room is found.

use std::collections::HashSet;
use std::ops::Bound;

use model::plan::Dispatch;
use model::snapshot::{Job, Queue, Unit};

use super::place::{Asked, Chunk};
use super::row::{LeftOut, Ranked, Rest, Row, Turn};
use super::together::Taken;
use super::{Cycle, ReasonId, Settled, View};
use crate::explain::{self, Note};
use crate::world::board::Precedence;
use crate::world::class::ClassId;
use crate::world::facts::{Quiet, Told, UnitFact};
use crate::world::lines::{Demand, Door, Line};
use crate::world::look::Look;
use crate::world::rank::Rank;

/// So many units of a lane are placed at once. More would be gone through although nothing takes them.
const AT_ONCE: usize = 128;
/// If most of so many say something already, most of their lane may.
const SOME: usize = 32;

/// Demands that wait.
#[derive(Debug)]
pub(super) struct Blocked {
    /// The first of them.
    pub(super) first: Demand,
    /// The first of them for which no machine is on its way: room should be kept for it, or made.
    pub(super) stuck: Option<Demand>,
    /// Where other units of it have room.
    pub(super) taken: Taken,
    /// Why others of its class wait, too; `None`: they may fare better.
    pub(super) rest: Option<Settled>,
}

impl Blocked {
    /// One of a class of which that is known.
    fn again(first: Demand, settled: Settled) -> Self {
        Self { first, stuck: settled.is_final.then_some(first), taken: Taken::default(), rest: Some(settled) }
    }
}

/// What is remembered of a queue while it is served.
#[derive(Default)]
struct Head {
    /// The first that waits, by name.
    name: Option<String>,
    /// Room is kept, or made, for one.
    reserved: bool,
    /// Classes for which that was tried.
    tried: HashSet<ClassId>,
}

impl<'w> Cycle<'w, '_> {
    /// Gives room to those of one queue's line that have to be looked at, as the how manieth.
    pub(super) fn serve(
        &mut self,
        (at, queue): (&Precedence, &'w Queue),
        turn: usize,
        line: &'w Line,
        left_out: &LeftOut<'_>,
    ) {
        self.pending.serve(at);
        let environments = &*self.environments(queue);
        let mut row = Row::new(&queue.name, line, left_out);
        let view = self.view(queue);
        let mut head = Head::default();
        while let Some(next) = row.next() {
            if let (true, Some(name)) = (queue.strict_fifo, &head.name) {
                let reason = self.say(explain::behind(name));
                self.explain(turn, (next.rank, next.demand), reason);
                self.tell(turn, &row.settle_all(), reason, left_out);
                return;
            }
            let own = self.open_to(environments, next.key.door);
            if let Some(notes) = own.as_deref().and_then(all_closed) {
                // Nothing but an admin's word is missing, and that only to the API: nobody waits for it.
                let reason = self.say(explain::reason(&notes));
                self.explain(turn, (next.rank, next.demand), reason);
                if !queue.strict_fifo {
                    self.tell(turn, &[row.settle(next.lane)], reason, left_out);
                }
                continue;
            }
            let class = next.key.class;
            // Environments that are open to all are those of the view.
            let view = own.is_none().then_some(view);
            let environments = own.as_deref().unwrap_or(environments);
            let blocked = if let Some(known) = self.known(view, &next) {
                self.explain(turn, (next.rank, next.demand), known.reason);
                self.no_longer(class, next.demand.size());
                Blocked::again(next.demand, known)
            } else {
                // Where nothing passes what waits, each is looked at by itself.
                let others = (!queue.strict_fifo).then_some(&mut row);
                let Some(blocked) = self.serve_next(environments, turn, &next, others) else { continue };
                blocked
            };
            head.name.get_or_insert_with(|| self.name(blocked.first));
            // For the first that it helps: one that can never run, or waits for its provider, keeps no room from those behind it.
            if let Some(stuck) = blocked.stuck.filter(|_| !head.reserved)
                && head.tried.insert(class)
            {
                head.reserved = self.reserve((at, environments), (class, stuck), &blocked.taken);
            }
            let Some(settled) = blocked.rest else { continue };
            if let Some(view) = view {
                self.settled.insert((view, class), settled);
            }
            if !queue.strict_fifo && (!settled.is_final || head.reserved || head.tried.contains(&class)) {
                let rest = row.settle(next.lane);
                let may_sleep = view.is_some() && line.is_awake(rest.key) && !left_out.is_of(&queue.name);
                if may_sleep && self.is_quiet(environments, &rest, settled.reason) {
                    let keeps = self.has_home(environments, class);
                    self.memory.quiet.push(Quiet { queue: queue.name.clone(), lane: rest.key, keeps });
                }
                self.settle(turn, rest, settled.reason, left_out);
            }
        }
    }

    /// Whether nothing of a lane can start, whatever a plan does, and all of it says why. Where machines are launched, what is said changes with
    /// those that are.
    fn is_quiet(&self, environments: Asked<'_>, rest: &Rest<'_>, reason: ReasonId) -> bool {
        let is_hopeless =
            |site: usize| self.environments[site].scaling.is_none() && self.sites[site].is_hopeless(rest.key.class);
        !self.facts.hooks_missing
            && rest.lane.all_say(&self.reasons[reason.0])
            && environments.iter().flatten().all(|site| is_hopeless(*site))
    }

    /// Whether room can be kept for a class.
    pub(super) fn has_home(&mut self, environments: Asked<'_>, class: ClassId) -> bool {
        let mut look = Look { facts: self.facts, kinds: self.kinds };
        environments.iter().flatten().any(|site| self.sites[*site].has_home(class, &mut look))
    }

    /// Why one waits, if that is known before it is looked at.
    fn known(&self, view: Option<View>, next: &Turn<'_>) -> Option<Settled> {
        let is_like_others = next.key.door != Door::Held && !self.is_unhooked(next.demand);
        self.settled.get(&(view.filter(|_| is_like_others)?, next.key.class)).copied()
    }

    fn serve_next(
        &mut self,
        environments: Asked<'_>,
        turn: usize,
        next: &Turn<'w>,
        others: Option<&mut Row<'w, '_>>,
    ) -> Option<Blocked> {
        let (class, ranked) = (next.key.class, (next.rank, next.demand));
        let slot = match next.demand {
            Demand::Future(..) => return self.serve_future(environments, turn, class, ranked),
            Demand::Unit(slot) => slot,
        };
        if next.key.door == Door::Held {
            return self.serve_held(environments, turn, ranked, slot);
        }
        let mut units = vec![ranked];
        if let Some(row) = others.filter(|_| self.facts.classes[class].shape.judged) {
            // Those between which nothing else comes.
            let others = std::iter::from_fn(|| row.next_unit(next.lane)).take(AT_ONCE - 1);
            units.extend(others.map(|unit| (unit.rank, unit.demand)));
        }
        self.serve_units(environments, turn, class, &units)
    }

    /// Serves units of one lane.
    fn serve_units(
        &mut self,
        environments: Asked<'_>,
        turn: usize,
        class: ClassId,
        units: &[Ranked<'w>],
    ) -> Option<Blocked> {
        let facts = self.facts;
        let job_of = |index: u32| {
            let unit = unit_of(facts, units.get(index as usize)?.1)?;
            facts.jobs.get(unit.job?)?.job.as_ref().map(|job| job.uid.clone())
        };
        let placed = self.place(environments, class, u32::try_from(units.len()).unwrap_or(u32::MAX), &job_of);
        let mut left = units.iter().copied();
        for chunk in &placed.ready {
            for (_, demand) in left.by_ref().take(chunk.count as usize) {
                self.start(demand, *chunk, class);
            }
        }
        let mut first = None;
        for (site, count) in &placed.coming {
            let reason = self.say(explain::reason(&[Note::launching(&self.environments[*site].aws_name)]));
            for one in left.by_ref().take(*count as usize) {
                first.get_or_insert(one.1);
                self.explain(turn, one, reason);
            }
        }
        let rest = placed.rest.map(|wait| Settled { reason: self.say(wait.reason), is_final: wait.is_final });
        let mut stuck = None;
        if let Some(Settled { reason, is_final }) = rest {
            let left: Vec<Ranked<'w>> = left.collect();
            stuck = left.first().map(|(_, demand)| *demand);
            first = first.or(stuck);
            stuck = stuck.filter(|_| is_final);
            self.explain_all(turn, &left, reason);
        }
        Some(Blocked { first: first?, stuck, taken: Taken::default(), rest })
    }

    /// Lets a unit start where it has room.
    fn start(&mut self, demand: Demand, chunk: Chunk, class: ClassId) {
        let Some(UnitFact { unit, .. }) = unit_of(self.facts, demand) else { return };
        if self.facts.classes[class].shape.judged {
            self.dispatch(unit, chunk);
        } else {
            self.hold(unit, class, chunk.site, chunk.room, &[]);
        }
    }

    fn dispatch(&mut self, unit: &Unit, chunk: Chunk) {
        let environment = &self.environments[chunk.site];
        let slot = self.sites[chunk.site].rooms[chunk.room as usize].node;
        let Some(node) = slot.and_then(|slot| self.facts.nodes.get(slot)) else { return };
        self.plan.dispatch.push(Dispatch {
            unit: unit.key.clone(),
            uid: unit.uid.clone(),
            record: unit.record,
            job: unit.job.as_ref().map(|job| job.uid.clone()),
            node: node.name.clone(),
            node_uid: node.uid.clone(),
            environment: environment.aws_name.clone(),
            environment_uuid: environment.uuid.clone(),
            attempt: unit.attempt,
        });
    }

    /// Those behind one that waits, of the same lane: they fare no better.
    fn settle(&mut self, turn: usize, rest: Rest<'w>, reason: ReasonId, left_out: &LeftOut<'_>) {
        if !self.facts.hooks_missing {
            self.no_longer(rest.key.class, rest.size);
            self.tell(turn, &[rest], reason, left_out);
            return;
        }
        for (rank, demand) in rest.lane.demands.range::<Rank, _>((rest.from, Bound::Unbounded)) {
            if left_out.contains(*demand) {
                continue;
            }
            if self.is_unhooked(*demand) {
                let missing = self.say(explain::hooks_missing());
                self.explain(turn, (rank, *demand), missing);
                continue;
            }
            self.no_longer(rest.key.class, demand.size());
            self.explain(turn, (rank, *demand), reason);
        }
    }

    /// So many units of a class are no longer to be placed.
    fn no_longer(&mut self, class: ClassId, size: u64) {
        self.pending.less(class, size);
    }

    /// Gives all that is left of some lanes a reason, in order; where it is known that this is said already, only those of which it is not.
    pub(super) fn tell(&mut self, turn: usize, rests: &[Rest<'w>], reason: ReasonId, left_out: &LeftOut<'_>) {
        let facts = self.facts;
        let text = self.reasons[reason.0].clone();
        let mut all: Vec<Ranked<'w>> = Vec::new();
        for Rest { queue, key, lane, from, .. } in rests {
            let untold = || lane.untold(*from, &text).map(|(rank, demand)| (rank, *demand));
            all.extend(untold().filter(|(_, demand)| !left_out.contains(*demand)));
            if !lane.is_said(&text) {
                let some = || untold().take(SOME);
                if some().filter(|(_, demand)| facts.said(*demand) == Some(&*text)).count() * 2 >= some().count() {
                    self.memory.told.push(Told { queue: (*queue).to_owned(), lane: *key, reason: text.clone() });
                }
            }
        }
        if rests.len() > 1 {
            all.sort_unstable_by_key(|(rank, _)| *rank);
        }
        self.explain_all(turn, &all, reason);
    }

    fn explain_all(&mut self, turn: usize, all: &[Ranked<'w>], reason: ReasonId) {
        for one in all {
            self.explain(turn, *one, reason);
        }
    }

    /// Whether it is pods of a Job that may not be released, because the hooks would not be called for them.
    pub(super) fn is_unhooked(&self, demand: Demand) -> bool {
        let job = |job| self.facts.jobs.get(job).and_then(|fact| fact.job.as_ref());
        matches!(demand, Demand::Future(slot, _) if self.facts.hooks_missing && job(slot).is_some_and(|job| !job.released))
    }

    /// What others call it that wait behind it.
    fn name(&self, demand: Demand) -> String {
        let job_of = |slot| self.facts.jobs.get(slot).and_then(|fact| fact.job.as_deref());
        let job: Option<&Job> = match demand {
            Demand::Future(job, _) => job_of(job),
            Demand::Unit(_) => unit_of(self.facts, demand).and_then(|fact| job_of(fact.job?)),
        };
        let unit = || unit_of(self.facts, demand).map(|fact| fact.unit.key.to_string());
        job.map_or_else(|| unit().unwrap_or_default(), |job| job.key.to_string())
    }
}

fn unit_of<'w, 'a>(facts: &'w crate::world::facts::Facts<'a>, demand: Demand) -> Option<&'w UnitFact<'a>> {
    let Demand::Unit(slot) = demand else { return None };
    facts.units.get(slot)
}

/// Why none of the environments can be used, if that is so of each.
fn all_closed(environments: &[Result<usize, Note>]) -> Option<Vec<Note>> {
    environments.iter().map(|one| one.as_ref().err().cloned()).collect()
}
