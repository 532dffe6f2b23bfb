//! What the leader reads and writes.

use std::sync::Arc;

use model::job::{Change, JobId, Spec, Stop, StopKind};
use model::status::JobState;

use super::{array, at, attempt, change, job, spec, submission};
use crate::{Leading, Request};

fn request(id: JobId, kind: StopKind, reason: &str) -> Request {
    Request { id, stop: Stop { kind, reason: reason.to_owned() } }
}

/// Changes of a job, numbered from 1: to a state with a reason, at a millisecond.
fn changes(id: JobId, all: &[(JobState, &str, i64)]) -> Vec<Change> {
    let number = |(number, (state, reason, at)): (u64, &(JobState, &str, i64))| {
        let mut change = change(id, *state, Some(reason), *at);
        change.record.version = number;
        change
    };
    (1..).zip(all).map(number).collect()
}

pub(super) async fn what_was_written_twice_is_written_once(store: Leading) {
    store.submit(submission(1, spec("a"))).await.unwrap();
    let all = changes(
        job(1),
        &[
            (JobState::Pending, "waits", 1),
            (JobState::Runnable, "waits", 1),
            // No change of state or reason: no line.
            (JobState::Runnable, "waits", 2),
            // A clock was set back.
            (JobState::Runnable, "still waits", 1),
            (JobState::Starting, "", 3),
        ],
    );
    // An answer is lost, and what is written again has grown meanwhile, or is only the rest.
    for part in [&all[..2], &all[..4], &all[1..4], &all[..], &all[4..]] {
        store.write(part, &[]).await.unwrap();
    }
    let history = store.history(job(1)).await.unwrap();
    let lines: Vec<_> = history[1..].iter().map(|(time, state, reason)| (*time, *state, reason.as_deref())).collect();
    let expect = [
        (at(1), JobState::Pending, Some("waits")),
        (at(1), JobState::Runnable, Some("waits")),
        (at(2), JobState::Runnable, Some("still waits")),
        (at(3), JobState::Starting, Some("")),
    ];
    assert_eq!(lines, expect);
}

pub(super) async fn what_has_ended_never_changes(store: Leading) {
    store.submit(submission(1, spec("a"))).await.unwrap();
    store.mirror(&[(change(job(2), JobState::Succeeded, None, 5).record, Some(spec("b")))]).await.unwrap();
    store.write(&[change(job(1), JobState::Succeeded, None, 5)], &[]).await.unwrap();
    let before = store.jobs(&[job(1), job(2)]).await.unwrap();
    let mut late = change(job(1), JobState::Failed, Some("late"), 9);
    late.attempt = Some(attempt(2));
    store.write(&[late.clone()], &[]).await.unwrap();
    store
        .mirror(&[(late.record, Some(spec("a"))), (change(job(2), JobState::Running, None, 9).record, Some(spec("b")))])
        .await
        .unwrap();
    let after = store.jobs(&[job(1), job(2)]).await.unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&after.record, after.attempts.len()), (&before.record, 0));
        assert_eq!(store.history(after.record.id).await.unwrap().len(), 2);
    }
}

pub(super) async fn an_inbox_has_new_jobs_and_requests(store: Leading) {
    for number in [3, 1, 2] {
        store.submit(submission(number, spec("a"))).await.unwrap();
    }
    store.submit(array(4, 3)).await.unwrap();
    let ids = |inbox: &crate::Inbox| inbox.submitted.iter().map(|it| it.0.id).collect::<Vec<_>>();
    let inbox = store.inbox(10).await.unwrap();
    assert_eq!(ids(&inbox), [job(1), job(2), job(3), job(4)], "the oldest first, no child");
    assert_eq!((inbox.submitted[0].1.name.as_str(), inbox.more), ("a", false));
    assert_eq!(ids(&store.inbox(2).await.unwrap()), [job(1), job(2)]);
    let child = request(job(4).with_child(1), StopKind::Terminate, "enough");
    store.request_stop(&child).await.unwrap();
    store.write(&[change(job(1), JobState::Pending, None, 9)], &[]).await.unwrap();
    let inbox = store.inbox(10).await.unwrap();
    assert_eq!((ids(&inbox), inbox.requests), (vec![job(2), job(3), job(4)], vec![child]));
}

pub(super) async fn a_request_is_for_a_job_that_lives(store: Leading) {
    store.submit(submission(1, spec("a"))).await.unwrap();
    let (cancel, end) = (request(job(1), StopKind::Cancel, "1"), request(job(1), StopKind::Terminate, "2"));
    for it in [&cancel, &request(job(1), StopKind::Cancel, "later"), &end] {
        store.request_stop(it).await.unwrap();
    }
    let shown = store.jobs(&[job(1)]).await.unwrap().remove(0);
    assert_eq!(shown.requested.as_ref(), Some(&end.stop), "the stronger one is shown");
    assert_eq!(store.inbox(10).await.unwrap().requests.len(), 2, "of one kind the first");
    // Only what was taken goes.
    store.write(&[], std::slice::from_ref(&cancel)).await.unwrap();
    assert_eq!(store.inbox(10).await.unwrap().requests, std::slice::from_ref(&end));
    store.write(&[change(job(1), JobState::Failed, Some("2"), 5)], &[]).await.unwrap();
    assert!(store.inbox(10).await.unwrap().requests.is_empty(), "it has ended");
    store.request_stop(&end).await.unwrap();
    assert!(store.inbox(10).await.unwrap().requests.is_empty(), "nothing is stored for a job that has ended");
    assert_eq!(store.jobs(&[job(1)]).await.unwrap()[0].requested, None);
}

pub(super) async fn all_jobs_of_a_queue_that_live_can_be_told_to_end(store: Leading) {
    let elsewhere = Spec { queue: "other".into(), ..spec("c") };
    for it in [array(1, 3), submission(2, spec("a")), submission(3, spec("b")), submission(4, elsewhere)] {
        store.submit(it).await.unwrap();
    }
    store.write(&[change(job(2), JobState::Succeeded, None, 5)], &[]).await.unwrap();
    let cancel = request(job(3), StopKind::Cancel, "1");
    store.request_stop(&cancel).await.unwrap();
    let stop = Stop { kind: StopKind::Terminate, reason: "the queue goes".into() };
    for _twice in 0..2 {
        store.request_stop_of_queue(&spec("a").queue, &stop).await.unwrap();
    }
    let mut told = store.inbox(10).await.unwrap().requests;
    told.sort_by_key(|it| (it.id, it.stop.kind));
    let ends = |id| Request { id, stop: stop.clone() };
    assert_eq!(told, [ends(job(1)), cancel, ends(job(3))], "not what has ended, nor what is elsewhere");
}

pub(super) async fn large_jobs_are_taken_up_a_few_at_a_time(store: Leading) {
    for number in 1..=5 {
        let pod = serde_json::json!({"containers": [{"args": ["x".repeat(1_500_000)]}]});
        store.submit(submission(number, Spec { pod, ..spec("large") })).await.unwrap();
    }
    let inbox = store.inbox(10).await.unwrap();
    assert_eq!((inbox.submitted.len(), inbox.more), (2, true));
}

pub(super) async fn what_lives_is_read_with_shared_specs(store: Leading) {
    store.submit(array(1, 3)).await.unwrap();
    store.submit(submission(2, spec("a"))).await.unwrap();
    store.write(&[change(job(1).with_child(1), JobState::Succeeded, None, 5)], &[]).await.unwrap();
    store.write(&[change(job(2), JobState::Succeeded, None, 5)], &[]).await.unwrap();
    let live = store.live(None, 10).await.unwrap();
    let ids: Vec<_> = live.iter().map(|it| it.0.id).collect();
    assert_eq!(ids, [job(1), job(1).with_child(0), job(1).with_child(2)]);
    assert!(live.iter().all(|it| Arc::ptr_eq(&it.1, &live[0].1)));
    let next = store.live(Some(job(1)), 1).await.unwrap();
    assert_eq!(next.iter().map(|it| it.0.id).collect::<Vec<_>>(), [job(1).with_child(0)]);
    assert!(store.live(Some(job(1).with_child(2)), 10).await.unwrap().is_empty());
    let size = store.size().await.unwrap();
    assert_eq!((size.jobs, size.live), (5, 3));
    assert!(size.bytes > 10_000, "{size:?}");
}

pub(super) async fn old_jobs_go_with_everything(store: Leading) {
    for number in 1..=4 {
        store.submit(submission(number, spec("a"))).await.unwrap();
    }
    store.submit(array(5, 2500)).await.unwrap();
    let ends = |id, millisecond| change(id, JobState::Succeeded, None, millisecond);
    let mut changes = vec![ends(job(1), 100), ends(job(2), 200), ends(job(3), 300), ends(job(5), 150)];
    // A child has ended, its job has not been looked at again, and one job has no time of its end.
    changes[1].record.stopped = None;
    changes.extend((0..2500).map(|it| ends(job(5).with_child(it), 120)));
    store.write(&changes, &[]).await.unwrap();
    assert_eq!(store.retain(at(100), 100).await.unwrap(), 0, "before, not at");
    assert_eq!(store.retain(at(300), 1).await.unwrap(), 1, "at most one, the oldest");
    assert!(store.history(job(1)).await.unwrap().is_empty());
    assert_eq!(store.retain(at(300), 100).await.unwrap(), 2);
    let left = store.jobs(&[1, 2, 3, 4, 5].map(job)).await.unwrap();
    assert_eq!(left.iter().map(|it| it.record.id).collect::<Vec<_>>(), [job(3), job(4)]);
    assert!(store.jobs(&[job(5).with_child(0)]).await.unwrap().is_empty());
    assert_eq!(store.size().await.unwrap().jobs, 2);
}

pub(super) async fn ten_thousand_changes_are_one_write(store: Leading) {
    store.submit(array(1, 10_000)).await.unwrap();
    let to =
        |state, at| (0..10_000).map(|it| change(job(1).with_child(it), state, Some("x"), at)).collect::<Vec<Change>>();
    store.write(&to(JobState::Runnable, 1), &[]).await.unwrap();
    store.write(&to(JobState::Succeeded, 2), &[]).await.unwrap();
    let children = store.jobs(&[job(1)]).await.unwrap().remove(0).children.unwrap();
    assert_eq!(children, [(JobState::Succeeded, 10_000)].into());
    assert_eq!(store.history(job(1).with_child(9_999)).await.unwrap().len(), 3);
}
