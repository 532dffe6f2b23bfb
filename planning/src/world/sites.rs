//! The sites of all environments, each in the slot of its environment.
//!
//! Invariant: whatever a plan changes is noted, so that afterwards no other site is looked at; which sites change with the time is known without
//! looking at each. Knows nothing about queues.

use std::collections::{BTreeSet, HashSet};
use std::ops::{Index, IndexMut};

use jiff::Timestamp;

use super::look::Look;
use super::site::Site;

/// All sites. One of which nothing is known is one where nothing is.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    all: Vec<Site>,
    known: HashSet<usize>,
    /// Those that the plan has changed.
    changed: Vec<usize>,
    is_changed: Vec<bool>,
    /// Those that the last plan has changed: what it found out of them may hold without it, too.
    doubtful: Vec<usize>,
    /// Until when they stay as they are by themselves.
    until: BTreeSet<(Timestamp, usize)>,
    /// When it was asked last which are late.
    asked: Option<Timestamp>,
}

impl Sites {
    /// One, if it is known.
    pub(crate) fn get(&self, slot: usize) -> Option<&Site> {
        self.all.get(slot).filter(|_| self.known.contains(&slot))
    }

    /// One, to be brought up to date with the facts.
    pub(crate) fn get_mut(&mut self, slot: usize) -> Option<&mut Site> {
        self.all.get_mut(slot).filter(|_| self.known.contains(&slot))
    }

    /// All of them; those of which nothing is known are empty.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Site> {
        self.all.iter()
    }

    /// One as it was found now.
    pub(crate) fn put(&mut self, slot: usize, site: Site) {
        self.remove(slot);
        while self.all.len() <= slot {
            self.all.push(Site::default());
            self.is_changed.push(false);
        }
        self.until.extend(site.until.map(|until| (until, slot)));
        self.known.insert(slot);
        self.all[slot] = site;
    }

    /// Its environment is not there any more.
    pub(crate) fn remove(&mut self, slot: usize) {
        if self.known.remove(&slot) {
            let before = std::mem::take(&mut self.all[slot]);
            if let Some(until) = before.until {
                self.until.remove(&(until, slot));
            }
        }
    }

    /// Those that time has changed. Where it went back, that may be any.
    pub(crate) fn late(&mut self, now: Timestamp) -> Vec<usize> {
        if self.asked.replace(now).is_some_and(|asked| now < asked) {
            return self.known.iter().copied().filter(|slot| self.all[*slot].is_stale(now)).collect();
        }
        self.until.iter().take_while(|(until, _)| *until <= now).map(|(_, slot)| *slot).collect()
    }

    /// When time changes one.
    pub(crate) fn next_late(&self) -> Option<Timestamp> {
        self.until.first().map(|(until, _)| *until)
    }

    /// Takes back what a plan did.
    pub(crate) fn back(&mut self) {
        for slot in std::mem::take(&mut self.changed) {
            self.is_changed[slot] = false;
            self.all[slot].back();
            self.doubtful.push(slot);
        }
    }

    /// Finds out what of the last plan holds without it, too. Not during a plan.
    pub(crate) fn find_hopeless(&mut self, look: &mut Look<'_, '_>) {
        for slot in std::mem::take(&mut self.doubtful) {
            self.all[slot].find_hopeless(look);
        }
    }
}

impl Index<usize> for Sites {
    type Output = Site;

    fn index(&self, slot: usize) -> &Site {
        &self.all[slot]
    }
}

/// What is changed that way is taken back after the plan.
impl IndexMut<usize> for Sites {
    fn index_mut(&mut self, slot: usize) -> &mut Site {
        if !std::mem::replace(&mut self.is_changed[slot], true) {
            self.changed.push(slot);
        }
        &mut self.all[slot]
    }
}
