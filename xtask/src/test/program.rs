//! The program of the end-to-end tests: built once, listed, run.
//!
//! It runs without cargo in between, so that a signal reaches it alone and its end is waited for.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;

use super::workspace::E2E;
use super::{children, filter, tool};

/// Variables that say which cluster; set by us alone.
pub(super) const CLUSTER: &str = "BULKHEAD_E2E_CLUSTER";
pub(super) const NODES: &str = "BULKHEAD_E2E_NODES";
/// Which tests: those that run beside others, or those that need a cluster to themselves. Unset: all.
pub(super) const COMPANY: &str = "BULKHEAD_E2E_COMPANY";
/// A file to which each test adds a line when it ends: its name, a tab, and how many milliseconds it took.
pub(super) const TIMES: &str = "BULKHEAD_E2E_TIMES";
/// How tests bring up clusters of their own, and which `bulkhead` they run on this machine.
pub(super) const XTASK: &str = "BULKHEAD_E2E_XTASK";
pub(super) const BINARY: &str = "BULKHEAD_E2E_BINARY";
pub(super) const KUBECONFIG: &str = "KUBECONFIG";

/// Builds `bulkhead` for this machine.
pub(super) fn bulkhead() -> Result<PathBuf> {
    let mut cargo = tool::cargo();
    cargo.args(["build", "--workspace", "--locked", "--bin", "bulkhead", "--quiet"]);
    let messages = children::output(cargo.arg("--message-format=json-render-diagnostics"))?;
    executable(&messages, "bin", "bulkhead").context("cargo did not say where bulkhead is")
}

/// The tests, ready to run against one cluster.
pub(super) struct Program {
    path: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Program {
    /// Builds it, with the unit tests' build of everything it needs.
    pub(super) fn build(variables: Vec<(&'static str, String)>) -> Result<Self> {
        let mut cargo = tool::cargo();
        cargo.args(["test", "--workspace", "--locked", "--test", E2E, "--no-run", "--quiet"]);
        let messages = children::output(cargo.arg("--message-format=json-render-diagnostics"))?;
        let path = executable(&messages, "test", E2E).context("cargo did not say where the end-to-end tests are")?;
        Ok(Self { path, variables })
    }

    /// The same with further variables.
    pub(super) fn with(&self, variables: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let variables = self.variables.iter().cloned().chain(variables).collect();
        Self { path: self.path.clone(), variables }
    }

    /// Names of its tests; asks the program, which asks the cluster what it can do.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        Ok(filter::listed(&children::output(self.command().arg("--list"))?))
    }

    /// Arguments that choose the tests that the filters want.
    pub(super) fn choose(&self, filters: &[String]) -> Result<Vec<String>> {
        filter::arguments(&self.names()?, filters).map_err(|wrong| anyhow!(wrong))
    }

    /// Runs the tests.
    pub(super) fn run(&self, arguments: &[String]) -> Result<()> {
        children::run(self.command().args(arguments))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(crate::image::root());
        for name in [CLUSTER, NODES, KUBECONFIG, COMPANY, TIMES] {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The executable of a target, in cargo's messages as JSON.
pub(super) fn executable(messages: &str, kind: &str, target: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut of_target = messages.filter(|it| it["target"]["name"] == target && it["target"]["kind"][0] == kind);
    of_target.find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"e2e"},"executable":null}
not json
{"reason":"compiler-artifact","target":{"kind":["test"],"name":"e2e"},"executable":"/t/e2e-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "test", "e2e"), Some(PathBuf::from("/t/e2e-1")));
        assert_eq!(executable(messages, "test", "tidy"), None);
    }
}
