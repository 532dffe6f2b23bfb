//! Facts by key, kept up to date by one watch.
//!
//! Invariant: readers see either the state before a relist or the one after it, never a half-filled map. Does not know what the
//! facts are.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use kube::runtime::watcher::Event;

/// Facts by key. Cheap to clone: all clones are the same map.
#[derive(Debug)]
pub(crate) struct Cache<V>(Arc<RwLock<HashMap<String, V>>>);

impl<V> Clone for Cache<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<V> FromIterator<(String, V)> for Cache<V> {
    fn from_iter<I: IntoIterator<Item = (String, V)>>(facts: I) -> Self {
        Self(Arc::new(RwLock::new(facts.into_iter().collect())))
    }
}

impl<V: Clone> Cache<V> {
    /// The facts of one key.
    pub(crate) fn get(&self, key: &str) -> Option<V> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// The first facts, in any order, of which `wanted` is true.
    pub(crate) fn find(&self, wanted: impl Fn(&V) -> bool) -> Option<V> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().find(|facts| wanted(facts)).cloned()
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<String, V>)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Brings a watch's events into a cache, of which it is the only writer.
#[derive(Debug)]
pub(crate) struct Feed<V> {
    cache: Cache<V>,
    relisted: HashMap<String, V>,
}

impl<V: Clone> Feed<V> {
    /// Into `cache`.
    pub(crate) fn new(cache: Cache<V>) -> Self {
        Self { cache, relisted: HashMap::new() }
    }

    /// Takes one event about an object already read into its key and facts (none: it counts as gone); true once all objects
    /// have been seen.
    pub(crate) fn take(&mut self, event: Event<(String, Option<V>)>) -> bool {
        match event {
            Event::Init => self.relisted.clear(),
            Event::InitApply((key, facts)) => self.relisted.extend(facts.map(|facts| (key, facts))),
            Event::InitDone => {
                let all = std::mem::take(&mut self.relisted);
                self.cache.change(|map| *map = all);
                return true;
            }
            Event::Apply((key, Some(facts))) => self.cache.change(|map| drop(map.insert(key, facts))),
            Event::Apply((key, None)) | Event::Delete((key, _)) => self.cache.change(|map| drop(map.remove(&key))),
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(key: &str, value: u32) -> (String, Option<u32>) {
        (key.to_owned(), Some(value))
    }

    #[test]
    fn a_relist_replaces_everything_at_once_and_changes_follow() {
        let cache = Cache::default();
        let mut feed = Feed::new(cache.clone());
        assert!(!feed.take(Event::Init));
        assert!(!feed.take(Event::InitApply(fact("a", 1))));
        assert_eq!(cache.get("a"), None);
        assert!(feed.take(Event::InitDone));
        feed.take(Event::Apply(fact("b", 2)));
        assert_eq!((cache.get("a"), cache.get("b")), (Some(1), Some(2)));
        assert_eq!(cache.find(|value| *value == 2), Some(2));
        feed.take(Event::Delete(fact("a", 1)));
        assert_eq!(cache.get("a"), None);
        feed.take(Event::Apply(("b".to_owned(), None)));
        assert_eq!(cache.get("b"), None, "what cannot be read any more is not kept");
        feed.take(Event::Apply(fact("b", 2)));
        feed.take(Event::Init);
        feed.take(Event::InitDone);
        assert_eq!(cache.get("b"), None);
    }
}
