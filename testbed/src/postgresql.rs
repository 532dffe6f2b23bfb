//! A PostgreSQL server of a test's own, as the distribution packages it.
//!
//! Invariant: it listens on a socket in a directory of its own only, and ends with the value, whatever becomes of the test.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::packages;

/// Where Debian has the server's programs, by version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// A server; it ends when dropped.
#[derive(Debug)]
pub struct Postgresql {
    programs: PathBuf,
    /// Who it runs as, if we are root, which PostgreSQL refuses.
    user: Option<(u32, u32)>,
    directory: TempDir,
}

impl Postgresql {
    /// Makes a server without databases of its own and starts it. Its programs are installed if they are missing and may be.
    pub fn start() -> Result<Self> {
        Self::start_in(tempfile::Builder::new().prefix("pg").tempdir()?)
    }

    /// As [`start`](Self::start), in this directory, which goes with it.
    pub fn start_in(directory: TempDir) -> Result<Self> {
        packages::ensure_postgresql()?;
        let user = if rustix::process::getuid().is_root() { Some(id_of("postgres")?) } else { None };
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(directory.path(), Some(user), Some(group))?;
        }
        let server = Self { programs: programs()?, user, directory };
        let plain = ["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"];
        server.run("initdb", &plain)?;
        server.up()?;
        Ok(server)
    }

    /// Starts it again after [`kill`](Self::kill).
    pub fn up(&self) -> Result<()> {
        let options = format!("-k {} -c listen_addresses= -c max_connections=60", self.directory.path().display());
        let log = self.directory.path().join("log").display().to_string();
        self.run("pg_ctl", &["start", "--wait", "--silent", "--log", &log, "--options", &options])
    }

    /// Ends it as a crash would.
    pub fn kill(&self) -> Result<()> {
        self.run("pg_ctl", &["stop", "--wait", "--silent", "--mode=immediate"])
    }

    /// Where its data are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// URL of one of its databases; `postgres` is always there.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.directory.path().display())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let status = self.command(program).args(arguments).status().with_context(|| format!("cannot run {program}"))?;
        ensure!(status.success(), "{program} {}: {status}", arguments.join(" "));
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        let data = self.directory.path().join("data");
        command.current_dir(self.directory.path()).arg("--pgdata").arg(data).stdout(Stdio::null());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Postgresql {
    fn drop(&mut self) {
        let _ = self.command("pg_ctl").args(["stop", "--wait", "--silent", "--mode=immediate"]).status();
    }
}

/// Debian keeps the server's programs outside of the path.
fn programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let found = versions.map(|it| it.path().join("bin")).filter(|it| it.join("pg_ctl").exists()).max();
    found.with_context(|| format!("there is no PostgreSQL under {VERSIONS}"))
}

fn id_of(user: &str) -> Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find(|it| it.split(':').next() == Some(user));
    let fields: Vec<&str> = line.with_context(|| format!("there is no user {user}"))?.split(':').collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse().ok());
    number(2).zip(number(3)).with_context(|| format!("/etc/passwd has a line for {user} that is not understood"))
}
