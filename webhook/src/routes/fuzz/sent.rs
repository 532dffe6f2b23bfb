//! One request of a fuzz target. Decides nothing.

use std::fmt;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use futures::stream::{StreamExt as _, iter, pending};
use serde_json::Value;

/// What is sent.
#[derive(Clone)]
pub(super) struct Sent {
    /// Path and query.
    pub(super) path: String,
    /// The length that the head announces; a head may lie, or say nothing.
    pub(super) announced: Option<usize>,
    pub(super) body: Vec<u8>,
    /// What follows the body in place of its end: nothing ever, or a break.
    pub(super) end: Option<bool>,
}

impl Sent {
    /// As the API server sends it, but for the body.
    pub(super) fn new(hook: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self { path: format!("/{hook}?timeout=3s"), announced: Some(body.len()), body, end: None }
    }

    /// The same with another body.
    pub(super) fn with_body(&self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self { path: self.path.clone(), announced: Some(body.len()), body, end: None }
    }

    pub(super) fn request(&self) -> Request {
        let request = Request::post(&self.path).header(CONTENT_TYPE, "application/json");
        let request = match self.announced {
            Some(length) => request.header(CONTENT_LENGTH, length),
            None => request,
        };
        let some = iter([Ok(self.body.clone())]);
        let body = match self.end {
            None => Body::from(self.body.clone()),
            Some(true) => Body::from_stream(some.chain(iter([Err(std::io::Error::other("cut"))]))),
            Some(false) => Body::from_stream(some.chain(pending())),
        };
        request.body(body).unwrap()
    }

    /// The body as a review, if it has a uid to be answered with.
    pub(super) fn review(&self) -> Option<Value> {
        let review: Value = serde_json::from_slice(&self.body).ok()?;
        let uid = review.get("request")?.get("uid")?.as_str()?;
        (!uid.is_empty()).then_some(review)
    }
}

/// So that it can be pasted into a test.
impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, announced, body, end } = self;
        write!(
            f,
            "POST {path}, announced: {announced:?}, then {end:?}, {} bytes: b\"{}\"",
            body.len(),
            body.escape_ascii()
        )
    }
}
