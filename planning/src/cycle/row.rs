//! The lanes of one queue as a row: the demand that comes first in any of them is next.
//!
//! Invariant: each demand comes once, in the order of ranks, unless its lane was settled before; what is left out never comes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, binary_heap::PeekMut, btree_map};

use crate::world::lines::{Demand, LaneKey, Line};
use crate::world::rank::Rank;

/// Demands that are not served.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Slots of units.
    pub(super) units: HashSet<u32>,
    /// Slots of Jobs whose pods do not exist yet.
    pub(super) futures: HashSet<u32>,
}

impl LeftOut {
    /// Leaves one out.
    pub(super) fn add(&mut self, demand: Demand) {
        match demand {
            Demand::Unit(slot) => self.units.insert(slot),
            Demand::Future(slot, _) => self.futures.insert(slot),
        };
    }

    /// Whether nothing is left out.
    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty() && self.futures.is_empty()
    }

    /// Whether this one is.
    pub(super) fn contains(&self, demand: Demand) -> bool {
        match demand {
            Demand::Unit(slot) => self.units.contains(&slot),
            Demand::Future(slot, _) => self.futures.contains(&slot),
        }
    }
}

/// A demand and its place in line.
pub(super) type Ranked<'w> = (&'w Rank, Demand);

struct Cursor<'w> {
    key: LaneKey,
    rest: btree_map::Iter<'w, Rank, Demand>,
    next: Option<Ranked<'w>>,
}

impl<'w> Cursor<'w> {
    fn advance(&mut self, left_out: &LeftOut) -> Option<Ranked<'w>> {
        let is_in = |(_, demand): &Ranked<'w>| left_out.is_empty() || !left_out.contains(*demand);
        let next = self.rest.by_ref().map(|(rank, demand)| (rank, *demand)).find(is_in);
        std::mem::replace(&mut self.next, next)
    }
}

/// The lanes of one queue.
pub(super) struct Row<'w, 'c> {
    lanes: Vec<Cursor<'w>>,
    /// The first of each lane.
    heads: BinaryHeap<Reverse<(&'w Rank, usize)>>,
    left_out: &'c LeftOut,
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
    pub(super) fn new(line: &'w Line, left_out: &'c LeftOut) -> Self {
        let mut lanes: Vec<Cursor<'w>> = Vec::with_capacity(line.lanes.len());
        for (key, lane) in &line.lanes {
            let mut cursor = Cursor { key: *key, rest: lane.demands.iter(), next: None };
            cursor.advance(left_out);
            lanes.push(cursor);
        }
        let first = |(number, cursor): (usize, &Cursor<'w>)| Some(Reverse((cursor.next?.0, number)));
        let heads = lanes.iter().enumerate().filter_map(first).collect();
        Self { lanes, heads, left_out }
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
        loop {
            let mut head = self.heads.peek_mut()?;
            let lane = head.0.1;
            let cursor = &mut self.lanes[lane];
            let Some((rank, demand)) = cursor.next else {
                // Its lane was settled.
                PeekMut::pop(head);
                continue;
            };
            if !wanted(lane, demand) {
                return None;
            }
            cursor.advance(self.left_out);
            match cursor.next {
                Some((next, _)) => head.0.0 = next,
                None => drop(PeekMut::pop(head)),
            }
            return Some(Turn { lane, key: self.lanes[lane].key, rank, demand });
        }
    }

    /// All that is left of a lane; none of it comes any more.
    pub(super) fn settle(&mut self, lane: usize) -> Vec<Ranked<'w>> {
        let mut rest = Vec::new();
        while let Some(one) = self.lanes[lane].advance(self.left_out) {
            rest.push(one);
        }
        rest
    }

    /// All that is left of all lanes, in order.
    pub(super) fn settle_all(&mut self) -> Vec<Ranked<'w>> {
        let mut rest: Vec<Ranked<'w>> = (0..self.lanes.len()).flat_map(|lane| self.settle(lane)).collect();
        rest.sort_unstable_by_key(|(rank, _)| *rank);
        rest
    }
}
