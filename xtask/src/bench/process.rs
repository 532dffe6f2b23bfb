//! Processes of their own, so that what is measured shares neither memory nor a processor with who measures.
//!
//! Invariant: a server ends when this process does: its standard input ends then.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;

use super::machine::{self, Resident};

/// This program again, with `bench` and these arguments. What it logs goes to the file, by default nowhere.
pub(super) fn command(arguments: &[&str], log: Option<&Path>) -> Result<Command> {
    let path = log.unwrap_or(Path::new("/dev/null"));
    let log = File::options().create(true).append(true).open(path);
    let log = log.with_context(|| format!("cannot write the log {}", path.display()))?;
    let program = std::env::current_exe().context("this program does not know where it is")?;
    let mut command = Command::new(program);
    command.arg("bench").args(arguments).stderr(log).env_remove("RUST_LOG");
    Ok(command)
}

/// A process that serves. First it prints a line of JSON that says where.
pub(super) struct Server<Hello> {
    child: Child,
    hello: Hello,
}

impl<Hello: DeserializeOwned> Server<Hello> {
    /// Starts it and waits until it listens.
    pub(super) fn start(mut command: Command) -> Result<Self> {
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

    /// What it said first.
    pub(super) fn hello(&self) -> &Hello {
        &self.hello
    }
}

impl<Hello> Server<Hello> {
    /// Its number.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
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

impl<Hello> Drop for Server<Hello> {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}

/// In a server: returns when the process that started it has ended, or wants it to end. Blocks.
pub(super) fn until_the_end_of_input() {
    let _ended = std::io::stdin().read_to_end(&mut Vec::new());
}
