//! Looking at rooms and offers with the eyes of a class.
//!
//! Invariant: the same answer as [`model::placement::Shape`] gives for each room by itself. Decides nothing.

use super::class::{Class, ClassId};
use super::facts::Facts;
use super::kind::{KindId, Kinds};
use super::site::{Promised, Room};

/// What is needed to tell whether something suits.
pub(crate) struct Look<'l, 'a> {
    pub(crate) facts: &'l Facts<'a>,
    pub(crate) kinds: &'l mut Kinds,
}

impl Look<'_, '_> {
    pub(crate) fn suits_kind(&mut self, kind: KindId, class: ClassId) -> bool {
        self.kinds.suits(kind, class, &self.facts.classes)
    }

    pub(crate) fn suits_name(&self, room: &Room, class: &Class) -> bool {
        !class.is_named
            || match (room.node, &room.promised) {
                (Some(slot), _) => {
                    self.facts.nodes.get(slot).is_some_and(|node| class.shape.selects(&room.name, &node.labels))
                }
                (None, promised) => {
                    promised.as_ref().is_some_and(|promised| promised.promise.selected_by(&class.shape))
                }
            }
    }

    /// Whether a unit may run there at all, were it empty.
    pub(crate) fn suits(&mut self, room: &Room, class: ClassId) -> bool {
        let one = &self.facts.classes[class];
        one.need.fits(&room.given) && self.suits_kind(room.kind, class) && self.suits_name(room, one)
    }

    /// Whether a unit can start there now.
    pub(crate) fn takes(&mut self, room: &Room, class: ClassId) -> bool {
        !room.closed && self.facts.classes[class].need.fits(&room.free) && self.suits(room, class)
    }

    /// Whether a unit that cannot start there now may do so when the machine has joined, or has started wholly.
    pub(crate) fn will_take(&mut self, room: &Room, class: ClassId) -> bool {
        let Some(promised) = room.promised.as_ref().filter(|_| !room.closed) else { return false };
        self.facts.classes[class].need.fits(&room.free)
            && self.is_promised(promised, class)
            && (room.node.is_none() || !self.suits(room, class))
    }

    /// Whether a unit fits onto what is promised, were it empty.
    pub(crate) fn is_promised(&mut self, promised: &Promised, class: ClassId) -> bool {
        let Class { need, shape, is_named, .. } = &self.facts.classes[class];
        need.fits(&promised.room)
            && self.suits_kind(promised.kind, class)
            && (!*is_named || promised.promise.selected_by(shape))
    }
}
