//! How soon a loop that follows the index looks again.
//!
//! Invariant: a change that comes alone is seen at once; those that come close together are seen together, and who looks long leaves the
//! processors to others. Does not look at anything.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// From the start of a look to that of the next passes at least so many times what it took.
const APART: u32 = 4;
/// But no more than this is waited for that, however long it took.
const FARTHEST_APART: Duration = Duration::from_millis(500);

/// How long after its start a look that took this long is followed by another: no sooner than `at_least`.
pub fn apart(at_least: Duration, took: Duration) -> Duration {
    at_least.max((took * APART).min(FARTHEST_APART))
}

/// Waits for a change, and then until it is time to look.
pub async fn change(version: &mut watch::Receiver<u64>, next: Instant) {
    // The index outlives those who follow it, so the channel cannot close.
    let _open = version.changed().await;
    sleep_until(next).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_took_long_is_followed_later() {
        let ms = Duration::from_millis;
        for (took, expected) in [(0, 50), (12, 50), (13, 52), (40, 160), (10_000, 500)] {
            assert_eq!(apart(ms(50), ms(took)), ms(expected), "{took}");
        }
        assert_eq!(apart(ms(700), ms(400)), ms(700));
    }

    #[tokio::test(start_paused = true)]
    async fn changes_that_come_together_are_seen_together_and_one_alone_at_once() {
        let sender = watch::Sender::new(0);
        let mut version = sender.subscribe();
        let begun = Instant::now();
        let next = begun + Duration::from_millis(50);
        sender.send_replace(1);
        sender.send_replace(2);
        change(&mut version, next).await;
        assert_eq!(Instant::now(), next);
        assert_eq!(*version.borrow_and_update(), 2);
        sender.send_replace(3);
        change(&mut version, next).await;
        assert_eq!(Instant::now(), next);
    }
}
