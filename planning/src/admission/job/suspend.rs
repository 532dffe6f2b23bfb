//! What `spec.suspend` means on a Job of a queue: stored it is Bulkhead's brake, written by a user it is a wish.
//!
//! Invariant: a queued Job's stored value stays `true` whatever a user writes, and writing the same wish again changes nothing.

use super::Write;

/// `suspend` and what belongs to it, as stored or as requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suspension {
    /// `spec.suspend`.
    pub(super) suspend: bool,
    /// The user holds the Job.
    pub(super) held: bool,
    /// The plan released the Job.
    pub(super) released: bool,
}

/// What to store when a user asks for `wish` on a Job stored as `old`. Whether the plan released it is not the user's to say:
/// `wish.released` is not looked at.
pub(super) fn decide(old: Suspension, wish: Suspension, write: Write) -> Suspension {
    let hold_asked = wish.held && !old.held;
    let waiting = |held| Suspension { suspend: true, held, released: false };
    match (old.suspend, old.released) {
        // Running, or at least free to. `true` suspends for real; afterwards the Job waits in its queue again, held.
        (false, _) if wish.suspend || hold_asked => waiting(true),
        (false, released) => Suspension { suspend: false, held: wish.held, released },
        // Queued. The stored `true` is ours, so only `false` and the annotation tell what the user wants.
        (true, false) if !wish.suspend => waiting(hold_asked),
        (true, false) => waiting(wish.held || old.held && write == Write::Manifest),
        // Released, then suspended while no hook was there to see it: now it is seen.
        (true, true) => waiting(wish.suspend || hold_asked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `s` suspend, `h` held, `r` released; upper case means yes.
    fn read(text: &str) -> Suspension {
        Suspension { suspend: text.contains('S'), held: text.contains('H'), released: text.contains('R') }
    }

    fn check(old: &str, wish: &str, write: Write, stored: &str) {
        assert_eq!(decide(read(old), read(wish), write), read(stored), "{old} {wish} {write:?}");
    }

    #[test]
    fn false_on_a_queued_job_changes_nothing() {
        check("S", "s", Write::Stored, "S");
        check("S", "s", Write::Manifest, "S");
        check("S", "S", Write::Stored, "S");
    }

    #[test]
    fn false_clears_the_hold() {
        check("SH", "sH", Write::Stored, "S");
        check("SH", "s", Write::Manifest, "S");
    }

    #[test]
    fn the_annotation_sets_and_its_removal_clears_the_hold() {
        check("S", "SH", Write::Stored, "SH");
        check("SH", "S", Write::Stored, "S");
    }

    #[test]
    fn replacing_with_a_manifest_that_says_suspend_true_keeps_the_hold() {
        check("SH", "S", Write::Manifest, "SH");
    }

    #[test]
    fn true_after_release_suspends_for_real() {
        check("R", "SR", Write::Stored, "SH");
        check("R", "RH", Write::Stored, "SH");
    }

    #[test]
    fn false_after_a_real_suspension_queues_again() {
        check("SH", "sH", Write::Stored, "S");
    }

    #[test]
    fn a_running_job_is_not_touched_by_other_updates() {
        check("R", "R", Write::Stored, "R");
        check("R", "", Write::Manifest, "R");
        check("", "", Write::Manifest, "");
    }

    #[test]
    fn a_suspension_that_no_hook_saw_is_repaired() {
        check("SR", "SR", Write::Stored, "SH");
        check("SR", "sR", Write::Stored, "S");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn writing_the_same_wish_again_changes_nothing(old: [bool; 3], suspend: bool, patch: bool) {
            let old = Suspension { suspend: old[0], held: old[1], released: old[2] };
            let write = if patch { Write::Stored } else { Write::Manifest };
            // A wish written as a patch carries over what it does not name; as a whole object it lacks our annotation.
            let wish = |stored: Suspension| Suspension { suspend, held: patch && stored.held, released: stored.released };
            let once = decide(old, wish(old), write);
            let twice = decide(once, wish(once), write);
            // The first `false` after a run only queues; it never releases.
            prop_assert_eq!(once, twice);
        }

        #[test]
        fn only_the_plan_releases(old: [bool; 3], wish: [bool; 3], patch: bool) {
            let old = Suspension { suspend: old[0], held: old[1], released: old[2] };
            let wish = Suspension { suspend: wish[0], held: wish[1], released: wish[2] };
            let stored = decide(old, wish, if patch { Write::Stored } else { Write::Manifest });
            prop_assert!(!old.suspend || stored.suspend);
            prop_assert!(!stored.released || old.released);
        }
    }
}
