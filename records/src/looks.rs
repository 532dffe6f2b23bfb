//! One look at the database for all who ask for the same thing at the same time: a thousand submissions name the same job definition.
//!
//! Invariant: an answer comes from a look that began after the question, so nobody is told what was true only before. Nothing is kept, and
//! nobody waits for a question about something else. A cache that loads once for many (moka, say) would keep the answer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Turn, OnceCell};

/// Questions under way.
#[derive(Debug)]
pub(crate) struct Looks<K: Eq + Hash, V>(Mutex<HashMap<K, Arc<Askers<V>>>>);

/// Those who ask for one thing.
#[derive(Debug)]
struct Askers<V> {
    /// The answer of the look that begins next.
    next: Mutex<Option<Arc<OnceCell<V>>>>,
    /// Whose look is under way.
    turn: Turn<()>,
}

impl<K: Eq + Hash, V> Default for Looks<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V> Default for Askers<V> {
    fn default() -> Self {
        Self { next: Mutex::default(), turn: Turn::default() }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Looks<K, V> {
    /// Waits for the look that is under way, if there is one, and for the next, which all share who ask meanwhile. Who looks and gives up
    /// leaves that to the next of them.
    pub(crate) async fn ask<L: Future<Output = V>>(&self, key: K, look: impl FnOnce() -> L) -> V {
        let place = Place::take(self, key);
        let answer = locked(&place.line.next).get_or_insert_default().clone();
        let begin = async || {
            let _turn = place.line.turn.lock().await;
            // Who asks from now on may want to know what this look does not see.
            locked(&place.line.next).take();
            look().await
        };
        answer.get_or_init(begin).await.clone()
    }
}

/// A place in a line; a line that nobody is in any more goes.
struct Place<'a, K: Eq + Hash, V> {
    all: &'a Looks<K, V>,
    key: K,
    line: Arc<Askers<V>>,
}

impl<'a, K: Clone + Eq + Hash, V> Place<'a, K, V> {
    fn take(all: &'a Looks<K, V>, key: K) -> Self {
        let line = locked(&all.0).entry(key.clone()).or_default().clone();
        Self { all, key, line }
    }
}

impl<K: Eq + Hash, V> Drop for Place<'_, K, V> {
    fn drop(&mut self) {
        let mut all = locked(&self.all.0);
        // The table's and this one.
        if Arc::strong_count(&self.line) == 2 {
            all.remove(&self.key);
        }
    }
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt as _;
    use futures::future::{join_all, pending};
    use tokio::sync::Semaphore;

    use super::*;

    /// Looks that are counted, and of which each answers its number when it is let go.
    struct World {
        looks: Looks<&'static str, usize>,
        begun: AtomicUsize,
        go: Semaphore,
    }

    impl World {
        fn new() -> Self {
            Self { looks: Looks::default(), begun: AtomicUsize::new(0), go: Semaphore::new(0) }
        }

        async fn ask(&self, key: &'static str) -> usize {
            let look = async || {
                let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
                self.go.acquire().await.unwrap().forget();
                number
            };
            self.looks.ask(key, look).await
        }
    }

    #[tokio::test]
    async fn who_asks_during_a_look_shares_the_next() {
        let world = World::new();
        let mut first = Box::pin(world.ask("a"));
        assert_eq!(first.as_mut().now_or_never(), None);
        let mut others = Box::pin(join_all((0..100).map(|_| world.ask("a"))));
        assert_eq!(others.as_mut().now_or_never(), None);
        assert_eq!(world.begun.load(Ordering::Relaxed), 1);
        world.go.add_permits(2);
        assert_eq!((first.await, others.await), (1, vec![2; 100]));
        // Nothing is kept.
        world.go.add_permits(1);
        assert_eq!(world.ask("a").await, 3);
        assert!(locked(&world.looks.0).is_empty());
    }

    #[tokio::test]
    async fn nobody_waits_for_another_question() {
        let world = World::new();
        let mut stuck = Box::pin(world.looks.ask("a", pending));
        assert_eq!(stuck.as_mut().now_or_never(), None);
        world.go.add_permits(1);
        assert_eq!(world.ask("b").await, 1);
    }

    #[tokio::test]
    async fn another_looks_when_who_looked_has_gone() {
        let world = World::new();
        let mut first = Box::pin(world.looks.ask("a", pending));
        assert_eq!(first.as_mut().now_or_never(), None);
        let (mut second, mut third) = (Box::pin(world.ask("a")), Box::pin(world.ask("a")));
        assert_eq!((second.as_mut().now_or_never(), third.as_mut().now_or_never()), (None, None));
        drop(first);
        assert_eq!((second.as_mut().now_or_never(), world.begun.load(Ordering::Relaxed)), (None, 1));
        drop(second);
        world.go.add_permits(1);
        assert_eq!(third.await, 2);
        assert!(locked(&world.looks.0).is_empty());
    }
}
