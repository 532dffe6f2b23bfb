//! How long jobs of a queue may wait for a reason before they are cancelled
//! (<https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable_time_limit_actions.html>).
//!
//! Invariant: a job is due only while it waits for that very reason, and not sooner after it was given it than its queue says, however the
//! clock is set meanwhile. Does not cancel anything.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use model::job::{JobId, JobRecord, Stop, StopKind, TimeLimit};
use model::status::JobState;

use super::timers::Timers;
use crate::lifecycle::{Wake, texts};

/// Limits by AWS name of the queue, and when each job reaches one.
#[derive(Debug, Default)]
pub(super) struct Limits {
    of: BTreeMap<String, Vec<TimeLimit>>,
    timers: Timers,
}

impl Limits {
    /// The limits are these from now on. Returns whether any of them was another.
    pub(super) fn set(&mut self, limits: &BTreeMap<String, Vec<TimeLimit>>) -> bool {
        let changed = self.of != *limits;
        if changed {
            self.of.clone_from(limits);
        }
        changed
    }

    /// A job of a queue is so now.
    pub(super) fn watch(&mut self, queue: &str, record: &JobRecord, now: Timestamp) {
        let wake = self.limit(queue, record).and_then(|(limit, since)| {
            let within = SignedDuration::from_secs(i64::from(limit.max_seconds));
            Some(Wake { due: since.checked_add(within).ok()?, within })
        });
        self.timers.set(record.id, wake, now);
    }

    /// A job has gone.
    pub(super) fn forget(&mut self, id: JobId, now: Timestamp) {
        self.timers.set(id, None, now);
    }

    /// The limit that holds for a job as it waits now, and since when it waits so.
    fn limit(&self, queue: &str, record: &JobRecord) -> Option<(&TimeLimit, Timestamp)> {
        let since = record.reason_since.filter(|_| record.state == JobState::Runnable)?;
        let code = texts::code(record.reason.as_deref()?);
        self.of.get(queue)?.iter().find(|limit| limit.reason == code).map(|limit| (limit, since))
    }

    /// How a job of a queue is stopped that has reached its limit.
    pub(super) fn stop(&self, queue: &str, record: &JobRecord) -> Option<Stop> {
        let (limit, _) = self.limit(queue, record)?;
        Some(Stop { kind: StopKind::Cancel, reason: texts::waited_too_long(&limit.reason) })
    }

    /// Takes out a job that has reached its limit.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<JobId> {
        self.timers.next(now)
    }

    /// When the next one does.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.timers.wake_at()
    }

    /// The clock was set forward, or back.
    pub(super) fn clock_was_set(&mut self, by: SignedDuration) {
        self.timers.clock_was_set(by);
    }
}
