//! This program as its own children run it. Invariant: they run the very program that runs now, even if a build puts
//! another in its place meanwhile.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::image::root;

/// Makes a path of its own for this program and returns it.
pub(super) fn pin() -> Result<PathBuf> {
    let directory = root().join("target/xtask-test");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let path = directory.join("xtask");
    let fresh = directory.join(format!("xtask.{}", std::process::id()));
    // Through /proc: the path this program was started from may be another program by now.
    fs::copy("/proc/self/exe", &fresh).with_context(|| format!("cannot write {}", fresh.display()))?;
    // A rename: the old file may be running, as the node provider of a cluster that was kept.
    fs::rename(&fresh, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// A `cargo` of the toolchain that built this.
pub(super) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}
