//! Which Jobs and pods of a namespace are more than may wait.
//!
//! Invariant: the oldest wait, the rest waits for its turn, so that one namespace takes no more memory of a plan than its share, and nothing
//! is lost. Whoever comes or goes costs nothing that grows with those who wait, but for finding the place. Does not know what a plan needs
//! of a Job.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use model::status::{Code, Reason};

/// How much may wait in one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceLimits {
    /// Jobs, and as many pods.
    pub jobs: usize,
    /// Bytes that a plan needs for the Jobs, and as many for the pods.
    pub bytes: usize,
}

impl Default for NamespaceLimits {
    fn default() -> Self {
        Self { jobs: 20_000, bytes: 32 << 20 }
    }
}

/// Who waits, by namespace.
#[derive(Debug)]
pub(super) struct Crowd {
    jobs: usize,
    bytes: usize,
    lines: HashMap<Arc<str>, Line>,
    known: HashMap<Arc<str>, (Arc<str>, Rank)>,
}

/// Those of one namespace, in order, with the bytes of each.
#[derive(Debug, Default)]
struct Line {
    /// The oldest, as many as may wait.
    first: BTreeMap<Rank, usize>,
    bytes: usize,
    /// The others.
    rest: BTreeMap<Rank, usize>,
}

/// Place in a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    age: Timestamp,
    created: Timestamp,
    uid: Arc<str>,
}

/// Somebody who waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting<'a> {
    pub(super) namespace: &'a str,
    /// When what it is of was created.
    pub(super) age: Timestamp,
    pub(super) created: Timestamp,
    /// What a plan needs for it.
    pub(super) bytes: usize,
}

impl Crowd {
    /// In which no more than this waits in a namespace.
    pub(super) fn new(jobs: usize, bytes: usize) -> Self {
        Self { jobs, bytes, lines: HashMap::new(), known: HashMap::new() }
    }

    /// Somebody waits, or does not (any more). Adds to `turned` of whom else it has changed by that whether they are too many.
    pub(super) fn set(&mut self, uid: &str, waiting: Option<Waiting<'_>>, turned: &mut Vec<Arc<str>>) {
        if waiting.is_some_and(|waiting| self.has(uid, waiting)) {
            return;
        }
        self.remove(uid, turned);
        let Some(Waiting { namespace, age, created, bytes }) = waiting else { return };
        let namespace =
            self.lines.get_key_value(namespace).map_or_else(|| namespace.into(), |(known, _)| known.clone());
        let rank = Rank { age, created, uid: uid.into() };
        let line = self.lines.entry(namespace.clone()).or_default();
        if line.rest.first_key_value().is_some_and(|(least, _)| *least < rank) {
            line.rest.insert(rank.clone(), bytes);
        } else {
            line.bytes = line.bytes.saturating_add(bytes);
            line.first.insert(rank.clone(), bytes);
            while (line.first.len() > self.jobs || line.bytes > self.bytes)
                && let Some((last, bytes)) = line.first.pop_last()
            {
                line.bytes -= bytes;
                turned.push(last.uid.clone());
                line.rest.insert(last, bytes);
            }
        }
        self.known.insert(rank.uid.clone(), (namespace, rank));
    }

    fn remove(&mut self, uid: &str, turned: &mut Vec<Arc<str>>) {
        let Some((namespace, rank)) = self.known.remove(uid) else { return };
        let Some(line) = self.lines.get_mut(&namespace) else { return };
        if line.rest.remove(&rank).is_none()
            && let Some(bytes) = line.first.remove(&rank)
        {
            line.bytes -= bytes;
        }
        while let Some(next) = line.rest.first_entry()
            && line.first.len() < self.jobs
            && line.bytes.saturating_add(*next.get()) <= self.bytes
        {
            let (rank, bytes) = next.remove_entry();
            line.bytes += bytes;
            turned.push(rank.uid.clone());
            line.first.insert(rank, bytes);
        }
        if line.first.is_empty() && line.rest.is_empty() {
            self.lines.remove(&namespace);
        }
    }

    fn has(&self, uid: &str, waiting: Waiting<'_>) -> bool {
        let Some((namespace, rank)) = self.known.get(uid) else { return false };
        let bytes = || self.lines.get(namespace).and_then(|line| line.first.get(rank).or_else(|| line.rest.get(rank)));
        let same = (rank.age, rank.created) == (waiting.age, waiting.created);
        **namespace == *waiting.namespace && same && bytes() == Some(&waiting.bytes)
    }

    /// Whether somebody waits who is too many.
    pub(super) fn is_beyond(&self, uid: &str) -> bool {
        let Some((namespace, rank)) = self.known.get(uid) else { return false };
        self.lines.get(namespace).is_some_and(|line| line.rest.contains_key(rank))
    }
}

impl NamespaceLimits {
    /// Why one of those waits.
    pub(super) fn reason_of_pods(&self) -> Reason {
        let Self { jobs, bytes } = self;
        let message = format!(
            "more pods wait in its namespace than are planned for at a time ({jobs}, or {bytes} bytes of what they ask of nodes, the same counted \
             once); it is planned for when others have started"
        );
        Reason { code: Code::NamespaceWaiting, message }
    }

    /// Why one of the Jobs that are too many waits.
    pub(super) fn reason(&self) -> Reason {
        let Self { jobs, bytes } = self;
        let message = format!(
            "more Jobs wait in its namespace than are planned for at a time ({jobs}, or {bytes} bytes of what their pods ask of nodes); it is \
             planned for when older ones have started"
        );
        Reason { code: Code::NamespaceWaiting, message }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u8) -> Timestamp {
        Timestamp::from_second(i64::from(seconds)).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn the_oldest_wait_however_they_came_and_every_turn_is_told(
            jobs in 0..6usize, bytes in 0..30usize,
            steps in prop::collection::vec((0..12u8, 0..2usize, 0..4u8, 0..9usize, any::<bool>()), 1..40),
        ) {
            let mut crowd = Crowd::new(jobs, bytes);
            let mut there: BTreeMap<u8, (usize, u8, usize)> = BTreeMap::new();
            let mut beyond = std::collections::BTreeSet::new();
            for (who, of, age, size, waits) in steps {
                let mut turned = Vec::new();
                let namespace = ["a", "b"][of];
                let waiting = Waiting { namespace, age: at(age), created: at(who % 3), bytes: size };
                crowd.set(&who.to_string(), waits.then_some(waiting), &mut turned);
                if waits { there.insert(who, (of, age, size)); } else { there.remove(&who); }
                let mut expected = std::collections::BTreeSet::new();
                for of in 0..2 {
                    let mut line: Vec<_> = there.iter().filter(|(_, (namespace, ..))| *namespace == of).collect();
                    line.sort_by_key(|(who, (_, age, _))| (*age, *who % 3, who.to_string()));
                    let (mut count, mut sum) = (0, 0);
                    for (who, (_, _, size)) in line {
                        (count, sum) = (count + 1, sum + size);
                        if count > jobs || sum > bytes { expected.insert(*who); }
                    }
                }
                for other in 0..12 {
                    let is = crowd.is_beyond(&other.to_string());
                    prop_assert_eq!(is, expected.contains(&other));
                    let told = other == who || turned.iter().any(|uid| **uid == other.to_string());
                    prop_assert!(is == beyond.contains(&other) || told);
                }
                beyond = expected;
            }
            for who in there.keys() {
                crowd.set(&who.to_string(), None, &mut Vec::new());
            }
            prop_assert!(crowd.lines.is_empty() && crowd.known.is_empty());
        }
    }
}
