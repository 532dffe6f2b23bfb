//! Processes of their own, so that what is measured shares neither memory nor a processor with who measures.
//!
//! Invariant: they end when this process does. Environment and log are as in production: one JSON line a review, at once.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::super::machine::{self, Resident};
use super::environment;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    /// Asks itself, and prints how long it took.
    Alone,
    /// Serves.
    Serve,
}

/// What a server says first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) address: SocketAddr,
    /// Its certificate, as PEM.
    pub(super) certificate: String,
}

/// Runs a process to its end; what it prints goes where our output goes.
pub(super) fn run(role: Role, core: usize, log: Option<&Path>) -> Result<()> {
    let status = command(role, core, log)?.stdin(Stdio::null()).status().context("cannot start this program again")?;
    ensure!(status.success(), "the measured process failed ({status}); with --log FILE it says why");
    Ok(())
}

/// A process that serves.
pub(super) struct Server {
    child: Child,
    hello: Hello,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(super) fn start(core: usize, log: Option<&Path>) -> Result<Self> {
        let mut command = command(Role::Serve, core, log)?;
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.context("cannot start this program again")?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        match serde_json::from_str(&line) {
            Ok(hello) => Ok(Self { child, hello }),
            Err(error) => {
                drop(child.stdin.take());
                let status = child.wait()?;
                Err(error).context(format!("the server does not start ({status}); with --log FILE it says why"))
            }
        }
    }

    /// Where it listens, and with which certificate.
    pub(super) fn hello(&self) -> &Hello {
        &self.hello
    }

    /// How long it has run on its processor.
    pub(super) fn processor_time(&self) -> Result<Duration> {
        machine::processor_time(self.child.id())
    }

    /// What it takes of the memory.
    pub(super) fn resident(&self) -> Result<Resident> {
        machine::resident(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}

fn command(role: Role, core: usize, log: Option<&Path>) -> Result<Command> {
    let path = log.unwrap_or(Path::new("/dev/null"));
    let log = File::options().create(true).append(true).open(path);
    let log = log.with_context(|| format!("cannot write the log {}", path.display()))?;
    let program = std::env::current_exe().context("this program does not know where it is")?;
    let role = match role {
        Role::Alone => "alone",
        Role::Serve => "serve",
    };
    let mut command = Command::new(program);
    command.args(["bench", "admission-process", role, "--core", &core.to_string()]);
    command.stderr(log).env_remove("RUST_LOG").envs(environment::of_the_webhook()?);
    Ok(command)
}
