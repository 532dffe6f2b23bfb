//! Who asks the webhook as the API server does, and knows the right answers.

use std::time::Duration;

use anyhow::Result;
use axum::body::Bytes;
use axum::http::StatusCode;
use tokio::time::timeout;

use super::super::connection::Connection;
use super::super::load::{Caller, Failure};
use super::process::Hello;
use super::sample::{self, Around};

/// The hooks' `timeoutSeconds`: after that the API server goes on without an answer.
const DEADLINE: Duration = Duration::from_secs(3);
/// What the API server calls itself.
const AGENT: &str = "kube-apiserver-admission";

/// A connection to a server, as the API server holds it.
pub(super) fn connect(hello: &Hello) -> Result<Connection> {
    Connection::tls(hello.address, &hello.certificate, AGENT)
}

/// A path, and what it has to answer.
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) review: Around,
    pub(super) right: Right,
}

/// The right answer.
pub(super) enum Right {
    /// To each review its own.
    Review(Around),
    /// Always the same.
    Constant(Bytes),
}

impl Right {
    fn is(&self, answer: &[u8], uid: &str) -> bool {
        match self {
            Self::Review(around) => around.is(answer, uid),
            Self::Constant(constant) => constant == answer,
        }
    }
}

/// A connection that asks a route.
pub(super) struct Reviewer<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) route: &'a Route,
}

impl Caller for Reviewer<'_> {
    async fn call(&mut self, number: usize) -> Result<(), Failure> {
        let uid = sample::uid(number);
        let body = self.route.review.with(&uid);
        match timeout(DEADLINE, self.connection.post(self.route.path, body)).await {
            Err(_) => Err(Failure::Late),
            Ok(Err(error)) => Err(Failure::Failed(format!("{error:#}"))),
            Ok(Ok((StatusCode::OK, answer))) if self.route.right.is(&answer, &uid) => Ok(()),
            Ok(Ok((StatusCode::OK, answer))) => Err(Failure::Wrong(String::from_utf8_lossy(&answer).into_owned())),
            Ok(Ok((code, answer))) => Err(Failure::Failed(format!("{code}: {}", String::from_utf8_lossy(&answer)))),
        }
    }
}
