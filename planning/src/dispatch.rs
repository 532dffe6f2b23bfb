//! Gives room to demands in their order, and asks for machines where there is none.
//!
//! Invariant: a unit is dispatched only to a node on which it fits after everything that came before it. Knows nothing about
//! how nodes are launched or pods bound.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use model::placement::Shape;
use model::plan::{Dispatch, Hold, Launch, Plan, StatusChange};
use model::snapshot::{Job, Place, Queue, Snapshot, Unit};
use model::status::{JobState, Reason, Status};

use crate::explain::{self, Note};
use crate::offers;
use crate::order::{Demand, Line, Wanted, together};
use crate::room::Rooms;
use crate::together::{self, Taken};

/// Nodes named in one hold. kube-scheduler's refusal adds more, so this bounds the annotation, not the choice.
const HOLD_NODES: usize = 32;

/// One planning cycle at work.
pub(crate) struct Cycle<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) now: Timestamp,
    /// Rooms by environment, in the snapshot's order.
    pub(crate) rooms: Vec<Rooms<'a>>,
    pub(crate) plan: Plan,
    /// Reason by job UID (or unit UID for bare pods), the first that was found.
    pub(crate) reasons: HashMap<&'a str, Reason>,
    /// Units still to be placed, by shape, for choosing machines.
    pending: HashMap<&'a Shape, u32>,
}

/// What came of one unit.
enum Outcome {
    /// It can start on this node (environment, room).
    Ready(usize, usize),
    /// It waits.
    Waits(Wait),
}

/// Why and how a unit waits.
struct Wait {
    reason: Reason,
    /// No machine is on its way for it.
    is_final: bool,
    /// The next unit of the same shape fares no better.
    is_last: bool,
}

/// A demand that waits.
#[derive(Default)]
struct Blocked {
    /// No machine is on its way for it: room should be kept, or made.
    is_final: bool,
    /// Where other units of it have room.
    taken: Taken,
}

impl<'a> Cycle<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, now: Timestamp) -> Self {
        let rooms = snapshot.environments.iter().map(|environment| Rooms::new(environment, snapshot, now)).collect();
        Self { snapshot, now, rooms, plan: Plan::default(), reasons: HashMap::new(), pending: HashMap::new() }
    }

    /// Counts what is still to be placed, over all lines.
    pub(crate) fn count(&mut self, queue: &Queue, line: &Line<'a>) {
        let environments = if self.snapshot.closed.is_empty() { Vec::new() } else { self.environments(queue) };
        for demand in &line.demands {
            if self.open_to(&environments, demand).is_some_and(|own| own.iter().all(Result::is_err)) {
                continue;
            }
            let count = if let Wanted::Future(count) = demand.wanted { count } else { 1 };
            let pending = self.pending.entry(demand.shape).or_default();
            *pending = pending.saturating_add(count);
        }
    }

    /// Gives room to one queue's line. Returns how many of its units wait.
    pub(crate) fn serve(&mut self, queue: &'a Queue, line: &Line<'a>) -> u32 {
        let environments = self.environments(queue);
        let mut head: Option<String> = None;
        let mut reserved = false;
        let mut in_vain: HashSet<&Shape> = HashSet::new();
        let mut waiting = 0_u32;
        for demand in &line.demands {
            if let (true, Some(head)) = (queue.strict_fifo, &head) {
                waiting = waiting.saturating_add(Self::size(demand));
                self.explain(demand, explain::behind(head));
                continue;
            }
            waiting = waiting.saturating_add(Self::size(demand));
            let own = self.open_to(&environments, demand);
            if own.as_deref().is_some_and(|own| own.iter().all(Result::is_err)) {
                // Nothing but an admin's word is missing, and that only to the API: nobody waits for it.
                let notes: Vec<Note> = own.into_iter().flatten().filter_map(Result::err).collect();
                self.explain(demand, explain::reason(&notes));
                continue;
            }
            let environments = own.as_deref().unwrap_or(&environments);
            let blocked = match demand.wanted {
                Wanted::Unit(unit) => self.serve_unit(environments, demand, unit),
                Wanted::Future(count) => self.serve_future(environments, demand, count),
            };
            if let Some(blocked) = blocked {
                head.get_or_insert_with(|| demand.job.map_or_else(|| Self::name(demand), |job| job.key.to_string()));
                // For the first that it helps: one that can never run, or waits for its provider, keeps no room from those behind it.
                let waited = self.waits_on(demand);
                if blocked.is_final && !reserved && !in_vain.contains(demand.shape) {
                    reserved = self.reserve(environments, demand, &blocked.taken, waited);
                    in_vain.insert(demand.shape);
                }
            }
        }
        waiting
    }

    fn size(demand: &Demand<'_>) -> u32 {
        if let Wanted::Future(count) = demand.wanted { count } else { 1 }
    }

    fn name(demand: &Demand<'_>) -> String {
        if let Wanted::Unit(unit) = demand.wanted { unit.key.to_string() } else { String::new() }
    }

    /// The environments of a queue, in order; those that cannot be used as notes.
    fn environments(&self, queue: &Queue) -> Vec<Result<usize, Note>> {
        let find = |name: &String| {
            let all = self.snapshot.environments.iter();
            let found = all.enumerate().find(|(_, one)| one.name == *name || one.aws_name == *name);
            match found {
                None => Err(Note::not_found(name)),
                Some((_, environment)) if !environment.enabled => Err(Note::disabled(&environment.aws_name)),
                Some((index, _)) => Ok(index),
            }
        };
        queue.environments.iter().map(find).collect()
    }

    /// The environments as a job of the API sees them whose pod is still to be made and cannot be in all of their namespaces; `None`: as
    /// everybody does.
    fn open_to(&self, environments: &[Result<usize, Note>], demand: &Demand<'_>) -> Option<Vec<Result<usize, Note>>> {
        let closed = &self.snapshot.closed;
        let Wanted::Unit(Unit { record: Some(_), place: Place::Waiting, key, .. }) = demand.wanted else { return None };
        let own = Some(key.namespace.as_str()).filter(|name| !name.is_empty());
        let see = |environment: &Result<usize, Note>| {
            let index = *environment.as_ref().map_err(Clone::clone)?;
            let environment = &self.snapshot.environments[index];
            let namespace = environment.namespace_for(own);
            match closed.get(namespace) {
                None => Ok(index),
                Some(why) if own.is_some() => Err(Note::closed(namespace, why)),
                Some(why) => Err(Note::invalid(&environment.aws_name, &crate::rights::closed(namespace, why))),
            }
        };
        let is_closed = |found: &Result<usize, Note>| {
            found.as_ref().is_ok_and(|index| closed.contains_key(self.snapshot.environments[*index].namespace_for(own)))
        };
        environments.iter().any(is_closed).then(|| environments.iter().map(see).collect())
    }

    /// Serves one pod. `Some` if it waits.
    fn serve_unit(
        &mut self,
        environments: &[Result<usize, Note>],
        demand: &Demand<'a>,
        unit: &'a Unit,
    ) -> Option<Blocked> {
        if let Place::Held { nodes, refused } = &unit.place {
            return self.serve_held(environments, demand, unit, nodes, *refused);
        }
        match self.place(environments, demand) {
            Outcome::Ready(environment, room) if unit.shape.judged => {
                self.dispatch(unit, environment, room);
                None
            }
            Outcome::Ready(environment, room) => {
                self.hold(unit, environment, room, &[]);
                None
            }
            Outcome::Waits(wait) => {
                self.explain(demand, wait.reason);
                Some(Blocked { is_final: wait.is_final, ..Blocked::default() })
            }
        }
    }

    /// Serves a pod that kube-scheduler has: if it was refused everywhere, one more node is found or launched for it.
    fn serve_held(
        &mut self,
        environments: &[Result<usize, Note>],
        demand: &Demand<'a>,
        unit: &'a Unit,
        held: &'a [String],
        refused: bool,
    ) -> Option<Blocked> {
        let lost =
            !self.rooms.iter().flat_map(|rooms| &rooms.rooms).any(|room| held.iter().any(|node| node == room.name));
        if !refused && !lost {
            self.explain(demand, explain::with_scheduler(false));
            return None;
        }
        // The pod's selector names the environment of its hold, and cannot be changed any more.
        let is_of_hold = |environment: usize| {
            let rooms = &self.rooms[environment].rooms;
            lost || rooms.iter().any(|room| held.iter().any(|node| node == room.name))
        };
        let fresh =
            environments.iter().flatten().filter(|&&environment| is_of_hold(environment)).find_map(|&environment| {
                let rooms = &self.rooms[environment].rooms;
                let mut known = rooms.iter().enumerate();
                known
                    .find(|(_, room)| {
                        room.node.is_some() && room.takes(&unit.shape) && !held.iter().any(|node| node == room.name)
                    })
                    .map(|(room, _)| (environment, room))
            });
        if let Some((environment, room)) = fresh {
            self.hold(unit, environment, room, if lost { &[] } else { held });
            return None;
        }
        // Where an empty node was refused, another empty one would be, too: only somebody else's pod can help.
        let rooms = self.rooms.iter().flat_map(|rooms| &rooms.rooms);
        let mut tried = rooms.filter(|room| held.iter().any(|node| node == room.name));
        let refused_empty = tried.any(|room| room.node.is_some_and(|node| node.units == 0));
        let machine = if refused_empty { None } else { self.await_machine(environments, demand, true) };
        let reason = machine.map_or_else(|| explain::with_scheduler(true), |note| explain::reason(&[note]));
        self.explain(demand, reason);
        Some(Blocked::default())
    }

    /// Serves pods that do not exist yet: releases their Job if that is due.
    fn serve_future(
        &mut self,
        environments: &[Result<usize, Note>],
        demand: &Demand<'a>,
        count: u32,
    ) -> Option<Blocked> {
        let job = demand.job?;
        if self.snapshot.hooks_missing && !job.released {
            self.explain(demand, explain::hooks_missing());
            return None;
        }
        let (mut fit, mut taken) = (0, Taken::default());
        let mut blocked: Option<Wait> = None;
        for _ in 0..count {
            match self.place(environments, demand) {
                Outcome::Ready(environment, room) => {
                    fit += 1;
                    taken.add(environment, room);
                }
                Outcome::Waits(wait) => {
                    let is_last = wait.is_last;
                    blocked.get_or_insert(wait);
                    if is_last {
                        break;
                    }
                }
            }
        }
        let is_coming = blocked.as_ref().is_some_and(|wait| !wait.is_final);
        // Its clock starts when it is released. Pods of it that are still there end, or their places are taken again.
        let waits_for_more = job.has_deadline
            && !job.released
            && fit > 0
            && blocked.is_some()
            && (is_coming || count < together(job) || self.more_together(environments, demand.shape, &taken));
        let until = waits_for_more.then(|| self.keep_for_a_while(job));
        let waits_for_more = until.is_some_and(|until| is_coming || until > self.now);
        if fit > 0 && !job.released && !waits_for_more {
            self.release(job);
        }
        let Wait { reason, is_final, .. } = blocked?;
        let reason = if waits_for_more {
            let until = until.filter(|_| !is_coming);
            explain::not_together(fit, together(job), self.about_together(environments, demand), until, &reason)
        } else {
            reason
        };
        self.explain(demand, reason);
        Some(Blocked { is_final, taken })
    }

    /// Finds room for one unit: a node in any environment, else a machine on its way or a new one.
    fn place(&mut self, environments: &[Result<usize, Note>], demand: &Demand<'a>) -> Outcome {
        if let Some(pending) = self.pending.get_mut(demand.shape) {
            *pending = pending.saturating_sub(1);
        }
        for &environment in environments.iter().flatten() {
            if let Some(room) = self.rooms[environment].ready(demand.shape) {
                self.rooms[environment].rooms[room].take(demand.shape);
                return Outcome::Ready(environment, room);
            }
        }
        let mut notes = Vec::new();
        for environment in environments {
            let note = match environment {
                Ok(environment) => self.machine_in(*environment, demand, false),
                Err(note) => note.clone(),
            };
            if !note.is_final {
                let is_last = note.is_last;
                return Outcome::Waits(Wait { reason: explain::reason(&[note]), is_final: false, is_last });
            }
            notes.push(note);
        }
        Outcome::Waits(Wait { reason: explain::reason(&notes), is_final: true, is_last: true })
    }

    /// Whether these environments can ever give room to more units of a shape than have some now.
    fn more_together(&self, environments: &[Result<usize, Note>], shape: &Shape, taken: &Taken) -> bool {
        let mut usable = environments.iter().flatten();
        usable.any(|&environment| together::more(&self.rooms[environment], environment, shape, taken))
    }

    /// About how many units of a Job these environments can ever run together, if those are fewer than all.
    fn about_together(&self, environments: &[Result<usize, Note>], demand: &Demand<'_>) -> Option<i64> {
        let wanted = demand.job.map_or(0, |job| i64::from(together(job)));
        let usable = environments.iter().flatten();
        let about = usable.map(|&environment| together::about(&self.rooms[environment], demand.shape, wanted));
        about.sum::<Option<i64>>().filter(|about| *about < wanted)
    }

    fn await_machine(
        &mut self,
        environments: &[Result<usize, Note>],
        demand: &Demand<'a>,
        alone: bool,
    ) -> Option<Note> {
        environments
            .iter()
            .flatten()
            .map(|&environment| self.machine_in(environment, demand, alone))
            .find(|note| !note.is_final)
    }

    /// Room on a machine of one environment that is on its way, or a new one; `alone`: on one that nobody else waits for.
    fn machine_in(&mut self, environment: usize, demand: &Demand<'a>, alone: bool) -> Note {
        let now = self.now;
        let rooms = &mut self.rooms[environment];
        let name = &rooms.environment.aws_name;
        let Some(scaling) = &rooms.environment.scaling else {
            return unmanaged_note(rooms, demand.shape);
        };
        let coming = rooms.coming(demand.shape).filter(|&room| !alone || !rooms.rooms[room].wanted);
        let room = if let Some(room) = coming {
            room
        } else {
            if rooms.makes_way {
                return Note::making_way(name);
            }
            if let Some(note) = rooms.refused.get(demand.shape) {
                return note.clone();
            }
            let count = self.pending.get(demand.shape).copied().unwrap_or(0) + 1;
            let offer = match offers::choose(rooms, scaling, demand.shape, if alone { 1 } else { count }, now) {
                Ok(offer) => offer,
                Err(note) => {
                    rooms.refused.insert(demand.shape, note.clone());
                    return note;
                }
            };
            self.plan.launch.push(Launch {
                environment: rooms.environment.name.clone(),
                offer: offer.name.clone(),
                job: demand.job.map(|job| job.uid.clone()),
            });
            rooms.launch(offer)
        };
        rooms.rooms[room].take(demand.shape);
        rooms.rooms[room].closed |= alone;
        Note::launching(name)
    }

    fn dispatch(&mut self, unit: &Unit, environment: usize, room: usize) {
        let rooms = &self.rooms[environment];
        let Some(node) = rooms.rooms[room].node else { return };
        self.plan.dispatch.push(Dispatch {
            unit: unit.key.clone(),
            uid: unit.uid.clone(),
            record: unit.record,
            job: unit.job.as_ref().map(|job| job.uid.clone()),
            node: node.name.clone(),
            node_uid: node.uid.clone(),
            environment: rooms.environment.aws_name.clone(),
            environment_uuid: rooms.environment.uuid.clone(),
            attempt: unit.attempt,
        });
    }

    /// Lets kube-scheduler choose: among all nodes of the environment with room, the fullest first.
    fn hold(&mut self, unit: &Unit, environment: usize, chosen: usize, held: &[String]) {
        let rooms = &mut self.rooms[environment];
        let mut nodes: Vec<String> = held.to_vec();
        nodes.push(rooms.rooms[chosen].name.to_owned());
        let mut others: Vec<&mut crate::room::Room<'_>> =
            rooms.rooms.iter_mut().filter(|room| room.node.is_some() && room.takes(&unit.shape)).collect();
        others.sort_by(|a, b| (a.free.cpu, a.name).cmp(&(b.free.cpu, b.name)));
        for room in others.into_iter().take(HOLD_NODES) {
            if !nodes.iter().any(|node| node == room.name) {
                nodes.push(room.name.to_owned());
                room.take(&unit.shape);
            }
        }
        self.plan.hold.push(Hold {
            unit: unit.key.clone(),
            uid: unit.uid.clone(),
            record: unit.record,
            job: unit.job.as_ref().map(|job| job.uid.clone()),
            nodes,
            environment: rooms.environment.aws_name.clone(),
            environment_uuid: rooms.environment.uuid.clone(),
            attempt: unit.attempt,
            first: matches!(unit.place, Place::Waiting),
        });
    }

    fn release(&mut self, job: &'a Job) {
        self.plan.release.push(released(job));
    }

    pub(crate) fn explain(&mut self, demand: &Demand<'a>, reason: Reason) {
        if let Wanted::Unit(Unit { record: Some(record), .. }) = demand.wanted {
            self.plan.explain.push((*record, reason));
            return;
        }
        let clock_runs = demand.job.is_some_and(|job| job.has_deadline && job.released);
        if let Some(uid) = demand.uid() {
            self.reasons.entry(uid).or_insert_with(|| if clock_runs { explain::clock_runs(reason) } else { reason });
        }
    }
}

/// What a Job is when it is let go.
pub(crate) fn released(job: &Job) -> StatusChange {
    let status = Status { state: JobState::Starting, reason: Some(explain::creating_pods()) };
    StatusChange { job: job.key.clone(), uid: job.uid.clone(), status }
}

fn unmanaged_note(rooms: &Rooms<'_>, shape: &Shape) -> Note {
    let name = &rooms.environment.aws_name;
    let nodes: Vec<_> = rooms.rooms.iter().filter(|room| room.node.is_some()).collect();
    if !nodes.is_empty() && !nodes.iter().any(|room| room.suits(shape)) {
        let largest = nodes.iter().map(|room| &room.allocatable).max_by_key(|room| (room.cpu, room.memory));
        let taint = nodes.iter().find_map(|room| shape.kept_away_by(&room.node?.taints));
        return Note::too_large(name, shape, largest.unwrap_or(&shape.requests), taint);
    }
    Note::no_room(name, shape, nodes.len())
}
