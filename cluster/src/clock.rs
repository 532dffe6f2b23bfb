//! Reads both clocks.
//!
//! Invariant: the only place that makes a [`Moment`] of a real clock, so that all of one process compare. Measures nothing itself.

use std::sync::OnceLock;
use std::time::Instant;

use jiff::Timestamp;
use model::clock::{Moment, Now};

static BEGUN: OnceLock<Instant> = OnceLock::new();

/// What time it is.
pub fn now() -> Now {
    Now { wall: Timestamp::now(), moment: moment() }
}

/// The moment it is.
pub fn moment() -> Moment {
    Moment::after(BEGUN.get_or_init(Instant::now).elapsed())
}
