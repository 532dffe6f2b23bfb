//! A load: so many callers, each of which calls again as soon as it has its answer, or when the next call is due.
//!
//! Invariant: all callers are in one task, so that the client takes one processor and no lock.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::join_all;

use super::numbers::{self, Quantiles};

/// Somebody who can ask and knows a right answer.
pub(super) trait Caller {
    /// Makes the call of this number.
    async fn call(&mut self, number: usize) -> Result<(), Failure>;
}

/// Why a call does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There was no answer in time.
    Late,
    /// The answer was an error, or there was none.
    Failed(String),
    /// The answer was well, but not the right one.
    Wrong(String),
}

/// How long a load lasts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Extent {
    For(Duration),
    Times(usize),
    /// So often, a call in each interval. A call is timed from when it was due, also if all callers were still waiting for answers: what
    /// is late for its own sake counts as what it is to those who ask.
    Every(Duration, usize),
}

impl Extent {
    fn is_over(self, number: usize, begin: Instant) -> bool {
        match self {
            Self::For(time) => begin.elapsed() >= time,
            Self::Times(count) | Self::Every(_, count) => number >= count,
        }
    }

    /// Waits until a call is due; the time from which it counts.
    async fn due(self, number: usize, begin: Instant) -> Instant {
        let Self::Every(interval, _) = self else { return Instant::now() };
        let due = begin + interval.mul_f64(numbers::real(number));
        tokio::time::sleep_until(due.into()).await;
        due
    }
}

/// What came of a load.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// How long each right answer took.
    pub(super) took: Vec<Duration>,
    pub(super) lasted: Duration,
    pub(super) late: usize,
    pub(super) failed: usize,
    pub(super) wrong: usize,
    /// What the first answer that was none said.
    pub(super) first: Option<String>,
}

impl Outcome {
    fn note(&mut self, failure: Failure) {
        let message = match failure {
            Failure::Late => {
                self.late += 1;
                return;
            }
            Failure::Failed(message) => {
                self.failed += 1;
                message
            }
            Failure::Wrong(message) => {
                self.wrong += 1;
                message
            }
        };
        self.first.get_or_insert(message);
    }

    /// Takes in what came of another caller of the same load.
    fn add(&mut self, other: Self) {
        self.took.extend(other.took);
        self.late += other.late;
        self.failed += other.failed;
        self.wrong += other.wrong;
        self.first = self.first.take().or(other.first);
    }

    /// What was wrong, if anything was.
    pub(super) fn problem(&self, what: &str) -> Option<String> {
        let Self { took: _, lasted: _, late, failed, wrong, first } = self;
        if late + failed + wrong == 0 {
            return None;
        }
        let first = first.as_deref().map(|first| format!("; the first: {first}")).unwrap_or_default();
        Some(format!("{what}: {late} calls late, {failed} failed, {wrong} answered wrongly{first}"))
    }
}

/// The figures of one load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) quantiles: Quantiles,
    /// Calls in a second.
    pub(super) rate: f64,
    /// Of the server's processor, for one call: it depends little on what else the machine does.
    pub(super) server: Duration,
}

impl Run {
    /// Of a load, for which the server was so long on its processor.
    pub(super) fn of(outcome: Outcome, server: Duration) -> Result<Self> {
        let count = outcome.took.len();
        let rate = numbers::rate(count, outcome.lasted);
        let quantiles = Quantiles::of(outcome.took).context("no call was answered rightly")?;
        Ok(Self { quantiles, rate, server: server.div_f64(numbers::real(count)) })
    }
}

/// Lets all callers call until it is over. Calls are numbered from `first`.
pub(super) async fn run<C: Caller>(callers: &mut [C], first: usize, extent: Extent) -> Outcome {
    let (begin, calls) = (Instant::now(), Cell::new(0));
    let all = join_all(callers.iter_mut().map(|caller| one(caller, begin, extent, first, &calls))).await;
    let mut outcome = Outcome { lasted: begin.elapsed(), ..Outcome::default() };
    for one in all {
        outcome.add(one);
    }
    outcome
}

async fn one<C: Caller>(caller: &mut C, begin: Instant, extent: Extent, first: usize, calls: &Cell<usize>) -> Outcome {
    let mut outcome = Outcome::default();
    while !extent.is_over(calls.get(), begin) {
        let number = calls.replace(calls.get() + 1);
        let due = extent.due(number, begin).await;
        match caller.call(first + number).await {
            Ok(()) => outcome.took.push(due.elapsed()),
            Err(failure) => outcome.note(failure),
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Mixed(Vec<usize>);

    impl Caller for Mixed {
        async fn call(&mut self, number: usize) -> Result<(), Failure> {
            self.0.push(number);
            tokio::task::yield_now().await;
            match number % 5 {
                0 => Err(Failure::Late),
                1 => Err(Failure::Failed("no".into())),
                2 => Err(Failure::Wrong("other".into())),
                _ => Ok(()),
            }
        }
    }

    #[tokio::test]
    async fn every_number_is_called_once_and_counted() {
        let mut callers = [Mixed(Vec::new()), Mixed(Vec::new()), Mixed(Vec::new())];
        let outcome = run(&mut callers, 100, Extent::Times(20)).await;
        let mut numbers = callers.map(|caller| caller.0).concat();
        numbers.sort_unstable();
        assert_eq!(numbers, (100..120).collect::<Vec<_>>());
        assert_eq!((outcome.late, outcome.failed, outcome.wrong, outcome.took.len()), (4, 4, 4, 8));
        let problem = outcome.problem("x").unwrap();
        assert_eq!(problem, "x: 4 calls late, 4 failed, 4 answered wrongly; the first: no");
    }

    #[tokio::test]
    async fn calls_in_intervals_count_from_when_they_are_due() {
        let begin = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
        let every = Extent::Every(Duration::from_millis(500), 20);
        assert_eq!(every.due(3, begin).await, begin + Duration::from_millis(1_500), "late, and not from now");
        assert!(Extent::Times(20).due(3, begin).await > begin + Duration::from_secs(30));
        let outcome = run(&mut [Mixed(Vec::new())], 100, Extent::Every(Duration::ZERO, 20)).await;
        assert_eq!((outcome.late, outcome.failed, outcome.wrong, outcome.took.len()), (4, 4, 4, 8));
    }

    #[tokio::test]
    async fn a_load_without_a_failure_has_no_problem() {
        let outcome = run(&mut [Mixed(Vec::new())], 3, Extent::Times(2)).await;
        assert_eq!((outcome.took.len(), outcome.problem("x")), (2, None));
        let outcome = run(&mut [Mixed(Vec::new())], 3, Extent::For(Duration::ZERO)).await;
        assert_eq!(outcome.took.len(), 0);
    }
}
