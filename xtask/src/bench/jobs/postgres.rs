//! A PostgreSQL server of one's own, as Debian packages it, with the settings that it comes with.
//!
//! Invariant: it listens on a socket in a directory of its own only, and ends with the value. Knows nothing of the record store.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

const INSTALL: &str = "install it with `apt-get install postgresql`";

/// A running server.
pub(super) struct Postgres {
    programs: PathBuf,
    /// Who it runs as, if we are root, which PostgreSQL refuses.
    user: Option<(u32, u32)>,
    directory: TempDir,
}

impl Postgres {
    /// Starts it in this directory, which goes with it.
    pub(super) fn start(directory: TempDir) -> Result<Self> {
        let programs = programs().with_context(|| format!("there is no PostgreSQL; {INSTALL}"))?;
        let user = if rustix::process::getuid().is_root() { Some(user("postgres")?) } else { None };
        if let Some((user, group)) = user {
            chown(directory.path(), Some(user), Some(group)).context("cannot give the directory to PostgreSQL")?;
        }
        let server = Self { programs, user, directory };
        server.run("initdb", &["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"])?;
        let options = format!("-k {} -c listen_addresses=", server.directory.path().display());
        let log = server.directory.path().join("log").display().to_string();
        server.run("pg_ctl", &["start", "--wait", "--silent", "--log", &log, "--options", &options])?;
        Ok(server)
    }

    /// Its one database.
    pub(super) fn url(&self) -> String {
        format!("postgres://postgres@localhost/postgres?host={}", self.directory.path().display())
    }

    /// Where its data are.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let status = self.command(program).args(arguments).status().with_context(|| format!("cannot run {program}"))?;
        ensure!(status.success(), "{program} {} failed ({status})", arguments.join(" "));
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

impl Drop for Postgres {
    fn drop(&mut self) {
        let _stopped = self.run("pg_ctl", &["stop", "--wait", "--silent", "--mode=immediate"]);
    }
}

/// Debian keeps the server's programs outside of the path, by version.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|it| it.path()).filter(|it| it.join("bin/pg_ctl").exists()).max_by_key(version);
    newest.map(|it| it.join("bin"))
}

fn user(name: &str) -> Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    ids(&users, name).with_context(|| format!("there is no user {name}; {INSTALL}"))
}

fn ids(users: &str, name: &str) -> Option<(u32, u32)> {
    let line = users.lines().find(|it| it.split(':').next() == Some(name))?;
    let mut numbers = line.split(':').skip(2).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_ids_are_read() {
        let users = "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(ids(users, "postgres"), Some((101, 104)));
        assert_eq!(ids(users, "post"), None);
    }
}
