//! How the demo speaks: one line per thing that happens, with the time since it began.
//!
//! Invariant: a closed standard output ends no demo: the cluster would be left behind.

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Result, bail};

use super::check::Check;

/// Speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice {
    began: Instant,
}

impl Voice {
    /// The time begins now.
    pub(super) fn new() -> Self {
        Self { began: Instant::now() }
    }

    /// What happened, and to whom.
    pub(super) fn say(self, who: &str, what: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        Self::plain(&format!("{seconds:>6.1} s  {who:<15} {what}"));
    }

    /// Something without a time.
    pub(super) fn plain(text: &str) {
        let _nobody_listens = writeln!(std::io::stdout().lock(), "{text}");
    }

    /// Says what was checked; fails if one check did.
    pub(super) fn checked(checks: &[Check]) -> Result<()> {
        Self::plain("\nChecked:");
        for check in checks {
            match &check.problem {
                None => Self::plain(&format!("  ok      {}", check.what)),
                Some(problem) => Self::plain(&format!("  FAILED  {}\n          {problem}", check.what)),
            }
        }
        Self::plain("");
        match checks.iter().filter(|check| check.problem.is_some()).count() {
            0 => Ok(()),
            failed => bail!("{failed} of {} checks failed, see above", checks.len()),
        }
    }
}
