//! How long each end-to-end test took; the slowest ten are told.
//!
//! The test programs, which may be two at a time, add to one file; a line is written at once, so lines do not mix.

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

/// So many are told.
const TOLD: usize = 10;

/// The times of a run.
pub(super) struct Times(NamedTempFile);

impl Times {
    /// No times yet.
    pub(super) fn new() -> Result<Self> {
        Ok(Self(NamedTempFile::new().context("no temporary file for the times of the tests")?))
    }

    /// The file that tests add to.
    pub(super) fn path(&self) -> String {
        self.0.path().display().to_string()
    }

    /// Prints the slowest.
    pub(super) fn tell(&self) {
        let text = std::fs::read_to_string(self.0.path()).unwrap_or_default();
        for line in slowest(&text) {
            eprintln!("{line}");
        }
    }
}

/// The slowest tests, slowest first, as lines to print.
fn slowest(text: &str) -> Vec<String> {
    let row = |line: &str| {
        let (name, took) = line.rsplit_once('\t')?;
        Some((took.parse::<u64>().ok()?, name.to_owned()))
    };
    let mut rows: Vec<(u64, String)> = text.lines().filter_map(row).collect();
    rows.sort_by(|a, b| b.cmp(a));
    rows.truncate(TOLD);
    let lines = rows.iter().map(|(took, name)| format!("{:>8}.{} s  {name}", took / 1000, took % 1000 / 100));
    let heading = (!rows.is_empty()).then(|| "slowest tests:".to_owned());
    heading.into_iter().chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_come_first_and_lines_that_are_none_are_left_out() {
        assert_eq!(
            slowest("fast\t90\nslow: a test\t61250\nhalf a line\n"),
            ["slowest tests:", "      61.2 s  slow: a test", "       0.0 s  fast"]
        );
        assert!(slowest("").is_empty());
        assert_eq!(slowest(&"one of many\t5\n".repeat(20)).len(), 11);
    }
}
