//! How long each stage took and how it ended, as a table.

use std::fmt;
use std::time::Duration;

use super::stage::Stage;

/// Stages that ran.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<(Stage, Duration, bool)>,
}

impl Report {
    /// Adds a stage that ended.
    pub(super) fn add(&mut self, stage: Stage, took: Duration, passed: bool) {
        self.rows.push((stage, took, passed));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (stage, took, passed) in &self.rows {
            let result = if *passed { "passed" } else { "FAILED" };
            writeln!(f, "{:<10}{:>8.1} s  {result}", stage.to_string(), took.as_secs_f64())?;
        }
        let total: Duration = self.rows.iter().map(|row| row.1).sum();
        write!(f, "{:<10}{:>8.1} s", "total", total.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_a_line_and_the_total_is_last() {
        let mut report = Report::default();
        report.add(Stage::Fmt, Duration::from_millis(840), true);
        report.add(Stage::Clippy, Duration::from_secs(62), false);
        let expect = "fmt            0.8 s  passed\nclippy        62.0 s  FAILED\ntotal         62.8 s";
        assert_eq!(report.to_string(), expect);
    }
}
