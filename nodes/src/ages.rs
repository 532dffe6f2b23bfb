//! Since when this process has seen what it sees of each machine.
//!
//! Invariant: only what has elapsed here counts, by a time that cannot be set; what is stored was written by another clock, or by this one
//! before somebody set it. A leader that has just begun gives every machine its whole time again. Does not know what the times are for.

use std::collections::HashMap;
use std::time::Duration;

use model::clock::Moment;
use planning::machine::Phase;

/// Machines by name.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    phases: HashMap<String, (Phase, Moment)>,
    unready: HashMap<String, Moment>,
}

impl Ages {
    /// How long a machine has been in its phase.
    pub(crate) fn phase(&mut self, machine: &str, phase: Phase, now: Moment) -> Duration {
        let (known, since) = self.phases.entry(machine.to_owned()).or_insert((phase, now));
        if *known != phase {
            (*known, *since) = (phase, now);
        }
        now.since(*since)
    }

    /// How long the node of a machine has not been Ready; `None`: it is.
    pub(crate) fn unready(&mut self, machine: &str, unready: bool, now: Moment) -> Option<Duration> {
        if !unready {
            self.unready.remove(machine);
            return None;
        }
        Some(now.since(*self.unready.entry(machine.to_owned()).or_insert(now)))
    }

    /// Forgets the others.
    pub(crate) fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.phases.retain(|name, _| is_there(name));
        self.unready.retain(|name, _| is_there(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn at(seconds: u64) -> Moment {
        Moment::after(S(seconds))
    }

    #[test]
    fn a_time_begins_when_it_is_first_seen_and_anew_with_every_change() {
        let mut ages = Ages::default();
        assert_eq!(ages.phase("m", Phase::Launching, at(10)), S(0));
        assert_eq!(ages.phase("m", Phase::Launching, at(15)), S(5));
        assert_eq!(ages.phase("m", Phase::Ready, at(20)), S(0));
        assert_eq!(ages.unready("m", true, at(20)), Some(S(0)));
        assert_eq!(ages.unready("m", true, at(27)), Some(S(7)));
        assert_eq!(ages.unready("m", false, at(28)), None);
        assert_eq!(ages.unready("m", true, at(30)), Some(S(0)));
        ages.keep(|_| false);
        assert_eq!(ages.phase("m", Phase::Ready, at(40)), S(0));
    }
}
