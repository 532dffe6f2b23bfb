//! When time alone changes something about a job.
//!
//! Invariant: a job has at most one timer, and it takes as long as when it was set, however the clock is set meanwhile. Knows nothing about
//! what is due.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use model::job::JobId;

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
    pub(super) fn set(&mut self, id: JobId, due: Option<Timestamp>) {
        let known = self.known.get(&id).copied();
        if known.map(|(asked, _)| asked) == due {
            return;
        }
        if let Some((_, even)) = known {
            self.even.remove(&(even, id));
            self.known.remove(&id);
        }
        if let Some(due) = due {
            let even = due.saturating_sub(self.set).unwrap_or(due);
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

    #[test]
    fn a_timer_takes_as_long_as_when_it_was_set() {
        let job = JobId::new(Uuid::nil());
        for jump in [-3600, 0, 3600] {
            let mut timers = Timers::default();
            timers.set(job, Some(at(60)));
            timers.clock_was_set(SignedDuration::from_secs(jump));
            // What changes about the job meanwhile does not set it anew.
            timers.set(job, Some(at(60)));
            assert_eq!(timers.wake_at(), Some(at(60 + jump)), "{jump}");
            assert_eq!(timers.next(at(59 + jump)), None);
            assert_eq!(timers.next(at(60 + jump)), Some(job));
            assert_eq!((timers.next(at(9999)), timers.wake_at()), (None, None));
            // One that is set afterwards is of the clock as it goes now.
            timers.set(job, Some(at(70 + jump)));
            assert_eq!(timers.wake_at(), Some(at(70 + jump)));
            timers.set(job, None);
            assert_eq!(timers.wake_at(), None);
        }
    }
}
