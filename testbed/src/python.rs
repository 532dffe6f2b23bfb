//! The AWS CLI and boto3, in a Python virtual environment of their own: what tests call the AWS Batch API with, unmodified.
//! Invariant: an environment lies in the cache only if it is complete, and has exactly the files that `testbed/python` pins by
//! hash, for the Python that its directory's name is the hash of. It may be moved: nothing in it that is used names its place.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::files::{self, Lock};
use crate::layout::hex;
use crate::{binaries, command, packages, progress};

/// Every package by version and hash.
const PINS: &str = include_str!("../python/requirements.txt");
/// The package of the AWS CLI.
const AWS_CLI: &str = "awscli";
/// Starts the AWS CLI. The script that pip makes names the place where it was made.
const START: &str = "#!/bin/sh\nhere=$(dirname \"$0\")\nexec \"$here/bin/python\" -m awscli \"$@\"\n";

/// Programs that call the AWS API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsClients {
    /// The AWS CLI, version 1.
    pub aws: PathBuf,
    /// A Python that has boto3.
    pub python: PathBuf,
}

impl AwsClients {
    /// Returns the programs, installing what is missing. The first time takes a minute and shows its progress.
    pub fn ensure() -> Result<Self> {
        packages::ensure_python()?;
        let base = binaries::cache_directory()?;
        fs::create_dir_all(&base).with_context(|| format!("cannot make {}", base.display()))?;
        let version = command::run("python3", &["--version"])?;
        let directory = base.join(key(version.trim()));
        if !directory.exists() {
            let _lock = Lock::take_file(&base.join("lock"))?;
            // Somebody else may have installed it while we waited.
            if !directory.exists() {
                install(&base, &directory)?;
            }
        }
        Ok(Self { aws: directory.join("aws"), python: directory.join("bin/python") })
    }
}

/// Installs aside and renames: an interruption leaves nothing that looks complete.
fn install(base: &Path, target: &Path) -> Result<()> {
    let work = base.join(format!(".installing-{AWS_CLI}"));
    files::remove_tree(&work)?;
    command::run("python3", &["-m".as_ref(), "venv".as_ref(), work.as_os_str()])?;
    let pins = work.join("requirements.txt");
    files::write(&pins, PINS)?;
    let what = format!("{AWS_CLI} {} and boto3 {}", version_of(AWS_CLI), version_of("boto3"));
    let mut pip = Command::new(work.join("bin/python"));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes"]);
    pip.args(["--only-binary", ":all:", "--requirement"]).arg(&pins);
    progress::run(&mut pip, &work.join("pip.log"), &format!("installing {what}"), &format!("installed {what}"))?;
    let start = work.join("aws");
    files::write(&start, START)?;
    fs::set_permissions(&start, fs::Permissions::from_mode(0o755))?;
    fs::rename(&work, target).with_context(|| format!("cannot put {} in place", target.display()))
}

/// The version that is pinned of a package.
fn version_of(package: &str) -> &'static str {
    let mut pinned = PINS.lines().filter_map(|line| line.split_once("=="));
    pinned.find(|(name, _)| *name == package).map_or("", |(_, rest)| rest.trim_end_matches(" \\"))
}

/// Name of the cache directory: the CLI's version and a hash of all that goes into the environment.
fn key(python: &str) -> String {
    let mut hash = Sha256::new();
    for part in [PINS, START, python, std::env::consts::ARCH] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    format!("{AWS_CLI}-{}-{}", version_of(AWS_CLI), &hex(&hash.finalize())[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_one_version_and_a_hash() {
        let lines: Vec<&str> = PINS.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let packages = lines.iter().filter(|line| line.contains("==")).count();
        let with_hash =
            lines.windows(2).filter(|two| two[0].contains("==") && two[1].contains("--hash=sha256:")).count();
        assert!(packages > 10 && packages == with_hash, "{packages} packages, {with_hash} with a hash");
        assert_eq!((version_of("awscli"), version_of("boto3")), ("1.46.3", "1.44.8"));
    }

    #[test]
    fn the_key_changes_with_python() {
        let key_11 = key("Python 3.11.7");
        assert!(key_11.starts_with("awscli-1.46.3-"), "{key_11}");
        assert_ne!(key_11, key("Python 3.13.1"));
    }
}
