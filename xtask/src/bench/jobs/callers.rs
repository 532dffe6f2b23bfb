//! Who asks: a connection to the server, and a connection to the database past it.

use std::cell::RefCell;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use sqlx::AnyConnection;
use tokio::time::timeout;

use super::super::connection::Connection;
use super::super::load::{Caller, Failure};

/// Longer than the gateway takes before it gives up.
const DEADLINE: Duration = Duration::from_secs(25);

/// Where something is asked, and how.
pub(super) struct Question<'a> {
    pub(super) path: String,
    /// By its number.
    pub(super) body: &'a dyn Fn(usize) -> Vec<u8>,
}

/// A connection that asks.
pub(super) struct Asker<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) question: &'a Question<'a>,
    /// All answers so far; they are read when the time is not measured.
    pub(super) answers: &'a RefCell<Vec<(usize, Bytes)>>,
}

impl Caller for Asker<'_> {
    async fn call(&mut self, number: usize) -> Result<(), Failure> {
        let body = (self.question.body)(number);
        match timeout(DEADLINE, self.connection.post(&self.question.path, body)).await {
            Err(_) => Err(Failure::Late),
            Ok(Err(error)) => Err(Failure::Failed(format!("{error:#}"))),
            Ok(Ok((StatusCode::OK, answer))) => {
                self.answers.borrow_mut().push((number, answer));
                Ok(())
            }
            Ok(Ok((code, answer))) => Err(Failure::Failed(format!("{code}: {}", String::from_utf8_lossy(&answer)))),
        }
    }
}

/// A connection to the database that inserts a row in each transaction.
pub(super) struct Inserter<'a> {
    pub(super) connection: AnyConnection,
    /// As long as what is stored of a job.
    pub(super) text: &'a str,
}

impl Caller for Inserter<'_> {
    async fn call(&mut self, number: usize) -> Result<(), Failure> {
        let id = super::sample::id(number).to_string();
        // A statement by itself is a transaction.
        let insert = sqlx::query("INSERT INTO bare (id, body) VALUES ($1, $2)").bind(id).bind(self.text.to_owned());
        let done = insert.execute(&mut self.connection).await;
        done.map(drop).map_err(|error| Failure::Failed(format!("a bare INSERT: {error}")))
    }
}
