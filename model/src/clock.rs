//! Two clocks: the wall's, which people read and which may be set, and one that only ever goes on.
//!
//! Invariant: what elapses is measured on [`Moment`]s, so that a clock set back or forward neither stops nor ends anything. Reads no clock:
//! whoever calls says what time it is.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Moments before a process began are still moments: what is stored may be older.
const ORIGIN: Duration = Duration::from_secs(1 << 33);

/// A moment, by a clock that cannot be set. Means nothing to another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// So long after the process began.
    pub const fn after(running: Duration) -> Self {
        Self(ORIGIN.saturating_add(running))
    }

    /// So much later; the end of all times is not passed.
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }

    /// So much earlier.
    #[must_use]
    pub fn before(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(time))
    }

    /// How long ago another moment was; one that is still to come was not long ago.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Clocks that are kept right by being slowed down or sped up differ by less for a long time.
const SMALLEST_JUMP: SignedDuration = SignedDuration::from_millis(500);

/// What time it is, on both clocks at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What is stored and shown.
    pub wall: Timestamp,
    /// What elapses is measured on it.
    pub moment: Moment,
}

impl Now {
    /// What the wall's clock had shown at a moment, had it always gone as it goes now. Against `wall` it says what elapsed.
    pub fn at(self, moment: Moment) -> Timestamp {
        let span = |time: Duration| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        if moment <= self.moment {
            self.wall.checked_sub(span(self.moment.since(moment))).unwrap_or(Timestamp::MIN)
        } else {
            self.wall.checked_add(span(moment.since(self.moment))).unwrap_or(Timestamp::MAX)
        }
    }

    /// The moment that the wall's clock shows as `time`, had it always gone as it goes now.
    pub fn moment_of(self, time: Timestamp) -> Moment {
        let ahead = time.duration_since(self.wall);
        let span = ahead.unsigned_abs();
        if ahead.is_negative() { Moment(self.moment.0.saturating_sub(span)) } else { self.moment.plus(span) }
    }

    /// The moment at which something began that a stored time dates: never one to come, whichever clock was wrong.
    pub fn began(self, stored: Timestamp) -> Moment {
        self.moment_of(stored.min(self.wall))
    }
}

/// Finds out how the wall's clock was set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Jumps(Option<Now>);

impl Jumps {
    /// How far the wall's clock was set forward since the last time; negative: back. Small differences add up until they are seen.
    pub fn seen(&mut self, now: Now) -> SignedDuration {
        let by = self.0.map_or(SignedDuration::ZERO, |last| now.at(last.moment).duration_since(last.wall));
        if self.0.is_some() && by.abs() < SMALLEST_JUMP {
            return SignedDuration::ZERO;
        }
        self.0 = Some(now);
        by
    }
}

/// The wall's clock as it would be had it gone evenly since it was set last: what happened at a moment has the same time whenever it is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steady(Option<Now>);

impl Steady {
    /// What time it is by it: nearly what the wall's clock says. When that was set, all times are others than before.
    pub fn at(&mut self, now: Now) -> Now {
        let steady = |base: Now| Now { wall: base.at(now.moment), moment: now.moment };
        let close = |one: &Now| one.wall.duration_since(now.wall).abs() < SMALLEST_JUMP;
        if let Some(close) = self.0.map(steady).filter(close) {
            return close;
        }
        self.0 = Some(now);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(wall: i64, running: u64) -> Now {
        Now { wall: Timestamp::from_second(wall).unwrap(), moment: Moment::after(Duration::from_secs(running)) }
    }

    #[test]
    fn what_elapsed_does_not_depend_on_the_walls_clock() {
        let begun = now(1_000_000, 100).moment;
        // Set back an hour, left alone, set forward an hour.
        for wall in [1_000_010 - 3600, 1_000_010, 1_000_010 + 3600] {
            let later = now(wall, 110);
            assert_eq!(later.wall.duration_since(later.at(begun)), SignedDuration::from_secs(10), "{wall}");
            assert_eq!(later.at(begun.plus(Duration::from_secs(30))), now(wall + 20, 0).wall);
            assert_eq!(later.moment.since(begun), Duration::from_secs(10));
        }
    }

    #[test]
    fn a_clock_that_is_set_is_found_out() {
        let mut jumps = Jumps::default();
        let mut seen = |wall, running| jumps.seen(now(wall, running)).as_secs();
        assert_eq!([seen(1000, 0), seen(1010, 10), seen(4610, 10), seen(4615, 15)], [0, 0, 3600, 0]);
        assert_eq!([seen(1020, 20), seen(1021, 21)], [-3600, 0]);
    }

    #[test]
    fn what_happened_stays_when_it_was_until_the_walls_clock_is_set() {
        let mut steady = Steady::default();
        let first = steady.at(now(1000, 0));
        let happened = first.moment.plus(Duration::from_secs(5));
        for (wall, running, millis, expected) in [
            (1010, 10, 0, 1005),
            (1020, 20, 499, 1005),
            (1030, 30, -499, 1005),
            (4640, 40, 0, 4605),
            (1050, 50, 0, 1005),
        ] {
            let at = now(wall, running);
            let at = Now { wall: at.wall + SignedDuration::from_millis(millis), ..at };
            let seen = steady.at(at);
            assert_eq!(seen.moment, at.moment);
            assert!(seen.wall.duration_since(at.wall).abs() < SMALLEST_JUMP);
            assert_eq!(seen.at(happened), now(expected, 0).wall, "{wall} {millis}");
        }
    }

    #[test]
    fn times_and_moments_belong_together() {
        let here = now(1_000_000, 100);
        for wall in [1, 999_950, 1_000_000, 1_000_070] {
            let time = now(wall, 0).wall;
            assert_eq!(here.at(here.moment_of(time)), time);
        }
        assert_eq!(here.moment.since(here.moment.plus(Duration::from_secs(1))), Duration::ZERO);
        assert_eq!(here.began(now(1_000_070, 0).wall), here.moment, "a clock that was ahead");
        assert_eq!(here.at(Moment::after(Duration::MAX)), Timestamp::MAX);
    }
}
