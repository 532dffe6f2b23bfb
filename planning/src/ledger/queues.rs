//! Who waits for room, by queue, in order: retries first, then first in, first out; and who of a long queue is shown to a plan.
//!
//! Invariant: the same order as in a plan. Whatever blocks the first jobs of a queue, of the others some are shown, because jobs that need
//! the same are alike to a plan: where one finds no room, the next finds none. Does not know why anybody waits.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, btree_set};
use std::iter::Filter;
use std::sync::Arc;

use jiff::Timestamp;
use model::job::{JobId, JobRecord, Spec};
use model::placement::Shape;

/// First attempt or not, time of submission, id.
pub(super) type Rank = (bool, Timestamp, JobId);

/// What a job needs of a node, and the namespace that it names.
type Need = (Arc<Shape>, Option<String>);

/// Jobs that wait for room.
#[derive(Debug, Default)]
pub(super) struct Queues(BTreeMap<String, Queue>);

#[derive(Debug, Default)]
struct Queue {
    needs: HashMap<Need, BTreeSet<Rank>>,
    /// The first job of each need.
    firsts: BTreeMap<Rank, Need>,
    len: usize,
}

/// What is shown of a queue.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) jobs: Vec<JobId>,
    /// Of each need of which not all are shown the last job that is, and the next.
    pub(super) ends: Vec<(JobId, Rank)>,
    /// How many are not shown although they may be placed; about as many, where some may not.
    pub(super) hidden: usize,
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
        if queue.len == 0 {
            self.0.remove(&spec.queue);
        }
    }

    /// What is shown of each queue: the first `most` jobs that may be placed, and as many of others at most.
    pub(super) fn show(
        &self,
        most: usize,
        may_be_placed: impl Fn(JobId) -> bool,
    ) -> impl Iterator<Item = (&str, Shown)> {
        self.0.iter().map(move |(name, queue)| (name.as_str(), queue.show(most, &may_be_placed)))
    }

    pub(super) fn len(&self, queue: &str) -> usize {
        self.0.get(queue).map_or(0, |queue| queue.len)
    }
}

/// Jobs of one need, from some place on.
struct Line<'a, F> {
    rest: Filter<btree_set::Iter<'a, Rank>, F>,
    /// The last that was shown.
    last: Option<JobId>,
}

impl Queue {
    fn insert(&mut self, need: Need, rank: Rank) {
        let jobs = self.needs.entry(need.clone()).or_default();
        let first = jobs.first().copied();
        if !jobs.insert(rank) {
            return;
        }
        self.len += 1;
        if first.is_none_or(|first| rank < first) {
            first.map(|first| self.firsts.remove(&first));
            self.firsts.insert(rank, need);
        }
    }

    fn remove(&mut self, need: &Need, rank: &Rank) {
        let Some(jobs) = self.needs.get_mut(need) else { return };
        if !jobs.remove(rank) {
            return;
        }
        self.len -= 1;
        if self.firsts.remove(rank).is_some()
            && let Some(next) = jobs.first()
        {
            self.firsts.insert(*next, need.clone());
        }
        if jobs.is_empty() {
            self.needs.remove(need);
        }
    }

    /// The first `most` in order. Then of each need that is not among them the first ones: as many of each, and `most` in all, so that a need
    /// is not shown only if jobs of that many other needs came before.
    fn show(&self, most: usize, may_be_placed: &impl Fn(JobId) -> bool) -> Shown {
        let may = |rank: &&Rank| may_be_placed(rank.2);
        let line = |need: &Need| Line { rest: self.needs[need].iter().filter(&may), last: None };
        let (mut shown, mut lines, mut next) = (Shown::default(), Vec::new(), BinaryHeap::new());
        let mut firsts = self.firsts.iter().peekable();
        while shown.jobs.len() < most {
            let earliest = next.peek().map(|Reverse((rank, _))| *rank);
            if let Some((_, need)) = firsts.next_if(|(first, _)| earliest.is_none_or(|earliest| **first < earliest)) {
                let mut line = line(need);
                next.extend(line.rest.next().map(|rank| Reverse((*rank, lines.len()))));
                lines.push(line);
                continue;
            }
            let Some(Reverse((rank, at))) = next.pop() else { break };
            shown.jobs.push(rank.2);
            lines[at].last = Some(rank.2);
            next.extend(lines[at].rest.next().map(|rank| Reverse((*rank, at))));
        }
        // By age of their needs: in this order lines were begun.
        let mut begun: Vec<(usize, Rank)> = next.into_iter().map(|Reverse((rank, at))| (at, rank)).collect();
        begun.sort_unstable();
        let mut others = Vec::new();
        for (at, rank) in begun {
            match lines[at].last {
                Some(last) => shown.ends.push((last, rank)),
                None => others.push((rank, lines[at].rest.clone())),
            }
        }
        let untouched = firsts.filter_map(|(_, need)| {
            let mut rest = line(need).rest;
            Some((*rest.next()?, rest))
        });
        others.extend(untouched.take((most + 1).saturating_sub(others.len())));
        let is_cut = others.len() > most;
        others.truncate(most);
        let each = (most / others.len().max(1)).max(1);
        for (first, rest) in others {
            let mut all = std::iter::once(first).chain(rest.copied());
            shown.jobs.extend(all.by_ref().take(each).map(|rank| rank.2));
            shown.ends.extend(shown.jobs.last().copied().zip(all.next()));
        }
        if is_cut || !shown.ends.is_empty() {
            shown.hidden = self.len - shown.jobs.len();
        }
        shown
    }
}

fn need(spec: &Spec, shape: &Arc<Shape>) -> Need {
    (shape.clone(), spec.namespace.clone())
}

pub(super) fn rank(record: &JobRecord) -> Rank {
    (record.attempt <= 1, record.created, record.id)
}
