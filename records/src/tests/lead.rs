//! Of two that believe to lead, the later one does.

use model::status::JobState;
use sqlx::Row as _;

use super::{change, job, spec, submission, term};
use crate::database::Dialect;
use crate::{Error, Leading, Store};

fn is_late<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Late))
}

async fn cannot_write(leader: &Leading) {
    assert!(is_late(&leader.write(&[change(job(1), JobState::Failed, Some("late"), 9)], &[]).await));
    assert!(is_late(&leader.mirror(&[(change(job(1), JobState::Failed, None, 9).record, Some(spec("a")))]).await));
    assert!(is_late(&leader.retain(super::at(1_000_000), 10).await));
}

pub(super) async fn who_leads_later_is_the_leader(first: Leading) {
    first.submit(submission(1, spec("a"))).await.unwrap();
    let store: &Store = &first;
    // It lost an answer and asks again; then the Lease changes hands, and then it is made anew.
    let again = store.lead(&term("a", 1)).await.unwrap();
    cannot_write(&first).await;
    again.write(&[change(job(1), JobState::Pending, None, 1)], &[]).await.unwrap();
    let second = store.lead(&term("a", 2)).await.unwrap();
    assert!(is_late(&store.lead(&term("a", 1)).await), "it was elected before");
    let third = store.lead(&term("b", 0)).await.unwrap();
    for late in [again, second] {
        cannot_write(&late).await;
    }
    third.write(&[change(job(1), JobState::Running, None, 2)], &[]).await.unwrap();
    let kept = third.jobs(&[job(1)]).await.unwrap().remove(0);
    assert_eq!((kept.record.state, third.history(job(1)).await.unwrap().len()), (JobState::Running, 3));
    // Others than leaders go on.
    store.submit(submission(2, spec("a"))).await.unwrap();
}

/// A leader stops in the middle of a transaction.
pub(super) async fn what_a_late_leader_has_begun_comes_before_or_not_at_all(first: Leading) {
    first.submit(submission(1, spec("a"))).await.unwrap();
    let store: &Store = &first;
    if first.database.dialect == Dialect::Sqlite {
        // There is one connection that writes, as there is one process: the next waits for its turn.
        let begun = first.begin().await.unwrap();
        let next = term("a", 2);
        let (second, ()) = tokio::join!(store.lead(&next), async { begun.commit().await.unwrap() });
        second.unwrap();
        return cannot_write(&first).await;
    }
    // It goes on soon: its successor has waited for what it wrote.
    let mut begun = first.begin().await.unwrap();
    let text = "UPDATE jobs SET state = 'RUNNABLE'";
    let ends = async {
        sqlx::query(text).execute(&mut *begun).await.unwrap();
        begun.commit().await.unwrap();
    };
    let next = term("a", 2);
    let (second, ()) = tokio::join!(store.lead(&next), ends);
    let second = second.unwrap();
    let state = async |store: &Store| store.jobs(&[job(1)]).await.unwrap()[0].record.state;
    assert_eq!(state(store).await, JobState::Runnable);
    // It says nothing any more: the server takes its lock away, and what it had written with it.
    let mut begun = second.begin().await.unwrap();
    let row = sqlx::query("SHOW idle_in_transaction_session_timeout").fetch_one(&mut *begun).await.unwrap();
    assert_eq!(row.get::<String, _>(0), "5s");
    sqlx::query("SET LOCAL idle_in_transaction_session_timeout = 100").execute(&mut *begun).await.unwrap();
    sqlx::query("UPDATE jobs SET state = 'FAILED'").execute(&mut *begun).await.unwrap();
    let third = loop {
        match store.lead(&term("a", 3)).await {
            Err(error) if error.is_transient() => {}
            other => break other.unwrap(),
        }
    };
    let error = Error::from(begun.commit().await.unwrap_err());
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(state(&third).await, JobState::Runnable);
    cannot_write(&second).await;
}
