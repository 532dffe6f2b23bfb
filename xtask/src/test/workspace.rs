//! The stages that cargo does: format, lints, tests that need no cluster.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{children, tool};

/// The test target that needs a cluster.
pub(super) const E2E: &str = "e2e";

/// `cargo fmt --check`.
pub(super) fn fmt() -> Result<()> {
    children::run(tool::cargo().args(["fmt", "--all", "--check"])).context("run `cargo fmt --all`")
}

/// Clippy over everything. The flag goes to clippy alone: in RUSTFLAGS it would compile every dependency again.
pub(super) fn clippy() -> Result<()> {
    children::run(tool::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))
}

/// All tests but the end-to-end ones: one build of the whole workspace, so that no dependency is built twice.
pub(super) fn unit() -> Result<()> {
    // The record store is tested on it.
    testbed::ensure_postgresql()?;
    let targets = test_targets(&metadata()?, E2E);
    let mut tests = tool::cargo();
    tests.args(["test", "--workspace", "--locked", "--quiet", "--no-fail-fast", "--lib", "--bins", "--examples"]);
    for target in &targets {
        tests.args(["--test", target]);
    }
    seed(&mut tests);
    children::run(&mut tests)?;
    children::run(tool::cargo().args(["test", "--workspace", "--locked", "--quiet", "--doc"]))
}

/// What proptest reads the seed of its cases from.
const SEED: &str = "PROPTEST_RNG_SEED";

/// Has properties try the same cases wherever the same files are tested, so that a failure is seen again, and others after each change. Whoever
/// wants others sets the seed.
fn seed(tests: &mut Command) {
    if std::env::var_os(SEED).is_some() {
        return;
    }
    let tree = Command::new("git").args(["rev-parse", "HEAD^{tree}"]).current_dir(crate::image::root()).output();
    let said = tree.ok().filter(|tree| tree.status.success());
    // Without git, proptest takes its own.
    if let Some(seed) = said.and_then(|tree| seed_of(&String::from_utf8_lossy(&tree.stdout))) {
        eprintln!("cases of properties: {SEED}={seed}");
        tests.env(SEED, seed.to_string());
    }
}

/// The seed for a hash that git printed.
fn seed_of(hash: &str) -> Option<u64> {
    u64::from_str_radix(hash.get(..16)?, 16).ok()
}

/// What `cargo metadata` says.
pub(super) fn metadata() -> Result<Value> {
    let text = children::output(tool::cargo().args(["metadata", "--format-version", "1", "--locked"]))?;
    serde_json::from_str(&text).context("cargo metadata printed something else than JSON")
}

/// Names of the workspace's test targets, without one.
fn test_targets(metadata: &Value, without: &str) -> Vec<String> {
    let own = |package: &&Value| package["source"].is_null();
    let packages = metadata["packages"].as_array().into_iter().flatten().filter(own);
    let targets = packages.flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let tests = targets.filter(|target| target["kind"][0] == "test");
    let names = tests.filter_map(|target| target["name"].as_str());
    names.filter(|name| *name != without).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_seed_is_the_beginning_of_a_hash() {
        assert_eq!(seed_of("00000000000000ff9c1d3e5f00000000deadbeef\n"), Some(255));
        assert_eq!(seed_of("fatal"), None);
        assert_eq!(seed_of("not a hash of git's"), None);
    }

    #[test]
    fn own_test_targets_run_and_the_end_to_end_tests_wait_for_a_cluster() {
        let target = |kind: &str, name: &str| json!({"kind": [kind], "name": name});
        let metadata = json!({"packages": [
            {"source": null, "targets": [target("test", "tidy"), target("test", "e2e"), target("lib", "tests")]},
            {"source": "registry", "targets": [target("test", "theirs")]},
        ]});
        assert_eq!(test_targets(&metadata, "e2e"), ["tidy"]);
    }
}
