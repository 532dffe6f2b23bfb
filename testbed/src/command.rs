//! Running a short command to its end. Invariant: a failure names the command and quotes what it said.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a command and returns its standard output.
pub(crate) fn run<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: &[S]) -> Result<String> {
    run_with_input(program, args, "")
}

/// Runs a command with this standard input and returns its standard output.
pub(crate) fn run_with_input<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: &[S], input: &str) -> Result<String> {
    let mut command = Command::new(program.as_ref());
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let line = describe(&command);
    let mut child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
    let mut stdin = child.stdin.take().context("standard input was asked for")?;
    let text = input.to_owned();
    // A thread of its own: a command that answers while it still reads would block on a full pipe otherwise.
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().with_context(|| format!("waiting for `{line}`"))?;
    // A command that does not read its input ends early; its status says whether that was a failure.
    let _ = writer.join();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed ({}): {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command as one would type it, shortened.
fn describe(command: &Command) -> String {
    let words: Vec<_> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    let line = words.join(" ");
    if line.chars().count() > 200 { line.chars().take(200).chain("…".chars()).collect() } else { line }
}

/// Splits at white space: for argument lists written in one line.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}
