//! Why the record store did not do what it was asked: by what the caller can do about it.
//!
//! Invariant: an error says what to do. A statement that failed changed nothing, except when the connection was lost while it was
//! committed: then nobody knows.

use std::sync::Arc;

use sqlx::migrate::MigrateError;

use crate::quota::Exceeded;

/// Why the record store did not do what it was asked. Cheap to clone: one failure may be the answer to many callers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached, is locked, or has no connection left. Try again: it heals by itself.
    #[error("the record store does not answer; try again in a moment")]
    Unavailable(#[source] Cause),
    /// No room is left on its disk.
    #[error("the disk of the record store is full; make room or enlarge the volume, nothing else has to be done")]
    Full(#[source] Cause),
    /// The file is damaged or is no database.
    #[error("the record store is damaged ({0}); stop Bulkhead and restore a backup of the database")]
    Corrupt(String),
    /// A later release has changed the schema.
    #[error(
        "the record store was written by a later release (schema {found}, this release knows up to {known}); \
         run that release, or restore a backup from before the upgrade"
    )]
    TooNew {
        /// Version of the schema that was found.
        found: i64,
        /// The latest that this program knows.
        known: i64,
    },
    /// The database refuses: read-only, no such database, wrong password, no permission.
    #[error("the record store refuses; check its URL, its password, and that it may be written")]
    Denied(#[source] Cause),
    /// Something with this key is there already.
    #[error("{0} is in the record store already; after an error of the connection it may be one's own first attempt")]
    Conflict(String),
    /// Another leads by now, so that nothing of ours counts any more: this process has to end.
    #[error(
        "another leader has taken over the record store; where this comes again and again, two installations use one database: \
         give each its own"
    )]
    Late,
    /// More than may be stored of jobs that have not ended.
    #[error("{0}")]
    Exceeded(Exceeded),
    /// The call itself is wrong: a cursor that did not come from the store, a text that cannot be stored.
    #[error("{0}")]
    Invalid(String),
    /// The database does not understand us. A bug.
    #[error("the record store and Bulkhead do not understand each other; please report this")]
    Broken(#[source] Cause),
}

/// What the database said.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

impl Error {
    /// It may work when tried again, and nothing but time is needed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// The kind as a label of metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Full(_) => "full",
            Self::Corrupt(_) => "corrupt",
            Self::TooNew { .. } => "too_new",
            Self::Denied(_) => "denied",
            Self::Conflict(_) => "conflict",
            Self::Late => "late",
            Self::Exceeded(_) => "exceeded",
            Self::Invalid(_) => "invalid",
            Self::Broken(_) => "broken",
        }
    }

    pub(crate) fn unavailable(said: &str) -> Self {
        Self::Unavailable(Arc::new(std::io::Error::other(said.to_owned())))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::Database(said) => {
                let code = said.code().unwrap_or_default().into_owned();
                let message = said.message().to_owned();
                by_code(&code, message, Arc::new(error))
            }
            E::Io(_) | E::Tls(_) | E::Protocol(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed => {
                Self::Unavailable(Arc::new(error))
            }
            E::Configuration(_) => Self::Denied(Arc::new(error)),
            _ => Self::Broken(Arc::new(error)),
        }
    }
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::Broken(Arc::new(other)),
        }
    }
}

/// SQLite's codes are decimal (<https://www.sqlite.org/rescode.html>), PostgreSQL's have five characters
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn by_code(code: &str, message: String, cause: Cause) -> Error {
    if code.len() == 5 {
        return by_sqlstate(code, message, cause);
    }
    // The lowest byte is the primary code.
    match code.parse::<u32>().map(|code| code & 0xff) {
        // BUSY, LOCKED, NOMEM, IOERR.
        Ok(5 | 6 | 7 | 10) => Error::Unavailable(cause),
        Ok(13) => Error::Full(cause),
        // CORRUPT, NOTADB.
        Ok(11 | 26) => Error::Corrupt(message),
        // PERM, READONLY, CANTOPEN, AUTH.
        Ok(3 | 8 | 14 | 23) => Error::Denied(cause),
        // TOOBIG.
        Ok(18) => Error::Invalid(message),
        _ => Error::Broken(cause),
    }
}

fn by_sqlstate(code: &str, message: String, cause: Cause) -> Error {
    match (code, &code[..2]) {
        ("53100", _) => Error::Full(cause),
        ("XX001" | "XX002", _) => Error::Corrupt(message),
        ("22021" | "22P05" | "54000", _) => Error::Invalid(message),
        // No permission; authorization, no such database.
        ("42501", _) | (_, "28" | "3D") => Error::Denied(cause),
        // A standby after a failover: the primary is elsewhere by now, and the next connection may find it. A lock that did not come. A
        // transaction in which this process said nothing for too long.
        // Connection, transaction rolled back, resources, operator intervention, system error.
        ("25006" | "25P03" | "55P03", _) | (_, "08" | "40" | "53" | "57" | "58") => Error::Unavailable(cause),
        _ => Error::Broken(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_mean_what_a_caller_can_do() {
        let check = |code: &str, expect: &str| {
            let cause = Arc::new(std::io::Error::other("x"));
            assert_eq!(by_code(code, "x".to_owned(), cause).kind(), expect, "{code}");
        };
        for (code, expect) in [
            ("5", "unavailable"),
            ("261", "unavailable"), // BUSY_RECOVERY
            ("522", "unavailable"), // IOERR_SHORT_READ
            ("13", "full"),
            ("11", "corrupt"),
            ("26", "corrupt"),
            ("1032", "denied"), // READONLY_DBMOVED
            ("14", "denied"),
            ("1", "broken"),
            ("57P01", "unavailable"),
            ("57P03", "unavailable"),
            ("40P01", "unavailable"),
            ("53300", "unavailable"),
            ("53100", "full"),
            ("XX001", "corrupt"),
            ("28P01", "denied"),
            ("3D000", "denied"),
            ("22P05", "invalid"),
            ("42601", "broken"),
        ] {
            check(code, expect);
        }
    }
}
