//! What is not launched again for a while because something failed, and for how long.
//!
//! Invariant: what a provider says about one offer holds only that offer back; what nobody can explain holds the whole environment back, so
//! that it does not fail as fast as it is tried. Does not remember.

use jiff::SignedDuration;

use super::Phase;

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The offer that was to be launched.
    Offer,
    /// All launches of its environment.
    Environment,
}

/// How far a launch reaches that the provider refused: for lack of `capacity`, for good, or nobody knows.
pub fn of_launch(capacity: bool, is_final: bool) -> Reach {
    if capacity || is_final { Reach::Offer } else { Reach::Environment }
}

/// How far it reaches that a machine is given up in this phase. One that served says nothing about the next, nor does one whose object
/// somebody deleted.
pub fn of_loss(phase: Phase, deleted: bool) -> Option<Reach> {
    (matches!(phase, Phase::Pending | Phase::Launching) && !deleted).then_some(Reach::Environment)
}

/// How long to wait after the `failures`-th failure in a row of the same kind: 5 s, doubled up to 5 minutes.
pub fn back_off(failures: u32) -> SignedDuration {
    let seconds = 5_i64 << failures.saturating_sub(1).min(6);
    SignedDuration::from_secs(seconds.min(300))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_five_minutes() {
        let pauses: Vec<i64> = [1, 2, 3, 6, 7, 99].into_iter().map(|failures| back_off(failures).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 160, 300, 300]);
    }

    #[test]
    fn what_is_said_of_an_offer_holds_only_that_back() {
        for (capacity, is_final, reach) in [
            (true, false, Reach::Offer),
            (false, true, Reach::Offer),
            (true, true, Reach::Offer),
            (false, false, Reach::Environment),
        ] {
            assert_eq!(of_launch(capacity, is_final), reach);
        }
    }

    #[test]
    fn only_machines_that_never_served_hold_others_back() {
        use Phase::{Launching, Pending, Ready, Retiring, Terminating};
        for phase in [Pending, Launching] {
            assert_eq!((of_loss(phase, false), of_loss(phase, true)), (Some(Reach::Environment), None));
        }
        for phase in [Ready, Retiring, Terminating] {
            assert_eq!(of_loss(phase, false), None, "{phase:?}");
        }
    }
}
