//! What holds of a site before anything is planned, and so is not found out again in each plan.
//!
//! Invariant: room only shrinks during a plan, so a class that no node takes before it is taken by none in it. What is known is forgotten as soon
//! as a node gives more. Knows nothing about machines to come.

use std::collections::{HashMap, HashSet};

use super::super::class::ClassId;
use super::super::look::Look;
use super::Site;

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Hopeless {
    /// Classes that no node takes.
    classes: HashSet<ClassId>,
    /// Classes that no node took any more in the last plan.
    doubtful: Vec<ClassId>,
    /// Whether a node would take a class if all others had left it, as far as that was asked.
    homes: HashMap<ClassId, bool>,
}

impl Hopeless {
    pub(super) fn doubt(&mut self, class: ClassId) {
        self.doubtful.push(class);
    }
}

impl Site {
    /// Whether it is known that no node takes a class, whatever a plan does.
    pub(crate) fn is_hopeless(&self, class: ClassId) -> bool {
        self.hopeless.classes.contains(&class)
    }

    /// Finds out of which of the classes that no node took in the last plan that is so without it, too. Not during a plan.
    pub(crate) fn find_hopeless(&mut self, look: &mut Look<'_, '_>) {
        for class in std::mem::take(&mut self.hopeless.doubtful) {
            let is_taken = self.candidates(true, class, look).any(|mut rooms| rooms.next().is_some());
            if !is_taken && look.facts.classes.is_needed(class) {
                self.hopeless.classes.insert(class);
            }
        }
    }

    /// Whether a node would take a class if all others had left it.
    pub(crate) fn has_home(&mut self, class: ClassId, look: &mut Look<'_, '_>) -> bool {
        let nodes = &self.rooms[..self.nodes];
        *self.hopeless.homes.entry(class).or_insert_with(|| nodes.iter().any(|room| look.suits(room, class)))
    }

    /// What a room gives has changed, and what it gives were it empty, if `given`. Returns the classes that no node took, and that may fare otherwise
    /// now, or be told something else.
    pub(super) fn hope(&mut self, room: u32, given: bool, look: &mut Look<'_, '_>) -> Vec<ClassId> {
        let room = &self.rooms[room as usize];
        let Hopeless { classes, homes, .. } = &mut self.hopeless;
        let takes = classes.iter().copied().filter(|class| look.takes(room, *class));
        let freed: Vec<ClassId> = takes.collect();
        let others: Vec<ClassId> = if given { classes.iter().copied().collect() } else { freed.clone() };
        if given {
            homes.clear();
        }
        for class in freed {
            classes.remove(&class);
        }
        others
    }
}
