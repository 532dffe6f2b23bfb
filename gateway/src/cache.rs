//! The job queues as `SubmitJob` sees them: at most two seconds old.
//!
//! Invariant: what this gateway itself has changed is seen at once. A queue that is not found here is looked for past the cache.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use api::JobQueue;

/// How long another replica's or kubectl's change of a queue may go unseen by submissions.
const AGE: Duration = Duration::from_secs(2);

/// Job queues that were read a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Queues(RwLock<Option<(Instant, Arc<Vec<JobQueue>>)>>);

impl Queues {
    /// What is known, unless it is too old.
    pub(crate) fn get(&self, now: Instant) -> Option<Arc<Vec<JobQueue>>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(read, _)| now.duration_since(*read) < AGE).map(|(_, queues)| queues.clone())
    }

    /// What was read, by a request that began at this time.
    pub(crate) fn put(&self, begun: Instant, queues: Arc<Vec<JobQueue>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((begun, queues));
    }

    /// Something was changed.
    pub(crate) fn forget(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_or_changed_is_not_known() {
        let (queues, now) = (Queues::default(), Instant::now());
        assert!(queues.get(now).is_none());
        queues.put(now, Arc::default());
        assert!(queues.get(now + AGE / 2).is_some() && queues.get(now + AGE).is_none());
        queues.forget();
        assert!(queues.get(now).is_none());
    }
}
