//! The record store as the gateway's records.
//!
//! Invariant: until the store is open every call says so. Decides nothing.

use std::sync::Arc;

use ::records::{Error, Store};
use jiff::Timestamp;
use model::job::{JobId, Stop};
use serde_json::Value;
use tokio::sync::watch;

use crate::records::{Definition, Filter, Kept, Page, Records, RecordsError, Request, Submission};

/// The record store, once it is open.
#[derive(Clone)]
pub struct Stored(watch::Receiver<Option<Store>>);

/// There is no store yet.
#[derive(Debug, thiserror::Error)]
#[error(
    "the record store is not open here: no --database is configured, another replica leads, or it cannot be opened (see the log)"
)]
struct NotOpen;

impl Stored {
    /// As soon as there is one.
    pub fn new(stores: watch::Receiver<Option<Store>>) -> Self {
        Self(stores)
    }

    fn store(&self) -> Result<Store, RecordsError> {
        self.0.borrow().clone().ok_or_else(|| RecordsError::Unavailable(Box::new(NotOpen)))
    }
}

fn failed(error: Error) -> RecordsError {
    match error {
        Error::Invalid(message) => RecordsError::Invalid(message),
        other => RecordsError::Unavailable(Box::new(other)),
    }
}

impl Records for Stored {
    async fn submit(&self, submission: Submission) -> Result<(), RecordsError> {
        self.store()?.submit(submission).await.map_err(failed)?;
        cluster::fault::reach(cluster::fault::Point::JobStored);
        Ok(())
    }

    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Kept>, RecordsError> {
        self.store()?.jobs(ids).await.map_err(failed)
    }

    async fn list(&self, filter: &Filter, after: Option<&str>, limit: u32) -> Result<Page<Kept>, RecordsError> {
        self.store()?.list(filter, after, limit).await.map_err(failed)
    }

    async fn request_stop(&self, request: &Request) -> Result<(), RecordsError> {
        self.store()?.request_stop(request).await.map_err(failed)
    }

    async fn request_stop_of_queue(&self, queue: &str, stop: &Stop) -> Result<(), RecordsError> {
        self.store()?.request_stop_of_queue(queue, stop).await.map_err(failed)
    }

    async fn register(&self, name: &str, body: &Value, at: Timestamp) -> Result<u32, RecordsError> {
        self.store()?.register(name, body, at).await.map_err(failed)
    }

    async fn definition(&self, name: &str, revision: Option<u32>) -> Result<Option<Arc<Definition>>, RecordsError> {
        self.store()?.definition(name, revision).await.map_err(failed)
    }

    async fn definitions(
        &self,
        ids: Option<&[(String, Option<u32>)]>,
        name: Option<&str>,
        active: Option<bool>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Definition>, RecordsError> {
        self.store()?.definitions(ids, name, active, after, limit).await.map_err(failed)
    }

    async fn deregister(&self, name: &str, revision: u32, at: Timestamp) -> Result<(), RecordsError> {
        self.store()?.deregister(name, revision, at).await.map_err(failed)
    }
}
