//! The table of what was measured. Decides only.

use std::fmt::Write as _;

use super::super::load::Run;
use super::super::numbers::{Spread, cell, grouped, milliseconds};
use super::descriptions::Descriptions;
use super::place::Kind;
use super::sample::{CHILDREN, DESCRIBED};
use super::submissions::{IN_FLIGHT, OFFERED, Submissions};

/// What was asked for, of a median.
#[derive(Clone, Copy, Debug)]
enum Goal {
    AtLeast(u32),
    AtMost(u32),
}

impl Goal {
    fn judge(self, median: f64) -> String {
        let (text, met) = match self {
            Self::AtLeast(least) => (format!("at least {least}"), median >= f64::from(least)),
            Self::AtMost(most) => (format!("at most {most}"), median <= f64::from(most)),
        };
        format!("{text}: {}", if met { "met" } else { "MISSED" })
    }
}

/// What is shown of a run.
#[derive(Clone, Copy, Debug)]
enum Figure {
    Rate,
    /// Milliseconds of the one call of a run.
    Only,
    P50,
    P99,
    /// Microseconds of the server's processor for one call.
    Server,
}

impl Figure {
    fn name(self) -> &'static str {
        match self {
            Self::Rate => "per second",
            Self::Only => "ms",
            Self::P50 => "p50 ms",
            Self::P99 => "p99 ms",
            Self::Server => "server's µs for one",
        }
    }

    fn of(self, run: &Run) -> f64 {
        match self {
            Self::Rate => run.rate,
            Self::Only | Self::P50 => milliseconds(run.quantiles.p50),
            Self::P99 => milliseconds(run.quantiles.p99),
            Self::Server => run.server.as_secs_f64() * 1e6,
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Rate | Self::Server => 0,
            Self::Only | Self::P50 | Self::P99 => 2,
        }
    }
}

/// A line for each figure, with its goal if there is one.
fn rows(text: &mut String, workload: &str, runs: &[Run], figures: &[(Figure, Option<Goal>)]) {
    let mut workload = workload;
    for (figure, goal) in figures {
        let spread = Spread::of(runs.iter().map(|run| figure.of(run)));
        let goal = goal.zip(spread).map(|(goal, spread)| goal.judge(spread.median)).unwrap_or_default();
        let line = format!("  {workload:<48}{:<21}{:<28}{goal}", figure.name(), cell(spread, figure.digits()));
        let _ = writeln!(text, "{}", line.trim_end());
        workload = "";
    }
}

fn head(text: &mut String, title: &str) {
    let _ = writeln!(text, "{title}");
    let line = format!("  {:<48}{:<21}{:<28}goal, by the median", "", "", "median (least to most)");
    let _ = writeln!(text, "{line}");
}

/// Submissions, and what stands beside them.
pub(super) fn submissions(kind: Kind, queued: usize, requests: usize, all: &Submissions) -> String {
    use Figure::{Only, P50, P99, Rate, Server};
    let mut text = String::new();
    let (runs, queued, requests, name) = (all.submit.len(), grouped(queued), grouped(requests), kind.name());
    head(&mut text, &format!("{name}, {queued} jobs queued before; {runs} runs of {requests} submissions"));
    let goals = [(Rate, Some(Goal::AtLeast(2_000))), (P50, None), (P99, Some(Goal::AtMost(20))), (Server, None)];
    rows(&mut text, &format!("SubmitJob, {IN_FLIGHT} in flight"), &all.submit, &goals);
    let offered = format!("SubmitJob, {} offered a second", grouped(OFFERED as usize));
    rows(&mut text, &offered, &all.offered, &goals[1..3]);
    let plain = goals.map(|(figure, _)| (figure, None));
    rows(&mut text, "  empty handler", &all.empty, &plain);
    let writers = format!("  bare INSERTs, a transaction each, {} in flight", kind.writers());
    rows(&mut text, &writers, &all.bare, &plain[..3]);
    let array = format!("SubmitJob of an array of {}", grouped(CHILDREN as usize));
    rows(&mut text, &array, &all.array, &[(Only, Some(Goal::AtMost(200)))]);
    rows(&mut text, "  of a single job, 1 in flight", &all.single, &[(P50, None)]);
    text
}

/// Descriptions, and what stands beside them.
pub(super) fn descriptions(kind: Kind, records: usize, all: &Descriptions) -> String {
    use Figure::{P50, P99, Server};
    let mut text = String::new();
    let (runs, records, name) = (all.describe.len(), grouped(records), kind.name());
    head(&mut text, &format!("{name}, {records} jobs stored; runs: {runs}"));
    let goals = [(P50, None), (P99, Some(Goal::AtMost(20))), (Server, None)];
    rows(&mut text, &format!("DescribeJobs of {DESCRIBED}, 1 in flight"), &all.describe, &goals);
    let empty = format!("  empty handler, as long an answer ({} KiB)", all.bytes.div_ceil(1024));
    rows(&mut text, &empty, &all.empty, &goals.map(|(figure, _)| (figure, None)));
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::numbers::Quantiles;
    use super::*;

    fn run(p99: u64, rate: f64) -> Run {
        let p99 = Duration::from_millis(p99);
        let quantiles = Quantiles { p50: p99 / 2, p90: p99, p99, max: p99 * 2 };
        Run { quantiles, rate, server: Duration::from_micros(250) }
    }

    #[test]
    fn goals_are_judged_by_the_median() {
        let check = |goal: Goal, median: f64, expect: &str| assert_eq!(goal.judge(median), expect);
        check(Goal::AtLeast(2_000), 2_000.0, "at least 2000: met");
        check(Goal::AtLeast(2_000), 1_999.9, "at least 2000: MISSED");
        check(Goal::AtMost(20), 20.0, "at most 20: met");
        check(Goal::AtMost(20), 20.1, "at most 20: MISSED");
    }

    #[test]
    fn submissions_stand_beside_their_baselines() {
        let all = Submissions {
            empty: vec![run(2, 20_000.0)],
            bare: vec![run(1, 900.0), run(1, 1_100.0)],
            submit: vec![run(10, 1_500.0), run(30, 2_500.0), run(21, 2_100.0)],
            offered: vec![run(12, 2_000.0)],
            array: vec![run(500, 2.0)],
            ..Submissions::default()
        };
        let expect = "\
SQLite, 100,000 jobs queued before; 3 runs of 5,000 submissions
                                                                       median (least to most)      goal, by the median
  SubmitJob, 64 in flight                         per second           2100 (1500 to 2500)         at least 2000: met
                                                  p50 ms               10.50 (5.00 to 15.00)
                                                  p99 ms               21.00 (10.00 to 30.00)      at most 20: MISSED
                                                  server's µs for one  250 (250 to 250)
  SubmitJob, 2,000 offered a second               p50 ms               6.00 (6.00 to 6.00)
                                                  p99 ms               12.00 (12.00 to 12.00)      at most 20: met
    empty handler                                 per second           20000 (20000 to 20000)
                                                  p50 ms               1.00 (1.00 to 1.00)
                                                  p99 ms               2.00 (2.00 to 2.00)
                                                  server's µs for one  250 (250 to 250)
    bare INSERTs, a transaction each, 1 in flight per second           1000 (900 to 1100)
                                                  p50 ms               0.50 (0.50 to 0.50)
                                                  p99 ms               1.00 (1.00 to 1.00)
  SubmitJob of an array of 10,000                 ms                   250.00 (250.00 to 250.00)   at most 200: MISSED
    of a single job, 1 in flight                  p50 ms               -
";
        assert_eq!(submissions(Kind::Sqlite, 100_000, 5_000, &all), expect);
    }

    #[test]
    fn descriptions_stand_beside_their_baseline() {
        let all = Descriptions { empty: vec![run(1, 1.0)], describe: vec![run(8, 1.0)], bytes: 153_000 };
        let expect = "\
PostgreSQL, 200,000 jobs stored; runs: 1
                                                                       median (least to most)      goal, by the median
  DescribeJobs of 100, 1 in flight                p50 ms               4.00 (4.00 to 4.00)
                                                  p99 ms               8.00 (8.00 to 8.00)         at most 20: met
                                                  server's µs for one  250 (250 to 250)
    empty handler, as long an answer (150 KiB)    p50 ms               0.50 (0.50 to 0.50)
                                                  p99 ms               1.00 (1.00 to 1.00)
                                                  server's µs for one  250 (250 to 250)
";
        assert_eq!(descriptions(Kind::Postgresql, 200_000, &all), expect);
    }
}
