//! The job queues as `SubmitJob` sees them, and the compute environments that say where their pods go: at most two seconds old.
//!
//! Invariant: what this gateway itself has changed of queues is seen at once. A queue that is not found here is looked for past the cache.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use api::{ComputeEnvironment, JobQueue};

/// How long another replica's or kubectl's change of a queue may go unseen by submissions.
pub(crate) const AGE: Duration = Duration::from_secs(2);

/// What was read together.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) queues: Vec<JobQueue>,
    pub(crate) environments: Vec<ComputeEnvironment>,
}

/// Job queues and compute environments that were read a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Queues(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    /// How many changes there were.
    generation: u64,
    read: Option<(Instant, Arc<Listed>)>,
}

/// Between which changes something was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

impl Queues {
    /// What is known, unless it is too old; and for [`put`](Self::put) the generation of what is read from now on.
    pub(crate) fn get(&self, now: Instant) -> (Option<Arc<Listed>>, Generation) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let fresh = known.read.as_ref().filter(|(read, _)| now.duration_since(*read) < AGE);
        (fresh.map(|(_, listed)| listed.clone()), Generation(known.generation))
    }

    /// What was read, by a request that began at this time. What was changed while it was read may not be in it: then it is dropped.
    pub(crate) fn put(&self, begun: Instant, generation: Generation, listed: Arc<Listed>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if generation == Generation(known.generation) {
            known.read = Some((begun, listed));
        }
    }

    /// Something was changed.
    pub(crate) fn forget(&self) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *known = Known { generation: known.generation.wrapping_add(1), read: None };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_or_changed_is_not_known() {
        let (queues, now) = (Queues::default(), Instant::now());
        let knows = |at: Instant| queues.get(at).0.is_some();
        assert!(!knows(now));
        queues.put(now, queues.get(now).1, Arc::default());
        assert!(knows(now + AGE / 2) && !knows(now + AGE));
        queues.forget();
        assert!(!knows(now));
    }

    #[test]
    fn what_was_read_while_something_changed_is_dropped() {
        let (queues, now) = (Queues::default(), Instant::now());
        let (_, before) = queues.get(now);
        queues.forget();
        queues.put(now, before, Arc::default());
        assert!(queues.get(now).0.is_none());
        queues.put(now, queues.get(now).1, Arc::default());
        assert!(queues.get(now).0.is_some());
    }
}
