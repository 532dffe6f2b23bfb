//! One planning cycle at work: gives room to demands in their order, and asks for machines where there is none.
//!
//! Invariant: pure and deterministic; a unit is dispatched only to a node on which it fits after everything that came before it; every job
//! that waits gets a reason. Knows nothing about who executes the plan.

mod aside;
pub(crate) mod choose;
mod future;
mod held;
mod place;
pub(crate) mod reserve;
mod row;
mod scale;
mod serve;
mod status;
mod together;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use model::plan::{Plan, PodReason, QueueCounts, StatusChange};
use model::snapshot::{Environment, Place, Queue, Unit, Write};
use model::status::Reason;

use crate::explain::{self, Note};
use crate::world::class::ClassId;
use crate::world::facts::{Facts, Memory, said_of_unit, speaks_for_itself};
use crate::world::kind::Kinds;
use crate::world::lines::{Demand, Door, Line};
use crate::world::rank::Rank;
use crate::world::site::Site;
use reserve::Owed;
use row::{LeftOut, Ranked, Row};

/// One planning cycle at work.
pub(crate) struct Cycle<'w, 'a> {
    facts: &'w Facts<'a>,
    kinds: &'w mut Kinds,
    /// In the order of their names, as the sites are.
    environments: Vec<&'w Environment>,
    sites: Vec<&'w mut Site>,
    /// Environments by their object and AWS names.
    found: HashMap<&'w str, usize>,
    now: Timestamp,
    plan: Plan,
    /// Some environment is MANAGED.
    has_markets: bool,
    /// Units still to be placed, by class, for choosing machines: where there are some to choose.
    pending: Vec<u64>,
    /// Lists of environments that queues name.
    views: HashMap<&'w [String], View>,
    /// Classes that find no more room in the environments of a view, and why.
    settled: HashMap<(View, ClassId), Settled>,
    /// Reasons that were given, and to which Jobs: of each Job the first. One that waits as a whole and says so already is left out.
    reasons: Vec<Arc<Reason>>,
    of_job: BTreeMap<u32, Said<'w>>,
    /// Room kept for heads of queues that sleep.
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
    /// On these facts and sites. The sites are those of the environments, in the same order.
    pub(crate) fn new(facts: &'w Facts<'a>, kinds: &'w mut Kinds, sites: Vec<&'w mut Site>, now: Timestamp) -> Self {
        let environments: Vec<&Environment> = facts.environments.values().map(|one| &**one).collect();
        let mut found = HashMap::with_capacity(2 * environments.len());
        for (index, environment) in environments.iter().enumerate() {
            found.entry(environment.name.as_str()).or_insert(index);
            found.entry(environment.aws_name.as_str()).or_insert(index);
        }
        Self {
            facts,
            kinds,
            has_markets: environments.iter().any(|environment| environment.scaling.is_some()),
            environments,
            sites,
            found,
            now,
            plan: Plan::default(),
            pending: vec![0; facts.classes.len()],
            views: HashMap::new(),
            settled: HashMap::new(),
            reasons: Vec::new(),
            of_job: BTreeMap::new(),
            owed: Owed::default(),
            memory: Memory::default(),
        }
    }

    /// The plan, and what lanes may remember of it.
    pub(crate) fn plan(mut self) -> (Plan, Memory) {
        let mut queues: Vec<&'w Queue> = self.facts.queues.values().map(|queue| &**queue).collect();
        // They are in the order of their names.
        queues.sort_by_key(|queue| Reverse(queue.priority));
        let (stood, mut left_out) = aside::stood(self.facts);
        for one in &stood {
            let reason = self.say(aside::reason(one.refused));
            self.explain(0, (one.rank, one.demand), reason);
        }
        let away: Vec<Vec<Ranked<'w>>> = queues.iter().map(|queue| self.turn_away(queue, &mut left_out)).collect();
        let has_markets = self.has_markets;
        for queue in queues.iter().filter(|_| has_markets) {
            self.count(queue, &left_out);
        }
        let mut lines = 0;
        for (turn, (queue, away)) in (1..).step_by(2).zip(queues.iter().zip(&away)) {
            let line = self.facts.lines.get(&queue.name);
            if let Some(line) = line {
                lines += 1;
                self.serve(queue, turn, line, &left_out);
            }
            if !away.is_empty() {
                let reason = self.say(explain::queue_disabled(&queue.name));
                for demand in away {
                    self.explain(turn + 1, *demand, reason);
                }
            }
            let waiting = line.map_or(0, |line| line.size.saturating_add(line.barred));
            self.plan.queues.push(QueueCounts {
                queue: queue.name.clone(),
                waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
                dispatched: line.map_or(0, |line| line.dispatched),
                milli_cpu: line.map_or(0, |line| u32::try_from(line.milli_cpu).unwrap_or(u32::MAX)),
                problem: self.problem(queue),
                refused: None,
            });
        }
        self.explain_the_barred(usize::MAX - 1);
        if lines < self.facts.lines.len() {
            self.explain_the_lost(usize::MAX, &left_out);
        }
        self.remember_kept();
        self.keep_minimum();
        self.retire_idle();
        self.wake_for_retries();
        let memory = std::mem::take(&mut self.memory);
        (self.finish(&stood), memory)
    }

    /// Puts statuses in, and what the cluster did not let happen.
    fn finish(mut self, stood: &[aside::Stood<'w>]) -> Plan {
        let changes = self.changes();
        let notes = aside::notes(self.facts, stood, &changes);
        for counts in &mut self.plan.queues {
            counts.refused = notes.get(counts.queue.as_str()).cloned();
        }
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

    /// Counts what is still to be placed of one line.
    fn count(&mut self, queue: &'w Queue, left_out: &LeftOut<'_>) {
        let Some(line) = self.facts.lines.get(&queue.name) else { return };
        let environments = if self.facts.closed.is_empty() { Vec::new() } else { self.environments(queue) };
        for (key, lane) in &line.lanes {
            if self.open_to(&environments, key.door).is_some_and(|own| own.iter().all(Result::is_err)) {
                continue;
            }
            self.pending[key.class.index()] += lane.size.saturating_sub(left_out.size(&queue.name, *key));
        }
    }

    /// The environments of a queue, in order; those that cannot be used as notes.
    fn environments(&self, queue: &'w Queue) -> Vec<Result<usize, Note>> {
        let find = |name: &String| match self.found.get(name.as_str()) {
            None => Err(Note::not_found(name)),
            Some(index) if !self.environments[*index].enabled => {
                Err(Note::disabled(&self.environments[*index].aws_name))
            }
            Some(index) => Ok(*index),
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
            let environment = self.environments[index];
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
        let lost = self.facts.lines.all().filter(|(name, _)| !self.facts.queues.contains_key(*name));
        let lost: BTreeMap<&'w str, &'w Line> = lost.collect();
        for (name, line) in lost {
            let reason = self.say(explain::queue_not_found(name));
            let rests = Row::new(name, line, left_out).settle_all();
            self.tell(turn, &rests, reason, left_out);
        }
    }

    /// What is wrong with a queue: environments that do not exist.
    fn problem(&self, queue: &Queue) -> Option<String> {
        let missing = queue.environments.iter().filter(|name| !self.found.contains_key(name.as_str()));
        let missing: Vec<&str> = missing.map(String::as_str).collect();
        (!missing.is_empty()).then(|| format!("compute environment {} does not exist", missing.join(", ")))
    }

    /// Plans again when a setback ends, when a node that has just joined is as it will be, and when a Job's missing pods are no longer
    /// expected.
    fn wake_for_retries(&mut self) {
        let scalings = || self.environments.iter().filter_map(|environment| environment.scaling.as_ref());
        let retries = scalings().filter_map(|scaling| choose::next_retry(scaling, self.now));
        let unsettled = scalings().filter_map(|scaling| scaling.unsettled_until).filter(|until| *until > self.now);
        let starting = self.sites.iter().filter_map(|site| site.until);
        let all = retries.chain(unsettled).chain(starting).chain(self.facts.next_late(self.now));
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
