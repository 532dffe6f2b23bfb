//! What is known, each thing as it is now, and what follows from it without any decision.
//!
//! Invariant: the same facts give the same content, in whatever order they came and whatever was known before; slots and ids say nothing
//! about order. Decides nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use jiff::{SignedDuration, Timestamp};
use model::placement::Shape;
use model::snapshot::{Closed, Job, Machine, Node, Place, Queue, Refused, Unit};
use model::status::{JobState, Reason};

use super::amounts::ResourceNames;
use super::class::{ClassId, Classes};
use super::environments::{Environments, take_out};
use super::lines::{Demand, Door, LaneKey, Lines};
use super::rank::Rank;
use super::slots::Slots;
use super::status;
use super::uid::Uid;

/// How long after its start a Job's missing pods are still expected. The Job controller makes them within a second;
/// after a failure it backs off for 10 s and more, and room must not stand idle that long.
pub(crate) const PODS_EXPECTED: SignedDuration = SignedDuration::from_secs(10);
/// Classes of so many shapes are remembered by where the shape is.
const REMEMBERED: usize = 4096;

/// A unit, and what follows.
#[derive(Debug)]
pub(crate) struct UnitFact<'a> {
    pub(crate) unit: Cow<'a, Unit>,
    pub(crate) class: ClassId,
    /// The slot of its Job.
    pub(crate) job: Option<u32>,
}

/// A Job, and what follows.
#[derive(Debug, Default)]
pub(crate) struct JobFact<'a> {
    /// Not known yet, or any more: some of its units are.
    pub(crate) job: Option<Cow<'a, Job>>,
    class: Option<ClassId>,
    /// Its units, by what they do.
    pub(crate) made: u32,
    pub(crate) running: u32,
    pub(crate) starting: u32,
    /// Its pods that do not exist yet, where they are in line.
    future: Option<(LaneKey, Rank)>,
}

/// A reason that most of what waits in a lane says already.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) queue: String,
    pub(crate) lane: LaneKey,
    pub(crate) reason: Arc<Reason>,
}

/// A lane of which nothing can start, whatever a plan does, and of which all says why.
#[derive(Debug)]
pub(crate) struct Quiet {
    pub(crate) queue: String,
    pub(crate) lane: LaneKey,
    /// Room can be kept for its first.
    pub(crate) keeps: bool,
}

/// What is remembered of a plan.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) told: Vec<Told>,
    pub(crate) quiet: Vec<Quiet>,
    /// Queues that were looked at although they sleep.
    pub(crate) roused: Vec<String>,
}

/// Everything that is known.
#[derive(Debug, Default)]
pub(crate) struct Facts<'a> {
    pub(crate) hooks_missing: bool,
    pub(crate) closed: Cow<'a, BTreeMap<String, Closed>>,
    pub(crate) queues: BTreeMap<String, Cow<'a, Queue>>,
    /// Names of queues by what they call one of their environments.
    pub(crate) queues_of: HashMap<String, BTreeSet<String>>,
    pub(crate) environments: Environments<'a>,
    pub(crate) nodes: Slots<String, Cow<'a, Node>>,
    pub(crate) machines: BTreeMap<String, Cow<'a, Machine>>,
    pub(crate) units: Slots<Uid, UnitFact<'a>>,
    pub(crate) jobs: Slots<Uid, JobFact<'a>>,
    pub(crate) refused: Cow<'a, [Refused]>,
    pub(crate) kept_since: Cow<'a, BTreeMap<String, Timestamp>>,
    /// Units that are not planned for while they wait, and of which that is not said.
    pub(crate) barred: BTreeMap<Rank, u32>,
    /// Jobs that say something else than they would if no room were missing to any of their units; without those that wait as a whole.
    pub(crate) unwritten: BTreeSet<u32>,
    pub(crate) lines: Lines,
    /// Slots of Jobs that have come, gone or changed since somebody asked.
    pub(crate) changed_jobs: Vec<u32>,
    /// Since when room is kept is known anew since somebody asked.
    pub(crate) is_kept_anew: bool,
    pub(crate) classes: Classes,
    pub(crate) names: ResourceNames,
    /// Names of nodes by the UUID of their environment, and of machines by the name of theirs.
    pub(crate) nodes_of: HashMap<String, BTreeSet<String>>,
    pub(crate) machines_of: HashMap<String, BTreeSet<String>>,
    /// Units for which a node keeps room until kube-scheduler has chosen, by class.
    pub(crate) holds: HashMap<String, BTreeMap<ClassId, u32>>,
    /// Names of namespaces of jobs of the API.
    pub(crate) namespaces: Slots<String, ()>,
    /// Jobs that were started, by when.
    started: BTreeSet<(Timestamp, u32)>,
    /// Those of them of which pods are missing.
    incomplete: BTreeSet<u32>,
    remembered: HashMap<usize, (Weak<Shape>, ClassId)>,
}

/// How many pods a Job runs together, now.
pub(crate) fn together(job: &Job) -> u32 {
    job.remaining.map_or(job.parallelism, |remaining| remaining.min(job.parallelism))
}

fn is_barred(job: &Job) -> bool {
    job.barred.is_some() && !job.released && !job.held
}

/// What is said of a unit, if it is the unit itself of which that is said.
pub(crate) fn said_of_unit(unit: &Unit) -> Option<&Reason> {
    let is_own = unit.record.is_some() || (speaks_for_itself(unit) && matches!(unit.place, Place::Waiting));
    unit.said.as_deref().filter(|_| is_own)
}

/// Whether no Job says why a pod waits.
pub(crate) fn speaks_for_itself(unit: &Unit) -> bool {
    unit.job.as_ref().is_none_or(|job| job.silent)
}

impl JobFact<'_> {
    /// It waits as a whole: what its only demand is told is its status.
    pub(crate) fn is_whole(&self) -> bool {
        self.future.is_some() && self.made == 0 && self.job.as_ref().is_some_and(|job| !job.released)
    }

    /// Why it waits, as its status says, if it does so as a whole.
    fn said(&self) -> Option<&Reason> {
        let status = self.job.as_ref()?.status.as_ref().filter(|status| status.state == JobState::Runnable)?;
        status.reason.as_ref().filter(|_| self.is_whole())
    }
}

impl<'a> Facts<'a> {
    /// A queue as it is now.
    pub(crate) fn set_queue(&mut self, queue: Cow<'a, Queue>) {
        self.remove_queue(&queue.name);
        for called in &queue.environments {
            self.queues_of.entry(called.clone()).or_default().insert(queue.name.clone());
        }
        self.queues.insert(queue.name.clone(), queue);
    }

    /// A queue that is not there any more.
    pub(crate) fn remove_queue(&mut self, name: &str) {
        // Whoever waits in it is told something else.
        self.lines.wake(name, |_| true);
        self.lines.touch(name);
        let before = self.queues.remove(name);
        for called in before.iter().flat_map(|queue| &queue.environments) {
            take_out(&mut self.queues_of, called, name);
        }
    }

    /// A unit as it is now. Returns the nodes on which what is kept for it changes.
    pub(crate) fn set_unit(&mut self, unit: Cow<'a, Unit>) -> Vec<String> {
        let uid = Uid::new(&unit.uid);
        // First this, so that a class of which it is the only one stays.
        let class = self.class_of_unit(&unit.shape);
        let mut touched = self.remove_unit(&uid);
        let job = unit.job.as_ref().map(|job| self.job_slot(&Uid::new(&job.uid)));
        let slot = self.units.slot(&uid);
        match &unit.place {
            Place::Bound { .. } => self.lines.count(&unit.queue, |line| {
                line.dispatched += 1;
                line.milli_cpu += i128::from(unit.shape.requests.cpu);
            }),
            Place::Waiting if unit.barred.is_some() => {
                self.lines.count(&unit.queue, |line| line.barred += 1);
                if said_of_unit(&unit) != unit.barred.as_deref() {
                    self.barred.insert(Rank::unit(&unit), slot);
                }
            }
            Place::Held { .. } | Place::Waiting => {
                let key = LaneKey { class, door: self.door(&unit) };
                self.lines.insert(&unit.queue, key, Rank::unit(&unit), Demand::Unit(slot), said_of_unit(&unit));
            }
        }
        for node in held(&unit) {
            *self.holds.entry(node.to_owned()).or_default().entry(class).or_default() += 1;
            touched.push(node.to_owned());
        }
        let place = unit.place.clone();
        self.units.set(slot, UnitFact { unit, class, job });
        if let Some(job) = job {
            self.count(job, &place, u32::saturating_add);
        }
        touched
    }

    /// A unit that is not there any more. Returns the nodes on which what is kept for it changes.
    pub(crate) fn remove_unit(&mut self, uid: &Uid) -> Vec<String> {
        let Some(UnitFact { unit, class, job }) = self.units.remove(uid) else { return Vec::new() };
        if matches!(unit.place, Place::Bound { .. }) {
            self.lines.count(&unit.queue, |line| {
                line.dispatched -= 1;
                line.milli_cpu -= i128::from(unit.shape.requests.cpu);
            });
        } else if matches!(unit.place, Place::Waiting) && unit.barred.is_some() {
            self.lines.count(&unit.queue, |line| line.barred -= 1);
            self.barred.remove(&Rank::unit(&unit));
        } else {
            let key = LaneKey { class, door: self.door(&unit) };
            self.lines.remove(&unit.queue, key, &Rank::unit(&unit));
        }
        let mut touched = Vec::new();
        for node in held(&unit) {
            if let Some(kept) = self.holds.get_mut(node) {
                if let Some(count) = kept.get_mut(&class) {
                    *count -= 1;
                }
                kept.retain(|_, count| *count > 0);
                if kept.is_empty() {
                    self.holds.remove(node);
                }
            }
            touched.push(node.to_owned());
        }
        self.classes.leave(class);
        if let Some(job) = job {
            self.count(job, &unit.place, u32::saturating_sub);
        }
        touched
    }

    fn count(&mut self, job: u32, place: &Place, with: impl Fn(u32, u32) -> u32) {
        let Some(fact) = self.jobs.get_mut(job) else { return };
        fact.made = with(fact.made, 1);
        match place {
            Place::Bound { running: true, .. } => fact.running = with(fact.running, 1),
            Place::Bound { running: false, .. } => fact.starting = with(fact.starting, 1),
            _ => {}
        }
        if fact.made == 0 && fact.job.is_none() {
            self.jobs.clear(job);
        } else {
            self.line_up(job, None);
        }
    }

    /// A Job as it is now.
    pub(crate) fn set_job(&mut self, job: Cow<'a, Job>) {
        let uid = Uid::new(&job.uid);
        let class = self.classes.join(&job.shape, &mut self.names);
        self.remove_job(&uid);
        let slot = self.job_slot(&uid);
        if is_barred(&job) {
            self.lines.count(&job.queue, |line| line.barred += u64::from(together(&job)));
        }
        if let Some(started) = job.started.filter(|_| job.released) {
            self.started.insert((started, slot));
        }
        self.changed_jobs.push(slot);
        if let Some(fact) = self.jobs.get_mut(slot) {
            (fact.job, fact.class) = (Some(job), Some(class));
        }
        self.line_up(slot, None);
    }

    /// A Job that is not there any more; units of it may be.
    pub(crate) fn remove_job(&mut self, uid: &Uid) {
        let Some(slot) = self.jobs.find(uid) else { return };
        let Some(fact) = self.jobs.get_mut(slot) else { return };
        let (job, class, future, made) = (fact.job.take(), fact.class.take(), fact.future.take(), fact.made);
        if let Some(job) = job {
            if is_barred(&job) {
                self.lines.count(&job.queue, |line| line.barred -= u64::from(together(&job)));
            }
            if let Some(started) = job.started {
                self.started.remove(&(started, slot));
            }
            if let Some((key, rank)) = future {
                self.lines.remove(&job.queue, key, &rank);
            }
        }
        if let Some(class) = class {
            self.classes.leave(class);
        }
        self.incomplete.remove(&slot);
        self.unwritten.remove(&slot);
        self.changed_jobs.push(slot);
        if made == 0 {
            self.jobs.clear(slot);
        }
    }

    /// Brings what follows from the time up to date.
    pub(crate) fn at(&mut self, now: Timestamp) {
        for slot in self.incomplete.clone() {
            self.line_up(slot, Some(now));
        }
    }

    /// When pods of a Job are no longer expected, after `now`.
    pub(crate) fn next_late(&self, now: Timestamp) -> Option<Timestamp> {
        let since = now.checked_sub(PODS_EXPECTED).unwrap_or(Timestamp::MIN);
        let young = self.started.range((std::ops::Bound::Excluded((since, u32::MAX)), std::ops::Bound::Unbounded));
        young.filter_map(|(started, _)| started.checked_add(PODS_EXPECTED).ok()).find(|due| *due > now)
    }

    /// Puts the pods of a Job that do not exist yet into line, as many as are expected. Of a Job that was started before that hangs on the
    /// time.
    fn line_up(&mut self, slot: u32, now: Option<Timestamp>) {
        let Some(fact) = self.jobs.get_mut(slot) else { return };
        let Some(job) = fact.job.as_ref() else { return };
        let missing = together(job).saturating_sub(fact.made);
        let expected = match (job.released, job.started) {
            (false, _) => !job.held && job.barred.is_none(),
            (true, None) => true,
            (true, Some(started)) => now.is_some_and(|now| now.duration_since(started) < PODS_EXPECTED),
        };
        if job.released && job.started.is_some() && missing > 0 {
            self.incomplete.insert(slot);
        } else {
            self.incomplete.remove(&slot);
        }
        if let Some((key, rank)) = fact.future.take() {
            self.lines.remove(&job.queue, key, &rank);
        }
        if let Some(class) = fact.class.filter(|_| expected && missing > 0) {
            let (key, rank) = (LaneKey { class, door: Door::Pods }, Rank::future(job));
            fact.future = Some((key, rank.clone()));
            let (queue, said) = (&job.queue, fact.said());
            self.lines.insert(queue, key, rank, Demand::Future(slot, missing), said);
        }
        if fact.is_whole() || status::is_written(fact, None) {
            self.unwritten.remove(&slot);
        } else {
            self.unwritten.insert(slot);
        }
    }

    /// What is said of a demand, if one reason is all that can be said of it.
    pub(crate) fn said(&self, demand: Demand) -> Option<&Reason> {
        match demand {
            Demand::Unit(slot) => said_of_unit(&self.units.get(slot)?.unit),
            Demand::Future(slot, _) => self.jobs.get(slot)?.said(),
        }
    }

    /// The slot of the Job of a demand.
    pub(crate) fn job_of(&self, demand: Demand) -> Option<u32> {
        match demand {
            Demand::Future(job, _) => Some(job),
            Demand::Unit(slot) => self.units.get(slot)?.job,
        }
    }

    /// UID of what is told why a demand waits: its Job, or the unit itself.
    pub(crate) fn uid(&self, demand: Demand) -> Option<&str> {
        let job = self.job_of(demand).and_then(|slot| self.jobs.get(slot)?.job.as_deref());
        let unit = || match demand {
            Demand::Future(..) => None,
            Demand::Unit(slot) => Some(self.units.get(slot)?.unit.uid.as_str()),
        };
        job.map(|job| job.uid.as_str()).or_else(unit)
    }

    /// Remembers of which demands of a lane a reason is said, and which lanes need not be looked at.
    pub(crate) fn remember(&mut self, Memory { told, quiet, roused }: &Memory) {
        let mut lines = std::mem::take(&mut self.lines);
        for Told { queue, lane, reason } in told {
            lines.remember(queue, *lane, reason, |demand| self.said(demand));
        }
        for Quiet { queue, lane, keeps } in quiet {
            lines.sleep(queue, *lane, *keeps);
        }
        for queue in roused {
            lines.touch(queue);
        }
        self.lines = lines;
    }

    /// A node as it is now.
    pub(crate) fn set_node(&mut self, node: Cow<'a, Node>) {
        self.nodes_of.entry(node.environment_uuid.clone()).or_default().insert(node.name.clone());
        self.replace_node(node);
    }

    /// A node that is known and is still of its environment, as it is now.
    pub(crate) fn replace_node(&mut self, node: Cow<'a, Node>) {
        let slot = self.nodes.slot(&node.name);
        self.nodes.set(slot, node);
    }

    /// A node that is not there any more. Returns the UUID of its environment.
    pub(crate) fn remove_node(&mut self, name: &str) -> Option<String> {
        let uuid = self.nodes.remove(name)?.environment_uuid.clone();
        take_out(&mut self.nodes_of, &uuid, name);
        Some(uuid)
    }

    /// A machine as it is now.
    pub(crate) fn set_machine(&mut self, machine: Cow<'a, Machine>) {
        self.machines_of.entry(machine.environment.clone()).or_default().insert(machine.name.clone());
        self.machines.insert(machine.name.clone(), machine);
    }

    /// A machine that is not there any more. Returns the name of its environment.
    pub(crate) fn remove_machine(&mut self, name: &str) -> Option<String> {
        let environment = self.machines.remove(name)?.environment.clone();
        take_out(&mut self.machines_of, &environment, name);
        Some(environment)
    }

    /// The pods of a Job that do not exist yet, where they are in line.
    pub(crate) fn future(&self, job: u32) -> Option<(&Rank, Demand)> {
        let JobFact { job, future, .. } = self.jobs.get(job)?;
        let (key, rank) = future.as_ref()?;
        self.lines.find(&job.as_ref()?.queue, *key, rank)
    }

    /// A unit, where it is in line.
    pub(crate) fn in_line(&self, slot: u32) -> Option<(&Rank, Demand)> {
        let (queue, key) = self.lane_of(Demand::Unit(slot))?;
        self.lines.find(queue, key, &Rank::unit(&self.units.get(slot)?.unit))
    }

    /// The lane of a demand that is in line, and its queue.
    pub(crate) fn lane_of(&self, demand: Demand) -> Option<(&str, LaneKey)> {
        let slot = match demand {
            Demand::Unit(slot) => slot,
            Demand::Future(slot, _) => {
                let JobFact { job, future, .. } = self.jobs.get(slot)?;
                return Some((&job.as_ref()?.queue, future.as_ref()?.0));
            }
        };
        let UnitFact { unit, class, .. } = self.units.get(slot)?;
        let door = match unit.place {
            Place::Bound { .. } => return None,
            Place::Held { .. } => Door::Held,
            Place::Waiting if unit.record.is_some() => Door::Api(self.namespaces.find(&unit.key.namespace)?),
            Place::Waiting => Door::Pods,
        };
        Some((&unit.queue, LaneKey { class: *class, door }))
    }

    fn job_slot(&mut self, uid: &Uid) -> u32 {
        let slot = self.jobs.slot(uid);
        if self.jobs.get(slot).is_none() {
            self.jobs.set(slot, JobFact::default());
        }
        slot
    }

    fn door(&mut self, unit: &Unit) -> Door {
        match unit.place {
            Place::Held { .. } => Door::Held,
            _ if unit.record.is_some() => Door::Api(self.namespaces.slot(&unit.key.namespace)),
            _ => Door::Pods,
        }
    }

    /// Units of one job share a shape: it is found by where it is, most of the time.
    fn class_of_unit(&mut self, shape: &Arc<Shape>) -> ClassId {
        let place = Arc::as_ptr(shape).addr();
        if let Some((_, class)) = self.remembered.get(&place).filter(|(_, class)| self.classes.is_needed(*class)) {
            return self.classes.join_again(*class);
        }
        let class = self.classes.join(shape, &mut self.names);
        if self.remembered.len() >= REMEMBERED {
            self.remembered.clear();
        }
        // What is remembered stays where it is, though nothing of it is kept.
        self.remembered.insert(place, (Arc::downgrade(shape), class));
        class
    }
}

/// The nodes on which room is kept for a unit. What kube-scheduler has refused is not kept free for it: it may never come, and it looks at
/// room itself when it does.
fn held(unit: &Unit) -> BTreeSet<&str> {
    match &unit.place {
        Place::Held { nodes, refused: false } => nodes.iter().map(String::as_str).collect(),
        _ => BTreeSet::new(),
    }
}
