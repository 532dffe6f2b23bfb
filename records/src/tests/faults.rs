//! What is said when the database fails, and that it heals.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use testbed::Postgresql;

use super::server;
use super::{array, job, spec, submission, term};
use crate::database::Patience;
use crate::metrics::Metrics;
use crate::{Error, Quotas, Store};

fn url(directory: &Path) -> String {
    format!("sqlite://{}/records.db", directory.display())
}

fn impatient() -> Patience {
    Patience { lock: Duration::from_millis(50), connection: Duration::from_millis(500), ..Patience::default() }
}

async fn connect(url: &str) -> sqlx::AnyConnection {
    sqlx::any::install_default_drivers();
    sqlx::AnyConnection::connect(url).await.unwrap()
}

async fn refusal(url: &str) -> Error {
    match Store::open_with(url, impatient(), Quotas::NONE, Metrics::default()).await {
        Ok(_) => panic!("it opened {url}"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("records.db"), "not a database, but long enough to have a header ".repeat(50))
        .unwrap();
    let error = refusal(&url(directory.path())).await;
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
    assert!(error.to_string().contains("restore a backup"), "{error}");
}

#[tokio::test]
async fn pages_overwritten_behind_its_back_are_damage() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&url(directory.path())).await.unwrap();
    store.submit(array(1, 5000)).await.unwrap();
    store.close().await;
    let file = directory.path().join("records.db");
    let mut bytes = std::fs::read(&file).unwrap();
    // The first pages are the schema: it opens.
    let from = bytes.len() / 4;
    bytes[from..].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    let store = Store::open(&url(directory.path())).await.unwrap();
    let error = store.live(None, 1_000_000).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
    store.close().await;
}

#[tokio::test]
async fn a_file_that_may_not_be_written_or_made_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    Store::open(&url(directory.path())).await.unwrap().close().await;
    // Root may write any file; so the connection is told not to. A new database would have to be made.
    connect(&url(directory.path())).await.execute("DROP TABLE _sqlx_migrations").await.unwrap();
    let error = refusal(&format!("{}?mode=ro", url(directory.path()))).await;
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
    let error = refusal(&url(&directory.path().join("nowhere"))).await;
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
    let error = refusal("mysql://localhost").await;
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
}

#[tokio::test]
async fn a_file_that_another_process_holds_is_not_available() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open_with(&url(directory.path()), impatient(), Quotas::NONE, Metrics::default()).await.unwrap();
    let mut other = connect(&url(directory.path())).await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let error = store.submit(submission(1, spec("a"))).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(store.jobs(&[job(1)]).await.unwrap().is_empty(), "it can be read all the same");
    other.execute("COMMIT").await.unwrap();
    store.submit(submission(1, spec("a"))).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&url(directory.path())).await.unwrap();
    store.submit(submission(1, spec("a"))).await.unwrap();
    // There is one connection that writes, so the limit is that of the file.
    store.database.writes.execute("PRAGMA max_page_count = 60").await.unwrap();
    let (large, small) = tokio::join!(store.submit(array(2, 10_000)), store.submit(submission(3, spec("a"))));
    assert!(matches!(large, Err(Error::Full(_))), "{large:?}");
    small.unwrap();
    assert_eq!(store.jobs(&[job(1), job(2), job(3)]).await.unwrap().len(), 2);
    store.database.writes.execute("PRAGMA max_page_count = 1000000").await.unwrap();
    store.submit(array(2, 10_000)).await.unwrap();
    store.close().await;
}

/// Marks a database as written by a later release.
async fn later(url: &str) -> Error {
    Store::open(url).await.unwrap().close().await;
    let text = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (99, 'later', true, CAST('x' AS {bytes}), 0)";
    let bytes = if url.starts_with("sqlite") { "BLOB" } else { "BYTEA" };
    connect(url).await.execute(AssertSqlSafe(text.replace("{bytes}", bytes))).await.unwrap();
    refusal(url).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_a_later_release_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let server = Postgresql::start().unwrap();
    for url in [url(directory.path()), server::create(&server, "later").await] {
        let error = later(&url).await;
        assert!(matches!(error, Error::TooNew { found: 99, known: 5 }), "{error:?}");
        assert!(error.to_string().contains("written by a later release"), "{error}");
    }
    let error = refusal(&server.url("nowhere")).await;
    assert!(matches!(error, Error::Denied(_)), "no such database: {error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_comes_back_is_used_again() {
    let server = Postgresql::start().unwrap();
    let url = server::create(&server, "records").await;
    // Its own time for a transaction: on a busy machine each statement may wait for a processor.
    let patience = Patience { lock: Patience::default().lock, ..impatient() };
    let store = Store::open_with(&url, patience, Quotas::NONE, Metrics::default()).await.unwrap();
    let store = store.lead(&term("a", 1)).await.unwrap();
    store.submit(submission(1, spec("a"))).await.unwrap();
    server.kill().unwrap();
    let unavailable = |error: Error| assert!(error.is_transient(), "{error:?}");
    unavailable(store.submit(submission(2, spec("a"))).await.unwrap_err());
    unavailable(store.jobs(&[job(1)]).await.unwrap_err());
    unavailable(store.register("a", &json!({}), Timestamp::now(), None).await.unwrap_err());
    unavailable(store.write(&[], &[]).await.unwrap_err());
    unavailable(refusal(&url).await);
    server.up().unwrap();
    store.submit(submission(2, spec("a"))).await.unwrap();
    assert_eq!(store.jobs(&[job(1), job(2)]).await.unwrap().len(), 2);
    assert_eq!(store.register("a", &json!({}), Timestamp::now(), None).await.unwrap(), 1);
    store.close().await;
}
