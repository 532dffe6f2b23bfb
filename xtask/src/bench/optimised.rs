//! Measuring what users get: this program again, built as the image is.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::image;

/// Whether this program was built for speed.
pub(super) const IS: bool = !cfg!(debug_assertions);

/// Runs the same command with the optimised build, in place of this process. Returns only if that is not possible.
pub(super) fn run_again() -> Result<()> {
    eprintln!("building what is measured as the image is built");
    let program = image::compile("xtask")?;
    let error = Command::new(&program).args(std::env::args_os().skip(1)).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}
