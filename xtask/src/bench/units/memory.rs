//! What waiting jobs take, as text. Decides only.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::machine::Resident;
use super::super::metrics::Histogram;
use super::super::numbers::{grouped, rate};

/// Megabytes, of what was most.
const GOAL: f64 = 300.0;

/// Planning while jobs waited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cycles {
    count: f64,
    /// Seconds.
    mean: f64,
    /// Half were not above this bound of the histogram; none if even more were above the last one.
    half: Option<f64>,
    lasted: Duration,
}

impl Cycles {
    /// From what was counted in this time.
    pub(super) fn of(histogram: &Histogram, lasted: Duration) -> Self {
        let bounds = histogram.buckets.iter().filter_map(|(bound, count)| Some((bound.parse::<f64>().ok()?, *count)));
        let enough = bounds.filter(|(bound, count)| bound.is_finite() && *count * 2.0 >= histogram.count);
        let half = enough.map(|(bound, _)| bound).min_by(f64::total_cmp);
        Self { count: histogram.count, mean: histogram.sum / histogram.count.max(1.0), half, lasted }
    }
}

/// One way in which jobs waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// Of a controller that has just started.
    pub(super) before: Resident,
    pub(super) after: Resident,
    /// Until the last submission was answered.
    pub(super) submitted: Duration,
    /// Until the queue showed all as waiting.
    pub(super) runnable: Duration,
    pub(super) cycles: Cycles,
    /// From the first request to end one until all had.
    pub(super) ended: Duration,
}

/// The table.
pub(super) fn text(queued: u32, arrays: u32, single: &Waiting, children: &Waiting) -> String {
    let queued = queued as usize;
    let mut text = format!("{} jobs wait in a queue without nodes\n", grouped(queued));
    let _ = writeln!(text, "  {:<52}{:>16}{:>16}", "", "single jobs", format!("{arrays} arrays"));
    let mut line = |name: &str, of: &dyn Fn(&Waiting) -> String| {
        let _ = writeln!(text, "  {name:<52}{:>16}{:>16}", of(single), of(children));
    };
    line("controller before, resident, MB", &|it| megabytes(it.before.now));
    line("controller with all of them, MB", &|it| megabytes(it.after.now));
    line("  at most so far, MB", &|it| megabytes(it.after.most));
    line("  more than before, for each job, bytes", &|it| {
        format!("{}", it.after.now.saturating_sub(it.before.now) * 1024 / queued.max(1) as u64)
    });
    line(&format!("  goal: at most {GOAL:.0} MB"), &|it| {
        (if of_kib(it.after.most) <= GOAL { "met" } else { "MISSED" }).to_owned()
    });
    line("jobs in a second, until the last was answered", &|it| format!("{:.0}", rate(queued, it.submitted)));
    line("jobs in a second, until all were RUNNABLE", &|it| format!("{:.0}", rate(queued, it.runnable)));
    line("plans in a second, afterwards", &|it| format!("{:.1}", it.cycles.count / it.cycles.lasted.as_secs_f64()));
    line("  a plan takes, mean, ms", &|it| format!("{:.2}", it.cycles.mean * 1e3));
    line("  half of them at most, ms (bound of a histogram)", &|it| {
        it.cycles.half.map_or_else(|| "-".to_owned(), |half| format!("{:.1}", half * 1e3))
    });
    line("jobs in a second that TerminateJob ended", &|it| format!("{:.0}", rate(queued, it.ended)));
    text
}

fn megabytes(kib: u64) -> String {
    format!("{:.0}", of_kib(kib))
}

/// In megabytes, as goals are written.
fn of_kib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) * 1024.0 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram() -> Histogram {
        let buckets = [("0.001", 1.0), ("0.004", 6.0), ("0.016", 10.0), ("+Inf", 10.0)];
        let buckets = buckets.map(|(bound, count)| (bound.to_owned(), count));
        Histogram { buckets: buckets.into(), sum: 0.05, count: 10.0 }
    }

    #[test]
    fn half_are_not_above_the_first_bound_that_holds_half() {
        let cycles = Cycles::of(&histogram(), Duration::from_secs(5));
        assert_eq!((cycles.half, cycles.count), (Some(0.004), 10.0));
        assert!((cycles.mean - 0.005).abs() < 1e-9);
        assert!(Cycles::of(&Histogram::default(), Duration::from_secs(5)).mean.abs() < 1e-9);
    }

    #[test]
    fn the_goal_is_judged_by_what_was_most() {
        let waiting = |most| Waiting {
            before: Resident { now: 10_000, most: 20_000 },
            after: Resident { now: 110_000, most },
            submitted: Duration::from_secs(50),
            runnable: Duration::from_secs(100),
            cycles: Cycles::of(&histogram(), Duration::from_secs(5)),
            ended: Duration::from_secs(200),
        };
        let text = text(100_000, 10, &waiting(292_968), &waiting(292_969));
        let line = |beginning: &str| {
            let found = text.lines().find(|line| line.trim().starts_with(beginning)).unwrap();
            found.split_whitespace().rev().take(2).map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(line("goal"), ["MISSED", "met"]);
        assert_eq!(line("more than before"), ["1024", "1024"]);
        assert_eq!(line("jobs in a second, until all"), ["1000", "1000"]);
        assert_eq!(line("plans in a second"), ["2.0", "2.0"]);
    }
}
