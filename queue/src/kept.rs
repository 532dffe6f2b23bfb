//! Since when room has been kept for what waits.
//!
//! Invariant: whoever is remembered was kept room for by the last plan, or still waited then. In the leader's memory alone: after another has
//! been elected, all have just begun to wait.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use model::clock::{Moment, Now};

/// Since when, by UID.
#[derive(Debug, Default)]
pub(crate) struct Kept(BTreeMap<String, Moment>);

impl Kept {
    /// As a plan reads it.
    pub(crate) fn since(&self, now: Now) -> BTreeMap<String, Timestamp> {
        self.0.iter().map(|(uid, moment)| (uid.clone(), now.at(*moment))).collect()
    }

    /// Takes in what a plan says that was made at this moment.
    pub(crate) fn take(&mut self, keeps: &BTreeSet<String>, now: Moment) {
        self.0.retain(|uid, _| keeps.contains(uid));
        for uid in keeps {
            if !self.0.contains_key(uid) {
                self.0.insert(uid.clone(), now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn whoever_is_kept_room_for_again_and_again_has_waited_since_the_first_time() {
        let wall: Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
        let at = |seconds| Moment::after(Duration::from_secs(seconds));
        let mut kept = Kept::default();
        for (seconds, keeps, expected) in [
            (0, vec!["a"], vec![("a", 0)]),
            (5, vec!["a", "b"], vec![("a", 5), ("b", 0)]),
            (9, vec!["b"], vec![("b", 4)]),
            (10, vec!["a", "b"], vec![("a", 0), ("b", 5)]),
            (11, vec![], vec![]),
        ] {
            kept.take(&keeps.into_iter().map(str::to_owned).collect(), at(seconds));
            // However the wall's clock is set.
            for hours in [0, -3, 3] {
                let now = Now { wall: wall + jiff::SignedDuration::from_hours(hours), moment: at(seconds) };
                let expected: BTreeMap<String, Timestamp> = expected
                    .iter()
                    .map(|(uid, ago)| ((*uid).to_owned(), now.wall - jiff::SignedDuration::from_secs(*ago)))
                    .collect();
                assert_eq!(kept.since(now), expected, "{seconds}");
            }
        }
    }
}
