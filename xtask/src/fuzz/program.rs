//! A door's test program, which holds its targets: built, asked for their names, and run.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::cargo;

/// Something that hostile input reaches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Door {
    pub(super) package: &'static str,
    /// The module whose tests are targets.
    module: &'static str,
}

/// All of them.
pub(super) const DOORS: [Door; 3] = [
    Door { package: "webhook", module: "routes::fuzz::" },
    Door { package: "gateway", module: "tests::fuzz::" },
    Door { package: "scheduler", module: "routes::fuzz::" },
];

/// The program.
pub(super) struct Program {
    door: Door,
    path: PathBuf,
}

impl Program {
    /// Builds it as `cargo test` does: with checks for overflow.
    pub(super) fn build(door: Door) -> Result<Self> {
        let output = cargo::command()
            .args(["test", "--locked", "--package", door.package, "--lib", "--no-run", "--message-format", "json"])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run cargo")?;
        ensure!(output.status.success(), "building the targets failed; the compiler's messages are above");
        let path = executable(door.package, &String::from_utf8_lossy(&output.stdout))
            .context("cargo names no test program")?;
        Ok(Self { door, path })
    }

    /// The names of all targets.
    pub(super) fn targets(&self) -> Result<Vec<String>> {
        let output = Command::new(&self.path).args([self.door.module, "--list", "--format", "terse"]).output()?;
        ensure!(output.status.success(), "the test program does not list its tests");
        Ok(listed(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Runs cases of a target; an error shows what was found.
    pub(super) fn run(&self, target: &str, cases: u32, seed: u64) -> Result<()> {
        let (cases, seed) = (cases.to_string(), seed.to_string());
        let output = Command::new(&self.path)
            .args([target, "--exact", "--test-threads", "1"])
            .env("PROPTEST_CASES", &cases)
            .env("PROPTEST_RNG_SEED", &seed)
            .output()
            .with_context(|| format!("cannot run {}", self.path.display()))?;
        if output.status.success() {
            return Ok(());
        }
        eprintln!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!(
            "{} has found something ({}); what it says is above. Again: PROPTEST_CASES={cases} PROPTEST_RNG_SEED={seed} \
             cargo test --package {} --lib -- --exact {target}",
            self.short(target),
            output.status,
            self.door.package,
        )
    }

    /// A target's door and name.
    pub(super) fn short(&self, target: &str) -> String {
        format!("{}: {}", self.door.package, target.strip_prefix(self.door.module).unwrap_or(target))
    }
}

/// The test program, from what cargo prints with `--message-format json`.
fn executable(package: &str, messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut tests = messages.filter(|it| it["profile"]["test"] == true && it["target"]["name"] == package);
    tests.find_map(|it| it["executable"].as_str().map(PathBuf::from))
}

fn listed(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_program_is_found_among_everything_that_was_built() {
        let messages = "not JSON
{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"webhook\"},\"profile\":{\"test\":false},\"executable\":null}
{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"webhook\"},\"profile\":{\"test\":true},\"executable\":\"/t/webhook-1\"}
{\"reason\":\"build-finished\",\"success\":true}
";
        assert_eq!(executable("webhook", messages), Some(PathBuf::from("/t/webhook-1")));
        assert_eq!(executable("gateway", messages), None);
    }

    #[test]
    fn targets_are_the_listed_tests() {
        assert_eq!(listed("routes::fuzz::a: test\nroutes::fuzz::b: test\n"), ["routes::fuzz::a", "routes::fuzz::b"]);
        let program = Program { door: DOORS[0], path: PathBuf::new() };
        assert_eq!(program.short("routes::fuzz::a"), "webhook: a");
    }
}
