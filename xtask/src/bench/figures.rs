//! Medians and maxima of several starts, as a table. Decides only.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::numbers::median;
use super::timeline::{Step, Timeline};

/// What was asked for, to stand beside what was measured.
pub(super) struct Goal {
    pub(super) seconds: f64,
    pub(super) condition: &'static str,
}

/// Per step: when it was seen after the create call, and how long after the step before it.
pub(super) fn table(title: &str, runs: &[Timeline], goal: Option<&Goal>) -> String {
    let mut text = format!("{title} ({} runs)\n", runs.len());
    if runs.is_empty() {
        return text;
    }
    let order = order(runs);
    let _ = writeln!(text, "  {:<22}{:>20}{:>26}", "", "after the step before", "after the create call");
    let _ = writeln!(text, "  {:<22}{:>10}{:>10}{:>16}{:>10}", "seconds", "median", "max", "median", "max");
    let mut before = None;
    for step in order {
        let at: Vec<Duration> = runs.iter().filter_map(|run| run.steps().get(&step).copied()).collect();
        let since = since(runs, before, step);
        let [split, slowest, median, max] =
            [median(&since), since.iter().max().copied(), median(&at), at.iter().max().copied()].map(seconds);
        let _ = writeln!(text, "  {:<22}{split:>10}{slowest:>10}{median:>16}{max:>10}", step.name());
        before = Some(step);
    }
    let each: Vec<String> = totals(runs).into_iter().map(|total| seconds(Some(total))).collect();
    let _ = writeln!(text, "  each: {}", each.join(" "));
    if let (Some(goal), Some(total)) = (goal, median(&totals(runs))) {
        let verdict = if total.as_secs_f64() <= goal.seconds { "met" } else { "missed" };
        let _ = writeln!(text, "  goal: at most {:.0} s{}: {verdict} by the median", goal.seconds, goal.condition);
    }
    text
}

/// Steps in the order in which they were usually seen.
fn order(runs: &[Timeline]) -> Vec<Step> {
    let mut at: BTreeMap<Step, Vec<Duration>> = BTreeMap::new();
    for (step, time) in runs.iter().flat_map(Timeline::steps) {
        at.entry(*step).or_default().push(*time);
    }
    let mut steps: Vec<Step> = at.keys().copied().collect();
    // Equal medians: the order in which a Job goes.
    steps.sort_by_key(|step| (at.get(step).and_then(|times| median(times)), *step));
    steps
}

fn since(runs: &[Timeline], before: Option<Step>, step: Step) -> Vec<Duration> {
    let time = |run: &Timeline, step| run.steps().get(&step).copied();
    let of = |run: &Timeline| {
        let start = before.map_or(Some(Duration::ZERO), |before| time(run, before))?;
        Some(time(run, step)?.saturating_sub(start))
    };
    runs.iter().filter_map(of).collect()
}

fn totals(runs: &[Timeline]) -> Vec<Duration> {
    runs.iter().filter_map(|run| run.steps().get(&Step::Started).copied()).collect()
}

fn seconds(value: Option<Duration>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{:.2}", value.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn run(steps: &[(Step, u64)]) -> Timeline {
        let mut run = Timeline::new("j", None);
        for (step, at) in steps {
            run.note(*step, ms(*at));
        }
        run
    }

    #[test]
    fn a_table_has_a_line_per_step_in_the_order_seen_and_the_goal() {
        let runs = [
            run(&[(Step::Created, 100), (Step::Bound, 300), (Step::PodMade, 200), (Step::Started, 900)]),
            run(&[(Step::Created, 110), (Step::Bound, 500), (Step::PodMade, 200), (Step::Started, 1200)]),
            run(&[(Step::Created, 120), (Step::Bound, 400), (Step::PodMade, 200), (Step::Started, 1000)]),
        ];
        let expect = "\
x (3 runs)
                        after the step before     after the create call
  seconds                   median       max          median       max
  create call returned        0.11      0.12            0.11      0.12
  pod created                 0.09      0.10            0.20      0.20
  pod bound                   0.20      0.30            0.40      0.50
  container started           0.60      0.70            1.00      1.20
  each: 0.90 1.20 1.00
  goal: at most 1 s: met by the median
";
        assert_eq!(table("x", &runs, Some(&Goal { seconds: 1.0, condition: "" })), expect);
    }
}
