//! Deletes old records and old output, beside the loop: nobody waits for it.
//!
//! Invariant: a step deletes few jobs, so that no other call of the store waits long. What is old is decided in `planning`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use outputs::Kept;
use planning::retention::Retention;
use records::Leading;
use tokio::task::JoinHandle;

/// Old records are looked for this often, and this many go at a time.
const EVERY: Duration = Duration::from_mins(1);
const STEP: u32 = 200;

/// Output that is kept is looked through this often, which takes a list of all of it; and when as much is kept as may be.
const SWEEP_EVERY: u32 = 10;

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
        let mut clocks = Retention::default();
        loop {
            let before = clocks.before(retention, cluster::clock::now());
            if let Err(error) = step(&store, before).await {
                tracing::warn!(error = cluster::telemetry::chain(&error), "old records cannot be deleted");
            }
            tokio::time::sleep(EVERY).await;
        }
    }))
}

/// Starts to delete output that was kept longer ago than `retention`, and the oldest of more than may be kept.
pub(super) fn start_sweeping(kept: Kept, retention: SignedDuration) -> AbortOnDrop {
    AbortOnDrop(tokio::spawn(async move {
        let (mut clocks, mut round) = (Retention::default(), 0_u32);
        loop {
            let before = clocks.before(retention, cluster::clock::now());
            if kept.is_full() || round.is_multiple_of(SWEEP_EVERY) {
                match kept.sweep(before).await {
                    Ok(swept) if swept.surplus > 0 => tracing::warn!(
                        surplus = swept.surplus,
                        bytes = swept.bytes,
                        "more output than may be kept: the oldest is gone"
                    ),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(error = cluster::telemetry::chain(&error), "old output cannot be deleted");
                    }
                }
            }
            round = round.wrapping_add(1);
            tokio::time::sleep(EVERY).await;
        }
    }))
}

async fn step(store: &Leading, before: Option<Timestamp>) -> Result<(), records::Error> {
    if let Some(before) = before {
        while store.retain(before, STEP).await? >= u64::from(STEP) {}
    }
    // For the metrics.
    store.size().await.map(drop)
}
