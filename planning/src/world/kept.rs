//! Whose waiting is remembered with since when: the heads of queues that sleep, from plan to plan, and whom each plan names besides.
//!
//! Invariant: what is handed out is the heads and those that the plan has named, each once; when room is kept on one node more for a head is
//! what looking at each would find. Does not know for what.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

/// So long others are waited for before something else is tried.
pub(crate) const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// Who is remembered, by UID.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Heads of queues that sleep, each of so many, and since when, as far as that is known.
    heads: HashMap<Arc<str>, (u32, Option<Timestamp>)>,
    /// Heads by since when, how many; and of each that time without as many whole [`PATIENCE`]s as there are in it, in nanoseconds.
    times: BTreeMap<Timestamp, u32>,
    phases: BTreeMap<i128, u32>,
    /// Those of which it is known since when, and that are no heads.
    others: BTreeSet<String>,
    /// What was handed out last, and who of it was named by that plan.
    last: Arc<BTreeSet<String>>,
    named: BTreeSet<String>,
    /// Heads that came or went since.
    changed: BTreeSet<Arc<str>>,
}

impl Kept {
    /// Since when is all known anew.
    pub(crate) fn read(&mut self, since: &BTreeMap<String, Timestamp>) {
        self.others = since.keys().filter(|uid| !self.heads.contains_key(uid.as_str())).cloned().collect();
        self.times.clear();
        self.phases.clear();
        let mut known = Vec::new();
        for (uid, (_, time)) in &mut self.heads {
            *time = since.get(&**uid).copied();
            known.extend(*time);
        }
        for time in known {
            self.put(time);
        }
    }

    /// One is the head of a queue that sleeps, and this is known of when it began to wait.
    pub(crate) fn add(&mut self, uid: &Arc<str>, since: Option<Timestamp>) {
        let (count, time) = self.heads.entry(uid.clone()).or_default();
        *count += 1;
        if *count > 1 {
            return;
        }
        *time = since;
        self.changed.insert(uid.clone());
        if let Some(time) = since {
            self.others.remove(&**uid);
            self.put(time);
        }
    }

    /// It is no longer.
    pub(crate) fn remove(&mut self, uid: &Arc<str>) {
        let Some((count, time)) = self.heads.get_mut(uid) else { return };
        let time = *time;
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.heads.remove(uid);
        self.changed.insert(uid.clone());
        if let Some(time) = time {
            self.others.insert((**uid).to_owned());
            take_out(&mut self.times, &time);
            take_out(&mut self.phases, &phase(time));
        }
    }

    fn put(&mut self, time: Timestamp) {
        *self.times.entry(time).or_default() += 1;
        *self.phases.entry(phase(time)).or_default() += 1;
    }

    /// Those of which it is known since when, and that are no heads.
    pub(crate) fn others(&self) -> impl Iterator<Item = &String> {
        self.others.iter()
    }

    /// When room is kept on one node more for a head.
    pub(crate) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        if self.heads.is_empty() {
            return None;
        }
        // Where time went back, each has waited for nothing.
        if self.times.last_key_value().is_some_and(|(last, _)| *last > now) {
            return self.times.keys().map(|since| next(*since, now)).chain([next(now, now)]).min();
        }
        let behind = self.phases.range((std::ops::Bound::Excluded(phase(now)), std::ops::Bound::Unbounded)).next();
        let first = behind.or_else(|| self.phases.first_key_value()).map(|(phase, _)| *phase);
        let waited = first.map_or(0, |first| (phase(now) - first).rem_euclid(PATIENCE.as_nanos()));
        let seconds = i64::try_from(waited / 1_000_000_000).unwrap_or_default();
        Some(after(now, PATIENCE - SignedDuration::from_secs(seconds)))
    }

    /// The heads, and those that a plan has named.
    pub(crate) fn hand_out(&mut self, named: BTreeSet<String>) -> Arc<BTreeSet<String>> {
        let before = std::mem::take(&mut self.named);
        let changed = std::mem::take(&mut self.changed);
        let all = before.iter().chain(&named).map(String::as_str).chain(changed.iter().map(|uid| &**uid));
        for uid in all {
            match (self.heads.contains_key(uid) || named.contains(uid), self.last.contains(uid)) {
                (true, false) => drop(Arc::make_mut(&mut self.last).insert(uid.to_owned())),
                (false, true) => drop(Arc::make_mut(&mut self.last).remove(uid)),
                _ => {}
            }
        }
        self.named = named;
        self.last.clone()
    }
}

/// When room is kept on one node more for one that has waited since then.
pub(crate) fn next(since: Timestamp, now: Timestamp) -> Timestamp {
    let waited = now.duration_since(since.min(now));
    after(now, PATIENCE - SignedDuration::from_secs(waited.as_secs() % PATIENCE.as_secs()))
}

fn after(now: Timestamp, time: SignedDuration) -> Timestamp {
    now.checked_add(time).unwrap_or(Timestamp::MAX)
}

fn phase(time: Timestamp) -> i128 {
    time.as_nanosecond().rem_euclid(PATIENCE.as_nanos())
}

fn take_out<K: Ord>(all: &mut BTreeMap<K, u32>, key: &K) {
    if let Some(count) = all.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            all.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn who_is_remembered_is_what_looking_at_all_finds(
            steps in prop::collection::vec((0..6u8, 0..6usize, -700..700i64, any::<[bool; 6]>()), 1..20),
        ) {
            let uids = ["a", "b", "c", "d", "e", "f"];
            let (mut kept, mut heads, mut since) = (Kept::default(), [0u32; 6], BTreeMap::new());
            let mut held = Vec::new();
            for (what, which, milli, some) in steps {
                let time = |index: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_millis(milli * (index + 997));
                let now = Timestamp::UNIX_EPOCH + SignedDuration::from_millis(milli * 1001 + 400_000);
                match what {
                    0 | 1 => { heads[which] += 1; kept.add(&uids[which].into(), since.get(uids[which]).copied()); }
                    2 if heads[which] > 0 => { heads[which] -= 1; kept.remove(&uids[which].into()); }
                    3 => {
                        let known = (0..).zip(uids).zip(some).filter(|(_, some)| *some);
                        since = known.map(|((index, uid), _)| (uid.to_owned(), time(index))).collect();
                        kept.read(&since);
                    }
                    _ => {}
                }
                let is_head = |uid: &str| uids.iter().zip(heads).any(|(one, count)| *one == uid && count > 0);
                let all = uids.iter().filter(|uid| is_head(uid));
                let expected = all.map(|uid| next(since.get(*uid).copied().unwrap_or(now), now)).min();
                prop_assert_eq!(kept.next(now), expected);
                let others: Vec<&String> = since.keys().filter(|uid| !is_head(uid)).collect();
                prop_assert_eq!(kept.others().collect::<Vec<_>>(), others);
                let named: BTreeSet<String> = uids.iter().zip(some).filter(|(_, some)| *some).map(|(uid, _)| (*uid).to_owned()).collect();
                let out = kept.hand_out(named.clone());
                let expected: BTreeSet<String> = uids.iter().filter(|uid| is_head(uid) || named.contains(**uid)).map(|uid| (*uid).to_owned()).collect();
                prop_assert_eq!(&*out, &expected);
                // What was handed out stays as it was.
                held.push((out, expected));
            }
            for (out, expected) in held {
                prop_assert_eq!(&*out, &expected);
            }
        }
    }
}
