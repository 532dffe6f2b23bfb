//! Things by key, each in a slot: a number by which others speak of it.
//!
//! Invariant: a key has one slot as long as it is known; a slot that is free is used again. Slots say nothing about order.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Things in slots.
#[derive(Debug)]
pub(crate) struct Slots<K, T> {
    numbers: HashMap<K, u32>,
    things: Vec<Option<(K, Option<T>)>>,
    free: Vec<u32>,
}

impl<K, T> Default for Slots<K, T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), things: Vec::new(), free: Vec::new() }
    }
}

impl<K: Clone + Eq + Hash, T> Slots<K, T> {
    /// The slot of a key, which has one from now on.
    pub(crate) fn slot<Q: Eq + Hash + ToOwned<Owned = K> + ?Sized>(&mut self, key: &Q) -> u32
    where
        K: Borrow<Q>,
    {
        if let Some(slot) = self.numbers.get(key) {
            return *slot;
        }
        let (key, slot) = (key.to_owned(), self.free.pop());
        let slot = slot.unwrap_or_else(|| {
            self.things.push(None);
            u32::try_from(self.things.len() - 1).unwrap_or(u32::MAX)
        });
        self.things[slot as usize] = Some((key.clone(), None));
        self.numbers.insert(key, slot);
        slot
    }

    /// The slot of a key, if it has one.
    pub(crate) fn find<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
    {
        self.numbers.get(key).copied()
    }

    /// The key of a slot.
    pub(crate) fn key(&self, slot: u32) -> Option<&K> {
        self.things.get(slot as usize)?.as_ref().map(|(key, _)| key)
    }

    /// Puts a thing into its slot.
    pub(crate) fn set(&mut self, slot: u32, thing: T) {
        if let Some((_, place)) = &mut self.things[slot as usize] {
            *place = Some(thing);
        }
    }

    /// What is in a slot.
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.things.get(slot as usize)?.as_ref()?.1.as_ref()
    }

    /// What is in a slot, to be changed.
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.things.get_mut(slot as usize)?.as_mut()?.1.as_mut()
    }

    /// What is at a key.
    pub(crate) fn at<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&T>
    where
        K: Borrow<Q>,
    {
        self.get(self.find(key)?)
    }

    /// Takes a thing out; its slot is free.
    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<T>
    where
        K: Borrow<Q>,
    {
        let slot = self.numbers.remove(key)?;
        self.free.push(slot);
        self.things[slot as usize].take()?.1
    }

    /// Frees a slot.
    pub(crate) fn clear(&mut self, slot: u32) {
        if let Some((key, _)) = self.things.get_mut(slot as usize).and_then(Option::take) {
            self.numbers.remove(&key);
            self.free.push(slot);
        }
    }

    /// How many keys have a slot.
    pub(crate) fn count(&self) -> usize {
        self.numbers.len()
    }

    /// All things.
    pub(crate) fn into_things(self) -> impl Iterator<Item = T> {
        self.things.into_iter().filter_map(|place| place?.1)
    }

    /// All things with their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.things).filter_map(|(slot, place)| Some((slot, place.as_ref()?.1.as_ref()?)))
    }
}
