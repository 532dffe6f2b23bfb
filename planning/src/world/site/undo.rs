//! What a plan did to a site, to be undone.
//!
//! Invariant: going back leaves the site as it was before the plan, whatever was done since; which classes found no room meanwhile is kept in
//! mind. Does not know why anything is done or undone.

use std::collections::HashMap;

use super::super::amounts::Amounts;
use super::super::class::ClassId;
use super::super::shelf::Entry;
use super::{Counts, Site};

/// Something that a plan did, with what was before.
#[derive(Debug)]
pub(super) enum Done {
    Took(u32, Amounts, bool),
    Closed(u32),
    Launched,
    Counted(Counts),
    Filled(ClassId),
    Refused(ClassId),
}

impl Site {
    /// Goes back to what it was before the plan.
    pub(crate) fn back(&mut self) {
        // A room that was taken often moves once.
        let mut moved: HashMap<u32, Entry> = HashMap::new();
        for done in std::mem::take(&mut self.log).into_iter().rev() {
            match done {
                Done::Took(room, free, wanted) => {
                    if !self.rooms[room as usize].closed && !moved.contains_key(&room) {
                        moved.insert(room, self.entry(room));
                    }
                    let one = &mut self.rooms[room as usize];
                    (one.free, one.wanted) = (free, wanted);
                }
                Done::Closed(room) => {
                    self.rooms[room as usize].closed = false;
                    let entry = self.entry(room);
                    if let Some(shelf) = self.shelf(room) {
                        shelf.insert(entry);
                    }
                }
                Done::Launched => {
                    let number = u32::try_from(self.rooms.len().saturating_sub(1)).unwrap_or(u32::MAX);
                    let entry = moved.remove(&number).unwrap_or_else(|| self.entry(number));
                    if let Some(shelf) = self.shelf(number) {
                        shelf.remove(&entry);
                    }
                    self.rooms.pop();
                }
                Done::Counted(before) => self.counts = before,
                Done::Filled(class) => {
                    self.full.remove(&class);
                    self.hopeless.doubt(class);
                }
                Done::Refused(class) => drop(self.refused.remove(&class)),
            }
        }
        for (room, before) in moved {
            self.shift(room, before);
        }
    }
}
