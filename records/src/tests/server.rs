//! The PostgreSQL server of these tests.
//!
//! Invariant: every test has a database of its own.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use testbed::Postgresql;

/// A new database; returns its URL.
pub(super) async fn create(server: &Postgresql, name: &str) -> String {
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(&server.url("postgres")).await.unwrap();
    // At most 63 bytes of a name count.
    let name = &name[..name.len().min(60)];
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    connection.close().await.unwrap();
    server.url(name)
}
