//! What its children make of an array job.

use std::collections::BTreeMap;

use super::*;

#[track_caller]
fn count(record: &JobRecord, counts: &[(JobState, u32)], expected: &str) {
    let counts: BTreeMap<JobState, u32> = counts.iter().copied().collect();
    check(record, &array(3), &Event::Children(&counts), expected);
}

#[test]
fn an_array_job_ends_with_its_last_child() {
    use JobState::{Failed, Pending, Runnable, Submitted, Succeeded};
    let submitted = record(Submitted);
    count(&submitted, &[(Submitted, 3)], "-");
    count(&submitted, &[(Submitted, 2), (Runnable, 1)], "PENDING 1/0");
    let pending = record(Pending);
    count(&pending, &[(Succeeded, 2), (Runnable, 1)], "-");
    count(&pending, &[(Succeeded, 1), (Failed, 1), (Runnable, 1)], "-");
    count(&pending, &[], "-");
    count(&pending, &[(Succeeded, 2)], "-");
    count(&pending, &[(Succeeded, 3)], "SUCCEEDED 1/0");
    count(&pending, &[(Succeeded, 2), (Failed, 1)], "FAILED 1/0 (Array Child Job failed)");
    count(&submitted, &[(Failed, 3)], "FAILED 1/0 (Array Child Job failed)");
}

#[test]
fn the_reason_of_a_stop_wins_unless_all_children_succeeded_all_the_same() {
    use JobState::{Failed, Pending, Succeeded};
    let stopped = |kind| JobRecord { stop: Some(stop(kind)), ..record(Pending) };
    count(&stopped(StopKind::Cancel), &[(Succeeded, 2), (Failed, 1)], "FAILED 1/0 (enough) stop Cancel");
    count(&stopped(StopKind::Cancel), &[(Succeeded, 3)], "SUCCEEDED 1/0 stop Cancel");
    let terminate = stop(StopKind::Terminate);
    let again = Event::StopAsked(&terminate);
    check(&stopped(StopKind::Cancel), &array(3), &again, "PENDING 1/0 stop Terminate");
    check(&stopped(StopKind::Terminate), &array(3), &again, "-");
}

#[test]
fn a_child_lives_like_a_job_of_its_own() {
    let child = JobRecord { id: id().with_child(1), ..record(JobState::Submitted) };
    check(&child, &array(3), &Event::Considered { waits: false }, "RUNNABLE 1/0");
}
