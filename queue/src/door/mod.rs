//! The part of the loop that serves the API's jobs: the store's news into the ledger, the ledger's jobs into the snapshot, the plan's
//! answers into the store, and only then to the cluster.
//!
//! Invariant: nothing is done to a pod before the state that asks for it is stored; while the store does not answer, nothing is begun, and
//! what was decided is kept until it is. Does not decide: `planning::ledger` and `planning::lifecycle` do.

mod load;
mod mirror;
mod pods;
mod terms;
mod units;

use std::collections::HashMap;

use cluster::fault::{self, Point};
use jiff::{SignedDuration, Timestamp};
use model::job::{Door, JobId, Placed};
use model::names;
use model::plan::{Dispatch, QueueCounts};
use model::snapshot::Snapshot;
use model::status::{JobState, Reason};
use planning::ledger::Ledger;
use records::{Request, Store};
use tokio::sync::watch;

use crate::cycle::Context;
use terms::Terms;

/// How the API's jobs are served.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many waiting jobs of a queue one cycle looks at. Those behind are counted; smaller ones among them pass nobody yet.
    pub window: usize,
    /// How long a pod stays after its end, so that its log can be read.
    pub finished_pod_ttl: SignedDuration,
    /// How long the record of a job stays after its end.
    pub retention: SignedDuration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: 2_000,
            finished_pod_ttl: SignedDuration::from_mins(10),
            retention: SignedDuration::from_hours(7 * 24),
        }
    }
}

/// Submissions and requests taken in at most in one cycle.
const INBOX: u32 = 10_000;
/// Another process may have stored something that nobody here was told.
const POLL: SignedDuration = SignedDuration::from_secs(1);
/// Old records are looked for this often, and this many go at a time.
const RETAIN_EVERY: SignedDuration = SignedDuration::from_secs(60);
const RETAIN_STEP: u32 = 2_000;

/// The API's jobs, as the leader serves them.
pub(crate) struct ApiDoor {
    stores: watch::Receiver<Option<Store>>,
    limits: Limits,
    open: Option<Open>,
}

/// A door whose store has been read.
struct Open {
    store: Store,
    news: watch::Receiver<u64>,
    ledger: Ledger,
    terms: Terms,
    /// Requests that are in the ledger and still in the store.
    taken: Vec<Request>,
    /// What was looked up last, and when old records were last deleted.
    polled: Option<Timestamp>,
    retained: Option<Timestamp>,
    deeds: pods::Deeds,
    mirror: mirror::Mirror,
}

impl ApiDoor {
    /// Opens as soon as there is a store.
    pub(crate) fn new(stores: watch::Receiver<Option<Store>>, limits: Limits) -> Self {
        Self { stores, limits, open: None }
    }

    /// Waits until the store has news.
    pub(crate) async fn changed(&mut self) {
        match &mut self.open {
            // A sender that is gone has no more news.
            Some(open) => {
                if open.news.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            None => {
                if self.stores.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Before a plan: takes in what is new in the store and in the cluster, and puts into the snapshot what waits and what was placed a
    /// moment ago. False: the store did not answer.
    pub(crate) async fn before(&mut self, context: &Context, snapshot: &mut Snapshot, now: Timestamp) -> bool {
        if self.open.is_none() {
            let Some(store) = self.stores.borrow_and_update().clone() else { return true };
            match load::open(context, store, now).await {
                Ok(open) => self.open = Some(open),
                Err(error) => return told("the API's jobs cannot be read", &error),
            }
        }
        let Some(open) = &mut self.open else { return true };
        let read = open.take_in(context, now).await;
        open.observe(context, now);
        open.ledger.tick(now);
        units::add(&open.ledger, context, snapshot, self.limits.window, now);
        read
    }

    /// After a plan: stores what it means for the API's jobs, and then brings pods to what is stored. False: something failed.
    pub(crate) async fn after(&mut self, context: &Context, decided: Decided<'_>, now: Timestamp) -> bool {
        let Some(open) = &mut self.open else { return true };
        for (id, reason) in decided.explain {
            let text = format!("{} - {}", reason.code.as_str(), reason.message);
            open.ledger.explained(*id, Some(&text), now);
        }
        for dispatch in decided.dispatch {
            open.dispatched(context, dispatch, now);
        }
        let stored = open.store().await && open.mirror.update(context, decided.snapshot, &open.store, now).await;
        let done = stored && open.act(context, self.limits.finished_pod_ttl, now).await;
        if stored {
            open.retain(self.limits.retention, now).await;
        }
        done
    }

    /// Adds to what queues show the jobs behind the window.
    pub(crate) fn count(&self, snapshot: &Snapshot, queues: &mut [QueueCounts]) {
        let Some(open) = &self.open else { return };
        for counts in queues {
            let Some(queue) = snapshot.queues.iter().find(|queue| queue.name == counts.queue) else { continue };
            let behind = open.ledger.waiting_in(&queue.aws_name).saturating_sub(self.limits.window);
            counts.waiting = counts.waiting.saturating_add(u32::try_from(behind).unwrap_or(u32::MAX));
        }
    }

    /// When time alone changes something.
    pub(crate) fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        let open = self.open.as_ref()?;
        let poll = now.saturating_add(POLL).unwrap_or(now);
        open.ledger.wake_at().into_iter().chain(open.deeds.wake_at()).chain([poll]).min()
    }
}

/// What a plan decided about the API's jobs.
pub(crate) struct Decided<'a> {
    /// What it was decided on.
    pub(crate) snapshot: &'a Snapshot,
    /// Those that get a node.
    pub(crate) dispatch: &'a [Dispatch],
    /// Why others wait.
    pub(crate) explain: &'a [(JobId, Reason)],
}

impl Open {
    async fn take_in(&mut self, context: &Context, now: Timestamp) -> bool {
        let due = self.polled.is_none_or(|last| now.duration_since(last) >= POLL);
        if !due && !self.news.has_changed().unwrap_or(false) {
            return true;
        }
        self.news.borrow_and_update();
        match self.read(context, now).await {
            Ok(full) => {
                // More is waiting than one cycle takes in: the next one looks again at once.
                self.polled = (!full).then_some(now);
                true
            }
            Err(error) => told("new jobs cannot be read", &error),
        }
    }

    /// Reads what is new. Returns whether there may be more.
    async fn read(&mut self, context: &Context, now: Timestamp) -> Result<bool, records::Error> {
        let inbox = self.store.inbox(INBOX).await?;
        let full = inbox.submitted.len() >= INBOX as usize;
        for (record, spec) in inbox.submitted.into_iter().filter(|(_, spec)| spec.door == Door::Api) {
            let (spec, shape) = self.terms.of(context, &spec);
            self.ledger.take_in(record, &spec, &shape);
        }
        let outcomes = match self.ledger.unknown() {
            unknown if unknown.is_empty() => HashMap::new(),
            unknown => self.store.outcomes(&unknown).await?,
        };
        self.ledger.consider(&outcomes, now);
        for request in inbox.requests {
            if !self.taken.contains(&request) {
                self.ledger.stop(request.id, &request.stop, now);
                self.taken.push(request);
            }
        }
        Ok(full)
    }

    /// Takes in what the cluster shows of the pods.
    fn observe(&mut self, context: &Context, now: Timestamp) {
        let pods = context.index.attempts();
        for pod in &pods {
            self.ledger.seen(pod, now);
        }
        let here: std::collections::HashSet<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
        let placed: Vec<(JobId, Placed)> =
            self.ledger.placed().filter_map(|live| Some((live.record.id, live.record.placed.clone()?))).collect();
        for (id, placed) in placed {
            let node = context.index.node(&placed.node);
            // Where kube-scheduler chose the node its UID is not known.
            let other = |uid: &str| !placed.node_uid.is_empty() && uid != placed.node_uid;
            if node.is_none_or(|record| other(&record.node.uid)) {
                let instance = context.index.batch_node(&placed.node).and_then(|node| node.status?.instance_id);
                self.ledger.node_gone(id, instance.as_deref().unwrap_or(&placed.node), now);
            } else if placed.pod_uid.is_some() && !here.contains(placed.pod_name.as_str()) {
                self.ledger.pod_gone(id, now);
            }
        }
    }

    fn dispatched(&mut self, context: &Context, dispatch: &Dispatch, now: Timestamp) {
        let Some(live) = dispatch.record.and_then(|id| self.ledger.get(id)) else { return };
        let record = &live.record;
        let placed = Placed {
            pod_name: names::pod_name(record.id, record.attempt, record.placement),
            namespace: units::namespace(context, live.spec.namespace.as_deref(), &dispatch.environment),
            pod_uid: None,
            node: dispatch.node.clone(),
            node_uid: dispatch.node_uid.clone(),
            environment: dispatch.environment.clone(),
            environment_uuid: dispatch.environment_uuid.clone(),
            trouble: None,
        };
        self.ledger.dispatched(record.id, &placed, now);
    }

    /// Stores what has changed. False: the store did not take it, and it is kept.
    async fn store(&mut self) -> bool {
        if self.ledger.changes().is_empty() && self.taken.is_empty() {
            return true;
        }
        if self.ledger.changes().iter().any(|change| change.record.state == JobState::Running) {
            fault::reach(Point::PodRuns);
        }
        match self.store.write(self.ledger.changes(), &self.taken).await {
            Ok(()) => {
                self.ledger.stored();
                self.taken.clear();
                true
            }
            Err(error) => told("changes of jobs cannot be stored; nothing is begun until they are", &error),
        }
    }

    async fn retain(&mut self, retention: SignedDuration, now: Timestamp) {
        if self.retained.is_some_and(|last| now.duration_since(last) < RETAIN_EVERY) {
            return;
        }
        let Ok(before) = now.checked_sub(retention) else { return };
        match self.store.retain(before, RETAIN_STEP).await {
            // A full step: more may be due, the next cycle goes on.
            Ok(gone) if gone >= u64::from(RETAIN_STEP) => {}
            Ok(_) => self.retained = Some(now),
            Err(error) => {
                self.retained = Some(now);
                told("old records cannot be deleted", &error);
            }
        }
    }
}

/// Logs a failure; false, for those who return it.
fn told(what: &str, error: &records::Error) -> bool {
    tracing::warn!(error = cluster::telemetry::chain(error), "{what}");
    false
}
