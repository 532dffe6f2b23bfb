//! Stores jobs that live elsewhere: Kubernetes Jobs, as they are seen.
//!
//! Invariant: what was seen last is what is stored, until the end was; seen twice it makes one line of history.

use jiff::Timestamp;
use model::job::{Change, JobRecord, Spec};

use crate::error::Error;
use crate::lead::Leading;
use crate::rows::ended;
use crate::submit::upsert;
use crate::write::{Order, apply};

/// Jobs per transaction.
const CHUNK: usize = 1000;

impl Leading {
    /// Stores jobs; what was asked for is needed of those that are not stored yet. A job that has ended gets its line of history at its end,
    /// another now.
    pub async fn mirror(&self, jobs: &[(JobRecord, Option<Spec>)]) -> Result<(), Error> {
        self.call("mirror", async {
            let now = Timestamp::now();
            for part in jobs.chunks(CHUNK) {
                let change = |(record, _): &(JobRecord, Option<Spec>)| {
                    let at = record.stopped.filter(|_| ended(record.state)).unwrap_or(now);
                    Change { record: record.clone(), at, attempt: None }
                };
                let changes: Vec<Change> = part.iter().map(change).collect();
                let new = part.iter().filter_map(|(record, spec)| Some((record.clone(), spec.clone()?)));
                let new: Vec<(JobRecord, Spec)> = new.collect();
                let mut transaction = self.begin().await?;
                if !new.is_empty() {
                    upsert(&mut transaction, self.database.dialect, &new).await?;
                }
                apply(&mut transaction, self.database.dialect, &changes, Order::AsSeen).await?;
                transaction.commit().await?;
            }
            Ok(())
        })
        .await
    }
}
