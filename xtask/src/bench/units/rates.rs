//! Units in a second, as text. Decides only.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::numbers::{Spread, cell, grouped, median, milliseconds, rate, real};
use super::measured::Measured;

/// Bulkhead's figure, in parts of what pod creation alone does, and of what kube-scheduler does.
const OF_CREATION: f64 = 0.5;
const OF_SCHEDULER: f64 = 2.0;

/// All runs of all series.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) created: Vec<Measured>,
    pub(super) scheduled: Vec<Measured>,
    pub(super) bulkhead: Vec<Measured>,
}

/// The table.
pub(super) fn text(units: u32, nodes: u32, all: &Series) -> String {
    let Series { created, scheduled, bulkhead } = all;
    let units = units as usize;
    let (count, all_units) = (bulkhead.len(), grouped(units));
    let mut text = format!("{all_units} units in each of {count} runs, on {nodes} fake nodes for each series\n");
    let _ = writeln!(text, "  {:<62}units in a second: median (least to most)", "");
    let mut line = |name: &str, runs: &[Measured], of: &dyn Fn(&Measured) -> f64| {
        let spread = Spread::of(runs.iter().map(of));
        let _ = writeln!(text, "  {name:<62}{}", cell(spread, 0));
        spread.map_or(0.0, |spread| spread.median)
    };
    let until = |at: fn(&Measured) -> Duration| move |run: &Measured| rate(units, at(run));
    let between = |run: &Measured| rate(units.saturating_sub(1), run.bound.saturating_sub(run.first));
    let raw = line("pods created on their node, until the last was answered", created, &until(|run| run.answered));
    line("  until the last was seen RUNNING", created, &until(|run| run.running));
    let stock = line("kube-scheduler, until the last was seen bound", scheduled, &until(|run| run.bound));
    line("  from the first bound to the last", scheduled, &between);
    line("  until the last was seen RUNNING", scheduled, &until(|run| run.running));
    let ours = line("Bulkhead, from SubmitJob until the last was seen on its node", bulkhead, &until(|run| run.bound));
    line("  from the first on its node to the last", bulkhead, &between);
    line("  until the last was seen RUNNING", bulkhead, &until(|run| run.running));
    goal(&mut text, "of pod creation", ours / raw, OF_CREATION);
    goal(&mut text, "of kube-scheduler", ours / stock, OF_SCHEDULER);
    processors(&mut text, units, all);
    text
}

fn goal(text: &mut String, what: &str, share: f64, least: f64) {
    let verdict = if share >= least { "met" } else { "MISSED" };
    let _ = writeln!(text, "  goal: Bulkhead at least {least} {what}: {share:.2}, {verdict}, by the medians");
}

/// Who was on a processor, for each unit.
fn processors(text: &mut String, units: usize, all: &Series) {
    let series = [&all.created, &all.scheduled, &all.bulkhead];
    let _ = writeln!(
        text,
        "\n  {:<38}{:>12}{:>16}{:>12}",
        "ms on a processor for a unit, median", "created", "kube-scheduler", "Bulkhead"
    );
    let names = all.created.first().map(|run| run.clocks.0.iter().map(|(name, _)| name)).into_iter().flatten();
    for name in names {
        let of_run = |run: &Measured| run.clocks.0.iter().find(|(it, _)| it == name).map(|(_, time)| *time);
        let of_series = |runs: &&Vec<Measured>| median(&runs.iter().filter_map(of_run).collect::<Vec<_>>());
        let cells = series.each_ref().map(|runs| {
            of_series(runs).map_or_else(String::new, |time| format!("{:.2}", milliseconds(time) / real(units)))
        });
        let [created, scheduled, bulkhead] = cells;
        let _ = writeln!(text, "  {name:<38}{created:>12}{scheduled:>16}{bulkhead:>12}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::clocks::Clocks;
    use super::*;

    fn run(answered: u64, bound: u64) -> Measured {
        let ms = Duration::from_millis;
        let clocks = Clocks(vec![("etcd".to_owned(), ms(500))]);
        let problems = Vec::new();
        Measured {
            answered: ms(answered),
            first: ms(100),
            bound: ms(bound),
            running: ms(bound + 500),
            clocks,
            problems,
        }
    }

    #[test]
    fn goals_are_judged_by_the_medians() {
        let series = |bulkhead| Series {
            created: vec![run(1_000, 1_100), run(2_000, 2_100), run(3_000, 3_100)],
            scheduled: vec![run(1_000, 8_000)],
            bulkhead: vec![run(0, bulkhead)],
        };
        let check = |bulkhead, expect: [&str; 2]| {
            let text = text(1_000, 10, &series(bulkhead));
            let goals: Vec<&str> = text.lines().filter(|line| line.contains("goal:")).collect();
            assert!(goals.len() == 2 && goals.iter().zip(expect).all(|(line, end)| line.contains(end)), "{text}");
        };
        check(4_000, ["0.50, met", "2.00, met"]);
        check(4_100, ["0.49, MISSED", "1.95, MISSED"]);
    }

    #[test]
    fn the_table_says_who_was_on_a_processor() {
        let series = Series { created: vec![run(1, 2)], scheduled: vec![run(1, 2)], bulkhead: vec![run(1, 2)] };
        let text = text(1_000, 10, &series);
        let line = text.lines().find(|line| line.contains("etcd")).unwrap();
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["etcd", "0.50", "0.50", "0.50"]);
    }
}
