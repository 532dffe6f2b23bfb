//! Running a command that takes long. Invariant: whoever waits sees that it goes on, and a failure quotes all that it said.

use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::say::{say, say_again};

/// Runs a command to its end. `doing` and `done` are what is said about it meanwhile and afterwards, each followed by the seconds;
/// `log` is a file for what it says, which is removed unless it failed.
pub(crate) fn run(command: &mut Command, log: &Path, doing: &str, done: &str) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = fs::File::create(log).with_context(|| format!("cannot make {}", log.display()))?;
    let begin = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("cannot start `{program}`"))?;
    let live = std::io::stderr().is_terminal();
    let mut told = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let seconds = begin.elapsed().as_secs();
        if seconds >= told + if live { 1 } else { 15 } {
            told = seconds;
            say_again(&format!("{doing}: {seconds} s"));
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    if !status.success() {
        let text = fs::read_to_string(log).unwrap_or_default();
        bail!("{doing} failed ({status}):\n{}", text.trim());
    }
    fs::remove_file(log)?;
    say(&format!("{done} in {:.0} s", begin.elapsed().as_secs_f64()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_quotes_what_was_said_and_keeps_the_log() {
        let log = std::env::temp_dir().join(format!("bulkhead-progress-{}", std::process::id()));
        let failed = run(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]), &log, "trying", "tried");
        let text = format!("{:#}", failed.unwrap_err());
        assert!(text.starts_with("trying failed") && text.contains("broken"), "{text}");
        assert!(log.exists());
        run(&mut Command::new("true"), &log, "trying", "tried").unwrap();
        assert!(!log.exists());
    }
}
