//! Gives away what a plan was made of, to whoever asks.
//!
//! Invariant: nothing is kept for it: what the next plan is made of is given, once it is made. Does not know who asks.

use std::sync::Arc;

use jiff::Timestamp;
use model::dump::{Dump, VERSION};
use planning::world::World;
use tokio::sync::{mpsc, oneshot};

/// So many may ask at the same time.
const TOGETHER: usize = 4;

type Answer = oneshot::Sender<Arc<Dump>>;

/// Asks the loop.
#[derive(Clone, Debug)]
pub struct Asker(mpsc::Sender<Answer>);

/// What the loop is asked.
#[derive(Debug)]
pub struct Asked {
    asked: mpsc::Receiver<Answer>,
    waiting: Vec<Answer>,
}

/// Both ends.
pub fn channel() -> (Asker, Asked) {
    let (sender, asked) = mpsc::channel(TOGETHER);
    (Asker(sender), Asked { asked, waiting: Vec::new() })
}

impl Asker {
    /// What the next plan is made of. `None`: nobody plans any more.
    pub async fn ask(&self) -> Option<Arc<Dump>> {
        let (answer, given) = oneshot::channel();
        self.0.send(answer).await.ok()?;
        given.await.ok()
    }
}

impl Asked {
    /// Waits until somebody asks.
    pub(crate) async fn next(&mut self) {
        match self.asked.recv().await {
            Some(answer) => self.waiting.push(answer),
            None => std::future::pending().await,
        }
    }

    /// Gives it to all who have asked.
    pub(crate) fn give(&mut self, world: &World<'_>, now: Timestamp) {
        while let Ok(answer) = self.asked.try_recv() {
            self.waiting.push(answer);
        }
        if self.waiting.is_empty() {
            return;
        }
        let dump = Arc::new(Dump { version: VERSION, now, snapshot: world.snapshot() });
        for answer in self.waiting.drain(..) {
            // Whoever has asked may have gone.
            let _ = answer.send(dump.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use model::snapshot::Snapshot;

    use super::*;

    #[tokio::test]
    async fn whoever_asks_gets_what_the_next_plan_is_made_of() {
        let (asker, mut ours) = channel();
        let now: Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
        ours.give(&World::default(), now);
        let asking = tokio::spawn({
            let asker = asker.clone();
            async move { asker.ask().await }
        });
        ours.next().await;
        let seen = Snapshot { hooks_missing: true, ..Snapshot::default() };
        ours.give(&World::of(&seen), now);
        let dump = asking.await.unwrap().unwrap();
        assert_eq!(*dump, Dump { version: VERSION, now, snapshot: seen });
        drop(ours);
        assert!(asker.ask().await.is_none());
    }
}
