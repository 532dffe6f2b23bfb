//! The environments that are known, each in a slot, and the names by which others speak of them.
//!
//! Invariant: what is found by a name, a UUID or a queue is what a search through all would find; an environment keeps its slot as long as it is
//! known, and slots say nothing about order. Knows nothing about nodes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::snapshot::Environment;

/// All environments.
#[derive(Debug, Default)]
pub(crate) struct Environments<'a> {
    /// Slots by object name.
    slots: BTreeMap<String, usize>,
    all: Vec<Cow<'a, Environment>>,
    free: Vec<usize>,
    /// Object names of those that are called so, by either name.
    called: HashMap<String, BTreeSet<String>>,
    /// Object names by UUID.
    by_uuid: HashMap<String, BTreeSet<String>>,
    /// Slots of those that are MANAGED, by object name.
    markets: BTreeMap<String, usize>,
}

impl<'a> Environments<'a> {
    /// One, by its object name.
    pub(crate) fn get(&self, name: &str) -> Option<&Cow<'a, Environment>> {
        self.slots.get(name).map(|slot| &self.all[*slot])
    }

    /// The slot of one, by its object name.
    pub(crate) fn slot(&self, name: &str) -> Option<usize> {
        self.slots.get(name).copied()
    }

    /// The slot of the one that is called so; of several the first by object name.
    pub(crate) fn find(&self, called: &str) -> Option<usize> {
        self.slot(self.called.get(called)?.first()?)
    }

    /// The slots of those with a UUID.
    pub(crate) fn of_uuid(&self, uuid: &str) -> impl Iterator<Item = usize> {
        self.by_uuid.get(uuid).into_iter().flatten().filter_map(|name| self.slot(name))
    }

    /// The slots of those that are MANAGED, in the order of their object names.
    pub(crate) fn markets(&self) -> impl Iterator<Item = usize> {
        self.markets.values().copied()
    }

    /// All slots that are taken.
    pub(crate) fn slots(&self) -> impl Iterator<Item = usize> {
        self.slots.values().copied()
    }

    /// All of them, in the order of their object names.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Cow<'a, Environment>> {
        self.slots.values().map(|slot| &self.all[*slot])
    }

    /// All object names, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &String> {
        self.slots.keys()
    }

    /// One as it is now. Returns its slot, and what it was before.
    pub(crate) fn insert(&mut self, one: Cow<'a, Environment>) -> (usize, Option<Cow<'a, Environment>>) {
        let before = self.free_slot(&one.name);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.all.push(Cow::Owned(Environment::default()));
            self.all.len() - 1
        });
        for called in [&one.name, &one.aws_name] {
            self.called.entry(called.clone()).or_default().insert(one.name.clone());
        }
        self.by_uuid.entry(one.uuid.clone()).or_default().insert(one.name.clone());
        if one.scaling.is_some() {
            self.markets.insert(one.name.clone(), slot);
        }
        self.slots.insert(one.name.clone(), slot);
        self.all[slot] = one;
        (slot, before.map(|(_, before)| before))
    }

    /// One that is not there any more. Returns its slot, and what it was.
    pub(crate) fn remove(&mut self, name: &str) -> Option<(usize, Cow<'a, Environment>)> {
        self.free_slot(name)
    }

    /// Its slot is the next that is given away.
    fn free_slot(&mut self, name: &str) -> Option<(usize, Cow<'a, Environment>)> {
        let slot = self.slots.remove(name)?;
        let one = std::mem::replace(&mut self.all[slot], Cow::Owned(Environment::default()));
        self.free.push(slot);
        for called in [&one.name, &one.aws_name] {
            take_out(&mut self.called, called, name);
        }
        take_out(&mut self.by_uuid, &one.uuid, name);
        self.markets.remove(name);
        Some((slot, one))
    }

    /// All of them, in no order.
    pub(crate) fn into_values(self) -> impl Iterator<Item = Cow<'a, Environment>> {
        let Self { slots, mut all, .. } = self;
        slots.into_values().map(move |slot| std::mem::replace(&mut all[slot], Cow::Owned(Environment::default())))
    }
}

/// Takes a name out of those at a key.
pub(crate) fn take_out(all: &mut HashMap<String, BTreeSet<String>>, key: &str, name: &str) {
    if let Some(names) = all.get_mut(key) {
        names.remove(name);
        if names.is_empty() {
            all.remove(key);
        }
    }
}

impl std::ops::Index<usize> for Environments<'_> {
    type Output = Environment;

    fn index(&self, slot: usize) -> &Environment {
        &self.all[slot]
    }
}
