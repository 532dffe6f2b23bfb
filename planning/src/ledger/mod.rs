//! The jobs of the API that have not ended, and how what happens to one reaches the others: children and their array job, jobs and those
//! that depend on them.
//!
//! Invariant: every change goes through [`lifecycle::next`] and is handed out once, in order, by [`Ledger::changes`]; what has ended is
//! forgotten. Knows nothing about stores, pods' objects or the room on nodes: whoever calls says what was seen.

mod dependencies;
mod limits;
mod queues;
mod timers;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use model::job::{Change, JobId, JobRecord, Outcome, Placed, PodFacts, Spec, Stop, TimeLimit};
use model::placement::Shape;
use model::status::JobState;
use uuid::Uuid;

use crate::lifecycle::{self, Event};
use limits::Limits;
use queues::Queues;
use timers::Timers;

/// A job that has not ended.
#[derive(Clone, Debug)]
pub struct Live {
    /// Where it is.
    pub record: JobRecord,
    /// The terms on which it runs. What only its pod needs may be left out, so that like jobs share one.
    pub spec: Arc<Spec>,
    /// What its pod needs of a node.
    pub shape: Arc<Shape>,
    /// How many jobs it still waits for.
    open: usize,
}

/// What a plan is shown of the jobs that wait.
#[derive(Debug, Default)]
pub struct Shown<'a> {
    /// Those that it may place.
    pub jobs: Vec<&'a Live>,
    /// About how many are left out although they may be placed, by queue (AWS name).
    pub hidden: BTreeMap<String, usize>,
}

/// The jobs of the API that have not ended.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Each by itself: a table of them would be half empty when it has grown, and grow by copying all of it.
    jobs: HashMap<JobId, Box<Live>>,
    /// Those that wait for room.
    waiting: Queues,
    /// Those that are on a node.
    placed: BTreeSet<JobId>,
    /// Children of each array job by state, the ended ones included.
    arrays: HashMap<Uuid, BTreeMap<JobState, u32>>,
    /// Who waits for a job.
    dependents: HashMap<JobId, Vec<JobId>>,
    /// SUBMITTED or PENDING, and not looked at yet.
    fresh: BTreeSet<JobId>,
    /// Jobs that somebody waits for, that have not ended and are not in here: made with kubectl, or not taken in yet.
    outside: BTreeSet<JobId>,
    /// When time alone changes something.
    timers: Timers,
    limits: Limits,
    changes: Vec<Change>,
}

/// Something that happened to one job, on its way through the ledger.
enum Happened<'a> {
    Considered,
    DependencyEnded(Outcome),
    ChildrenEnded,
    Outside(Event<'a>),
}

impl Ledger {
    /// Takes in a job that was submitted a moment ago; an array job with all its children.
    pub fn submitted(&mut self, record: JobRecord, spec: &Arc<Spec>, shape: &Arc<Shape>) {
        let id = record.id;
        if self.jobs.contains_key(&id) {
            return;
        }
        for child in (0..spec.array_size.unwrap_or(0)).map(|index| id.with_child(index)) {
            self.insert(JobRecord::submitted(child, record.created), spec, shape, record.created);
        }
        let now = record.created;
        self.insert(record, spec, shape, now);
    }

    /// Takes in a job as it is stored; the children of an array job come by themselves, and some may have ended.
    pub fn take_in(&mut self, record: JobRecord, spec: &Arc<Spec>, shape: &Arc<Shape>, now: Timestamp) {
        if !record.state.is_terminal() && !self.jobs.contains_key(&record.id) {
            self.insert(record, spec, shape, now);
        }
    }

    fn insert(&mut self, record: JobRecord, spec: &Arc<Spec>, shape: &Arc<Shape>, now: Timestamp) {
        if record.id.child.is_some() {
            *self.arrays.entry(record.id.job).or_default().entry(record.state).or_default() += 1;
        }
        self.index(&record, spec, shape, now);
        if record.state <= JobState::Pending {
            self.fresh.insert(record.id);
        }
        self.outside.remove(&record.id);
        let live = Live { record, spec: spec.clone(), shape: shape.clone(), open: 0 };
        self.jobs.insert(live.record.id, Box::new(live));
    }

    /// What a job's pod needs of a node is something else by now.
    pub fn reshape(&mut self, id: JobId, spec: &Arc<Spec>, shape: &Arc<Shape>) {
        let Some(live) = self.jobs.get_mut(&id) else { return };
        let waits = live.record.state == JobState::Runnable;
        if waits {
            self.waiting.remove(&live.record, &live.spec, &live.shape);
        }
        (live.spec, live.shape) = (spec.clone(), shape.clone());
        if waits {
            self.waiting.insert(&live.record, &live.spec, &live.shape);
        }
    }

    /// Children of an array job that had ended before the ledger began, by state.
    pub fn ended_children(&mut self, array: Uuid, ended: &BTreeMap<JobState, u32>) {
        let all = self.arrays.entry(array).or_default();
        for (state, count) in ended.iter().filter(|(state, _)| state.is_terminal()) {
            all.insert(*state, *count);
        }
    }

    /// Jobs that are not in here and for which those wait that [`consider`](Self::consider) looks at next, or has looked at: whoever
    /// calls looks up how they are.
    pub fn unknown(&self) -> Vec<JobId> {
        let fresh = self.fresh.iter().filter_map(|id| self.jobs.get(id));
        let waited = fresh.flat_map(|live| dependencies::of(live.record.id, &live.spec));
        let unknown = waited.filter(|id| !self.jobs.contains_key(id));
        unknown.chain(self.outside.iter().copied()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Looks at what was taken in since the last time and is SUBMITTED or PENDING, and at what waits for jobs that are not in here.
    /// `outcomes` says how those are; one that is missing there does not exist any more and counts as failed.
    pub fn consider(&mut self, outcomes: &HashMap<JobId, Outcome>, now: Timestamp) {
        for id in self.outside.clone() {
            let outcome = outcomes.get(&id).copied().unwrap_or(JobState::Failed.into());
            if outcome.state.is_terminal() {
                self.outside.remove(&id);
                for (dependent, what) in self.waiting_for(id, outcome) {
                    self.run(dependent, what, now);
                }
            }
        }
        // In order, so that an array job comes before its children and never lags behind them.
        let fresh = std::mem::take(&mut self.fresh);
        for id in &fresh {
            let Some(live) = self.jobs.get(id) else { continue };
            let pending = live.record.state == JobState::Pending;
            let (mut open, mut failed) = (Vec::new(), None);
            for dependency in dependencies::of(*id, &live.spec) {
                match outcomes.get(&dependency) {
                    _ if self.jobs.contains_key(&dependency) => open.push(dependency),
                    Some(Outcome { state: JobState::Succeeded, .. }) => {}
                    // Not taken in yet, or a Job that was made with kubectl.
                    Some(outcome) if !outcome.state.is_terminal() => {
                        self.outside.insert(dependency);
                        open.push(dependency);
                    }
                    // It was there when this was looked at first. Had it failed, this had failed with it: only its record is gone.
                    None if pending => {}
                    Some(outcome) => failed = failed.or(Some(*outcome)),
                    None => failed = Some(JobState::Failed.into()),
                }
            }
            let count = open.len();
            for dependency in open {
                self.dependents.entry(dependency).or_default().push(*id);
            }
            if let Some(live) = self.jobs.get_mut(id) {
                live.open = count + usize::from(failed.is_some());
            }
            self.run(*id, Happened::Considered, now);
            if let Some(failed) = failed {
                self.run(*id, Happened::DependencyEnded(failed), now);
            }
            self.run(*id, Happened::ChildrenEnded, now);
        }
    }

    /// Somebody wants a job to end; for an array job, all its children too.
    pub fn stop(&mut self, id: JobId, stop: &Stop, now: Timestamp) {
        self.run(id, Happened::Outside(Event::StopAsked(stop)), now);
        let Some(size) = self.jobs.get(&id).and_then(|live| live.spec.array_size).filter(|_| id.child.is_none()) else {
            return;
        };
        for child in (0..size).map(|index| id.with_child(index)) {
            self.run(child, Happened::Outside(Event::StopAsked(stop)), now);
        }
    }

    /// The pod of a job was seen.
    pub fn seen(&mut self, pod: &PodFacts, now: Timestamp) {
        self.run(pod.job, Happened::Outside(Event::PodSeen(pod)), now);
    }

    /// The pod of a job was told to go, and has not gone for too long.
    pub fn pod_overdue(&mut self, pod: &PodFacts, now: Timestamp) {
        self.run(pod.job, Happened::Outside(Event::PodOverdue(pod)), now);
    }

    /// The pod of a job was seen before, and is no longer there.
    pub fn pod_gone(&mut self, id: JobId, now: Timestamp) {
        self.run(id, Happened::Outside(Event::PodGone), now);
    }

    /// The node that a job is on is gone for good.
    pub fn node_gone(&mut self, id: JobId, instance: &str, now: Timestamp) {
        self.run(id, Happened::Outside(Event::NodeGone { instance }), now);
    }

    /// The cluster did not take the pod of a job.
    pub fn not_made(&mut self, id: JobId, message: &str, passing: bool, now: Timestamp) {
        self.run(id, Happened::Outside(Event::NotMade { message, passing }), now);
    }

    /// The plan gave a job a node.
    pub fn dispatched(&mut self, id: JobId, placed: &Placed, now: Timestamp) {
        self.run(id, Happened::Outside(Event::Dispatched(placed)), now);
    }

    /// The plan has room on other nodes for a job of which kube-scheduler has not chosen the node yet.
    pub fn held(&mut self, id: JobId, nodes: &[String], environment_uuid: &str, now: Timestamp) {
        self.run(id, Happened::Outside(Event::Held { nodes, environment_uuid }), now);
    }

    /// The plan says why a job waits.
    pub fn explained(&mut self, id: JobId, reason: Option<&str>, now: Timestamp) {
        self.run(id, Happened::Outside(Event::Explained(reason)), now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp) {
        while let Some(id) = self.timers.next(now) {
            self.run(id, Happened::Outside(Event::Tick), now);
        }
        while let Some(id) = self.limits.next(now) {
            let stop = self.jobs.get(&id).and_then(|live| self.limits.stop(&live.spec.queue, &live.record));
            if let Some(stop) = stop {
                self.run(id, Happened::Outside(Event::StopAsked(&stop)), now);
            }
        }
    }

    /// How long jobs may wait, by AWS name of their queue and reason, from now on.
    pub fn limit(&mut self, limits: &BTreeMap<String, Vec<TimeLimit>>, now: Timestamp) {
        if self.limits.set(limits) {
            for live in self.jobs.values() {
                self.limits.watch(&live.spec.queue, &live.record, now);
            }
        }
    }

    /// The clock that all times here are of was set forward, or back: what is under way takes no longer or shorter for it.
    pub fn clock_was_set(&mut self, by: SignedDuration) {
        self.timers.clock_was_set(by);
        self.limits.clock_was_set(by);
    }

    /// When time alone changes something next.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.timers.wake_at().into_iter().chain(self.limits.wake_at()).min()
    }

    /// What has changed and is not stored yet, in order. It stays until [`stored`](Self::stored).
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The first so many changes are stored.
    pub fn stored(&mut self, count: usize) {
        self.changes.drain(..count.min(self.changes.len()));
    }

    /// One job.
    pub fn get(&self, id: JobId) -> Option<&Live> {
        self.jobs.get(&id).map(Box::as_ref)
    }

    /// Jobs on a node, or on their way to one.
    pub fn placed(&self) -> impl Iterator<Item = &Live> {
        self.placed.iter().filter_map(|id| self.get(*id))
    }

    /// What a plan is shown of the jobs that wait for room and may be placed now: of each queue the first `most` in their order; and of a queue in
    /// which anything passes what waits, unless it `is_strict`, as many more, so that there are some of each need.
    pub fn waiting(&self, most: usize, is_strict: impl Fn(&str) -> bool, now: Timestamp) -> Shown<'_> {
        let may_be_placed =
            |id: JobId| self.jobs.get(&id).is_some_and(|live| live.record.not_before.is_none_or(|due| due <= now));
        let mut shown = Shown::default();
        for (name, queue) in self.waiting.all() {
            let more = if is_strict(name) { 0 } else { most };
            let (jobs, hidden) = queue.show(most, more, may_be_placed);
            shown.jobs.extend(jobs.iter().filter_map(|id| self.get(*id)));
            if hidden > 0 {
                shown.hidden.insert(name.to_owned(), hidden);
            }
        }
        shown
    }

    /// How many jobs wait for room in a queue.
    pub fn waiting_in(&self, queue: &str) -> usize {
        self.waiting.len(queue)
    }

    /// How many jobs have not ended.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether every job has ended.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Lets something happen, and all that follows from it.
    fn run(&mut self, id: JobId, what: Happened<'_>, now: Timestamp) {
        let mut todo = VecDeque::from([(id, what)]);
        while let Some((id, what)) = todo.pop_front() {
            for next in self.step(id, &what, now) {
                todo.push_back(next);
            }
        }
    }

    /// One step of one job. Returns what it means for others.
    fn step<'a>(&mut self, id: JobId, what: &Happened<'_>, now: Timestamp) -> Vec<(JobId, Happened<'a>)> {
        let Some(live) = self.jobs.get_mut(&id) else { return Vec::new() };
        let is_array = live.spec.array_size.is_some() && id.child.is_none();
        let children = self.arrays.get(&id.job);
        let event = match what {
            Happened::Considered if live.record.state == JobState::Submitted => {
                Event::Considered { waits: live.open > 0 || is_array }
            }
            Happened::Considered if live.open == 0 && !is_array => Event::DependenciesMet,
            Happened::Considered => return Vec::new(),
            Happened::DependencyEnded(Outcome { state: JobState::Succeeded, .. }) => {
                live.open = live.open.saturating_sub(1);
                if live.open > 0 || is_array {
                    return Vec::new();
                }
                Event::DependenciesMet
            }
            Happened::DependencyEnded(outcome) => Event::DependencyFailed { unknown: outcome.unknown },
            Happened::ChildrenEnded => match children {
                Some(children) if all_ended(children, &live.spec) => Event::Children(children),
                _ => return Vec::new(),
            },
            Happened::Outside(event) => *event,
        };
        // A timer knows better than a clock that was set.
        let due = matches!(event, Event::Tick).then(|| lifecycle::wake_at(&live.record, &live.spec)).flatten();
        let judged = due.map_or(now, |wake| wake.due.max(now));
        let Some(mut transition) = lifecycle::next(&live.record, &live.spec, &event, judged) else { return Vec::new() };
        transition.record.version = live.record.version + 1;
        let before = std::mem::replace(&mut live.record, transition.record.clone());
        let spec = live.spec.clone();
        self.changes.push(Change { record: transition.record, at: now, attempt: transition.attempt });
        self.follow(&before, &spec, now)
    }

    /// Brings everything up to date after a change of a job. Returns what it means for others.
    fn follow<'a>(&mut self, before: &JobRecord, spec: &Arc<Spec>, now: Timestamp) -> Vec<(JobId, Happened<'a>)> {
        let id = before.id;
        let live = self.jobs.get(&id).map(|live| (live.record.clone(), live.shape.clone()));
        let Some((record, shape)) = live else { return Vec::new() };
        self.unindex(before, spec, &shape);
        if record.id.child.is_some() && record.state != before.state {
            // An array job that failed with what it depended on is gone before its children.
            if let Some(states) = self.arrays.get_mut(&id.job) {
                if let Some(count) = states.get_mut(&before.state) {
                    *count = count.saturating_sub(1);
                }
                *states.entry(record.state).or_default() += 1;
            }
        }
        if !record.state.is_terminal() {
            self.index(&record, spec, &shape, now);
            return Vec::new();
        }
        self.jobs.remove(&id);
        self.timers.set(id, None, now);
        self.limits.forget(id, now);
        let mut others = self.waiting_for(id, record.state.into());
        match id.parent() {
            Some(parent) => others.push((parent, Happened::ChildrenEnded)),
            None if spec.array_size.is_some() => drop(self.arrays.remove(&id.job)),
            None => {}
        }
        others
    }

    /// Those that waited for a job, which ended so.
    fn waiting_for<'a>(&mut self, id: JobId, outcome: Outcome) -> Vec<(JobId, Happened<'a>)> {
        let all = self.dependents.remove(&id).into_iter().flatten();
        all.map(|dependent| (dependent, Happened::DependencyEnded(outcome))).collect()
    }

    fn index(&mut self, record: &JobRecord, spec: &Spec, shape: &Arc<Shape>, now: Timestamp) {
        match record.state {
            JobState::Runnable => self.waiting.insert(record, spec, shape),
            JobState::Starting | JobState::Running => drop(self.placed.insert(record.id)),
            _ => {}
        }
        self.timers.set(record.id, lifecycle::wake_at(record, spec), now);
        self.limits.watch(&spec.queue, record, now);
    }

    fn unindex(&mut self, record: &JobRecord, spec: &Spec, shape: &Arc<Shape>) {
        if record.state == JobState::Runnable {
            self.waiting.remove(record, spec, shape);
        }
        self.placed.remove(&record.id);
    }
}

fn all_ended(children: &BTreeMap<JobState, u32>, spec: &Spec) -> bool {
    let ended: u32 = children.iter().filter(|(state, _)| state.is_terminal()).map(|(_, count)| *count).sum();
    spec.array_size.is_some_and(|size| ended >= size)
}

#[cfg(test)]
mod tests;
