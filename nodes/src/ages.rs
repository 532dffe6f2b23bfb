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
    quiet: HashMap<String, Moment>,
    known: HashMap<String, Moment>,
    /// When a machine was last seen waiting for its launch, or first seen.
    asked: HashMap<String, Moment>,
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
        lasts(&mut self.unready, machine, unready, now)
    }

    /// How long the node of a machine has not been Ready or not been there; `None`: it is Ready.
    pub(crate) fn quiet(&mut self, machine: &str, quiet: bool, now: Moment) -> Option<Duration> {
        lasts(&mut self.quiet, machine, quiet, now)
    }

    /// Since when a machine is known.
    pub(crate) fn known(&mut self, machine: &str, now: Moment) -> Duration {
        now.since(*self.known.entry(machine.to_owned()).or_insert(now))
    }

    /// How long ago a machine was seen waiting for its launch; if it never was, since when it is known.
    pub(crate) fn asked(&mut self, machine: &str, phase: Phase, now: Moment) -> Duration {
        let asked = self.asked.entry(machine.to_owned()).or_insert(now);
        if phase == Phase::Pending {
            *asked = now;
        }
        now.since(*asked)
    }

    /// Forgets the others.
    pub(crate) fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.phases.retain(|name, _| is_there(name));
        for times in [&mut self.unready, &mut self.quiet, &mut self.known, &mut self.asked] {
            times.retain(|name, _| is_there(name));
        }
    }
}

/// How long something has been so.
fn lasts(times: &mut HashMap<String, Moment>, machine: &str, is_so: bool, now: Moment) -> Option<Duration> {
    if !is_so {
        times.remove(machine);
        return None;
    }
    Some(now.since(*times.entry(machine.to_owned()).or_insert(now)))
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
        assert_eq!((ages.known("m", at(10)), ages.known("m", at(15))), (S(0), S(5)));
        assert_eq!((ages.quiet("m", true, at(10)), ages.quiet("m", true, at(15))), (Some(S(0)), Some(S(5))));
        assert_eq!(ages.quiet("m", false, at(16)), None);
        ages.keep(|_| false);
        assert_eq!(ages.phase("m", Phase::Ready, at(40)), S(0));
    }

    #[test]
    fn a_launch_was_asked_for_until_the_machine_is_seen_waiting_no_more() {
        let mut ages = Ages::default();
        let mut asked = |phase, second| ages.asked("m", phase, at(second));
        assert_eq!([asked(Phase::Pending, 10), asked(Phase::Pending, 15)], [S(0), S(0)]);
        assert_eq!([asked(Phase::Launching, 16), asked(Phase::Terminating, 80)], [S(1), S(65)]);
        // Another leader does not know when it was.
        let mut ages = Ages::default();
        let mut asked = |phase, second| ages.asked("m", phase, at(second));
        assert_eq!([asked(Phase::Terminating, 10), asked(Phase::Terminating, 80)], [S(0), S(70)]);
    }
}
