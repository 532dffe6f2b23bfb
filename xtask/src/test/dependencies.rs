//! Dependencies that may not be there: by license, by name, by where they come from, and by what is known against them. cargo-deny judges, by `deny.toml`.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::children;
use crate::image::root;

/// Fails if a dependency may not be there. Needs no network but for crates that were never downloaded.
pub(super) fn check() -> Result<()> {
    deny(&["licenses", "bans", "sources"])?;
    eprintln!("left out: advisories, whose database is on GitHub; `cargo xtask test --only advisories` looks them up");
    Ok(())
}

/// Fails if something is known against a dependency. Fetches the database of advisories from GitHub.
pub(super) fn advisories() -> Result<()> {
    deny(&["advisories"])
}

fn deny(checks: &[&str]) -> Result<()> {
    let mut command = Command::new(testbed::ensure_cargo_deny()?);
    command.current_dir(root()).args(["--workspace", "--locked", "check", "--hide-inclusion-graph"]).args(checks);
    children::run(&mut command).context("what is wrong is above; what is allowed is in deny.toml")
}
