//! Since when something goes on that a stored time dates.
//!
//! Invariant: the stored time counts once, when it is first seen; from then on what elapses is measured on a clock that cannot be set. A time
//! that lies ahead counts as the moment at which it was first seen. Does not know what is dated.

use std::collections::HashMap;

use jiff::Timestamp;
use model::clock::{Moment, Now};

/// Moments by UID, with the stored times that they stand for.
#[derive(Debug, Default)]
pub(super) struct Ages {
    known: HashMap<String, (Timestamp, Moment)>,
    next: HashMap<String, (Timestamp, Moment)>,
}

impl Ages {
    /// The time on the wall's clock, as it goes now, that says how long ago `stored` really was.
    pub(super) fn of(&mut self, uid: &str, stored: Timestamp, now: Now) -> Timestamp {
        let known = self.known.get(uid).filter(|(time, _)| *time == stored);
        let began = known.map_or_else(|| now.began(stored), |(_, began)| *began);
        self.next.insert(uid.to_owned(), (stored, began));
        now.at(began)
    }

    /// Forgets what nobody has asked for since the last time.
    pub(super) fn settle(&mut self) {
        self.known = std::mem::take(&mut self.next);
    }
}
