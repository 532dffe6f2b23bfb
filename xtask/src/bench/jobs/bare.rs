//! The baseline of storing: a row in each transaction, written past the server into a table of its own in the same database.
//!
//! Invariant: each commit is on the disk before the next statement of its connection, as in the record store.

use anyhow::{Context as _, Result, bail};
use sqlx::{AnyConnection, Connection as _, Executor as _};

use super::super::load::{self, Extent, Outcome};
use super::callers::Inserter;
use super::place::Kind;

/// As many connections as the record store writes through, and the table.
pub(super) async fn connect<'a>(kind: Kind, url: &str, text: &'a str) -> Result<Vec<Inserter<'a>>> {
    sqlx::any::install_default_drivers();
    let mut all = Vec::new();
    for _ in 0..kind.writers() {
        let connection = AnyConnection::connect(url).await;
        let mut connection = connection.context("cannot connect to the database past the server")?;
        if kind == Kind::Sqlite {
            connection.execute("PRAGMA busy_timeout = 5000; PRAGMA synchronous = FULL").await?;
        }
        if all.is_empty() {
            connection.execute("CREATE TABLE bare (id TEXT PRIMARY KEY, body TEXT NOT NULL)").await?;
        }
        all.push(Inserter { connection, text });
    }
    Ok(all)
}

/// Inserts so many rows, numbered from `first`.
pub(super) async fn insert(inserters: &mut [Inserter<'_>], first: usize, count: usize) -> Result<Outcome> {
    let outcome = load::run(inserters, first, Extent::Times(count)).await;
    match outcome.problem("bare INSERTs") {
        None => Ok(outcome),
        Some(problem) => bail!(problem),
    }
}
