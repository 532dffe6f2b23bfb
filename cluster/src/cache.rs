//! Facts by key, kept up to date by one watch: what an edge needs of a kind of objects to look it up while it answers.
//!
//! Invariant: readers see either the state before a relist or the one after it, never a half-filled map; a key that a relist does not
//! bring is gone. An object that cannot be read is logged and left out, and never holds up the watch. Once a cache has been complete it is
//! used, also while its watch is interrupted. Does not know what the facts are.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use futures::{StreamExt as _, pin_mut};
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use crate::admin::Check;
use crate::telemetry::chain;

/// Facts by key. Cheap to clone: all clones are the same map.
#[derive(Debug)]
pub struct Cache<V>(Arc<RwLock<Content<V>>>);

#[derive(Debug)]
struct Content<V> {
    by_key: HashMap<String, V>,
    complete: bool,
}

impl<V> Clone for Cache<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        Self(Arc::new(RwLock::new(Content { by_key: HashMap::new(), complete: false })))
    }
}

/// A complete one.
impl<V> FromIterator<(String, V)> for Cache<V> {
    fn from_iter<I: IntoIterator<Item = (String, V)>>(facts: I) -> Self {
        Self(Arc::new(RwLock::new(Content { by_key: facts.into_iter().collect(), complete: true })))
    }
}

impl<V: Clone> Cache<V> {
    /// The facts of one key.
    pub fn get(&self, key: &str) -> Option<V> {
        self.read().by_key.get(key).cloned()
    }

    /// Runs `use_` with a view of all facts, which do not change meanwhile.
    pub fn with<T>(&self, use_: impl FnOnce(&HashMap<String, V>) -> T) -> T {
        use_(&self.read().by_key)
    }

    /// Whether all objects have been seen once.
    pub fn is_complete(&self) -> bool {
        self.read().complete
    }

    /// Keeps it up to date with what a watch shows; nobody else may write it. `read` gives the key and the facts of an object. Holds
    /// `complete` as soon as all objects have been seen.
    pub async fn follow<K>(
        self,
        objects: Api<K>,
        which: Config,
        complete: Check,
        read: impl Fn(K) -> (String, Result<V, String>),
    ) where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let kind = K::kind(&()).into_owned();
        let mut feed = Feed { cache: self, relisted: HashMap::new() };
        let events = watcher(objects, which).default_backoff();
        pin_mut!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    feed.take(&kind, event, &read);
                    complete.set(feed.cache.is_complete());
                }
                // The watcher recovers by itself, with a back-off.
                Err(error) => tracing::warn!(kind, error = %chain(&error), "watch interrupted"),
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Content<V>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Content<V>)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Brings a watch's events into a cache.
struct Feed<V> {
    cache: Cache<V>,
    relisted: HashMap<String, V>,
}

impl<V: Clone> Feed<V> {
    fn take<K>(&mut self, kind: &str, event: Event<K>, read: impl Fn(K) -> (String, Result<V, String>)) {
        let read = |object| {
            let (key, facts) = read(object);
            let facts =
                facts.inspect_err(|error| tracing::warn!(kind, key, error, "object cannot be read and is left out"));
            (key, facts.ok())
        };
        match event {
            Event::Init => self.relisted.clear(),
            Event::InitApply(object) => {
                let (key, facts) = read(object);
                self.relisted.extend(facts.map(|facts| (key, facts)));
            }
            Event::InitDone => {
                let by_key = std::mem::take(&mut self.relisted);
                self.cache.change(|content| *content = Content { by_key, complete: true });
            }
            Event::Apply(object) => {
                let (key, facts) = read(object);
                self.cache.change(|content| match facts {
                    Some(facts) => drop(content.by_key.insert(key, facts)),
                    None => drop(content.by_key.remove(&key)),
                });
            }
            Event::Delete(object) => {
                let (key, _) = read(object);
                self.cache.change(|content| drop(content.by_key.remove(&key)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Object = (&'static str, u32);

    fn check(events: Vec<Event<Object>>, expected: &[Object], complete: bool) {
        let cache = Cache::<u32>::default();
        let mut feed = Feed { cache: cache.clone(), relisted: HashMap::new() };
        let read = |(key, value): Object| (key.to_owned(), if value == 0 { Err("none".to_owned()) } else { Ok(value) });
        for event in events {
            feed.take("Object", event, read);
        }
        let mut content: Vec<(String, u32)> =
            cache.with(|all| all.iter().map(|(key, value)| (key.clone(), *value)).collect());
        content.sort();
        let expected: Vec<(String, u32)> = expected.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        assert_eq!(content, expected);
        assert_eq!(cache.is_complete(), complete);
    }

    #[test]
    fn nothing_is_seen_of_a_list_before_it_is_complete() {
        check(vec![Event::Init, Event::InitApply(("a", 1))], &[], false);
        check(vec![Event::Init, Event::InitApply(("a", 1)), Event::InitDone], &[("a", 1)], true);
    }

    #[test]
    fn a_relist_replaces_everything_at_once() {
        let first = vec![Event::Init, Event::InitApply(("a", 1)), Event::InitApply(("b", 1)), Event::InitDone];
        let with = |more: Vec<Event<Object>>| first.clone().into_iter().chain(more).collect();
        check(with(vec![Event::Init, Event::InitApply(("b", 2))]), &[("a", 1), ("b", 1)], true);
        check(with(vec![Event::Init, Event::InitApply(("b", 2)), Event::InitDone]), &[("b", 2)], true);
        check(
            with(vec![
                Event::Init,
                Event::InitApply(("c", 3)),
                Event::Init,
                Event::InitApply(("d", 4)),
                Event::InitDone,
            ]),
            &[("d", 4)],
            true,
        );
    }

    #[test]
    fn changes_and_deletions_follow() {
        let list = vec![Event::Init, Event::InitApply(("a", 1)), Event::InitDone];
        let with = |more: Event<Object>| list.clone().into_iter().chain([more]).collect();
        check(with(Event::Apply(("b", 2))), &[("a", 1), ("b", 2)], true);
        check(with(Event::Apply(("a", 2))), &[("a", 2)], true);
        check(with(Event::Apply(("a", 0))), &[], true);
        check(with(Event::Delete(("a", 1))), &[], true);
    }
}
