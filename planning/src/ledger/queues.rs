//! Who waits for room, by queue, in order: retries first, then first in, first out; and who of a long queue is shown to a plan.
//!
//! Invariant: the same order as in a plan. Whatever blocks the first jobs of a queue, of each other need some are shown, because jobs that need
//! the same are alike to a plan: where one finds no room, the next finds none. Does not know why anybody waits.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use model::job::{JobId, JobRecord, Spec};
use model::placement::Shape;
use uuid::Uuid;

/// First attempt or not, time of submission, id.
type Rank = (bool, Timestamp, JobId);

/// What a job needs of a node, and the namespace that it names.
type Need = (Arc<Shape>, Option<String>);

/// Jobs that wait for room.
#[derive(Debug, Default)]
pub(super) struct Queues(BTreeMap<String, Queue>);

/// Those of one queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Needs by their numbers.
    numbers: HashMap<Need, u64>,
    next: u64,
    jobs: BTreeSet<(u64, Rank)>,
    /// The first job of each need.
    firsts: BTreeMap<Rank, u64>,
}

impl Queues {
    pub(super) fn insert(&mut self, record: &JobRecord, spec: &Spec, shape: &Arc<Shape>) {
        if !self.0.contains_key(&spec.queue) {
            self.0.insert(spec.queue.clone(), Queue::default());
        }
        if let Some(queue) = self.0.get_mut(&spec.queue) {
            queue.insert(need(spec, shape), rank(record));
        }
    }

    /// Takes out a job that was put in like this.
    pub(super) fn remove(&mut self, record: &JobRecord, spec: &Spec, shape: &Arc<Shape>) {
        let Some(queue) = self.0.get_mut(&spec.queue) else { return };
        queue.remove(&need(spec, shape), &rank(record));
        if queue.jobs.is_empty() {
            self.0.remove(&spec.queue);
        }
    }

    /// All queues in which somebody waits, by AWS name.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Queue)> {
        self.0.iter().map(|(name, queue)| (name.as_str(), queue))
    }

    pub(super) fn len(&self, queue: &str) -> usize {
        self.0.get(queue).map_or(0, |queue| queue.jobs.len())
    }
}

/// Jobs of one need that may be placed, and were not shown yet.
struct Line<I> {
    next: Option<Rank>,
    rest: I,
    shown: usize,
}

impl<I: Iterator<Item = Rank>> Line<I> {
    fn new(mut rest: I) -> Self {
        Self { next: rest.next(), rest, shown: 0 }
    }

    /// Shows one more.
    fn step(&mut self) -> Option<JobId> {
        let (_, _, id) = self.next?;
        self.next = self.rest.next();
        self.shown += 1;
        Some(id)
    }
}

impl Queue {
    fn insert(&mut self, need: Need, rank: Rank) {
        let next = &mut self.next;
        let number = *self.numbers.entry(need).or_insert_with(|| {
            *next += 1;
            *next
        });
        let first = self.first(number);
        self.jobs.insert((number, rank));
        if first.is_none_or(|first| rank < first) {
            first.map(|first| self.firsts.remove(&first));
            self.firsts.insert(rank, number);
        }
    }

    fn remove(&mut self, need: &Need, rank: &Rank) {
        let Some(number) = self.numbers.get(need).copied() else { return };
        self.jobs.remove(&(number, *rank));
        if self.firsts.remove(rank).is_none() {
            return;
        }
        match self.first(number) {
            Some(next) => drop(self.firsts.insert(next, number)),
            None => drop(self.numbers.remove(need)),
        }
    }

    /// The first job of a need.
    fn first(&self, number: u64) -> Option<Rank> {
        self.of(number).next()
    }

    /// Jobs of one need, in order.
    fn of(&self, number: u64) -> impl Iterator<Item = Rank> {
        let before_all = (false, Timestamp::MIN, JobId::new(Uuid::nil()));
        self.jobs.range((number, before_all)..).take_while(move |(of, _)| *of == number).map(|(_, rank)| *rank)
    }

    /// The first `most` in order, and up to `more`: of each need as many as of others, if there are so many, and what is left of the number goes to
    /// the oldest. So what is shown lacks a need only if `more` others have older jobs. With about how many it lacks that may be placed.
    pub(super) fn show(&self, most: usize, more: usize, may_be_placed: impl Fn(JobId) -> bool) -> (Vec<JobId>, usize) {
        let line = |number: u64| Line::new(self.of(number).filter(|(_, _, id)| may_be_placed(*id)));
        let (mut shown, mut lines, mut next) = (Vec::new(), Vec::new(), BinaryHeap::new());
        let mut firsts = self.firsts.iter().peekable();
        while shown.len() < most {
            let earliest = next.peek().map(|Reverse((rank, _))| *rank);
            if let Some((_, number)) = firsts.next_if(|(first, _)| earliest.is_none_or(|earliest| **first < earliest)) {
                let line = line(*number);
                // A need of which all jobs rest has no part of what is shown.
                if let Some(rank) = line.next {
                    next.push(Reverse((rank, lines.len())));
                    lines.push(line);
                }
                continue;
            }
            let Some(Reverse((_, at))) = next.pop() else { break };
            shown.extend(lines[at].step());
            next.extend(lines[at].next.map(|rank| Reverse((rank, at))));
        }
        // Lines were begun by the age of their needs, and are so now.
        lines.extend(firsts.by_ref().map(|(_, number)| line(*number)).filter(|line| line.next.is_some()).take(more));
        let each = (more / lines.len().max(1)).max(1);
        let mut left = more;
        for up_to in [each, usize::MAX] {
            for line in &mut lines {
                while left > 0
                    && line.shown < up_to
                    && let Some(id) = line.step()
                {
                    shown.push(id);
                    left -= 1;
                }
            }
        }
        let is_all =
            firsts.all(|(_, number)| line(*number).next.is_none()) && lines.iter().all(|line| line.next.is_none());
        let hidden = if is_all { 0 } else { self.jobs.len() - shown.len() };
        (shown, hidden)
    }
}

fn need(spec: &Spec, shape: &Arc<Shape>) -> Need {
    (shape.clone(), spec.namespace.clone())
}

fn rank(record: &JobRecord) -> Rank {
    (record.attempt <= 1, record.created, record.id)
}
