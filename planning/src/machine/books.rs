//! What the lists of one provider say about machines, one list after the other.
//!
//! Invariant: a list says something only about machines that were launched before it was asked for, and that one is absent is only as
//! certain as the time over which all lists agree. An answer that does not come changes nothing. Does not judge who is lost.

use std::collections::HashMap;
use std::time::Duration;

use super::Instance;

/// What one list says about a machine that is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It is there.
    Alive,
    /// It died or is being taken down.
    Ended,
}

/// What is known from the lists of one provider. Times are since any moment that stays the same.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// When the last list was asked for.
    asked: Duration,
    machines: HashMap<String, Known>,
}

#[derive(Clone, Copy, Debug)]
enum Known {
    Listed(Listed),
    /// Since the list that was asked for then.
    Absent(Duration),
}

impl Books {
    /// Takes in a list that was asked for at `asked`, when these machines had been launched.
    pub fn take(&mut self, asked: Duration, launched: &[String], list: &HashMap<String, Listed>) {
        let before = std::mem::take(&mut self.machines);
        self.asked = asked;
        for machine in launched {
            let known = match (list.get(machine), before.get(machine)) {
                (Some(listed), _) => Known::Listed(*listed),
                (None, Some(Known::Absent(since))) => Known::Absent(*since),
                (None, _) => Known::Absent(asked),
            };
            self.machines.insert(machine.clone(), known);
        }
    }

    /// What is said about a machine.
    pub fn of(&self, machine: &str) -> Instance {
        match self.machines.get(machine) {
            None => Instance::Unknown,
            Some(Known::Listed(Listed::Alive)) => Instance::Alive,
            Some(Known::Listed(Listed::Ended)) => Instance::Ended,
            Some(Known::Absent(since)) => Instance::Absent(self.asked.saturating_sub(*since)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    /// Takes in lists asked for at these seconds, of machines that are alive (`a`) or have ended (`a!`); `a` and `b` are launched.
    fn books(lists: &[(u64, &[&str])]) -> Books {
        let mut books = Books::default();
        for (asked, list) in lists {
            let entry = |text: &&str| match text.strip_suffix('!') {
                Some(name) => (name.to_owned(), Listed::Ended),
                None => ((*text).to_owned(), Listed::Alive),
            };
            books.take(S(*asked), &["a".to_owned(), "b".to_owned()], &list.iter().map(entry).collect());
        }
        books
    }

    #[test]
    fn a_machine_is_absent_for_as_long_as_lists_agree() {
        for (lists, expected) in [
            (&[][..], Instance::Unknown),
            (&[(5, &["a", "yesterdays"][..])], Instance::Alive),
            (&[(5, &["a!"])], Instance::Ended),
            (&[(5, &["b"])], Instance::Absent(S(0))),
            (&[(5, &[]), (8, &["b"]), (65, &[])], Instance::Absent(S(60))),
            // Once more in a list: all begins anew.
            (&[(5, &[]), (8, &["a"]), (65, &[])], Instance::Absent(S(0))),
            (&[(5, &["a!"]), (65, &[]), (68, &[])], Instance::Absent(S(3))),
        ] {
            assert_eq!(books(lists).of("a"), expected, "{lists:?}");
        }
    }

    #[test]
    fn a_list_that_was_asked_for_before_the_launch_says_nothing() {
        let mut books = Books::default();
        books.take(S(5), &[], &HashMap::new());
        assert_eq!(books.of("a"), Instance::Unknown);
        books.take(S(300), &["a".to_owned()], &HashMap::new());
        assert_eq!(books.of("a"), Instance::Absent(S(0)));
    }
}
