//! How many cases to run next. Decides only.

use std::time::Duration;

/// The first round only shows how fast it goes.
const FIRST: u32 = 64;
/// A round that takes longer tells of its progress too late; a shorter one mostly starts a process.
const ROUND: Duration = Duration::from_secs(2);

/// How long a target runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) time: Option<Duration>,
    pub(super) cases: Option<u32>,
}

impl Bound {
    /// Cases of the next round; none if it is enough.
    pub(super) fn next(self, done: u32, elapsed: Duration) -> Option<u32> {
        let left = self.cases.map_or(u32::MAX - done, |cases| cases.saturating_sub(done));
        if left == 0 {
            return None;
        }
        // All in one process: a siege is the harder the more come.
        let Some(time) = self.time else { return Some(left) };
        let time = time.saturating_sub(elapsed).min(ROUND);
        if time.is_zero() {
            return None;
        }
        let fits = match done {
            0 => FIRST,
            done => in_that_time(done, elapsed, time),
        };
        // A rest that is not worth a process.
        if fits == 0 { None } else { Some(fits.min(left)) }
    }
}

/// How many cases go into `time` at the speed so far.
fn in_that_time(done: u32, elapsed: Duration, time: Duration) -> u32 {
    let cases = u128::from(done) * time.as_micros() / elapsed.as_micros().max(1);
    u32::try_from(cases).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_follow_the_speed_and_end_with_time_or_cases() {
        let check = |time: Option<u64>, cases: Option<u32>, done: u32, elapsed: u64, expect: Option<u32>| {
            let bound = Bound { time: time.map(Duration::from_millis), cases };
            assert_eq!(bound.next(done, Duration::from_millis(elapsed)), expect, "{bound:?} {done} {elapsed}");
        };
        check(Some(5_000), None, 0, 0, Some(64));
        check(Some(5_000), None, 64, 100, Some(1_280));
        check(Some(5_000), None, 1_344, 4_000, Some(336));
        check(Some(5_000), None, 1_680, 5_000, None);
        check(Some(5_000), None, 2, 4_999, None);
        check(Some(5_000), Some(100), 64, 100, Some(36));
        check(None, Some(100), 0, 0, Some(100));
        check(None, Some(100), 100, 200, None);
        check(None, Some(10), 0, 0, Some(10));
        check(Some(0), Some(10), 0, 0, None);
    }
}
