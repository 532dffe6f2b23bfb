//! kubectl for one cluster, as a child that a signal stops.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::children;

/// kubectl and the kubeconfig it uses.
#[derive(Clone, Debug)]
pub(super) struct Kubectl {
    pub(super) program: PathBuf,
    pub(super) kubeconfig: PathBuf,
}

impl Kubectl {
    /// A command with these arguments.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args);
        command
    }

    /// What it prints.
    pub(super) fn output(&self, args: &[&str]) -> Result<String> {
        children::output(&mut self.command(args))
    }

    /// What it prints as JSON.
    pub(super) fn json(&self, args: &[&str]) -> Result<Value> {
        parse(&self.output(&[args, &["-o", "json"]].concat())?)
    }

    /// As [`Kubectl::json`], also after the run was told to stop.
    pub(super) fn cleaning_json(&self, args: &[&str]) -> Result<Value> {
        parse(&children::clean_up_output(&mut self.command(&[args, &["-o", "json"]].concat()))?)
    }

    /// Runs a command also after the run was told to stop.
    pub(super) fn clean_up(&self, args: &[&str]) -> Result<()> {
        children::clean_up(&mut self.command(args))
    }
}

fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).context("kubectl printed something else than JSON")
}
