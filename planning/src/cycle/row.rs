//! The lanes of one queue as a row: the demand that comes first in any of them is next.
//!
//! Invariant: each demand comes once, in the order of ranks, unless its lane was settled before; what is left out never comes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, binary_heap::PeekMut, btree_map};
use std::ops::Bound;

use crate::world::lines::{Demand, Lane, LaneKey, Line};
use crate::world::rank::Rank;

/// Demands that are not served.
#[derive(Debug, Default)]
pub(super) struct LeftOut<'w> {
    /// Slots of units.
    units: HashSet<u32>,
    /// Slots of Jobs whose pods do not exist yet.
    futures: HashSet<u32>,
    /// Units in all, by queue and lane.
    sizes: HashMap<(&'w str, LaneKey), u64>,
    /// Queues of which some are left out.
    queues: HashSet<&'w str>,
}

impl<'w> LeftOut<'w> {
    /// Leaves one out, of a lane of a queue.
    pub(super) fn add(&mut self, lane: (&'w str, LaneKey), demand: Demand) {
        match demand {
            Demand::Unit(slot) => self.units.insert(slot),
            Demand::Future(slot, _) => self.futures.insert(slot),
        };
        *self.sizes.entry(lane).or_default() += demand.size();
        self.queues.insert(lane.0);
    }

    /// Queues of which some are left out.
    pub(super) fn queues(&self) -> impl Iterator<Item = &'w str> {
        self.queues.iter().copied()
    }

    /// Whether some of a queue are left out.
    pub(super) fn is_of(&self, queue: &str) -> bool {
        self.queues.contains(queue)
    }

    /// Whether this one is left out.
    pub(super) fn contains(&self, demand: Demand) -> bool {
        match demand {
            _ if self.sizes.is_empty() => false,
            Demand::Unit(slot) => self.units.contains(&slot),
            Demand::Future(slot, _) => self.futures.contains(&slot),
        }
    }

    /// Units that are left out of a lane of a queue.
    pub(super) fn size(&self, queue: &str, lane: LaneKey) -> u64 {
        if self.sizes.is_empty() { 0 } else { self.sizes.get(&(queue, lane)).copied().unwrap_or(0) }
    }
}

/// A demand and its place in line.
pub(super) type Ranked<'w> = (&'w Rank, Demand);

/// What is left of a lane.
pub(super) struct Rest<'w> {
    pub(super) queue: &'w str,
    pub(super) key: LaneKey,
    pub(super) lane: &'w Lane,
    /// Where it begins.
    pub(super) from: Bound<&'w Rank>,
    /// Units in all, less those that are left out.
    pub(super) size: u64,
}

struct Cursor<'w> {
    key: LaneKey,
    lane: &'w Lane,
    rest: btree_map::Iter<'w, Rank, Demand>,
    next: Option<Ranked<'w>>,
    /// Units that are still to come, `next` included.
    size: u64,
}

impl Cursor<'_> {
    fn advance(&mut self, left_out: &LeftOut<'_>) {
        if let Some((_, demand)) = self.next {
            self.size = self.size.saturating_sub(demand.size());
        }
        let mut rest = self.rest.by_ref().map(|(rank, demand)| (rank, *demand));
        self.next = rest.find(|(_, demand)| !left_out.contains(*demand));
    }
}

/// The lanes of one queue.
pub(super) struct Row<'w, 'c> {
    queue: &'w str,
    lanes: Vec<Cursor<'w>>,
    /// The first of each lane, or what was its first.
    heads: BinaryHeap<Reverse<(&'w Rank, usize)>>,
    left_out: &'c LeftOut<'c>,
}

/// Whose turn it is.
pub(super) struct Turn<'w> {
    /// The number of its lane in the row.
    pub(super) lane: usize,
    /// What kind of lane that is.
    pub(super) key: LaneKey,
    /// Its place in line.
    pub(super) rank: &'w Rank,
    /// Who it is.
    pub(super) demand: Demand,
}

impl<'w, 'c> Row<'w, 'c> {
    /// Those that are [looked at](Line::looked_at).
    pub(super) fn new(queue: &'w str, line: &'w Line, left_out: &'c LeftOut<'c>) -> Self {
        let mut lanes: Vec<Cursor<'w>> = Vec::new();
        // Whoever is left out may be one of those that sleep.
        let asleep = if left_out.is_of(queue) { Some(line.asleep()) } else { None };
        let looked_at = line.looked_at().filter(|(key, _)| asleep.is_none() || line.is_awake(*key));
        let all: Vec<(LaneKey, &'w Lane)> = looked_at.collect();
        for (key, lane) in all.into_iter().chain(asleep.into_iter().flatten()) {
            let size = lane.size.saturating_sub(left_out.size(queue, key));
            let mut cursor = Cursor { key, lane, rest: lane.demands.iter(), next: None, size };
            cursor.advance(left_out);
            lanes.push(cursor);
        }
        let first = |(number, cursor): (usize, &Cursor<'w>)| Some(Reverse((cursor.next?.0, number)));
        let heads = lanes.iter().enumerate().filter_map(first).collect();
        Self { queue, lanes, heads, left_out }
    }

    /// Whose turn it is next.
    pub(super) fn next(&mut self) -> Option<Turn<'w>> {
        self.next_if(|_, _| true)
    }

    /// The next, if that is a unit of the same lane.
    pub(super) fn next_unit(&mut self, lane: usize) -> Option<Turn<'w>> {
        self.next_if(|next, demand| next == lane && matches!(demand, Demand::Unit(_)))
    }

    fn next_if(&mut self, wanted: impl Fn(usize, Demand) -> bool) -> Option<Turn<'w>> {
        let (lane, (rank, demand)) = self.first()?;
        if !wanted(lane, demand) {
            return None;
        }
        self.lanes[lane].advance(self.left_out);
        Some(Turn { lane, key: self.lanes[lane].key, rank, demand })
    }

    /// The lane that comes first, and its first. A lane that went on, or was settled, is put where it belongs only when it is looked at again.
    fn first(&mut self) -> Option<(usize, Ranked<'w>)> {
        loop {
            let mut head = self.heads.peek_mut()?;
            let Reverse((rank, lane)) = *head;
            match self.lanes[lane].next {
                None => drop(PeekMut::pop(head)),
                Some(next) if next.0 == rank => return Some((lane, next)),
                Some((next, _)) => head.0.0 = next,
            }
        }
    }

    /// All that is left of a lane, if only that nothing is; none of it comes any more.
    pub(super) fn settle(&mut self, lane: usize) -> Rest<'w> {
        let Cursor { key, lane, next, size, .. } = &mut self.lanes[lane];
        let behind_all = || lane.demands.last_key_value().map_or(Bound::Unbounded, |(last, _)| Bound::Excluded(last));
        let from = next.take().map_or_else(behind_all, |(next, _)| Bound::Included(next));
        Rest { queue: self.queue, key: *key, lane, from, size: *size }
    }

    /// All that is left of all lanes.
    pub(super) fn settle_all(&mut self) -> Vec<Rest<'w>> {
        let left: Vec<usize> = (0..self.lanes.len()).filter(|lane| self.lanes[*lane].next.is_some()).collect();
        left.into_iter().map(|lane| self.settle(lane)).collect()
    }
}
