//! When time alone changes something about a job.
//!
//! Invariant: a job has at most one timer, and it takes as long as when it was set, however the clock is set meanwhile, and no longer than
//! what is due can take, however wrong the clock was that stored it. Knows nothing about what is due.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use model::job::JobId;

use crate::lifecycle::Wake;

/// Timers of jobs.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// On a clock that was never set: the one of the first timer.
    even: BTreeSet<(Timestamp, JobId)>,
    /// What was asked for, and where it is in `even`.
    known: HashMap<JobId, (Timestamp, Timestamp)>,
    /// How far the clock was set forward.
    set: SignedDuration,
}

impl Timers {
    /// Sets a job's timer; `None`: it has none. The same time again changes nothing.
    pub(super) fn set(&mut self, id: JobId, wake: Option<Wake>, now: Timestamp) {
        let known = self.known.get(&id).copied();
        if known.map(|(asked, _)| asked) == wake.map(|wake| wake.due) {
            return;
        }
        if let Some((_, even)) = known {
            self.even.remove(&(even, id));
            self.known.remove(&id);
        }
        if let Some(Wake { due, within }) = wake {
            let latest = now.saturating_add(within).unwrap_or(due);
            let even = due.min(latest).saturating_sub(self.set).unwrap_or(due);
            self.even.insert((even, id));
            self.known.insert(id, (due, even));
        }
    }

    /// Takes out a timer that is due.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<JobId> {
        let now = now.saturating_sub(self.set).unwrap_or(now);
        let (even, id) = self.even.first().copied().filter(|(due, _)| *due <= now)?;
        self.even.remove(&(even, id));
        self.known.remove(&id);
        Some(id)
    }

    /// When the next timer is due, on the clock as it goes now.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let (even, _) = self.even.first()?;
        Some(even.saturating_add(self.set).unwrap_or(*even))
    }

    /// The clock was set forward, or back.
    pub(super) fn clock_was_set(&mut self, by: SignedDuration) {
        self.set = self.set.saturating_add(by);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    /// Due then, after a minute.
    fn due(seconds: i64) -> Wake {
        Wake { due: at(seconds), within: SignedDuration::from_mins(1) }
    }

    #[test]
    fn what_a_clock_stored_that_was_ahead_is_due_no_later_than_it_can_be() {
        let job = JobId::new(Uuid::nil());
        for (stored, expect) in [(-5, -5), (40, 40), (60, 60), (3600, 60), (300_000_000, 60)] {
            for jump in [-3600, 0, 3600] {
                let mut timers = Timers::default();
                timers.clock_was_set(SignedDuration::from_secs(jump));
                timers.set(job, Some(due(stored)), at(0));
                assert_eq!(timers.wake_at(), Some(at(expect)), "{stored} {jump}");
                // Seen again later, it is still the same.
                timers.set(job, Some(due(stored)), at(30));
                assert_eq!(
                    (timers.next(at(expect - 1)), timers.next(at(expect))),
                    (None, Some(job)),
                    "{stored} {jump}"
                );
            }
        }
    }

    #[test]
    fn a_timer_takes_as_long_as_when_it_was_set() {
        let job = JobId::new(Uuid::nil());
        for jump in [-3600, 0, 3600] {
            let mut timers = Timers::default();
            timers.set(job, Some(due(60)), at(0));
            timers.clock_was_set(SignedDuration::from_secs(jump));
            // What changes about the job meanwhile does not set it anew.
            timers.set(job, Some(due(60)), at(0));
            assert_eq!(timers.wake_at(), Some(at(60 + jump)), "{jump}");
            assert_eq!(timers.next(at(59 + jump)), None);
            assert_eq!(timers.next(at(60 + jump)), Some(job));
            assert_eq!((timers.next(at(9999)), timers.wake_at()), (None, None));
            // One that is set afterwards is of the clock as it goes now.
            timers.set(job, Some(due(70 + jump)), at(60 + jump));
            assert_eq!(timers.wake_at(), Some(at(70 + jump)));
            timers.set(job, None, at(0));
            assert_eq!(timers.wake_at(), None);
        }
    }
}
