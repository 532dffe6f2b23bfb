//! Since when something goes on that a stored time dates.
//!
//! Invariant: the stored time counts once, when it is first seen; from then on what elapses is measured on a clock that cannot be set. A time
//! that lies ahead counts as the moment at which it was first seen. Does not know what is dated.

use std::collections::HashMap;

use jiff::Timestamp;
use model::clock::{Moment, Now};

/// Moments by UID or name, with the stored times that they stand for.
#[derive(Debug, Default)]
pub(super) struct Ages(HashMap<String, (Timestamp, Moment)>);

impl Ages {
    /// The time on the wall's clock, as it goes now, that says how long ago `stored` really was.
    pub(super) fn of(&mut self, key: &str, stored: Timestamp, now: Now) -> Timestamp {
        if let Some((_, began)) = self.0.get(key).filter(|(time, _)| *time == stored) {
            return now.at(*began);
        }
        let began = now.began(stored);
        self.0.insert(key.to_owned(), (stored, began));
        now.at(began)
    }

    /// Nothing goes on there any more.
    pub(super) fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Forgets all but these.
    pub(super) fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|key, _| is_there(key));
    }
}
