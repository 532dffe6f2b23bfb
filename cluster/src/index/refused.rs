//! Writes of ours to Jobs and pods that did not go through, by object: they are not tried again before a time.
//!
//! Invariant: what is known about an object goes with it, and what cannot be written on a Job is remembered as long as that is so. Does not
//! know how things are written, nor what is done about a refusal.

use std::collections::{HashMap, HashSet};

use model::clock::Moment;
use model::snapshot::{Refused, Write};
use model::status::Status;
use planning::refusal::{Answer, Pauses};

/// What did not go through, by UID and write.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    pauses: Pauses<(String, Write)>,
    /// Of which a trial went through since.
    tried: HashSet<(String, Write)>,
    /// What would have been written on Jobs, where somebody is to see it all the same.
    instead: HashMap<String, Status>,
}

impl Refusals {
    /// Notes that a write did not go through. Returns whether that, or why, is new.
    pub(super) fn add(&mut self, uid: &str, write: Write, answer: &Answer, now: Moment) -> bool {
        let key = (uid.to_owned(), write);
        self.tried.remove(&key);
        self.pauses.add(key, answer, now)
    }

    /// A write went through.
    pub(super) fn clear(&mut self, uid: &str, write: Write) {
        let key = (uid.to_owned(), write);
        self.pauses.clear(&key);
        self.tried.remove(&key);
        if write == Write::Status {
            self.instead.remove(uid);
        }
    }

    /// A trial went through: the write is planned again, and if it is refused then, the pause is longer than before.
    pub(super) fn tried(&mut self, uid: &str, write: Write) {
        let key = (uid.to_owned(), write);
        if self.pauses.has(&key) {
            self.tried.insert(key);
        }
    }

    /// What is to be seen although it cannot be written. Returns whether it is new.
    pub(super) fn instead(&mut self, uid: &str, status: &Status) -> bool {
        self.pauses.has(&(uid.to_owned(), Write::Status))
            && self.instead.insert(uid.to_owned(), status.clone()).as_ref() != Some(status)
    }

    /// Only of these it is still true that something else is to be written.
    pub(super) fn keep_instead(&mut self, is_to_be_written: impl Fn(&str) -> bool) {
        self.instead.retain(|uid, _| is_to_be_written(uid));
    }

    /// What is to be seen of Jobs on which it cannot be written, by UID.
    pub(super) fn all_instead(&self) -> HashMap<String, Status> {
        self.instead.clone()
    }

    /// Whether a write is not to be tried now.
    pub(super) fn rests(&self, uid: &str, write: Write, now: Moment) -> bool {
        self.pauses.rests(&(uid.to_owned(), write), now)
    }

    /// Drops what is known about objects that are gone.
    pub(super) fn settle(&mut self, is_there: impl Fn(&str) -> bool) {
        self.pauses.keep(|(uid, _)| is_there(uid));
        self.tried.retain(|(uid, _)| is_there(uid));
        self.instead.retain(|uid, _| is_there(uid));
    }

    /// All of them, in a fixed order.
    pub(super) fn all(&self, now: Moment) -> Vec<Refused> {
        let of = |(key, message): (&(String, Write), &str)| Refused {
            uid: key.0.clone(),
            write: key.1,
            message: message.to_owned(),
            rests: self.pauses.rests(key, now),
        };
        let mut all: Vec<Refused> = self.pauses.iter().filter(|(key, _)| !self.tried.contains(*key)).map(of).collect();
        all.sort_by(|a, b| (&a.uid, a.write).cmp(&(&b.uid, b.write)));
        all
    }

    /// When the next of them may be tried again.
    pub(super) fn next(&self, now: Moment) -> Option<Moment> {
        self.pauses.next(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::status::JobState;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after(Duration::from_secs(seconds))
    }

    #[test]
    fn each_write_of_each_object_pauses_for_itself_until_the_object_is_gone() {
        let mut refusals = Refusals::default();
        let no = Answer::Refused("no".to_owned());
        assert!(refusals.add("u", Write::Release, &no, at(100)));
        assert!(refusals.rests("u", Write::Release, at(101)) && !refusals.rests("u", Write::Status, at(101)));
        let status = Status { state: JobState::Runnable, reason: None };
        assert!(!refusals.instead("u", &status), "it can be written");
        refusals.add("u", Write::Status, &no, at(100));
        assert!(refusals.instead("u", &status) && !refusals.instead("u", &status));
        refusals.add("u", Write::Status, &no, at(100));
        refusals.keep_instead(|uid| uid == "u");
        assert_eq!(refusals.all_instead().len(), 1, "it is still to be seen");
        refusals.keep_instead(|_| false);
        assert_eq!(refusals.all_instead().len(), 0, "what is written is so again");
        assert!(refusals.instead("u", &status), "and that it is not is news");
        refusals.clear("u", Write::Status);
        assert_eq!((refusals.all_instead().len(), refusals.all(at(100)).len()), (0, 1));
        refusals.settle(|uid| uid != "u");
        assert_eq!((refusals.next(at(100)), refusals.all(at(100))), (None, vec![]));
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
