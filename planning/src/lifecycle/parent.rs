//! An array job itself: SUBMITTED, PENDING while its children live, then what they have become
//! (<https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html>).
//!
//! Invariant: it has no attempts, no pod and no timeout, and it does not end before its last child, unless what it depends on failed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::job::{JobRecord, Spec, Stop, StopKind};
use model::status::JobState;

use super::{Event, failed, not_before_start, texts};

pub(super) fn next(record: &JobRecord, spec: &Spec, event: &Event, now: Timestamp) -> Option<JobRecord> {
    match event {
        Event::Considered { .. } => Some(pending(record)),
        Event::DependencyFailed { unknown } => Some(failed(record, texts::dependent(*unknown), now)),
        Event::StopAsked(stop) => stopped(record, stop),
        Event::Children(counts) => with_children(record, spec, counts, now),
        _ => None,
    }
}

fn pending(record: &JobRecord) -> JobRecord {
    JobRecord { state: JobState::Pending, ..record.clone() }
}

/// Kept until the last child has ended. The end of running children, which a cancellation does not give, may still be asked for.
fn stopped(record: &JobRecord, stop: &Stop) -> Option<JobRecord> {
    let is_new = record.stop.as_ref().is_none_or(|old| old.kind == StopKind::Cancel && stop.kind != StopKind::Cancel);
    (is_new && stop.kind != StopKind::Timeout).then(|| JobRecord { stop: Some(stop.clone()), ..record.clone() })
}

fn with_children(
    record: &JobRecord,
    spec: &Spec,
    counts: &BTreeMap<JobState, u32>,
    now: Timestamp,
) -> Option<JobRecord> {
    let count = |state| u64::from(counts.get(&state).copied().unwrap_or_default());
    let (succeeded, failures) = (count(JobState::Succeeded), count(JobState::Failed));
    let known: u64 = counts.values().copied().map(u64::from).sum();
    if succeeded + failures < known.max(u64::from(spec.array_size.unwrap_or_default())) {
        return (known > count(JobState::Submitted)).then(|| pending(record));
    }
    if failures == 0 {
        return Some(JobRecord {
            state: JobState::Succeeded,
            reason: None,
            stopped: Some(not_before_start(record, now)),
            ..record.clone()
        });
    }
    let reason = record.stop.as_ref().map_or(texts::ARRAY_CHILD_FAILED, |stop| &stop.reason);
    Some(failed(record, reason, now))
}
