//! Writes of ours that did not go through, by object: they are not tried again before a time.
//!
//! Invariant: each refusal in a row makes the pause longer, up to a limit, and a write that goes through ends it; what is known about an object
//! goes with it. Does not know how things are written, nor what is done about a refusal.

use std::collections::HashMap;
use std::time::Duration;

use model::clock::Moment;
use model::snapshot::{Refused, Write};
use model::status::Status;

/// After the first refusal; doubled with each that follows.
const FIRST: Duration = Duration::from_secs(2);
/// Long enough for thousands of refused objects not to keep an API server busy, short enough for people who have removed the policy.
const LONGEST: Duration = Duration::from_mins(1);
/// Of a write without a clear answer: whoever broke it may mend it any moment.
const LONGEST_UNCLEAR: Duration = Duration::from_secs(30);
/// A write that is under way for long is not repeated before it must have ended: the API server's own limit.
const UNDER_WAY: Duration = Duration::from_mins(1);

/// What did not go through, by UID and write.
#[derive(Debug, Default)]
pub(super) struct Refusals(HashMap<(String, Write), Entry>);

#[derive(Debug)]
struct Entry {
    count: u32,
    until: Moment,
    message: String,
    /// A trial went through since.
    tried: bool,
    /// What would have been written, where somebody is to see it all the same.
    instead: Option<Status>,
}

/// Why a write did not go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The API server will answer the same again until somebody changes something: in its words.
    Refused(String),
    /// Nobody knows whether it would, or whether it was written.
    Unclear(String),
    /// None yet: it is still under way.
    Slow(String),
}

impl Answer {
    /// In words.
    pub fn message(&self) -> &str {
        match self {
            Self::Refused(message) | Self::Unclear(message) | Self::Slow(message) => message,
        }
    }
}

impl Refusals {
    /// Notes that a write did not go through. Returns whether that, or why, is new.
    pub(super) fn add(&mut self, uid: &str, write: Write, answer: &Answer, now: Moment) -> bool {
        let known = self.0.get(&(uid.to_owned(), write));
        let count = known.map_or(0, |entry| entry.count).saturating_add(1);
        let new = known.is_none_or(|entry| entry.message != answer.message());
        let pause = match answer {
            Answer::Refused(_) => pause(count, LONGEST),
            Answer::Unclear(_) => pause(count, LONGEST_UNCLEAR),
            Answer::Slow(_) => UNDER_WAY,
        };
        let instead = known.and_then(|entry| entry.instead.clone());
        let entry =
            Entry { count, until: now.plus(pause), message: answer.message().to_owned(), tried: false, instead };
        self.0.insert((uid.to_owned(), write), entry);
        new
    }

    /// A write went through.
    pub(super) fn clear(&mut self, uid: &str, write: Write) {
        self.0.remove(&(uid.to_owned(), write));
    }

    /// A trial went through: the write is planned again, and if it is refused then, the pause is longer than before.
    pub(super) fn tried(&mut self, uid: &str, write: Write) {
        if let Some(entry) = self.0.get_mut(&(uid.to_owned(), write)) {
            entry.tried = true;
        }
    }

    /// What is to be seen although it cannot be written. Returns whether it is new.
    pub(super) fn instead(&mut self, uid: &str, status: &Status) -> bool {
        let Some(entry) = self.0.get_mut(&(uid.to_owned(), Write::Status)) else { return false };
        let new = entry.instead.as_ref() != Some(status);
        entry.instead = Some(status.clone());
        new
    }

    /// What is to be seen of Jobs on which it cannot be written, by UID.
    pub(super) fn all_instead(&self) -> HashMap<String, Status> {
        let of = |((uid, _), entry): (&(String, Write), &Entry)| Some((uid.clone(), entry.instead.clone()?));
        self.0.iter().filter_map(of).collect()
    }

    /// Whether a write is not to be tried now.
    pub(super) fn rests(&self, uid: &str, write: Write, now: Moment) -> bool {
        self.0.get(&(uid.to_owned(), write)).is_some_and(|entry| entry.until > now)
    }

    /// Drops what is known about objects that are gone.
    pub(super) fn settle(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|(uid, _), _| is_there(uid));
    }

    /// All of them, in a fixed order.
    pub(super) fn all(&self, now: Moment) -> Vec<Refused> {
        let of = |((uid, write), entry): (&(String, Write), &Entry)| Refused {
            uid: uid.clone(),
            write: *write,
            message: entry.message.clone(),
            rests: entry.until > now,
        };
        let mut all: Vec<Refused> = self.0.iter().filter(|(_, entry)| !entry.tried).map(of).collect();
        all.sort_by(|a, b| (&a.uid, a.write).cmp(&(&b.uid, b.write)));
        all
    }

    /// When the next of them may be tried again.
    pub(super) fn next(&self, now: Moment) -> Option<Moment> {
        self.0.values().map(|entry| entry.until).filter(|until| *until > now).min()
    }
}

fn pause(count: u32, longest: Duration) -> Duration {
    FIRST.saturating_mul(1 << count.saturating_sub(1).min(10)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after(Duration::from_secs(seconds))
    }

    #[test]
    fn pauses_grow_up_to_a_limit_and_end_with_the_write() {
        let mut refusals = Refusals::default();
        let no = Answer::Refused("no".to_owned());
        for (count, expected) in [2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            assert_eq!(refusals.add("u", Write::Release, &no, at(100)), count == 0, "{count}");
            assert_eq!(refusals.next(at(100)), Some(at(100 + expected)), "{count}");
            assert!(refusals.rests("u", Write::Release, at(100 + expected - 1)));
            assert!(!refusals.rests("u", Write::Release, at(100 + expected)));
        }
        assert!(!refusals.rests("u", Write::Status, at(100)), "another write");
        refusals.clear("u", Write::Release);
        assert_eq!((refusals.next(at(100)), refusals.all(at(100))), (None, vec![]));
        for _ in 0..9 {
            refusals.add("u", Write::Bind, &Answer::Unclear("?".to_owned()), at(100));
        }
        assert_eq!(refusals.next(at(100)), Some(at(130)), "somebody's webhook is mended sooner");
        refusals.settle(|uid| uid != "u");
        assert_eq!(refusals.next(at(100)), None, "its object is gone");
    }

    #[test]
    fn a_trial_lets_it_be_planned_and_a_refusal_afterwards_pauses_longer() {
        let mut refusals = Refusals::default();
        let no = Answer::Refused("no".to_owned());
        refusals.add("u", Write::Release, &no, at(0));
        assert_eq!(refusals.all(at(1)).iter().map(|one| one.rests).collect::<Vec<_>>(), [true]);
        assert_eq!(refusals.all(at(2)).iter().map(|one| one.rests).collect::<Vec<_>>(), [false]);
        refusals.tried("u", Write::Release);
        assert_eq!(refusals.all(at(2)), []);
        assert!(!refusals.add("u", Write::Release, &no, at(2)), "the same words");
        assert_eq!(refusals.next(at(2)), Some(at(6)));
    }
}
