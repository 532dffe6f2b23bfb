//! One planning cycle at work: gives room to demands in their order, and asks for machines where there is none.
//!
//! Invariant: pure and deterministic; a unit is dispatched only to a node on which it fits after everything that came before it; every job
//! that waits gets a reason. Knows nothing about who executes the plan.

mod aside;
pub(crate) mod choose;
mod future;
mod held;
mod pending;
mod place;
pub(crate) mod reserve;
mod row;
mod scale;
mod serve;
mod status;
mod together;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use jiff::Timestamp;
use model::plan::{Plan, PodReason, StatusChange};
use model::snapshot::{Place, Queue, Unit, Write};
use model::status::Reason;

use crate::explain::{self, Note};
use crate::world::board::Board;
use crate::world::class::ClassId;
use crate::world::environments::Environments;
use crate::world::facts::{Facts, Memory, said_of_unit, speaks_for_itself};
use crate::world::kind::Kinds;
use crate::world::lines::{Demand, Door};
use crate::world::rank::Rank;
use crate::world::sites::Sites;
use pending::Pending;
use reserve::Owed;
use row::{LeftOut, Ranked, Row};

/// One planning cycle at work.
pub(crate) struct Cycle<'w, 'a> {
    facts: &'w Facts<'a>,
    kinds: &'w mut Kinds,
    environments: &'w Environments<'a>,
    /// By the slots of the environments.
    sites: &'w mut Sites,
    board: &'w mut Board,
    now: Timestamp,
    plan: Plan,
    left_out: Rc<LeftOut<'w>>,
    /// Units still to be placed, by class, for choosing machines: where there are some to choose.
    pending: Pending,
    /// Lists of environments that queues name.
    views: HashMap<&'w [String], View>,
    /// Classes that find no more room in the environments of a view, and why.
    settled: HashMap<(View, ClassId), Settled>,
    /// Reasons that were given, and to which Jobs: of each Job the first. One that waits as a whole and says so already is left out.
    reasons: Vec<Arc<Reason>>,
    of_job: BTreeMap<u32, Said<'w>>,
    /// Whose waiting is to be remembered, without heads of queues that sleep.
    keeps: BTreeSet<String>,
    /// Room that is kept although it has not been found out which.
    owed: Owed,
    /// What lanes may remember.
    memory: Memory,
}

/// Which reason.
#[derive(Clone, Copy, Debug)]
struct ReasonId(usize);

/// Which list of environments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct View(usize);

/// Why units of a class wait, until the end of the cycle.
#[derive(Clone, Copy, Debug)]
struct Settled {
    reason: ReasonId,
    /// No machine is on its way for them.
    is_final: bool,
}

/// When a Job was given a reason: as the how manieth line was looked at, and at which place in it.
#[derive(Clone, Copy)]
struct Said<'w> {
    turn: usize,
    rank: &'w Rank,
    reason: ReasonId,
}

impl<'w, 'a> Cycle<'w, 'a> {
    /// On these facts, and what follows from them.
    pub(crate) fn new(
        facts: &'w Facts<'a>,
        kinds: &'w mut Kinds,
        sites: &'w mut Sites,
        board: &'w mut Board,
        now: Timestamp,
    ) -> Self {
        Self {
            facts,
            kinds,
            environments: &facts.environments,
            sites,
            board,
            now,
            plan: Plan::default(),
            left_out: Rc::default(),
            pending: Pending::new(facts.classes.len()),
            views: HashMap::new(),
            settled: HashMap::new(),
            reasons: Vec::new(),
            of_job: BTreeMap::new(),
            keeps: BTreeSet::new(),
            owed: Owed::default(),
            memory: Memory::default(),
        }
    }

    /// The plan, and what lanes may remember of it.
    pub(crate) fn plan(mut self) -> (Plan, Memory) {
        let (stood, mut left_out) = aside::stood(self.facts);
        for one in &stood {
            let reason = self.say(aside::reason(one.refused));
            self.explain(0, (one.rank, one.demand), reason);
        }
        let mut away: HashMap<&'w str, Vec<Ranked<'w>>> = HashMap::new();
        for queue in self.board.disabled().filter_map(|at| self.facts.queues.get(&*at.queue)) {
            away.insert(&queue.name, self.turn_away(queue, &mut left_out));
        }
        let mut due = self.board.awake().clone();
        due.extend(left_out.queues().filter_map(|queue| self.board.rouse(queue)));
        let left_out = Rc::new(left_out);
        self.left_out = left_out.clone();
        for (turn, at) in (1..).step_by(2).zip(&due) {
            let Some(queue) = self.facts.queues.get(&*at.queue) else { continue };
            if let Some(line) = self.facts.lines.get(&queue.name) {
                self.serve((at, queue), turn, line, &left_out);
            }
            let away = away.get(queue.name.as_str()).map(Vec::as_slice).unwrap_or_default();
            if !away.is_empty() {
                let reason = self.say(explain::queue_disabled(&queue.name));
                for demand in away {
                    self.explain(turn + 1, *demand, reason);
                }
            }
        }
        self.explain_the_barred(usize::MAX - 1);
        self.explain_the_lost(usize::MAX, &left_out);
        self.remember_kept();
        self.keep_minimum();
        self.retire_idle();
        self.wake_for_retries();
        let memory =
            Memory { roused: left_out.queues().map(str::to_owned).collect(), ..std::mem::take(&mut self.memory) };
        (self.finish(&stood), memory)
    }

    /// Puts statuses in, what queues show, and what the cluster did not let happen.
    fn finish(mut self, stood: &[aside::Stood<'w>]) -> Plan {
        let changes = self.changes();
        let notes = aside::notes(self.facts, stood, &changes);
        self.plan.queues = self.board.counts(&notes);
        self.plan.keeps = self.board.kept.hand_out(std::mem::take(&mut self.keeps));
        self.plan.probe = aside::probes(self.facts, stood);
        let refused = aside::by_uid(self.facts);
        let rests =
            |change: &StatusChange| refused.get(&(change.uid.as_str(), Write::Status)).is_some_and(|one| one.rests);
        (self.plan.unwritten, self.plan.status) = changes.into_iter().partition(rests);
        self.plan
    }

    /// Leaves out what a DISABLED queue does not let in. What it has taken goes on: jobs of the API, which were submitted while it was
    /// ENABLED, and Jobs that were released
    /// (<https://docs.aws.amazon.com/batch/latest/APIReference/API_UpdateJobQueue.html>).
    fn turn_away(&self, queue: &'w Queue, left_out: &mut LeftOut<'w>) -> Vec<Ranked<'w>> {
        if queue.enabled {
            return Vec::new();
        }
        let line = self.facts.lines.get(&queue.name);
        let is_in =
            |demand: Demand| match demand {
                Demand::Unit(slot) => self.facts.units.get(slot).is_some_and(|fact| {
                    fact.unit.record.is_some() || fact.job.is_some_and(|job| self.is_released(job))
                }),
                Demand::Future(job, _) => self.is_released(job),
            };
        let mut away: Vec<Ranked<'w>> = Vec::new();
        for (key, lane) in line.into_iter().flat_map(|line| &line.lanes) {
            let before = away.len();
            let all = lane.demands.iter().map(|(rank, demand)| (rank, *demand));
            away.extend(all.filter(|(_, demand)| !left_out.contains(*demand) && !is_in(*demand)));
            for (_, demand) in &away[before..] {
                left_out.add((&queue.name, *key), *demand);
            }
        }
        away.sort_unstable_by_key(|(rank, _)| *rank);
        away
    }

    fn is_released(&self, job: u32) -> bool {
        self.facts.jobs.get(job).and_then(|fact| fact.job.as_ref()).is_some_and(|job| job.released)
    }

    /// The environments of a queue, in order; those that cannot be used as notes.
    fn environments(&self, queue: &'w Queue) -> Vec<Result<usize, Note>> {
        let find = |name: &String| match self.environments.find(name) {
            None => Err(Note::not_found(name)),
            Some(slot) if !self.environments[slot].enabled => Err(Note::disabled(&self.environments[slot].aws_name)),
            Some(slot) => Ok(slot),
        };
        queue.environments.iter().map(find).collect()
    }

    /// The environments as a job of the API sees them whose pod is still to be made and cannot be in all of their namespaces; `None`: as
    /// everybody does.
    fn open_to(&self, environments: &[Result<usize, Note>], door: Door) -> Option<Vec<Result<usize, Note>>> {
        let closed = &*self.facts.closed;
        let Door::Api(namespace) = door else { return None };
        if closed.is_empty() {
            return None;
        }
        let own = self.facts.namespaces.key(namespace).map(String::as_str).filter(|name| !name.is_empty());
        let see = |environment: &Result<usize, Note>| {
            let index = *environment.as_ref().map_err(Clone::clone)?;
            let environment = &self.environments[index];
            let namespace = environment.namespace_for(own);
            match closed.get(namespace) {
                None => Ok(index),
                Some(why) if own.is_some() => Err(Note::closed(namespace, why)),
                Some(why) => Err(Note::invalid(&environment.aws_name, &crate::rights::closed(namespace, why))),
            }
        };
        let is_closed = |found: &Result<usize, Note>| {
            found.as_ref().is_ok_and(|index| closed.contains_key(self.environments[*index].namespace_for(own)))
        };
        environments.iter().any(is_closed).then(|| environments.iter().map(see).collect())
    }

    /// The number of a queue's list of environments.
    fn view(&mut self, queue: &'w Queue) -> View {
        let next = View(self.views.len());
        *self.views.entry(&queue.environments).or_insert(next)
    }

    /// Notes a reason.
    fn say(&mut self, reason: Reason) -> ReasonId {
        self.reasons.push(Arc::new(reason));
        ReasonId(self.reasons.len() - 1)
    }

    /// Gives a demand a reason, as the how manieth line is looked at.
    fn explain(&mut self, turn: usize, (rank, demand): Ranked<'w>, reason: ReasonId) {
        let job = match demand {
            Demand::Future(job, _) => Some(job),
            Demand::Unit(slot) => {
                let Some(fact) = self.facts.units.get(slot) else { return };
                if let Some(record) = fact.unit.record {
                    let reason = &self.reasons[reason.0];
                    if said_of_unit(&fact.unit) != Some(&**reason) {
                        self.plan.explain.push((record, reason.clone()));
                    }
                    return;
                }
                self.say_on_pod(&fact.unit, reason);
                fact.job
            }
        };
        let Some(job) = job else { return };
        let said = Said { turn, rank, reason };
        let first = self.of_job.entry(job).or_insert(said);
        if (turn, rank) < (first.turn, first.rank) {
            *first = said;
        }
    }

    /// A pod for which no Job says it says itself why it waits; with kube-scheduler it is that which says so.
    fn say_on_pod(&mut self, unit: &Unit, reason: ReasonId) {
        let reason = &self.reasons[reason.0];
        if speaks_for_itself(unit) && matches!(unit.place, Place::Waiting) && said_of_unit(unit) != Some(&**reason) {
            let (pod, uid) = (unit.key.clone(), unit.uid.clone());
            self.plan.pods.push(PodReason { pod, uid, reason: Reason::clone(reason) });
        }
    }

    /// Gives their reasons to units that are not planned for.
    fn explain_the_barred(&mut self, turn: usize) {
        for (rank, slot) in &self.facts.barred {
            let fact = self.facts.units.get(*slot);
            let Some(barred) = fact.and_then(|fact| fact.unit.barred.as_deref()) else { continue };
            let reason = self.say(barred.clone());
            self.explain(turn, (rank, Demand::Unit(*slot)), reason);
        }
    }

    /// Gives a reason to what is in a queue that does not exist.
    fn explain_the_lost(&mut self, turn: usize, left_out: &LeftOut<'_>) {
        let lost: Vec<String> = self.board.lost().map(str::to_owned).collect();
        for name in lost {
            let Some((name, line)) = self.facts.lines.find_line(&name) else { continue };
            let reason = self.say(explain::queue_not_found(name));
            let rests = Row::new(name, line, left_out).settle_all();
            self.tell(turn, &rests, reason, left_out);
        }
    }

    /// Plans again when a setback ends, when a node that has just joined is as it will be, and when a Job's missing pods are no longer
    /// expected.
    fn wake_for_retries(&mut self) {
        let scalings = || self.environments.markets().filter_map(|slot| self.environments[slot].scaling.as_ref());
        let retries = scalings().filter_map(|scaling| choose::next_retry(scaling, self.now));
        let unsettled = scalings().filter_map(|scaling| scaling.unsettled_until).filter(|until| *until > self.now);
        let starting = self.sites.next_late();
        let kept = self.board.kept.next(self.now);
        let all = retries.chain(unsettled).chain(starting).chain(kept).chain(self.facts.next_late(self.now));
        if let Some(time) = all.min() {
            self.wake(time);
        }
    }

    /// Plans again at this time, if not before.
    fn wake(&mut self, time: Timestamp) {
        let at = &mut self.plan.wake_at;
        *at = Some(at.map_or(time, |at| at.min(time)));
    }
}
