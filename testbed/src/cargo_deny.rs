//! cargo-deny, which says what is wrong with dependencies. Invariant: it lies in the cache only if it was built completely, of the version that its
//! directory's name has, with the dependencies that it was published with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::files::{self, Lock};
use crate::{binaries, progress};

const VERSION: &str = "0.20.2";

/// Returns the program, building it if it is missing: four minutes and a half of processor time, once. It shows its progress.
pub fn ensure_cargo_deny() -> Result<PathBuf> {
    let base = binaries::cache_directory()?;
    fs::create_dir_all(&base).with_context(|| format!("cannot make {}", base.display()))?;
    let directory = base.join(format!("cargo-deny-{VERSION}-{}", std::env::consts::ARCH));
    if !directory.exists() {
        let _lock = Lock::take_file(&base.join("lock"))?;
        // Somebody else may have built it while we waited.
        if !directory.exists() {
            build(&base, &directory)?;
        }
    }
    Ok(directory.join("bin/cargo-deny"))
}

/// Builds aside and renames: an interruption leaves nothing that looks complete.
fn build(base: &Path, target: &Path) -> Result<()> {
    let work = base.join(".building-cargo-deny");
    files::remove_tree(&work)?;
    fs::create_dir_all(&work)?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Not from a checkout: its settings are not the tool's.
    cargo.current_dir(&work).env("CARGO_TARGET_DIR", work.join("target"));
    cargo.args(["install", "cargo-deny", "--locked", "--version", VERSION, "--root"]).arg(&work);
    let (doing, done) = (format!("building cargo-deny {VERSION}"), format!("built cargo-deny {VERSION}"));
    progress::run(&mut cargo, &work.join("cargo.log"), &doing, &done)?;
    files::remove_tree(&work.join("target"))?;
    fs::rename(&work, target).with_context(|| format!("cannot put {} in place", target.display()))
}
