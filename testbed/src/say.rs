//! Progress for the person who waits, on standard error. Invariant: standard output stays free for results.

use std::io::{IsTerminal, Write};

/// Prints one line of progress, over the one that [`say_again`] left.
pub(crate) fn say(line: &str) {
    let mut err = std::io::stderr().lock();
    let clear = if err.is_terminal() { "\r\x1b[K" } else { "" };
    // Nobody is there to read progress; that is no reason to stop.
    let _ = writeln!(err, "{clear}{line}");
}

/// Prints a line that the next one replaces; on something that is no terminal, an ordinary line.
pub(crate) fn say_again(line: &str) {
    let mut err = std::io::stderr().lock();
    let _ = if err.is_terminal() { write!(err, "\r\x1b[K{line}") } else { writeln!(err, "{line}") };
    let _ = err.flush();
}
