//! What the gateway needs of the record store.
//!
//! Invariant: the gateway adds jobs and definitions, asks for ends, and reads; it changes no job.

use std::future::Future;
use std::sync::Arc;

pub use ::records::{By, Definition, Filter, Kept, Page, Pattern, Request, Scope, Submission};
use jiff::Timestamp;
use model::job::{JobId, Stop};
use serde_json::Value;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The call is wrong: a token that did not come from the store, a text that cannot be stored. A sentence for the caller.
    #[error("{0}")]
    Invalid(String),
    /// It did not answer, or with an error.
    #[error("the record store failed")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What the gateway needs of the record store.
pub trait Records: Send + Sync + 'static {
    /// Stores a job, with the children of an array job.
    fn submit(&self, submission: Submission) -> impl Future<Output = Result<(), RecordsError>> + Send;

    /// The jobs of these ids that are there, in any order.
    fn jobs(&self, ids: &[JobId]) -> impl Future<Output = Result<Vec<Kept>, RecordsError>> + Send;

    /// A part of a list, latest first.
    fn list(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Page<Kept>, RecordsError>> + Send;

    /// Notes that a job is to end.
    fn request_stop(&self, request: &Request) -> impl Future<Output = Result<(), RecordsError>> + Send;

    /// Notes that every job of a queue (AWS name) that was submitted here is to end.
    fn request_stop_of_queue(&self, queue: &str, stop: &Stop) -> impl Future<Output = Result<(), RecordsError>> + Send;

    /// Stores another revision and tells its number.
    fn register(
        &self,
        name: &str,
        body: &Value,
        at: Timestamp,
    ) -> impl Future<Output = Result<u32, RecordsError>> + Send;

    /// A revision; without a number the latest that is active.
    fn definition(
        &self,
        name: &str,
        revision: Option<u32>,
    ) -> impl Future<Output = Result<Option<Arc<Definition>>, RecordsError>> + Send;

    /// A part of the list of revisions: of these only, of this name only, active or inactive only.
    fn definitions(
        &self,
        ids: Option<&[(String, Option<u32>)]>,
        name: Option<&str>,
        active: Option<bool>,
        after: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Page<Definition>, RecordsError>> + Send;

    /// Makes a revision inactive, if it is there.
    fn deregister(
        &self,
        name: &str,
        revision: u32,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), RecordsError>> + Send;
}
