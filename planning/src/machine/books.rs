//! What the lists of one provider say about machines, one list after the other.
//!
//! Invariant: a list says something only about machines that were launched before it was asked for, and that one is absent is only as
//! certain as the time over which all lists agree. An answer that does not come changes nothing. Does not judge who is lost.

use std::collections::HashMap;

use model::clock::Moment;

use super::Instance;

/// What one list says about a machine that is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It is there.
    Alive,
    /// It died or is being taken down.
    Ended,
}

/// What is known from the lists of one provider.
#[derive(Clone, Debug, Default)]
pub struct Books {
    machines: HashMap<String, Known>,
}

#[derive(Clone, Copy, Debug)]
enum Known {
    Listed(Listed),
    /// From the list that was asked for first to the one that was asked for last.
    Absent(Moment, Moment),
}

impl Books {
    /// Takes in a list that was asked for at `asked`, when these machines had been launched.
    pub fn take(&mut self, asked: Moment, launched: &[String], list: &HashMap<String, Listed>) {
        let before = std::mem::take(&mut self.machines);
        for machine in launched {
            let known = match (list.get(machine), before.get(machine)) {
                (Some(listed), _) => Known::Listed(*listed),
                (None, Some(Known::Absent(first, _))) => Known::Absent(*first, asked),
                (None, _) => Known::Absent(asked, asked),
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
            Some(Known::Absent(first, last)) => Instance::Absent(last.since(*first)),
        }
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

    /// Takes in lists asked for at these seconds, of machines that are alive (`a`) or have ended (`a!`); `a` and `b` are launched.
    fn books(lists: &[(u64, &[&str])]) -> Books {
        let mut books = Books::default();
        for (asked, list) in lists {
            let entry = |text: &&str| match text.strip_suffix('!') {
                Some(name) => (name.to_owned(), Listed::Ended),
                None => ((*text).to_owned(), Listed::Alive),
            };
            books.take(at(*asked), &["a".to_owned(), "b".to_owned()], &list.iter().map(entry).collect());
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
        books.take(at(5), &[], &HashMap::new());
        assert_eq!(books.of("a"), Instance::Unknown);
        books.take(at(300), &["a".to_owned()], &HashMap::new());
        assert_eq!(books.of("a"), Instance::Absent(S(0)));
    }
}
