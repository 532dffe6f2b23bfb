//! Deletes old records, beside the loop: nobody waits for it.
//!
//! Invariant: a step deletes few jobs, so that no other call of the store waits long. Decides nothing: what is old is a setting.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use records::Leading;
use tokio::task::JoinHandle;

/// Old records are looked for this often, and this many go at a time.
const EVERY: Duration = Duration::from_mins(1);
const STEP: u32 = 200;

/// A task that ends with this value.
pub(super) struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts to delete what ended longer ago than `retention`.
pub(super) fn start(store: Leading, retention: SignedDuration) -> AbortOnDrop {
    AbortOnDrop(tokio::spawn(async move {
        loop {
            if let Err(error) = step(&store, retention).await {
                tracing::warn!(error = cluster::telemetry::chain(&error), "old records cannot be deleted");
            }
            tokio::time::sleep(EVERY).await;
        }
    }))
}

async fn step(store: &Leading, retention: SignedDuration) -> Result<(), records::Error> {
    let Ok(before) = Timestamp::now().checked_sub(retention) else { return Ok(()) };
    while store.retain(before, STEP).await? >= u64::from(STEP) {}
    // For the metrics.
    store.size().await.map(drop)
}
