//! The lines of queues: who wants room, in lanes of like demands, each in order.
//!
//! Invariant: a lane holds the demands of one class that come through one door, so that once one of them finds no room the next does not
//! either. What it remembers of what was said spares looking at all of it, and changes nothing else. A lane that sleeps is as it was when it was
//! put to sleep: whatever comes or goes wakes it. Knows nothing about room.

use std::collections::btree_map::Range;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use model::status::Reason;

use super::class::ClassId;
use super::rank::Rank;

/// How the demands of a lane came, as far as it matters for where they may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Door {
    /// Pods that exist, and those of Jobs that do not exist yet.
    Pods,
    /// Jobs of the API whose pod is still to be made, in the namespace with this number.
    Api(u32),
    /// Pods that kube-scheduler has: each is looked at by itself.
    Held,
}

/// Which lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneKey {
    pub(crate) class: ClassId,
    pub(crate) door: Door,
}

/// Something that wants room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Demand {
    /// A unit, by its slot.
    Unit(u32),
    /// So many pods that the Job in this slot has not made yet.
    Future(u32, u32),
}

impl Demand {
    /// How many units it is.
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::Unit(_) => 1,
            Self::Future(_, count) => u64::from(count),
        }
    }
}

/// Like demands, in order.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) demands: BTreeMap<Rank, Demand>,
    /// Units in all.
    pub(crate) size: u64,
    /// What is said of most of them, if that is known.
    said: Option<Arc<Reason>>,
    /// While that is known: all of which something else is said, or nothing, or more than one thing.
    unlike: BTreeMap<Rank, Demand>,
}

impl Lane {
    /// Those from a place on of which a reason may not be said already.
    pub(crate) fn untold<'l>(&'l self, from: Bound<&Rank>, reason: &Reason) -> Range<'l, Rank, Demand> {
        let all = if self.is_said(reason) { &self.unlike } else { &self.demands };
        all.range::<Rank, _>((from, Bound::Unbounded))
    }

    /// Whether it is known of which of them this is said.
    pub(crate) fn is_said(&self, reason: &Reason) -> bool {
        self.said.as_deref() == Some(reason)
    }

    /// Whether it is known that this is said of each of them.
    pub(crate) fn all_say(&self, reason: &Reason) -> bool {
        self.is_said(reason) && self.unlike.is_empty()
    }

    /// Remembers of which of them this is said, if it is of most.
    fn remember<'r>(&mut self, reason: &Arc<Reason>, said: impl Fn(Demand) -> Option<&'r Reason>) {
        self.said = None;
        let unlike = self.demands.iter().filter(|(_, demand)| said(**demand) != Some(&**reason));
        self.unlike = unlike.map(|(rank, demand)| (rank.clone(), *demand)).collect();
        if self.unlike.len() * 2 <= self.demands.len() {
            self.said = Some(reason.clone());
        } else {
            self.unlike.clear();
        }
    }
}

/// Jobs and units of one queue.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) lanes: HashMap<LaneKey, Lane>,
    /// Those that plans look at; the others sleep.
    awake: HashSet<LaneKey>,
    /// Of those that sleep, those for which room can be kept, by their first, and who that is.
    heads: BTreeMap<Rank, (LaneKey, Demand)>,
    /// Units that want room.
    pub(crate) size: u64,
    /// Units on a node.
    pub(crate) dispatched: u32,
    /// Thousandths of a CPU that those ask for; anybody may ask for anything, and the sum is exact.
    pub(crate) milli_cpu: i128,
    /// Units of Jobs that are not planned for.
    pub(crate) barred: u64,
    /// It is among those that were touched.
    is_touched: bool,
}

impl Line {
    /// Whether a lane is looked at.
    pub(crate) fn is_awake(&self, key: LaneKey) -> bool {
        self.awake.contains(&key)
    }

    /// The lanes that plans look at: those that are awake, and of the others the first for which room can be kept.
    pub(crate) fn looked_at(&self) -> impl Iterator<Item = (LaneKey, &Lane)> {
        let first = self.heads.first_key_value().map(|(_, (key, _))| key);
        self.awake.iter().chain(first).filter_map(|key| Some((*key, self.lanes.get(key)?)))
    }

    /// The first for which room can be kept, where all lanes sleep.
    pub(crate) fn head(&self) -> Option<(ClassId, Demand)> {
        let (_, (key, first)) = self.heads.first_key_value().filter(|_| self.is_asleep())?;
        Some((key.class, *first))
    }

    /// Whether plans look at no lane but that of the [`head`](Self::head).
    pub(crate) fn is_asleep(&self) -> bool {
        self.awake.is_empty()
    }

    /// The lanes that sleep.
    pub(crate) fn asleep(&self) -> impl Iterator<Item = (LaneKey, &Lane)> {
        let all = (self.awake.len() < self.lanes.len()).then_some(&self.lanes);
        all.into_iter().flatten().map(|(key, lane)| (*key, lane)).filter(|(key, _)| !self.is_awake(*key))
    }

    /// Something happens with it.
    fn touch(&mut self, queue: &str, touched: &mut Vec<String>) {
        if !std::mem::replace(&mut self.is_touched, true) {
            touched.push(queue.to_owned());
        }
    }

    /// Nothing of a lane can start, whatever a plan does, and all of it says why. `keeps`: room can be kept for its first.
    fn sleep(&mut self, key: LaneKey, keeps: bool) {
        let Some((rank, first)) = self.lanes.get(&key).and_then(|lane| lane.demands.first_key_value()) else { return };
        if keeps {
            self.heads.insert(rank.clone(), (key, *first));
        }
        self.awake.remove(&key);
    }

    fn wake(&mut self, key: LaneKey) {
        if self.awake.insert(key)
            && let Some((first, _)) = self.lanes.get(&key).and_then(|lane| lane.demands.first_key_value())
        {
            self.heads.remove(first);
        }
    }
}

/// The lines, by the name of the queue that jobs and units carry.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    all: HashMap<String, Line>,
    /// Names of queues with which something has happened since that was asked last; some may be there twice.
    touched: Vec<String>,
}

impl Lines {
    /// One line.
    pub(crate) fn get(&self, queue: &str) -> Option<&Line> {
        self.all.get(queue)
    }

    /// One line, and its name.
    pub(crate) fn find_line(&self, queue: &str) -> Option<(&str, &Line)> {
        self.all.get_key_value(queue).map(|(name, line)| (name.as_str(), line))
    }

    /// A demand and its place.
    pub(crate) fn find(&self, queue: &str, key: LaneKey, rank: &Rank) -> Option<(&Rank, Demand)> {
        let found = self.all.get(queue)?.lanes.get(&key)?.demands.get_key_value(rank)?;
        Some((found.0, *found.1))
    }

    /// Puts a demand in, of which something [is said](super::facts::said_of_unit), or nothing that is to be compared.
    pub(crate) fn insert(&mut self, queue: &str, key: LaneKey, rank: Rank, demand: Demand, said: Option<&Reason>) {
        let own = self.line(queue);
        own.wake(key);
        let lane = own.lanes.entry(key).or_default();
        if lane.said.is_some() && lane.said.as_deref() != said {
            lane.unlike.insert(rank.clone(), demand);
        }
        let before = lane.demands.insert(rank, demand).map_or(0, Demand::size);
        lane.size += demand.size();
        lane.size -= before;
        own.size += demand.size();
        own.size -= before;
    }

    /// Takes a demand out.
    pub(crate) fn remove(&mut self, queue: &str, key: LaneKey, rank: &Rank) {
        let Some(own) = self.all.get_mut(queue).filter(|own| own.lanes.contains_key(&key)) else { return };
        own.touch(queue, &mut self.touched);
        own.wake(key);
        let Some(lane) = own.lanes.get_mut(&key) else { return };
        let before = lane.demands.remove(rank).map_or(0, Demand::size);
        lane.unlike.remove(rank);
        lane.size -= before;
        own.size -= before;
        if lane.demands.is_empty() {
            own.lanes.remove(&key);
            own.awake.remove(&key);
        }
        self.tidy(queue);
    }

    /// Remembers of which demands of a lane a reason is said.
    pub(crate) fn remember<'r>(
        &mut self,
        queue: &str,
        key: LaneKey,
        reason: &Arc<Reason>,
        said: impl Fn(Demand) -> Option<&'r Reason>,
    ) {
        if let Some(lane) = self.all.get_mut(queue).and_then(|line| line.lanes.get_mut(&key)) {
            lane.remember(reason, said);
        }
    }

    /// Puts a lane [to sleep](Line::sleep).
    pub(crate) fn sleep(&mut self, queue: &str, key: LaneKey, keeps: bool) {
        if let Some(line) = self.all.get_mut(queue) {
            line.touch(queue, &mut self.touched);
            line.sleep(key, keeps);
        }
    }

    /// Wakes the lanes of some classes.
    pub(crate) fn wake(&mut self, queue: &str, classes: impl Fn(ClassId) -> bool) {
        let asleep = self.all.get(queue).into_iter().flat_map(Line::asleep).map(|(key, _)| key);
        let woken: Vec<LaneKey> = asleep.filter(|key| classes(key.class)).collect();
        if !woken.is_empty() {
            let line = self.line(queue);
            for key in woken {
                line.wake(key);
            }
        }
    }

    /// Wakes all lanes.
    pub(crate) fn wake_all(&mut self) {
        for (queue, line) in &mut self.all {
            line.heads.clear();
            line.awake = line.lanes.keys().copied().collect();
            line.touch(queue, &mut self.touched);
        }
    }

    /// Counts what is not in any lane; forgets a line of which nothing is left.
    pub(crate) fn count(&mut self, queue: &str, change: impl FnOnce(&mut Line)) {
        change(self.line(queue));
        self.tidy(queue);
    }

    fn tidy(&mut self, queue: &str) {
        if self.all.get(queue).is_some_and(|line| line.lanes.is_empty() && line.dispatched == 0 && line.barred == 0) {
            self.all.remove(queue);
        }
    }

    /// A line with which something happens.
    fn line(&mut self, queue: &str) -> &mut Line {
        if !self.all.contains_key(queue) {
            self.all.insert(queue.to_owned(), Line::default());
        }
        // It was put in just now.
        let line = self.all.entry(queue.to_owned()).or_default();
        line.touch(queue, &mut self.touched);
        line
    }

    /// Something has happened with a queue.
    pub(crate) fn touch(&mut self, queue: &str) {
        match self.all.get_mut(queue) {
            Some(line) => line.touch(queue, &mut self.touched),
            None => self.touched.push(queue.to_owned()),
        }
    }

    /// Names of queues with which something has happened since that was asked last; some may be there twice.
    pub(crate) fn touched(&mut self) -> Vec<String> {
        let touched = std::mem::take(&mut self.touched);
        for queue in &touched {
            if let Some(line) = self.all.get_mut(queue) {
                line.is_touched = false;
            }
        }
        touched
    }
}
