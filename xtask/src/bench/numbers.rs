//! Medians, percentiles and spreads. Decides only.

use std::time::Duration;

/// The middle one; of an even number, the mean of the two in the middle.
pub(super) fn median(values: &[Duration]) -> Option<Duration> {
    let mut values = values.to_vec();
    values.sort_unstable();
    middle(&values, |lower, upper| (lower + upper) / 2)
}

fn middle<T: Copy>(sorted: &[T], mean: impl Fn(T, T) -> T) -> Option<T> {
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    Some(if sorted.len() % 2 == 1 { upper } else { mean(sorted[half - 1], upper) })
}

/// How one run's times are spread. Of a percentile, the first time that so many are not above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quantiles {
    pub(super) p50: Duration,
    pub(super) p90: Duration,
    pub(super) p99: Duration,
    pub(super) max: Duration,
}

impl Quantiles {
    /// Of all times of a run; none if there are none.
    pub(super) fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let percentile = |percent: usize| times.get((times.len() * percent).div_ceil(100).checked_sub(1)?).copied();
        Some(Self { p50: percentile(50)?, p90: percentile(90)?, p99: percentile(99)?, max: *times.last()? })
    }
}

/// One figure of several runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Spread {
    /// None if there was no run.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        Some(Self { median: middle(&values, f64::midpoint)?, least, most })
    }
}

/// A median with its spread, as a table shows it.
pub(super) fn cell(spread: Option<Spread>, digits: usize) -> String {
    let Some(Spread { median, least, most }) = spread else { return "-".to_owned() };
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

/// A time in milliseconds.
pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// So many in that time, by the second.
pub(super) fn rate(count: usize, lasted: Duration) -> f64 {
    real(count) / lasted.as_secs_f64()
}

/// A count to reckon with.
pub(super) fn real(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Digits in groups of three.
pub(super) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let check = |values: &[u64], expect: Option<u64>| {
            let values: Vec<Duration> = values.iter().copied().map(ms).collect();
            assert_eq!(median(&values), expect.map(ms), "{values:?}");
        };
        check(&[], None);
        check(&[7], Some(7));
        check(&[9, 1, 4], Some(4));
        check(&[9, 1, 4, 6], Some(5));
    }

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let check = |count: u64, expect: [u64; 4]| {
            let found = Quantiles::of((1..=count).rev().map(ms).collect()).unwrap();
            assert_eq!([found.p50, found.p90, found.p99, found.max], expect.map(ms), "1 to {count}");
        };
        check(1, [1, 1, 1, 1]);
        check(2, [1, 2, 2, 2]);
        check(10, [5, 9, 10, 10]);
        check(100, [50, 90, 99, 100]);
        check(1000, [500, 900, 990, 1000]);
        assert_eq!(Quantiles::of(Vec::new()), None);
    }

    #[test]
    fn a_spread_has_its_median_between_its_ends() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Spread::of([3.0, 1.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!([7, 999, 1_000, 10_000, 1_234_567].map(grouped), ["7", "999", "1,000", "10,000", "1,234,567"]);
    }
}
