//! That a run generates and changes nothing in the checkout. Compares with the state before the run, so that it also says
//! something while changes are being worked on; in CI the state before is the commit itself.

use anyhow::{Result, bail};

use super::children;
use crate::image::root;

/// What git sees: a line per changed or unknown file, and the changes; `None` outside a git checkout.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct State(Option<(String, String)>);

/// The state now.
pub(super) fn state() -> Result<State> {
    if !root().join(".git").exists() {
        return Ok(State(None));
    }
    Ok(State(Some((git(&["status", "--porcelain=v1", "--untracked-files=all"])?, git(&["diff", "HEAD"])?))))
}

fn git(args: &[&str]) -> Result<String> {
    // Without optional locks: somebody may be committing meanwhile.
    children::output(std::process::Command::new("git").arg("--no-optional-locks").arg("-C").arg(root()).args(args))
}

/// Fails if the state is another than before the run.
pub(super) fn unchanged(before: &State) -> Result<()> {
    let now = state()?;
    if now.0.is_none() {
        eprintln!("this is not a git checkout; nothing to compare");
        return Ok(());
    }
    if let Some(wrong) = difference(before, &now) {
        bail!("{wrong}");
    }
    if now.0.is_some_and(|(status, _)| !status.is_empty()) {
        eprintln!("there are changes that are not committed, the same as before");
    }
    Ok(())
}

fn difference(before: &State, now: &State) -> Option<String> {
    let (State(Some(before)), State(Some(now))) = (before, now) else { return None };
    if before == now {
        return None;
    }
    let new: Vec<&str> = now.0.lines().filter(|line| !before.0.lines().any(|old| old == *line)).collect();
    let what = if new.is_empty() { "files that had changes before".to_owned() } else { new.join("\n") };
    Some(format!(
        "the run (or somebody beside it) changed the checkout:\n{what}\n\
         if these are generated files, commit them; if a test wrote them, let it write below target/"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_run_changed_is_named_and_what_was_changed_before_is_not() {
        let state = |status: &str, diff: &str| State(Some((status.to_owned(), diff.to_owned())));
        let before = state(" M a.rs\n", "-x\n+y\n");
        assert_eq!(difference(&before, &state(" M a.rs\n", "-x\n+y\n")), None);
        let wrong = difference(&before, &state(" M a.rs\n?? b.yaml\n", "-x\n+y\n")).unwrap();
        assert!(wrong.contains("\n?? b.yaml\n") && !wrong.contains("a.rs"), "{wrong}");
        let wrong = difference(&before, &state(" M a.rs\n", "-x\n+z\n")).unwrap();
        assert!(wrong.contains("files that had changes before"), "{wrong}");
    }
}
