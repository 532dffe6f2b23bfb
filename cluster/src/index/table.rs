//! The objects of one kind, as one watch shows them.
//!
//! Invariant: a new list replaces the old one at once, when it is complete, so nobody sees half a list. Does not know what it
//! holds.

use std::collections::BTreeMap;

use kube::runtime::watcher::Event;

/// The objects of one kind, by name or UID.
#[derive(Debug)]
pub(super) struct Table<V> {
    live: BTreeMap<String, V>,
    /// A list that is being delivered.
    next: Option<BTreeMap<String, V>>,
    listed: bool,
}

/// What came of an event.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Whether something is different now.
    pub(super) changed: bool,
    /// Keys that are no longer there.
    pub(super) gone: Vec<String>,
    /// Keys of what is different or gone.
    pub(super) touched: Vec<String>,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { live: BTreeMap::new(), next: None, listed: false }
    }
}

impl<V> Table<V> {
    /// Takes in an event with the object's key and what is kept of it (`None`: nothing). `same` says whether the difference
    /// between two values matters.
    pub(super) fn take(&mut self, event: Event<(String, Option<V>)>, same: impl Fn(&V, &V) -> bool) -> Taken {
        match event {
            Event::Init => self.next = Some(BTreeMap::new()),
            Event::InitApply((key, value)) => {
                let next = self.next.get_or_insert_default();
                match value {
                    Some(value) => drop(next.insert(key, value)),
                    None => drop(next.remove(&key)),
                }
            }
            Event::InitDone => return self.finish(same),
            Event::Apply((key, Some(value))) => return self.put(key, value, same),
            Event::Apply((key, None)) | Event::Delete((key, _)) => return self.remove(key),
        }
        Taken::default()
    }

    /// Stores an object.
    pub(super) fn put(&mut self, key: String, value: V, same: impl Fn(&V, &V) -> bool) -> Taken {
        let changed = !self.live.get(&key).is_some_and(|old| same(old, &value));
        let touched = if changed { vec![key.clone()] } else { Vec::new() };
        self.live.insert(key, value);
        Taken { changed, gone: Vec::new(), touched }
    }

    /// Drops an object.
    pub(super) fn remove(&mut self, key: String) -> Taken {
        let changed = self.live.remove(&key).is_some();
        Taken { changed, touched: if changed { vec![key.clone()] } else { Vec::new() }, gone: vec![key] }
    }

    fn finish(&mut self, same: impl Fn(&V, &V) -> bool) -> Taken {
        let before = std::mem::replace(&mut self.live, self.next.take().unwrap_or_default());
        let first = !std::mem::replace(&mut self.listed, true);
        let gone: Vec<String> = before.keys().filter(|key| !self.live.contains_key(*key)).cloned().collect();
        let different = |(key, value): &(&String, &V)| !before.get(*key).is_some_and(|old| same(old, value));
        let fresh = self.live.iter().filter(|one| different(one)).map(|(key, _)| key.clone());
        let touched: Vec<String> = gone.iter().cloned().chain(fresh).collect();
        Taken { changed: first || !touched.is_empty(), gone, touched }
    }

    /// Drops what `over` is true for. Returns whether there was any.
    pub(super) fn drop_where(&mut self, over: impl Fn(&V) -> bool) -> bool {
        let before = self.live.len();
        self.live.retain(|_, value| !over(value));
        self.live.len() < before
    }

    /// Whether a first list was complete.
    pub(super) fn listed(&self) -> bool {
        self.listed
    }

    /// The list that is being delivered.
    pub(super) fn next_mut(&mut self) -> Option<&mut BTreeMap<String, V>> {
        self.next.as_mut()
    }

    pub(super) fn get(&self, key: &str) -> Option<&V> {
        self.live.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        self.live.get_mut(key)
    }

    /// The objects whose key begins like this.
    pub(super) fn starting_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a V> {
        self.live.range(prefix.to_owned()..).take_while(move |(key, _)| key.starts_with(prefix)).map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &V)> {
        self.live.iter()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.live.keys()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.live.values()
    }

    /// All objects, those of a list that is being delivered included.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.live.values_mut().chain(self.next.iter_mut().flat_map(BTreeMap::values_mut))
    }
}
