//! The first jobs of a queue.

use model::job::{Change, JobId, JobRecord, Spec};
use model::status::JobState;

use super::{array, at, job, spec, submission};
use crate::{Leading, Submission};

/// A job that is in this state since its submission.
async fn put(store: &Leading, submission: Submission, all: &[(JobId, JobState)]) {
    let created = submission.record.created;
    store.submit(submission).await.unwrap();
    let change = |(id, state): &(JobId, JobState)| {
        let record = JobRecord { state: *state, version: 1, ..JobRecord::submitted(*id, created) };
        Change { record, at: created, attempt: None }
    };
    store.write(&all.iter().map(change).collect::<Vec<_>>(), &[]).await.unwrap();
}

pub(super) async fn the_first_of_a_queue_are_told_in_order(store: Leading) {
    use JobState::{Pending, Runnable, Running, Submitted, Succeeded};
    // Not in the order of their ages.
    for (number, state) in [(5, Runnable), (1, Runnable), (2, Running), (3, Pending), (4, Submitted), (9, Runnable)] {
        put(&store, submission(number, spec("a")), &[(job(number), state)]).await;
    }
    let child = |index| job(6).with_child(index);
    let children = [(child(0), Succeeded), (child(1), Running), (child(2), Runnable), (child(3), Runnable)];
    put(&store, array(6, 4), &[&[(job(6), Pending)][..], &children].concat()).await;
    put(&store, array(7, 2), &[(job(7), Pending), (job(7).with_child(0), Pending)]).await;
    put(&store, submission(8, Spec { queue: "other".to_owned(), ..spec("a") }), &[(job(8), Runnable)]).await;
    let all = [(job(1), 1), (job(5), 5), (child(2), 6), (child(3), 6), (job(9), 9)];
    let all = all.map(|(id, created)| (id, at(created)));
    for limit in [0, 1, 3, 4, 100] {
        let expected: Vec<_> = all.iter().copied().take(limit).collect();
        assert_eq!(store.front("queue", u32::try_from(limit).unwrap()).await.unwrap(), expected, "{limit}");
    }
    assert_eq!(store.front("nobody's", 100).await.unwrap(), []);
}
