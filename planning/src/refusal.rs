//! Writes of ours that did not go through: when they are tried again.
//!
//! Invariant: each refusal in a row makes the pause longer, up to a limit, and a write that goes through ends it. Does not know what is
//! written, nor what is done about a refusal.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use model::clock::Moment;

/// After the first refusal; doubled with each that follows.
const FIRST: Duration = Duration::from_secs(2);
/// Long enough for thousands of refused objects not to keep an API server busy, short enough for people who have removed the policy.
const LONGEST: Duration = Duration::from_mins(1);
/// Of a write without a clear answer: whoever broke it may mend it any moment.
const LONGEST_UNCLEAR: Duration = Duration::from_secs(30);
/// A write that is under way for long is not repeated before it must have ended: the API server's own limit.
const UNDER_WAY: Duration = Duration::from_mins(1);

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

    /// The same, with what was tried in front of its words.
    #[must_use]
    pub fn to(self, what: &str) -> Self {
        let told = |message: String| format!("{what}: {message}");
        match self {
            Self::Refused(message) => Self::Refused(told(message)),
            Self::Unclear(message) => Self::Unclear(told(message)),
            Self::Slow(message) => Self::Slow(told(message)),
        }
    }

    fn pause(&self, count: u32) -> Duration {
        match self {
            Self::Refused(_) => pause(count, LONGEST),
            Self::Unclear(_) => pause(count, LONGEST_UNCLEAR),
            Self::Slow(_) => UNDER_WAY,
        }
    }
}

fn pause(count: u32, longest: Duration) -> Duration {
    FIRST.saturating_mul(1 << count.saturating_sub(1).min(10)).min(longest)
}

/// What did not go through, by what was to be written.
#[derive(Debug)]
pub struct Pauses<K>(HashMap<K, Entry>);

#[derive(Debug)]
struct Entry {
    count: u32,
    until: Moment,
    message: String,
}

impl<K> Default for Pauses<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Pauses<K> {
    /// Notes that a write did not go through. Returns whether that, or why, is new.
    pub fn add(&mut self, what: K, answer: &Answer, now: Moment) -> bool {
        let known = self.0.get(&what);
        let count = known.map_or(0, |entry| entry.count).saturating_add(1);
        let new = known.is_none_or(|entry| entry.message != answer.message());
        let until = now.plus(answer.pause(count));
        self.0.insert(what, Entry { count, until, message: answer.message().to_owned() });
        new
    }

    /// A write went through. Returns whether it had not before.
    pub fn clear(&mut self, what: &K) -> bool {
        self.0.remove(what).is_some()
    }

    /// Whether all went through.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a write did not go through the last time.
    pub fn has(&self, what: &K) -> bool {
        self.0.contains_key(what)
    }

    /// Whether a write is not to be tried now.
    pub fn rests(&self, what: &K, now: Moment) -> bool {
        self.0.get(what).is_some_and(|entry| entry.until > now)
    }

    /// Drops what is known about others.
    pub fn keep(&mut self, is_wanted: impl Fn(&K) -> bool) {
        self.0.retain(|what, _| is_wanted(what));
    }

    /// When the next of them may be tried again.
    pub fn next(&self, now: Moment) -> Option<Moment> {
        self.0.values().map(|entry| entry.until).filter(|until| *until > now).min()
    }

    /// All of them, with why not, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &str)> {
        self.0.iter().map(|(what, entry)| (what, entry.message.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after(Duration::from_secs(seconds))
    }

    #[test]
    fn pauses_grow_up_to_a_limit_and_end_with_the_write() {
        let mut pauses = Pauses::default();
        let no = Answer::Refused("no".to_owned());
        for (count, expected) in [2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            assert_eq!(pauses.add("w", &no, at(100)), count == 0, "{count}");
            assert_eq!(pauses.next(at(100)), Some(at(100 + expected)), "{count}");
            assert!(pauses.rests(&"w", at(100 + expected - 1)));
            assert!(!pauses.rests(&"w", at(100 + expected)));
        }
        assert!(!pauses.rests(&"another", at(100)));
        assert!(pauses.add("w", &Answer::Refused("other words".to_owned()), at(100)));
        assert!(pauses.clear(&"w") && !pauses.clear(&"w") && !pauses.has(&"w"));
        assert_eq!(pauses.next(at(100)), None);
    }

    #[test]
    fn what_is_not_clear_is_tried_sooner_and_what_is_under_way_is_not_repeated() {
        for (answer, longest) in [(Answer::Unclear("?".to_owned()), 30), (Answer::Slow("…".to_owned()), 60)] {
            let mut pauses = Pauses::default();
            for _ in 0..9 {
                pauses.add("w", &answer, at(100));
            }
            assert_eq!(pauses.next(at(100)), Some(at(100 + longest)), "{answer:?}");
            pauses.keep(|what| *what != "w");
            assert_eq!(pauses.next(at(100)), None, "its object is gone");
        }
    }
}
