//! The two databases: how each is opened, and the few words in which they differ.
//!
//! Invariant: SQLite is written through one connection and read through others, which cannot write; so readers wait for nobody. Every
//! connection syncs before it answers a commit. Knows no statement but those that set up connections.

use std::fmt::Write as _;
use std::time::Duration;

use sqlx::any::{Any, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection, Executor, SqlSafeStr, Transaction};

use crate::error::Error;

/// How long is waited for what others hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For a lock of another process. On PostgreSQL a process that stops in the middle of a transaction loses its locks after this time.
    pub(crate) lock: Duration,
    /// For a connection.
    pub(crate) connection: Duration,
    /// For a whole call.
    pub(crate) call: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            lock: Duration::from_secs(5),
            connection: Duration::from_secs(5),
            // Longer than the largest call takes; it is there for a network that drops packets silently.
            call: Duration::from_mins(1),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// A statement of ours in the database's words. `{each}` stands for the elements of the JSON array that is the first parameter: a
    /// table with the column `value`. So a statement is the same for one row and for ten thousand, and is prepared once.
    pub(crate) fn sql(self, text: &str) -> AssertSqlSafe<String> {
        let each = match self {
            Self::Sqlite => "json_each($1)",
            Self::Postgres => "jsonb_array_elements(CAST($1 AS jsonb))",
        };
        AssertSqlSafe(text.replace("{each}", each))
    }

    fn schema(self) -> [(i64, &'static str); 5] {
        match self {
            Self::Sqlite => [
                (1, include_str!("../migrations/sqlite/1.sql")),
                (2, include_str!("../migrations/sqlite/2.sql")),
                (3, include_str!("../migrations/sqlite/3.sql")),
                (4, include_str!("../migrations/sqlite/4.sql")),
                (5, include_str!("../migrations/sqlite/5.sql")),
            ],
            Self::Postgres => [
                (1, include_str!("../migrations/postgres/1.sql")),
                (2, include_str!("../migrations/postgres/2.sql")),
                (3, include_str!("../migrations/postgres/3.sql")),
                (4, include_str!("../migrations/postgres/4.sql")),
                (5, include_str!("../migrations/postgres/5.sql")),
            ],
        }
    }

    /// What each connection is told first.
    fn setup(self, reads: bool, patience: Patience) -> String {
        let mut text = match self {
            Self::Sqlite => format!(
                "PRAGMA busy_timeout = {}; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                 PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;",
                patience.lock.as_millis()
            ),
            Self::Postgres => format!(
                "SET lock_timeout = {0}; SET statement_timeout = {1}; SET client_min_messages = warning;
                 SET idle_in_transaction_session_timeout = {0};",
                patience.lock.as_millis(),
                patience.call.as_millis()
            ),
        };
        if reads && self == Self::Sqlite {
            let _ = write!(text, " PRAGMA query_only = ON;");
        }
        text
    }
}

/// Connections to one database.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) dialect: Dialect,
    pub(crate) reads: AnyPool,
    pub(crate) writes: AnyPool,
}

impl Database {
    /// Opens, creates, migrates.
    pub(crate) async fn open(url: &str, patience: Patience) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let (dialect, url) = address(url)?;
        // One connection by itself first: a pool tries again and again and then only says that it took too long.
        let mut first = tokio::time::timeout(patience.connection, AnyConnection::connect(&url))
            .await
            .map_err(|_| Error::unavailable("no connection in time"))??;
        // On PostgreSQL nothing bounds a migration but itself.
        if dialect == Dialect::Sqlite {
            first.execute(AssertSqlSafe(dialect.setup(false, patience))).await?;
            first.execute("PRAGMA journal_mode = WAL").await?;
        }
        migrate(dialect, &mut first).await?;
        first.close().await?;
        let (to_read, to_write) = match dialect {
            Dialect::Sqlite => (4, 1),
            Dialect::Postgres => (8, 4),
        };
        let writes = pool(dialect, false, to_write, patience).connect(&url).await?;
        let reads = pool(dialect, true, to_read, patience).connect(&url).await?;
        Ok(Self { dialect, reads, writes })
    }

    /// A transaction that only reads, and sees one moment.
    pub(crate) async fn look(&self) -> Result<Transaction<'static, Any>, Error> {
        Ok(match self.dialect {
            Dialect::Sqlite => self.reads.begin().await?,
            Dialect::Postgres => self.reads.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?,
        })
    }

    /// A transaction that writes. On SQLite it has the lock from the beginning: it cannot lose it half way.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>, Error> {
        Ok(match self.dialect {
            Dialect::Sqlite => self.writes.begin_with("BEGIN IMMEDIATE").await?,
            Dialect::Postgres => self.writes.begin().await?,
        })
    }

    pub(crate) async fn close(&self) {
        self.reads.close().await;
        self.writes.close().await;
    }
}

/// What a URL names, and the URL as the driver wants it.
fn address(url: &str) -> Result<(Dialect, String), Error> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok((Dialect::Postgres, url.to_owned()));
    }
    if !url.starts_with("sqlite:") {
        let scheme = url.split(':').next().unwrap_or_default();
        return Err(Error::Invalid(format!(
            "the URL of the record store begins with {scheme:?}; use sqlite:///directory/file.db or postgres://…"
        )));
    }
    // The file is created, unless the URL says otherwise.
    Ok((
        Dialect::Sqlite,
        match url.split_once('?') {
            None => format!("{url}?mode=rwc"),
            Some((_, query)) if !query.contains("mode=") => format!("{url}&mode=rwc"),
            Some(_) => url.to_owned(),
        },
    ))
}

fn pool(dialect: Dialect, reads: bool, size: u32, patience: Patience) -> AnyPoolOptions {
    let options = AnyPoolOptions::new().max_connections(size).min_connections(1).acquire_timeout(patience.connection);
    let options = match dialect {
        // A file does not go away; opening it anew only costs its cache.
        Dialect::Sqlite => options.idle_timeout(None).max_lifetime(None).test_before_acquire(false),
        Dialect::Postgres => options.test_before_acquire(true),
    };
    options.after_connect(move |connection, _| {
        Box::pin(async move {
            connection.execute(AssertSqlSafe(dialect.setup(reads, patience))).await?;
            Ok(())
        })
    })
}

async fn migrate(dialect: Dialect, connection: &mut AnyConnection) -> Result<(), Error> {
    let schema = dialect.schema();
    let known = schema.iter().map(|(version, _)| *version).max().unwrap_or_default();
    let migrations = schema.map(|(version, text)| {
        Migration::new(version, "records".into(), MigrationType::Simple, text.into_sql_str(), false)
    });
    // Not `run`: its future is not known to be Send (`Acquire` is not general enough); this is what it calls.
    match Migrator::with_migrations(migrations.to_vec()).run_direct(None, connection, false).await {
        // Something was applied that this program does not have.
        Err(sqlx::migrate::MigrateError::VersionMissing(found)) => Err(Error::TooNew { found, known }),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_the_database_and_creates_the_file() {
        let check = |url: &str, expect: &str| {
            let found = address(url).map_or_else(|error| error.to_string(), |(_, url)| url);
            assert!(found.contains(expect), "{url}: {found}");
        };
        check("sqlite:///a/b.db", "sqlite:///a/b.db?mode=rwc");
        check("sqlite:///a/b.db?mode=ro", "sqlite:///a/b.db?mode=ro");
        check("sqlite:///a/b.db?cache=private", "sqlite:///a/b.db?cache=private&mode=rwc");
        check("postgres://me@host/db", "postgres://me@host/db");
        check("mysql://host", "use sqlite:///");
    }
}
