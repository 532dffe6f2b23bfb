//! The lines of queues: who wants room, in lanes of like demands, each in order.
//!
//! Invariant: a lane holds the demands of one class that come through one door, so that once one of them finds no room the next does not
//! either. What it remembers of what was said spares looking at all of it, and changes nothing else. Knows nothing about room.

use std::collections::btree_map::Range;
use std::collections::{BTreeMap, HashMap};
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
    pub(crate) fn untold<'l>(&'l self, from: &Rank, reason: &Reason) -> Range<'l, Rank, Demand> {
        if self.is_said(reason) { self.unlike.range(from..) } else { self.demands.range(from..) }
    }

    /// Whether it is known of which of them this is said.
    pub(crate) fn is_said(&self, reason: &Reason) -> bool {
        self.said.as_deref() == Some(reason)
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
    /// Units on a node.
    pub(crate) dispatched: u32,
    /// Thousandths of a CPU that those ask for; anybody may ask for anything, and the sum is exact.
    pub(crate) milli_cpu: i128,
    /// Units of Jobs that are not planned for.
    pub(crate) barred: u64,
}

impl Line {
    /// Units that want room.
    pub(crate) fn size(&self) -> u64 {
        self.lanes.values().map(|lane| lane.size).sum()
    }
}

/// The lines, by the name of the queue that jobs and units carry.
#[derive(Debug, Default)]
pub(crate) struct Lines(HashMap<String, Line>);

impl Lines {
    /// One line.
    pub(crate) fn get(&self, queue: &str) -> Option<&Line> {
        self.0.get(queue)
    }

    /// All lines, in the order of their names.
    pub(crate) fn all(&self) -> BTreeMap<&str, &Line> {
        self.0.iter().map(|(name, line)| (name.as_str(), line)).collect()
    }

    /// A demand and its place.
    pub(crate) fn find(&self, queue: &str, key: LaneKey, rank: &Rank) -> Option<(&Rank, Demand)> {
        let found = self.0.get(queue)?.lanes.get(&key)?.demands.get_key_value(rank)?;
        Some((found.0, *found.1))
    }

    /// Puts a demand in, of which something [is said](super::facts::said_of_unit), or nothing that is to be compared.
    pub(crate) fn insert(&mut self, queue: &str, key: LaneKey, rank: Rank, demand: Demand, said: Option<&Reason>) {
        let lane = self.line(queue).lanes.entry(key).or_default();
        lane.size += demand.size();
        if lane.said.is_some() && lane.said.as_deref() != said {
            lane.unlike.insert(rank.clone(), demand);
        }
        if let Some(before) = lane.demands.insert(rank, demand) {
            lane.size -= before.size();
        }
    }

    /// Takes a demand out.
    pub(crate) fn remove(&mut self, queue: &str, key: LaneKey, rank: &Rank) {
        let Some(lanes) = self.0.get_mut(queue).map(|line| &mut line.lanes) else { return };
        let Some(lane) = lanes.get_mut(&key) else { return };
        if let Some(before) = lane.demands.remove(rank) {
            lane.size -= before.size();
            lane.unlike.remove(rank);
        }
        if lane.demands.is_empty() {
            lanes.remove(&key);
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
        if let Some(lane) = self.0.get_mut(queue).and_then(|line| line.lanes.get_mut(&key)) {
            lane.remember(reason, said);
        }
    }

    /// Counts what is not in any lane; forgets a line of which nothing is left.
    pub(crate) fn count(&mut self, queue: &str, change: impl FnOnce(&mut Line)) {
        change(self.line(queue));
        self.tidy(queue);
    }

    fn tidy(&mut self, queue: &str) {
        if self.0.get(queue).is_some_and(|line| line.lanes.is_empty() && line.dispatched == 0 && line.barred == 0) {
            self.0.remove(queue);
        }
    }

    fn line(&mut self, queue: &str) -> &mut Line {
        if !self.0.contains_key(queue) {
            self.0.insert(queue.to_owned(), Line::default());
        }
        // It was put in just now.
        self.0.entry(queue.to_owned()).or_default()
    }
}
