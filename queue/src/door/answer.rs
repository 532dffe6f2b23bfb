//! How long the loop waits for one answer of the store.
//!
//! Invariant: a call that is given up may have done its work: all of them may be repeated. Does not know what is asked.

use std::time::Duration;

/// The loop waits no longer, because Jobs wait with it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The store failed, or said nothing for too long.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Store(#[from] records::Error),
    #[error("reading ended badly")]
    Task(#[source] tokio::task::JoinError),
    #[error("the record store has not answered for {} s", PATIENCE.as_secs())]
    Silent,
}

/// An answer of the store, if it comes in time. A call that is given up may have done its work: all of them may be repeated.
pub(super) async fn bounded<T>(call: impl Future<Output = Result<T, records::Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::Silent),
    }
}
