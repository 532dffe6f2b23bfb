//! The processes of `bench admission`.
//!
//! Invariant: environment and log are as in production: one JSON line a review, at once.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::super::process;
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

/// A process that serves the webhook.
pub(super) type Server = process::Server<Hello>;

/// Runs a process to its end; what it prints goes where our output goes.
pub(super) fn run(role: Role, core: usize, log: Option<&Path>) -> Result<()> {
    let status = command(role, core, log)?.stdin(Stdio::null()).status().context("cannot start this program again")?;
    ensure!(status.success(), "the measured process failed ({status}); with --log FILE it says why");
    Ok(())
}

/// Starts the webhook on a processor.
pub(super) fn serve(core: usize, log: Option<&Path>) -> Result<Server> {
    Server::start(command(Role::Serve, core, log)?)
}

fn command(role: Role, core: usize, log: Option<&Path>) -> Result<Command> {
    let role = match role {
        Role::Alone => "alone",
        Role::Serve => "serve",
    };
    let mut command = process::command(&["admission-process", role, "--core", &core.to_string()], log)?;
    command.envs(environment::of_the_webhook()?);
    Ok(command)
}
