//! A job before it has a place: SUBMITTED, PENDING, RUNNABLE.
//!
//! Invariant: nothing of it runs anywhere, so whoever wants its end has it at once.

use jiff::Timestamp;
use model::job::{JobRecord, Placed, Stop, StopKind};
use model::status::JobState;

use super::{Event, failed, texts};

pub(super) fn next(record: &JobRecord, event: &Event, now: Timestamp) -> Option<JobRecord> {
    use JobState::{Pending, Runnable, Submitted};
    match (record.state, event) {
        (Submitted, Event::Considered { waits: true }) => Some(moved(record, Pending)),
        (Submitted, Event::Considered { waits: false }) | (Pending, Event::DependenciesMet) => {
            Some(moved(record, Runnable))
        }
        (Submitted | Pending, Event::DependencyFailed { unknown }) => {
            Some(failed(record, texts::dependent(*unknown), now))
        }
        (Runnable, Event::Explained(reason)) if !backs_off(record, now) => {
            Some(JobRecord { reason: reason.map(ToOwned::to_owned), ..record.clone() })
        }
        (Runnable, Event::Dispatched(placed)) if !backs_off(record, now) => Some(dispatched(record, placed, now)),
        (Runnable, Event::Tick) if !backs_off(record, now) => Some(JobRecord { not_before: None, ..record.clone() }),
        (_, Event::StopAsked(stop)) => stopped(record, stop, now),
        _ => None,
    }
}

/// While it backs off, that is why it waits, whatever the plan would say.
fn backs_off(record: &JobRecord, now: Timestamp) -> bool {
    record.not_before.is_some_and(|time| now < time)
}

fn moved(record: &JobRecord, state: JobState) -> JobRecord {
    JobRecord { state, reason: None, ..record.clone() }
}

fn dispatched(record: &JobRecord, placed: &Placed, now: Timestamp) -> JobRecord {
    JobRecord {
        state: JobState::Starting,
        reason: None,
        not_before: None,
        placed: Some(Placed { since: Some(now.max(record.created)), ..placed.clone() }),
        ..record.clone()
    }
}

/// AWS Batch ends a cancelled PENDING job only when its dependencies have ended; here it ends at once, because nobody gains by waiting.
/// What never ran cannot have run too long.
fn stopped(record: &JobRecord, stop: &Stop, now: Timestamp) -> Option<JobRecord> {
    (stop.kind != StopKind::Timeout)
        .then(|| JobRecord { stop: Some(stop.clone()), ..failed(record, stop.reason.as_str(), now) })
}
