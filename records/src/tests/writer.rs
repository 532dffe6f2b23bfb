//! Submissions share transactions, and each stands for itself.

use std::pin::pin;

use futures::FutureExt as _;
use model::job::{JobRecord, Spec};

use super::{job, spec, submission};
use crate::{Error, Leading};

pub(super) async fn who_submits_at_the_same_time_shares_transactions(store: Leading) {
    let mut changed = store.changed();
    changed.mark_unchanged();
    let all = (0..500).map(|it| store.submit(submission(it, spec("a"))));
    for result in futures::future::join_all(all).await {
        result.unwrap();
    }
    assert_eq!(*changed.borrow_and_update(), 500, "the leader is woken");
    assert_eq!(store.size().await.unwrap().jobs, 500);
}

pub(super) async fn one_that_cannot_be_stored_fails_alone(store: Leading) {
    store.submit(submission(7, spec("first"))).await.unwrap();
    let numbers = [1, 2, 7, 3, 3, 4];
    let all = numbers.map(|it| store.submit(submission(it, spec("a"))));
    let results = futures::future::join_all(all).await;
    let conflicts = results.iter().map(|it| matches!(it, Err(Error::Conflict(_)))).collect::<Vec<_>>();
    assert_eq!(conflicts, [false, false, true, false, true, false]);
    assert_eq!(results.iter().filter(|it| it.is_ok()).count(), 4);
    let kept = store.jobs(&[job(7)]).await.unwrap();
    assert_eq!(kept[0].spec.name, "first", "what was there stays");
}

pub(super) async fn what_was_handed_over_is_stored_before_it_closes(store: Leading) {
    let all: Vec<_> = (0..50)
        .map(|it| {
            let store = store.clone();
            tokio::spawn(async move { store.submit(submission(it, spec("a"))).await })
        })
        .collect();
    let first = store.submit(submission(1000, spec("a"))).await;
    first.unwrap();
    store.close().await;
    for it in all {
        // Stored, or refused because it came too late; never without an answer.
        match it.await.unwrap() {
            Ok(()) | Err(Error::Unavailable(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(matches!(store.jobs(&[job(1)]).await, Err(Error::Unavailable(_))));
}

pub(super) async fn what_nobody_waits_for_any_more_is_not_stored(store: Leading) {
    let writes = &store.database.writes;
    let mut held = Vec::new();
    for _ in 0..writes.options().get_max_connections() {
        held.push(writes.acquire().await.unwrap());
    }
    // The writer takes the first and waits for a connection; the others wait for the writer.
    let mut first = pin!(store.submit(submission(1, spec("a"))));
    assert!(futures::poll!(&mut first).is_pending());
    while store.writer.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(store.submit(submission(2, spec("a"))).now_or_never().is_none(), "its caller gives up");
    let mut third = pin!(store.submit(submission(3, spec("a"))));
    assert!(futures::poll!(&mut third).is_pending());
    drop(held);
    first.await.unwrap();
    third.await.unwrap();
    // The caller of the second asks again.
    assert!(store.jobs(&[job(2)]).await.unwrap().is_empty());
    store.submit(submission(2, spec("a"))).await.unwrap();
    assert_eq!(store.size().await.unwrap().jobs, 3);
}

pub(super) async fn texts_that_cannot_be_stored_are_refused(store: Leading) {
    let nul = submission(1, Spec { name: "a\u{0}".to_owned(), ..spec("") });
    assert!(matches!(store.submit(nul).await, Err(Error::Invalid(_))));
    let mut child = submission(2, spec("a"));
    child.record = JobRecord::submitted(job(2).with_child(0), child.record.created);
    assert!(matches!(store.submit(child).await, Err(Error::Invalid(_))));
    assert_eq!(store.size().await.unwrap().jobs, 0);
}
