//! Before which time records are old enough to be deleted.
//!
//! Invariant: what is deleted cannot be had back, so a clock that is set forward for a moment deletes nothing: it counts once it has gone on
//! from there for [`HOLDS`], as the clock does that a leader finds when it begins. One that is set back counts at once. Does not delete.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::clock::Now;

/// Clocks that are wrong for longer are not wrong for a moment: synchronisation after a start or a pause of the machine takes seconds.
const HOLDS: Duration = Duration::from_mins(10);

/// What the clocks have shown lately.
#[derive(Debug, Default)]
pub struct Retention {
    /// In the order of their moments; the first is at least [`HOLDS`] old, once there is such a one.
    looks: VecDeque<Now>,
}

impl Retention {
    /// Takes a look at the clocks. Returns the time before which what has ended may go if it is kept for `kept`; `None`: nothing may yet.
    pub fn before(&mut self, kept: SignedDuration, now: Now) -> Option<Timestamp> {
        self.looks.push_back(now);
        let is_old = |look: &Now| now.moment.since(look.moment) >= HOLDS;
        // The youngest of the old ones is enough.
        while self.looks.get(1).is_some_and(is_old) {
            self.looks.pop_front();
        }
        if !self.looks.front().is_some_and(is_old) {
            return None;
        }
        // What each of them would show by now: the least of it is true, or was believed for long enough.
        let now = self.looks.iter().map(|look| look.at(now.moment)).min()?;
        now.checked_sub(kept).ok()
    }
}

#[cfg(test)]
mod tests {
    use model::clock::Moment;

    use super::*;

    const DAY: i64 = 24 * 3600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000_000 + seconds).unwrap()
    }

    /// Looks every minute for half an hour; `set` is how far the clock is off at a minute. What may go of what is kept for a day, in seconds
    /// after what is right, at these minutes.
    #[track_caller]
    fn check(set: impl Fn(i64) -> i64, expected: &[(i64, Option<i64>)]) {
        let mut retention = Retention::default();
        let mut found = Vec::new();
        for minute in 0..=30 {
            let moment = Moment::after(Duration::from_mins(u64::try_from(minute).unwrap()));
            let now = Now { wall: at(minute * 60 + set(minute)), moment };
            let before = retention.before(SignedDuration::from_secs(DAY), now);
            let off = before.map(|before| before.duration_since(at(minute * 60 - DAY)).as_secs());
            if expected.iter().any(|(one, _)| *one == minute) {
                found.push((minute, off));
            }
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn a_clock_that_nobody_sets_counts_after_a_while() {
        check(|_| 0, &[(0, None), (9, None), (10, Some(0)), (30, Some(0))]);
    }

    #[test]
    fn a_clock_set_forward_deletes_nothing_before_it_has_held() {
        let for_a_moment = |minute| if (15..18).contains(&minute) { 100 * DAY } else { 0 };
        check(for_a_moment, &[(14, Some(0)), (15, Some(0)), (17, Some(0)), (18, Some(0)), (30, Some(0))]);
        let hour = |minute| if minute < 15 { 0 } else { 3600 };
        check(hour, &[(14, Some(0)), (15, Some(0)), (24, Some(0)), (25, Some(3600)), (30, Some(3600))]);
        // It was wrong when the leader began.
        let at_first = |minute| if minute < 5 { 100 * DAY } else { 0 };
        check(at_first, &[(0, None), (9, None), (10, Some(0)), (30, Some(0))]);
    }

    #[test]
    fn a_clock_set_back_counts_at_once() {
        let back = |minute| if minute < 15 { 0 } else { -3600 };
        check(back, &[(14, Some(0)), (15, Some(-3600)), (30, Some(-3600))]);
        let for_a_moment = |minute| if (15..18).contains(&minute) { -3600 } else { 0 };
        check(for_a_moment, &[(16, Some(-3600)), (27, Some(-3600)), (28, Some(0))]);
    }
}
