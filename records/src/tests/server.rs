//! A PostgreSQL server of one's own, as the distribution packages it.
//!
//! Invariant: it listens on a socket in a directory of its own only, and ends with the value, whatever becomes of the test.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tempfile::TempDir;

pub(super) struct Server {
    programs: PathBuf,
    /// Who it runs as, if the test runs as root, which PostgreSQL refuses.
    user: Option<(u32, u32)>,
    directory: TempDir,
}

impl Server {
    pub(super) fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        let user = rustix::process::getuid().is_root().then(|| id_of("postgres"));
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(directory.path(), Some(user), Some(group)).unwrap();
        }
        let server = Self { programs: programs(), user, directory };
        server.run(
            "initdb",
            &["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"],
        );
        server.up();
        server
    }

    pub(super) fn up(&self) {
        let options = format!("-k {} -c listen_addresses= -c max_connections=40", self.directory.path().display());
        let log = self.directory.path().join("log").display().to_string();
        self.run("pg_ctl", &["start", "--wait", "--silent", "--log", &log, "--options", &options]);
    }

    /// Ends it as a crash would.
    pub(super) fn kill(&self) {
        self.run("pg_ctl", &["stop", "--wait", "--silent", "--mode=immediate"]);
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let status = self.command(program).args(arguments).status();
        assert!(status.unwrap().success(), "{program} {} failed", arguments.join(" "));
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.directory.path()).arg("--pgdata").arg(self.data()).stdout(Stdio::null());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.directory.path().display())
    }

    /// A new database; returns its URL.
    pub(super) async fn create(&self, name: &str) -> String {
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&self.url("postgres")).await.unwrap();
        // At most 63 bytes of a name count.
        let name = &name[..name.len().min(60)];
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        connection.close().await.unwrap();
        self.url(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.command("pg_ctl").args(["stop", "--wait", "--silent", "--mode=immediate"]).status();
    }
}

/// Debian keeps the server's programs outside of the path, by version.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|it| it.path().join("bin")).filter(|it| Path::new(&it.join("pg_ctl")).exists()).max();
    found.expect("there is no PostgreSQL under /usr/lib/postgresql; run `apt-get install postgresql`")
}

fn id_of(user: &str) -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|it| it.split(':').next() == Some(user));
    let fields: Vec<&str> = line.expect("the package postgresql makes the user postgres").split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}
