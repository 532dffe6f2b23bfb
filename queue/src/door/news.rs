//! What is new in the store, and what a queue that has changed means for its jobs: into the ledger.
//!
//! Invariant: nothing is taken in while changes are not stored, or it would look new again. Does not decide.

use std::collections::HashMap;

use cluster::index::Index;
use jiff::Timestamp;
use model::clock::Now;
use model::job::Door;

use super::answer::{Failure, bounded};
use super::terms::Terms;
use super::{Open, POLL, load};
use crate::context::Context;

/// Submissions and requests taken in at most in one cycle.
const INBOX: u32 = 2_000;
/// Jobs and children taken in at most in one cycle, the last array job's children on top.
const MOST_TAKEN: u32 = 10_000;

impl Open {
    pub(super) async fn take_in(&mut self, context: &Context, now: Now) -> bool {
        let due = self.polled.is_none_or(|last| now.moment.since(last) >= POLL);
        if !due && !self.news.has_changed().unwrap_or(false) {
            return true;
        }
        // What is not stored yet would look new in the store: a job that has ended here, submitted there.
        self.news.borrow_and_update();
        if self.rests() || !self.ledger.changes().is_empty() {
            self.polled = None;
            return true;
        }
        match bounded(self.read(context, now.wall)).await {
            Ok(full) => {
                // More is waiting than one cycle takes in: the next one looks again at once.
                self.polled = (!full).then_some(now.moment);
                true
            }
            Err(failure) => self.rest("new jobs cannot be read", &failure),
        }
    }

    /// When a queue has changed whose jobs wait: has their specs read, beside the loop, and then makes what they need of a node anew. The
    /// ledger stays as it is meanwhile: what is placed takes its room. False: they cannot be read now.
    pub(super) async fn reshape(&mut self, index: &Index) -> bool {
        if self.terms.outdated(index, |queue| self.ledger.waiting_in(queue) > 0) {
            tracing::info!("a queue has other default requests, or is gone: what its jobs need is looked at again");
            self.terms = Terms::default();
            self.stale = true;
        }
        if self.stale && self.reading.is_none() && !self.rests() {
            let store = self.store.clone();
            self.stale = false;
            self.reading = Some(tokio::spawn(async move { load::all_lean(&store).await }));
        }
        let Some(reading) = self.reading.take_if(|reading| reading.is_finished()) else { return true };
        let failure = match reading.await {
            Ok(Ok(live)) => {
                for (record, spec) in live.into_iter().filter(|(_, spec)| spec.door == Door::Api) {
                    let (spec, shape) = self.terms.of(index, &spec);
                    self.ledger.reshape(record.id, &spec, &shape);
                }
                return true;
            }
            Ok(Err(error)) => Failure::Store(error),
            Err(error) => Failure::Task(error),
        };
        self.stale = true;
        self.rest("jobs cannot be read again", &failure)
    }

    /// Reads what is new. Returns whether there may be more.
    async fn read(&mut self, context: &Context, now: Timestamp) -> Result<bool, records::Error> {
        let inbox = self.store.inbox(INBOX).await?;
        let mut full = inbox.more;
        let mut taken = 0;
        for (record, spec) in inbox.submitted.into_iter().filter(|(_, spec)| spec.door == Door::Api) {
            if self.ledger.get(record.id).is_some() {
                continue;
            }
            if taken > MOST_TAKEN {
                full = true;
                break;
            }
            taken += 1 + spec.array_size.unwrap_or(0);
            let (spec, shape) = self.terms.of(&context.index, &spec);
            self.ledger.submitted(record, &spec, &shape);
        }
        let outcomes = match self.ledger.unknown() {
            unknown if unknown.is_empty() => HashMap::new(),
            unknown => self.store.outcomes(&unknown).await?,
        };
        self.ledger.consider(&outcomes, now);
        for request in inbox.requests {
            // Its job is still to come: the request stays in the store until then.
            if full && self.ledger.get(request.id).is_none() {
                continue;
            }
            if !self.taken.contains(&request) {
                self.ledger.stop(request.id, &request.stop, now);
                self.taken.push(request);
            }
        }
        Ok(full)
    }
}
