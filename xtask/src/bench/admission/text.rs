//! Tables of what was measured. Decides only.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::load::{Outcome, Run};
use super::super::machine::Resident;
use super::super::numbers::{self, Quantiles, Spread, cell, grouped, milliseconds};
use super::api_server::Admissions;
use super::tls::Goal;

/// What was asked for, of a review in process.
const ALONE_GOAL: Duration = Duration::from_micros(200);

/// Reviews in process, and reading and writing the same JSON. Sizes are those of the pod and of its review.
pub(super) fn alone(core: usize, count: usize, sizes: (usize, usize), json: Quantiles, review: Quantiles) -> String {
    let (count, pod, whole) = (grouped(count), grouped(sizes.0), grouped(sizes.1));
    let mut text = format!(
        "in process, on processor {core}: {count} reviews one after the other; the pod has {pod} bytes, its review {whole}\n"
    );
    let _ = writeln!(text, "  {:<24}{:>10}{:>10}{:>10}{:>10}", "microseconds", "p50", "p90", "p99", "max");
    for (name, times) in [("read and write JSON", json), ("review", review)] {
        let [p50, p90, p99, max] =
            [times.p50, times.p90, times.p99, times.max].map(|time| format!("{:.1}", time.as_secs_f64() * 1e6));
        let _ = writeln!(text, "  {name:<24}{p50:>10}{p90:>10}{p99:>10}{max:>10}");
    }
    let verdict = verdict(review.p99 <= ALONE_GOAL);
    let _ = writeln!(text, "  goal: p99 at most {} µs: {verdict}", ALONE_GOAL.as_micros());
    text
}

/// Runs of one load, of the empty handler and of the webhook.
pub(super) fn series(in_flight: usize, seconds: u64, empty: &[Run], webhook: &[Run], goal: Goal) -> String {
    let runs = webhook.len();
    let mut text = format!("{in_flight} in flight, {runs} runs of {seconds} s: median (least to most)\n");
    let heads = ["p50 ms", "p99 ms", "max ms", "reviews/s", "server's µs for one"];
    let _ = writeln!(text, "  {:<13}{}", "", heads.map(|head| format!("{head:>25}")).concat());
    for (name, runs) in [("empty handler", empty), ("webhook", webhook)] {
        let spread = |figure: fn(&Run) -> f64| Spread::of(runs.iter().map(figure));
        let figures = [
            cell(spread(|run| milliseconds(run.quantiles.p50)), 2),
            cell(spread(|run| milliseconds(run.quantiles.p99)), 2),
            cell(spread(|run| milliseconds(run.quantiles.max)), 1),
            cell(spread(|run| run.rate), 0),
            cell(spread(|run| run.server.as_secs_f64() * 1e6), 0),
        ];
        let _ = writeln!(text, "  {name:<13}{}", figures.map(|figure| format!("{figure:>25}")).concat());
    }
    let (what, reached) = match goal {
        Goal::P99(most) => {
            let p99 = Spread::of(webhook.iter().map(|run| run.quantiles.p99.as_secs_f64()));
            (format!("p99 at most {} ms", most.as_millis()), p99.is_some_and(|it| it.median <= most.as_secs_f64()))
        }
        Goal::Rate(least) => {
            let rate = Spread::of(webhook.iter().map(|run| run.rate));
            (format!("at least {least:.0} reviews/s"), rate.is_some_and(|it| it.median >= least))
        }
    };
    let _ = writeln!(text, "  goal: {what}: {} by the median", verdict(reached));
    text
}

/// Creations that are all to be answered rightly.
pub(super) fn burst(in_flight: usize, outcome: &Outcome) -> String {
    let Outcome { took, lasted, late, failed, wrong, first: _ } = outcome;
    let count = grouped(took.len() + late + failed + wrong);
    let mut text = format!("{count} creations, {in_flight} in flight, 3 s for each\n");
    let _ = writeln!(text, "  late {late}, failed {failed}, not mutated {wrong} (asserted: none)");
    let _ = writeln!(text, "  {}", line(took, *lasted));
    text
}

/// What the server takes of the memory.
pub(super) fn memory(resident: Resident) -> String {
    let mib = |kib: u64| numbers::real(usize::try_from(kib).unwrap_or(usize::MAX)) / 1024.0;
    format!("the server's memory afterwards: {:.1} MiB, at most {:.1} MiB\n", mib(resident.now), mib(resident.most))
}

/// Creations through an API server, without and with a queue, and what it says itself about the hook.
pub(super) fn creations(at_once: usize, plain: &Outcome, queued: &Outcome, admissions: &Admissions) -> String {
    let count = |it: &Outcome| it.took.len() + it.late + it.failed + it.wrong;
    let mut text = format!("behind the API server: {} dry-run creations, {at_once} at once\n", grouped(count(queued)));
    for (name, it) in [("without a queue", plain), ("of a queue", queued)] {
        let Outcome { took, lasted, late: _, failed, wrong, first: _ } = it;
        let _ = writeln!(text, "  {name:<16} failed {failed}, wrong {wrong} (asserted: none); {}", line(took, *lasted));
    }
    let Admissions { hook, calls, fail_open, rejections } = admissions;
    let _ = write!(text, "  the API server about {hook}: {calls}");
    let _ = writeln!(text, "\n  fail open {fail_open:.0}, rejections {rejections:.0}");
    text
}

fn line(took: &[Duration], lasted: Duration) -> String {
    let rate = numbers::rate(took.len(), lasted);
    let Some(Quantiles { p50, p90: _, p99, max }) = Quantiles::of(took.to_vec()) else {
        return "nothing to count".to_owned();
    };
    let [p50, p99, max] = [p50, p99, max].map(milliseconds);
    format!("{rate:.0}/s; p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms")
}

fn verdict(reached: bool) -> &'static str {
    if reached { "met" } else { "missed" }
}

#[cfg(test)]
mod tests {
    use super::super::super::metrics::Histogram;
    use super::*;

    const fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn quantiles(p99: Duration) -> Quantiles {
        Quantiles { p50: p99 / 4, p90: p99 / 2, p99, max: p99 * 2 }
    }

    fn run(p99: u64, rate: f64) -> Run {
        Run { quantiles: quantiles(ms(p99)), rate, server: Duration::from_micros(p99 * 10) }
    }

    #[test]
    fn reviews_in_process_stand_beside_their_json() {
        let expect = "\
in process, on processor 1: 50,000 reviews one after the other; the pod has 4,800 bytes, its review 6,000
  microseconds                   p50       p90       p99       max
  read and write JSON           10.0      20.0      40.0      80.0
  review                        50.0     100.0     200.0     400.0
  goal: p99 at most 200 µs: met
";
        let (json, review) = (quantiles(Duration::from_micros(40)), quantiles(Duration::from_micros(200)));
        assert_eq!(alone(1, 50_000, (4_800, 6_000), json, review), expect);
    }

    #[test]
    fn a_series_shows_medians_spreads_and_the_goal() {
        let (empty, webhook) =
            ([run(2, 9000.0), run(4, 8000.0), run(3, 8500.0)], [run(4, 7000.0), run(8, 4999.0), run(6, 6000.0)]);
        let expect = "\
16 in flight, 3 runs of 3 s: median (least to most)
                                  p50 ms                   p99 ms                   max ms                reviews/s      server's µs for one
  empty handler      0.75 (0.50 to 1.00)      3.00 (2.00 to 4.00)         6.0 (4.0 to 8.0)      8500 (8000 to 9000)            30 (20 to 40)
  webhook            1.50 (1.00 to 2.00)      6.00 (4.00 to 8.00)       12.0 (8.0 to 16.0)      6000 (4999 to 7000)            60 (40 to 80)
  goal: p99 at most 5 ms: missed by the median
";
        assert_eq!(series(16, 3, &empty, &webhook, Goal::P99(ms(5))), expect);
        assert!(
            series(16, 3, &empty, &webhook, Goal::Rate(5000.0))
                .ends_with("at least 5000 reviews/s: met by the median\n")
        );
    }

    fn outcome(late: usize) -> Outcome {
        Outcome { took: vec![ms(10), ms(30)], lasted: ms(100), late, ..Outcome::default() }
    }

    #[test]
    fn a_burst_says_what_was_late() {
        let expect = "\
3 creations, 500 in flight, 3 s for each
  late 1, failed 0, not mutated 0 (asserted: none)
  20/s; p50 10.0 ms, p99 30.0 ms, max 30.0 ms
";
        assert_eq!(burst(500, &outcome(1)), expect);
    }

    #[test]
    fn memory_is_shown_in_mib() {
        assert_eq!(
            memory(Resident { now: 1536, most: 2048 }),
            "the server's memory afterwards: 1.5 MiB, at most 2.0 MiB\n"
        );
    }

    #[test]
    fn creations_stand_beside_what_the_api_server_says() {
        let calls = Histogram { buckets: [("0.005".to_owned(), 1.0)].into(), sum: 0.02, count: 2.0 };
        let admissions = Admissions { hook: "h", calls, fail_open: 0.0, rejections: 0.0 };
        let expect = "\
behind the API server: 2 dry-run creations, 500 at once
  without a queue  failed 0, wrong 0 (asserted: none); 20/s; p50 10.0 ms, p99 30.0 ms, max 30.0 ms
  of a queue       failed 0, wrong 0 (asserted: none); 20/s; p50 10.0 ms, p99 30.0 ms, max 30.0 ms
  the API server about h: 2 calls, mean 10.0 ms; at most 5 ms: 50.00 %
  fail open 0, rejections 0
";
        assert_eq!(creations(500, &outcome(0), &outcome(0), &admissions), expect);
    }
}
