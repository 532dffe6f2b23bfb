//! The store as one value: what it holds, how it is opened and closed.
//!
//! Invariant: clones share everything. Every call is bounded in time and counted.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::database::{Database, Patience};
use crate::definitions;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::quota::Quotas;
use crate::writer::{self, Writer};

/// The record store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) database: Database,
    pub(crate) writer: Writer,
    patience: Patience,
    pub(crate) metrics: Metrics,
    pub(crate) looks: Arc<definitions::Looks>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Store {
    /// Opens the store at `sqlite:///directory/file.db` or `postgres://user:password@host/database`: creates the file, and brings the
    /// tables to the schema of this release.
    pub async fn open(url: &str) -> Result<Self, Error> {
        Self::open_limited(url, Quotas::NONE, Metrics::default()).await
    }

    /// As [`open`](Self::open), with limits of what is stored of jobs that have not ended, and metrics that are registered somewhere.
    pub async fn open_limited(url: &str, quotas: Quotas, metrics: Metrics) -> Result<Self, Error> {
        Self::open_with(url, Patience::default(), quotas, metrics).await
    }

    pub(crate) async fn open_with(
        url: &str,
        patience: Patience,
        quotas: Quotas,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let database = Database::open(url, patience).await?;
        let (writer, task) = writer::start(database.clone(), patience.call, quotas, metrics.clone());
        let (looks, task) = (Arc::default(), Arc::new(Mutex::new(Some(task))));
        Ok(Self { database, writer, patience, metrics, looks, task })
    }

    /// Stores what was handed over, then closes all connections. Calls after it fail.
    pub async fn close(&self) {
        self.writer.stop();
        if let Some(task) = self.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the writer of the record store ended badly");
        }
        self.database.close().await;
    }

    /// Counts submissions and requests that this process has stored: each change wakes the leader.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.writer.changed()
    }

    /// Runs a call: bounded in time, counted.
    pub(crate) async fn call<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let begin = Instant::now();
        let result = match tokio::time::timeout(self.patience.call, call).await {
            Ok(result) => result,
            Err(_) => Err(Error::unavailable("no answer in time")),
        };
        self.metrics.call(name, begin.elapsed().as_secs_f64());
        if let Err(error) = &result {
            self.metrics.error(error.kind());
        }
        result
    }
}
