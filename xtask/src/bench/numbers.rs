//! Medians. Decides only.

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
}
