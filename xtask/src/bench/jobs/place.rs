//! Where a record store is while it is measured: a directory of its own, with a SQLite file or a PostgreSQL server in it.
//!
//! Invariant: everything goes with the value.

use std::path::Path;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use rustix::fs::FsWord;
use tempfile::TempDir;
use testbed::Postgresql;

/// A database that the record store can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// A file, in this process.
    Sqlite,
    /// A server, started for the purpose.
    Postgresql,
}

impl Kind {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgresql => "PostgreSQL",
        }
    }

    /// Connections through which the record store writes: so many write for the baseline, too.
    pub(super) fn writers(self) -> usize {
        match self {
            Self::Sqlite => 1,
            Self::Postgresql => 4,
        }
    }
}

/// The place.
pub(super) enum Place {
    File(TempDir),
    Server(Postgresql),
}

impl Place {
    /// Makes a new one, empty.
    pub(super) fn make(kind: Kind) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("bulkhead-bench-").tempdir();
        let directory = directory.context("cannot make a temporary directory")?;
        Ok(match kind {
            Kind::Sqlite => Self::File(directory),
            Kind::Postgresql => Self::Server(Postgresql::start_in(directory)?),
        })
    }

    /// The URL of its database.
    pub(super) fn url(&self) -> String {
        match self {
            Self::File(directory) => format!("sqlite://{}/records.db", directory.path().display()),
            Self::Server(server) => server.url("postgres"),
        }
    }

    /// What it costs to sync there depends on the disk; in memory it costs nothing.
    pub(super) fn is_in_memory(&self) -> Result<bool> {
        /// `man 2 statfs`.
        const TMPFS: FsWord = 0x0102_1994;
        let path: &Path = match self {
            Self::File(directory) => directory.path(),
            Self::Server(server) => server.directory(),
        };
        let said = rustix::fs::statfs(path).with_context(|| format!("which file system {} is on", path.display()))?;
        Ok(said.f_type == TMPFS)
    }
}
