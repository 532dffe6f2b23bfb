//! What `uninstall` says, on standard output.
//!
//! Invariant: every change is one line, said after it was made.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::bail;
use model::keys;

/// How many steps there are.
const STEPS: u32 = 7;

/// A step begins.
pub(super) fn step(number: u32, title: &str) {
    println!("{number}/{STEPS} {title}");
}

/// Something was done.
pub(super) fn done(text: &str) {
    println!("    {text}");
}

/// Something was left, and what the user may want to do about it.
pub(super) fn note(text: &str) {
    println!("  ! {text}");
}

/// The end of a removal, with what is the users'.
pub(super) fn end(namespaces: &[String]) {
    println!("Bulkhead is removed.");
    if !namespaces.is_empty() {
        note(&format!(
            "these namespaces still carry your label {}, which means nothing now: {}",
            keys::QUEUE,
            namespaces.join(", ")
        ));
    }
}

/// Asks a person.
pub(super) fn confirm(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("there is nobody to ask: give --yes to remove Bulkhead without being asked");
    }
    print!("{question} Type yes: ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("yes"))
}
