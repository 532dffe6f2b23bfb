//! When each machine is looked at again, and what hinders it meanwhile.
//!
//! Invariant: a step that fails makes the next pause longer and is told when it, or why, is news; one that goes through forgets all that.
//! Does not know what steps do.

use std::collections::{BTreeMap, HashMap};

use model::clock::Moment;
use planning::refusal::{Answer, Pauses};
use planning::stuck;

use crate::shared::Progress;

/// What is to be told about a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Somebody may have to do something.
    Refused(String),
    /// It takes its time, in the words of whoever asks for that.
    Waiting(String),
}

/// Machines by name.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    failed: Pauses<String>,
    again: HashMap<String, Moment>,
    waiting: HashMap<String, String>,
}

impl Turns {
    /// Takes in what came of a step. Returns what is to be told.
    pub(crate) fn settle(&mut self, machine: &str, result: Result<Progress, Answer>, now: Moment) -> Option<Told> {
        self.again.remove(machine);
        let waited = self.waiting.remove(machine);
        match result {
            Err(answer) => {
                let message = answer.message().to_owned();
                return self.failed.add(machine.to_owned(), &answer, now).then_some(Told::Refused(message));
            }
            Ok(Progress::Done) => {}
            Ok(Progress::Again(pause)) => drop(self.again.insert(machine.to_owned(), now.plus(pause))),
            Ok(Progress::Waiting(pause, why)) => {
                self.failed.clear(&machine.to_owned());
                self.again.insert(machine.to_owned(), now.plus(pause));
                self.waiting.insert(machine.to_owned(), why.clone());
                return (waited.as_ref() != Some(&why)).then_some(Told::Waiting(why));
            }
        }
        self.failed.clear(&machine.to_owned());
        None
    }

    /// Whether a machine is not to be looked at now.
    pub(crate) fn rests(&self, machine: &str, now: Moment) -> bool {
        self.failed.rests(&machine.to_owned(), now) || self.again.get(machine).is_some_and(|until| *until > now)
    }

    /// When the next of them is looked at again.
    pub(crate) fn next(&self, now: Moment) -> Option<Moment> {
        self.again.values().copied().filter(|until| *until > now).chain(self.failed.next(now)).min()
    }

    /// Nothing is to be done to a machine: what hindered it before does not matter any more.
    pub(crate) fn idle(&mut self, machine: &str) {
        self.failed.clear(&machine.to_owned());
        self.waiting.remove(machine);
    }

    /// Forgets the others.
    pub(crate) fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.failed.keep(|machine| is_there(machine));
        self.again.retain(|machine, _| is_there(machine));
        self.waiting.retain(|machine, _| is_there(machine));
    }

    /// What environments say of machines whose last step failed, by UUID; `environments` has that of each machine.
    pub(crate) fn notices(&self, environments: &HashMap<String, String>) -> BTreeMap<String, String> {
        let of = |machine: &String| environments.get(machine).map(String::as_str);
        let failed = self.failed.iter().filter_map(|(machine, why)| Some((of(machine)?, machine.as_str(), why)));
        stuck::notices("nodes", failed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn at(seconds: u64) -> Moment {
        Moment::after(S(seconds))
    }

    fn no() -> Result<Progress, Answer> {
        Err(Answer::Refused("cannot: no".to_owned()))
    }

    #[test]
    fn a_machine_that_is_refused_pauses_longer_and_longer_and_others_go_on() {
        let mut turns = Turns::default();
        let mut due = 0;
        for (times, pause) in [2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            let told = (times == 0).then(|| Told::Refused("cannot: no".to_owned()));
            assert_eq!(turns.settle("a", no(), at(due)), told, "said once");
            assert!(turns.rests("a", at(due + pause - 1)) && !turns.rests("a", at(due + pause)), "{times}");
            assert!(!turns.rests("b", at(due)));
            assert_eq!(turns.next(at(due)), Some(at(due + pause)));
            due += pause;
        }
        let environments = HashMap::from([("a".to_owned(), "u".to_owned()), ("b".to_owned(), "u".to_owned())]);
        assert!(turns.notices(&environments)["u"].contains("1 of its nodes; a: cannot: no"));
        turns.settle("a", Ok(Progress::Done), at(due));
        assert!(!turns.rests("a", at(due)) && turns.notices(&environments).is_empty(), "it goes on by itself");
        assert!(turns.settle("a", no(), at(due)).is_some());
        turns.idle("a");
        assert!(turns.notices(&environments).is_empty(), "it was not to be done after all");
        turns.settle("a", no(), at(due));
        turns.keep(|machine| machine != "a");
        assert!(!turns.rests("a", at(due)) && turns.notices(&environments).is_empty());
    }

    #[test]
    fn a_wait_is_told_once_and_is_no_failure() {
        let mut turns = Turns::default();
        for (why, seconds, told) in [("budget x", 0, true), ("budget x", 2, false), ("budget y", 4, true)] {
            let said = turns.settle("a", Ok(Progress::Waiting(S(2), why.to_owned())), at(seconds));
            assert_eq!(said, told.then(|| Told::Waiting(why.to_owned())));
        }
        assert!(turns.rests("a", at(5)) && !turns.rests("a", at(6)), "no longer than the first time");
        assert!(turns.notices(&HashMap::from([("a".to_owned(), "u".to_owned())])).is_empty());
        turns.settle("a", Ok(Progress::Again(S(2))), at(6));
        assert!(
            turns.settle("a", Ok(Progress::Waiting(S(2), "budget y".to_owned())), at(8)).is_some(),
            "it waits anew"
        );
    }
}
