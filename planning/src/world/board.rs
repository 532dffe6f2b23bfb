//! The queues in the order in which they are served: which of them a plan has to look at, for whom it keeps room in the others, and what all of
//! them show.
//!
//! Invariant: what is known of a queue is what its line and the facts say by now; only queues of which something was touched are looked at to
//! keep it so. Decides nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use model::plan::QueueCounts;
use model::snapshot::Queue;

use super::class::ClassId;
use super::facts::Facts;
use super::kept::Kept;
use super::lines::Line;

/// When a queue is served: by priority, then by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Precedence {
    priority: Reverse<i32>,
    pub(crate) queue: Arc<str>,
}

/// The first of a queue that sleeps: room is kept for it.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) class: ClassId,
    /// Slots of the environments of its queue that can be used, in order.
    pub(crate) sites: Vec<usize>,
    /// UID of what waits.
    pub(crate) uid: Arc<str>,
    /// Slot of the Job that has a say in that.
    job: Option<u32>,
}

impl Head {
    /// Of what waits, in these sites; `job`: the slot of the Job that has a say in its UID.
    pub(crate) fn new(class: ClassId, sites: Vec<usize>, uid: &str, job: Option<u32>) -> Self {
        Self { class, sites, uid: uid.into(), job }
    }
}

/// A queue.
#[derive(Debug)]
struct Known {
    at: Precedence,
    /// Where its counts are.
    index: usize,
}

/// All queues.
#[derive(Debug, Default)]
pub(crate) struct Board {
    known: HashMap<String, Known>,
    order: BTreeSet<Precedence>,
    /// Those with lanes that are awake.
    awake: BTreeSet<Precedence>,
    /// Those that are DISABLED and have a line.
    disabled: BTreeSet<Precedence>,
    heads: BTreeMap<Precedence, Arc<Head>>,
    /// Queues of heads, by slots of environments and of Jobs.
    heads_at: HashMap<usize, BTreeSet<Precedence>>,
    heads_of: HashMap<u32, BTreeSet<Precedence>>,
    /// Names of lines without a queue.
    lost: BTreeSet<String>,
    /// In order.
    counts: Arc<Vec<QueueCounts>>,
    /// The order is another one than that of the counts.
    is_reordered: bool,
    /// Queues that show a refusal.
    refused: Vec<String>,
    pub(crate) kept: Kept,
}

impl Board {
    /// Brings everything up to date with the facts.
    pub(crate) fn settle(&mut self, facts: &mut Facts<'_>) {
        for job in std::mem::take(&mut facts.changed_jobs) {
            let queues = self.heads_of.get(&job).into_iter().flatten();
            queues.for_each(|at| facts.lines.touch(&at.queue));
        }
        if std::mem::take(&mut facts.is_kept_anew) {
            self.kept.read(&facts.kept_since);
        }
        let mut touched = facts.lines.touched();
        touched.sort_unstable();
        touched.dedup();
        for name in &touched {
            self.place(name, facts);
        }
        if std::mem::take(&mut self.is_reordered) {
            self.reorder();
        }
        for name in &touched {
            self.count(name, facts);
        }
    }

    /// Finds out when a queue is served, and whether it is looked at.
    fn place(&mut self, name: &str, facts: &Facts<'_>) {
        let (queue, line) = (facts.queues.get(name), facts.lines.get(name));
        let at = queue.map(|queue| self.precedence(queue));
        if let Some(Known { at: before, .. }) = self.known.get(name) {
            let before = before.clone();
            self.unplace(&before);
            if at.as_ref() != Some(&before) {
                self.order.remove(&before);
                self.known.remove(name);
                self.is_reordered = true;
            }
        }
        if queue.is_none() && line.is_some() {
            self.lost.insert(name.to_owned());
        } else {
            self.lost.remove(name);
        }
        let (Some(queue), Some(at)) = (queue, at) else { return };
        if !self.known.contains_key(name) {
            self.is_reordered = true;
            self.order.insert(at.clone());
            self.known.insert(name.to_owned(), Known { at: at.clone(), index: usize::MAX });
        }
        let Some(line) = line else { return };
        if !queue.enabled {
            self.disabled.insert(at.clone());
        }
        if !line.is_asleep() {
            self.awake.insert(at);
        } else if let Some(head) = head(queue, line, facts) {
            self.put_head(at, head, facts);
        }
    }

    fn precedence(&self, queue: &Queue) -> Precedence {
        let known = self.known.get(&queue.name).map(|known| known.at.queue.clone());
        Precedence { priority: Reverse(queue.priority), queue: known.unwrap_or_else(|| queue.name.as_str().into()) }
    }

    fn unplace(&mut self, at: &Precedence) {
        self.awake.remove(at);
        self.disabled.remove(at);
        self.take_head(at);
    }

    fn put_head(&mut self, at: Precedence, head: Head, facts: &Facts<'_>) {
        for site in &head.sites {
            self.heads_at.entry(*site).or_default().insert(at.clone());
        }
        if let Some(job) = head.job {
            self.heads_of.entry(job).or_default().insert(at.clone());
        }
        self.kept.add(&head.uid, facts.kept_since.get(&*head.uid).copied());
        self.heads.insert(at, Arc::new(head));
    }

    fn take_head(&mut self, at: &Precedence) {
        let Some(head) = self.heads.remove(at) else { return };
        for site in &head.sites {
            take_out(&mut self.heads_at, site, at);
        }
        if let Some(job) = head.job {
            take_out(&mut self.heads_of, &job, at);
        }
        self.kept.remove(&head.uid);
    }

    /// Puts the counts into order, and finds out where those of each queue are.
    fn reorder(&mut self) {
        let before = std::mem::take(&mut self.counts);
        let old: HashMap<&str, &QueueCounts> = before.iter().map(|one| (one.queue.as_str(), one)).collect();
        let mut counts = Vec::with_capacity(self.order.len());
        for at in &self.order {
            if let Some(known) = self.known.get_mut(&*at.queue) {
                known.index = counts.len();
            }
            counts.push(old.get(&*at.queue).map_or_else(|| nothing(&at.queue), |one| (*one).clone()));
        }
        self.counts = Arc::new(counts);
    }

    /// Counts what a queue shows.
    fn count(&mut self, name: &str, facts: &Facts<'_>) {
        let (Some(queue), Some(known)) = (facts.queues.get(name), self.known.get(name)) else { return };
        let line = facts.lines.get(name);
        let waiting = line.map_or(0, |line| line.size.saturating_add(line.barred));
        let Some(before) = self.counts.get(known.index) else { return };
        let counts = QueueCounts {
            waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
            dispatched: line.map_or(0, |line| line.dispatched),
            milli_cpu: line.map_or(0, |line| u32::try_from(line.milli_cpu).unwrap_or(u32::MAX)),
            problem: problem(queue, facts),
            refused: before.refused.clone(),
            queue: queue.name.clone(),
        };
        if *before != counts {
            Arc::make_mut(&mut self.counts)[known.index] = counts;
        }
    }

    /// What all queues show, some of them these refusals.
    pub(crate) fn counts(&mut self, refused: &HashMap<&str, String>) -> Arc<Vec<QueueCounts>> {
        for name in std::mem::take(&mut self.refused) {
            if !refused.contains_key(name.as_str()) {
                self.refuse(&name, None);
            }
        }
        for (name, message) in refused {
            self.refuse(name, Some(message));
            self.refused.push((*name).to_owned());
        }
        self.counts.clone()
    }

    fn refuse(&mut self, name: &str, message: Option<&String>) {
        let Some(index) = self.known.get(name).map(|known| known.index) else { return };
        if self.counts.get(index).is_some_and(|counts| counts.refused.as_ref() != message) {
            Arc::make_mut(&mut self.counts)[index].refused = message.cloned();
        }
    }

    /// All queues, in order.
    pub(crate) fn order(&self) -> impl DoubleEndedIterator<Item = &Precedence> {
        self.order.iter()
    }

    /// Queues that are served after one, up to another.
    pub(crate) fn between(&self, from: Option<&Precedence>, to: &Precedence) -> impl Iterator<Item = &Precedence> {
        let from = from.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.order.range((from, std::ops::Bound::Included(to)))
    }

    /// Queues with lanes that are awake.
    pub(crate) fn awake(&self) -> &BTreeSet<Precedence> {
        &self.awake
    }

    /// Queues that are DISABLED and have a line, in order.
    pub(crate) fn disabled(&self) -> impl Iterator<Item = &Precedence> {
        self.disabled.iter()
    }

    /// Lines without a queue, by name.
    pub(crate) fn lost(&self) -> impl Iterator<Item = &str> {
        self.lost.iter().map(String::as_str)
    }

    /// In this plan a queue is looked at, also if it sleeps. Returns when.
    pub(crate) fn rouse(&mut self, queue: &str) -> Option<Precedence> {
        let at = self.known.get(queue)?.at.clone();
        self.take_head(&at);
        Some(at)
    }

    /// For whom room is kept in a queue that sleeps.
    pub(crate) fn head(&self, at: &Precedence) -> Option<&Arc<Head>> {
        self.heads.get(at)
    }

    /// Queues that sleep, come before another one, and for whose heads room is kept in an environment.
    pub(crate) fn heads_before(&self, site: usize, at: &Precedence) -> impl Iterator<Item = &Precedence> {
        self.heads_at.get(&site).into_iter().flat_map(move |queues| queues.range(..at))
    }
}

fn nothing(queue: &str) -> QueueCounts {
    QueueCounts { queue: queue.to_owned(), waiting: 0, dispatched: 0, milli_cpu: 0, problem: None, refused: None }
}

/// What is wrong with a queue: environments that do not exist.
fn problem(queue: &Queue, facts: &Facts<'_>) -> Option<String> {
    let missing = queue.environments.iter().filter(|name| facts.environments.find(name).is_none());
    let missing: Vec<&str> = missing.map(String::as_str).collect();
    (!missing.is_empty()).then(|| format!("compute environment {} does not exist", missing.join(", ")))
}

fn head(queue: &Queue, line: &Line, facts: &Facts<'_>) -> Option<Head> {
    let (class, first) = line.head()?;
    let found = queue.environments.iter().filter_map(|name| facts.environments.find(name));
    let sites = found.filter(|slot| facts.environments[*slot].enabled).collect();
    Some(Head::new(class, sites, facts.uid(first)?, facts.job_of(first)))
}

fn take_out<K: Eq + std::hash::Hash>(all: &mut HashMap<K, BTreeSet<Precedence>>, key: &K, at: &Precedence) {
    if let Some(queues) = all.get_mut(key) {
        queues.remove(at);
        if queues.is_empty() {
            all.remove(key);
        }
    }
}
