//! The part of the loop that serves the API's jobs: the store's news into the ledger, the ledger's jobs into what is shown, the plan's
//! answers into the store, and only then to the cluster.
//!
//! Invariant: nothing is done to a pod before the state that asks for it is stored; while the store does not answer, nothing is begun, and
//! what was decided is kept until it is. Does not decide: `planning::ledger` and `planning::lifecycle` do.

mod allowed;
mod answer;
mod keeper;
mod load;
mod logs;
mod making;
mod mirror;
mod news;
mod overlay;
mod placed;
mod pods;
mod refused;
mod retention;
mod terms;
mod units;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::fault::{self, Point};
use jiff::{SignedDuration, Timestamp};
use model::clock::{Jumps, Moment, Now};
use model::job::{JobId, JobRecord, PodFacts, Spec};
use model::plan::{Dispatch, Hold, QueueCounts};
use model::status::{JobState, Reason};
use outputs::{Kept, Outputs};
use planning::ledger::Ledger;
use planning::lifecycle::patience::Patience;
use planning::world::{News, World};
use records::{Leading, Request, Store, Term};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::context::Context;
use answer::{Failure, bounded};
use keeper::Keeper;
use logs::Logs;
use overlay::{Barred, OnNode, Overlay};
use retention::AbortOnDrop;
use terms::Terms;

/// How the API's jobs are served.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many waiting jobs of a queue one cycle looks at, and as many more so that there are some of each need. The others are counted.
    pub window: usize,
    /// How long a pod stays after its end, so that its log can be read.
    pub finished_pod_ttl: SignedDuration,
    /// How long the record of a job stays after its end.
    pub retention: SignedDuration,
    /// A job of which a volume cannot be mounted for this long is ended.
    pub mount_patience: Duration,
}

impl Limits {
    fn finished_pod_ttl(&self) -> Duration {
        Duration::try_from(self.finished_pod_ttl).unwrap_or(Duration::ZERO)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: 2_000,
            finished_pod_ttl: SignedDuration::from_mins(10),
            retention: SignedDuration::from_hours(7 * 24),
            mount_patience: Duration::from_mins(10),
        }
    }
}

/// Another process may have stored something that nobody here was told.
const POLL: Duration = Duration::from_secs(1);
/// After a failure the store is left alone for a while.
const REST: Duration = Duration::from_secs(10);
/// A leader that begins plans nothing before it knows the API's jobs, but for so long at most if the store does not open, and for so long if
/// there is much to read: Jobs wait meanwhile.
const OPENS_WITHIN: Duration = Duration::from_secs(10);
const READ_WITHIN: Duration = Duration::from_mins(1);
/// Changes stored in one transaction: a fraction of a second.
const PART: usize = 2_000;
/// A reason that says the same with other numbers is stored again only this often.
const EXPLAIN_EVERY: Duration = Duration::from_secs(30);

/// The record store of a leader, and what is beside it.
pub struct LeadersStore {
    /// The store, once it is open.
    pub stores: watch::Receiver<Option<Store>>,
    /// There is one, or will be.
    pub configured: bool,
    /// By what right this process leads.
    pub term: Term,
    /// Where what pods of the API print is kept; without it, it goes with them.
    pub kept: Option<Kept>,
}

/// The API's jobs, as the leader serves them.
pub(crate) struct ApiDoor {
    leading: LeadersStore,
    limits: Limits,
    open: Option<Open>,
    logs: Logs,
    /// Keeps what pods print, where there is a place for it.
    keeper: Option<Keeper>,
    on_nodes: Overlay<OnNode>,
    on_jobs: Overlay<Barred>,
    /// The store is being read; Jobs do not wait for that.
    loading: Option<JoinHandle<Result<Open, records::Error>>>,
    /// Another leads by now.
    late: bool,
}

/// All that has not ended, being read again.
type Reading = JoinHandle<Result<Vec<(JobRecord, Arc<Spec>)>, records::Error>>;

/// A door whose store has been read.
struct Open {
    store: Leading,
    news: watch::Receiver<u64>,
    ledger: Ledger,
    /// How many jobs the last plan was not shown, by AWS name of their queue.
    hidden: BTreeMap<String, usize>,
    /// Ids of those that it was shown.
    shown: BTreeSet<String>,
    /// How the wall's clock, which the ledger's times are of, was set.
    jumps: Jumps,
    terms: Terms,
    /// A queue has changed, and what its jobs need of a node has to be made anew.
    stale: bool,
    /// Their specs, which that takes.
    reading: Option<Reading>,
    /// Another leads by now.
    late: bool,
    /// Requests that are in the ledger and still in the store.
    taken: Vec<Request>,
    /// When the store was last asked for news.
    polled: Option<Moment>,
    /// When all reasons were last stored.
    explained: Option<Moment>,
    /// Pods as the last look showed them.
    pods: Vec<Arc<PodFacts>>,
    patience: Patience,
    /// Running pods that the store knows nothing of, as far as it was said.
    strange: HashSet<JobId>,
    _retention: AbortOnDrop,
    /// The store is left alone until then.
    rests_until: Option<Instant>,
    deeds: pods::Deeds,
    refused: refused::Refused,
    mirror: mirror::Mirror,
}

impl ApiDoor {
    /// Opens as soon as there is a store. What pods print is found in `outputs`.
    pub(crate) fn new(leading: LeadersStore, limits: Limits, outputs: Arc<dyn Outputs>) -> Self {
        let keeper = leading.kept.clone().map(|kept| Keeper::new(kept, outputs, limits.retention));
        let (logs, on_nodes, on_jobs) = (Logs::default(), Overlay::default(), Overlay::default());
        Self { leading, limits, open: None, logs, keeper, on_nodes, on_jobs, loading: None, late: false }
    }

    /// Whether planning should wait for the API's jobs, so long after this process began to lead.
    pub(crate) fn is_awaited(&self, since: Duration) -> bool {
        let patience = if self.loading.is_some() { READ_WITHIN } else { OPENS_WITHIN };
        self.is_blind() && !self.is_late() && since < patience
    }

    /// Whether there are jobs of the API that nobody here knows: on a node that looks idle one may be about to start.
    pub(crate) fn is_blind(&self) -> bool {
        self.leading.configured && self.open.is_none()
    }

    /// Whether another leads by now, as the store says.
    pub(crate) fn is_late(&self) -> bool {
        self.late || self.open.as_ref().is_some_and(|open| open.late)
    }

    /// Waits until the store has news, or output is kept.
    pub(crate) async fn changed(&mut self) {
        let keeper = async {
            match &mut self.keeper {
                Some(keeper) => keeper.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = keeper => {}
            () = Self::news(&mut self.open, &mut self.leading) => {}
        }
    }

    async fn news(open: &mut Option<Open>, leading: &mut LeadersStore) {
        match open {
            // A sender that is gone has no more news.
            Some(open) => {
                if open.news.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            None => {
                if leading.stores.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Takes in what is new in the store. False: it did not answer.
    pub(crate) async fn read(&mut self, context: &Context, now: Now) -> bool {
        if self.open.is_none() && !self.load(context, now.wall).await {
            return false;
        }
        let Some(open) = &mut self.open else { return true };
        open.reshape(&context.index).await && open.take_in(context, now).await
    }

    /// Before a plan: takes in what the cluster shows, and adds to the news what waits and what was placed a moment ago. `pods` are of the same
    /// moment as the news, of whose nodes they take room; `known` knows what was shown before; `steady`: the time as the news have it.
    pub(crate) fn observe(
        &mut self,
        context: &Context,
        known: &World<'_>,
        (news, pods): (&mut News, Vec<Arc<PodFacts>>),
        now: Now,
        steady: Now,
    ) {
        // Also while the store is not there: what was promised holds.
        if let Some(keeper) = &mut self.keeper {
            keeper.look(&pods, now.moment);
        }
        let is_kept = |uid: &str| self.keeper.as_ref().is_some_and(|keeper| keeper.has(uid));
        let logs = self.logs.promise(&pods, self.limits.finished_pod_ttl(), steady, is_kept);
        let on_node = |until| OnNode { logs_until: Some(until), ..OnNode::default() };
        let mut on_nodes: BTreeMap<String, OnNode> =
            logs.into_iter().map(|(name, until)| (name, on_node(until))).collect();
        if let Some(open) = &mut self.open {
            open.ledger.clock_was_set(open.jumps.seen(now));
            open.observe(context, pods, self.limits.mount_patience, now);
            open.ledger.limit(&context.index.time_limits(), now.wall);
            open.ledger.tick(now.wall);
            open.mirror.look(&context.index, |id| open.ledger.get(id).is_some());
            let barred = open.mirror.strangers().into_iter().map(|(uid, reason)| (uid, Barred(reason))).collect();
            self.on_jobs.lay(barred, &mut news.jobs, |uid| known.job(uid).cloned());
            let is_known = |name: &str| known.node(name).is_some();
            let jobs = (&open.ledger, open.pods.as_slice(), &open.deeds);
            open.hidden = units::add(jobs, news, &mut on_nodes, is_known, self.limits.window, now);
            open.forget_others(news);
        }
        self.on_nodes.lay(on_nodes, &mut news.nodes, |name| known.node(name).cloned());
    }

    /// Has the store read, once there is one. False: it could not be.
    async fn load(&mut self, context: &Context, now: Timestamp) -> bool {
        let Some(loading) = self.loading.take_if(|loading| loading.is_finished()) else {
            let store = self.leading.stores.borrow_and_update().clone().filter(|_| self.loading.is_none());
            if let Some(store) = store {
                let (index, term) = (context.index.clone(), self.leading.term.clone());
                self.loading = Some(tokio::spawn(load::open(index, store, term, self.limits.retention, now)));
            }
            return true;
        };
        match loading.await {
            Ok(Ok(open)) => self.open = Some(open),
            Ok(Err(error)) => {
                self.late |= matches!(error, records::Error::Late);
                tracing::warn!(error = cluster::telemetry::chain(&error), "the API's jobs cannot be read");
                return false;
            }
            Err(error) => {
                tracing::error!(%error, "reading the API's jobs ended badly");
                return false;
            }
        }
        true
    }

    /// After a plan: stores what it means for the API's jobs, and then brings pods to what is stored. False: something failed.
    pub(crate) async fn after(&mut self, context: &Context, decided: Decided<'_>, now: Now) -> bool {
        let Some(open) = &mut self.open else { return true };
        open.explain(decided.explain, now);
        for dispatch in decided.dispatch {
            open.dispatched(context, dispatch, now.wall);
        }
        for hold in decided.hold {
            open.held(context, hold, now.wall);
        }
        if open.rests() {
            return false;
        }
        let stored = open.store().await;
        let ttl = self.limits.finished_pod_ttl();
        let mirrored = stored && open.mirror(context, decided.world, now.wall).await;
        let done = stored && !open.rests() && open.act(context, ttl, self.keeper.as_mut(), now).await;
        // What came of making pods.
        mirrored && done && open.store().await
    }

    /// How many jobs the last plan was not shown, by AWS name of their queue.
    pub(crate) fn hidden(&self) -> BTreeMap<String, usize> {
        self.open.as_ref().map(|open| open.hidden.clone()).unwrap_or_default()
    }

    /// Adds to what queues show the jobs that the plan was not shown.
    pub(crate) fn count(&self, world: &World<'_>, queues: &mut Arc<Vec<QueueCounts>>) {
        // What the world has is not copied for nothing.
        let Some(open) = self.open.as_ref().filter(|open| !open.hidden.is_empty()) else { return };
        for counts in Arc::make_mut(queues) {
            let Some(queue) = world.queue(&counts.queue) else { continue };
            let hidden = open.hidden.get(&queue.aws_name).copied().unwrap_or_default();
            counts.waiting = counts.waiting.saturating_add(u32::try_from(hidden).unwrap_or(u32::MAX));
        }
    }

    /// When time alone changes something.
    pub(crate) fn wake_at(&self, now: Now) -> Option<Moment> {
        let poll = now.moment.plus(POLL);
        let Some(open) = &self.open else { return self.loading.is_some().then_some(poll) };
        // More is waiting than the last cycle took in.
        let poll = if open.polled.is_none() && !open.rests() { now.moment } else { poll };
        // What is due of the pods waits for the store, too.
        let due = open.deeds.wake_at().into_iter().chain(open.refused.next(now.moment)).min();
        let deeds = due.filter(|_| !open.rests());
        let jobs = open.ledger.wake_at().map(|due| now.moment_of(due));
        jobs.into_iter().chain(deeds).chain([poll]).min()
    }
}

/// What a plan decided about the API's jobs.
pub(crate) struct Decided<'a> {
    /// What it was decided on.
    pub(crate) world: &'a World<'static>,
    /// Those that get a node.
    pub(crate) dispatch: &'a [Dispatch],
    /// Those for which kube-scheduler chooses one.
    pub(crate) hold: &'a [Hold],
    /// Why others wait.
    pub(crate) explain: &'a [(JobId, Arc<Reason>)],
}

impl Open {
    /// Tells that those of the API's jobs are gone that are not shown any more.
    fn forget_others(&mut self, news: &mut News) {
        let ours = news.units.there().filter(|unit| unit.record.is_some());
        let shown: BTreeSet<String> = ours.map(|unit| unit.uid.clone()).collect();
        for uid in self.shown.difference(&shown) {
            news.units.things.entry(uid.clone()).or_insert(None);
        }
        self.shown = shown;
    }

    /// Whether nothing is left to be stored.
    fn is_stored(&self) -> bool {
        self.ledger.changes().is_empty() && self.taken.is_empty()
    }

    fn rests(&self) -> bool {
        self.rests_until.is_some_and(|end| end > Instant::now())
    }

    /// Leaves the store alone for a while, and says why. False, for those who return it.
    fn rest(&mut self, what: &str, failure: &Failure) -> bool {
        self.rests_until = Some(Instant::now() + REST);
        self.late |= matches!(failure, Failure::Store(records::Error::Late));
        tracing::warn!(error = cluster::telemetry::chain(failure), "{what}");
        false
    }

    /// Stores what has changed. False: the store did not take all of it, and the rest is kept.
    async fn store(&mut self) -> bool {
        while !self.is_stored() {
            if self.rests() {
                return false;
            }
            let changes = self.ledger.changes();
            let part = &changes[..changes.len().min(PART)];
            let taken = if part.len() == changes.len() { self.taken.as_slice() } else { &[] };
            if part.iter().any(|change| change.record.state == JobState::Running) {
                fault::reach(Point::PodRuns);
            }
            let (written, answered) = (part.len(), taken.len());
            if let Err(failure) = bounded(self.store.write(part, taken)).await {
                return self.rest("changes of jobs cannot be stored; nothing is begun until they are", &failure);
            }
            self.ledger.stored(written);
            self.taken.drain(..answered);
        }
        true
    }

    /// Brings the records of the Job door's Jobs up to date. False: the store did not take them.
    async fn mirror(&mut self, context: &Context, world: &World<'_>, now: Timestamp) -> bool {
        match bounded(self.mirror.update(&context.index, &context.client, world, &self.store, now)).await {
            Ok(told) => {
                for (uid, reason) in told.iter().filter_map(|uid| Some((uid, self.mirror.stranger(uid)?))) {
                    crate::report::barred(context, uid, &reason);
                }
                true
            }
            Err(failure) => self.rest("records of Jobs cannot be stored", &failure),
        }
    }

    /// Takes over why jobs wait. What only has other numbers than before waits for the next time that all is stored.
    fn explain(&mut self, reasons: &[(JobId, Arc<Reason>)], now: Now) {
        let all = self.explained.is_none_or(|last| now.moment.since(last) >= EXPLAIN_EVERY);
        for (id, reason) in reasons {
            let stored = self.ledger.get(*id).and_then(|live| live.record.reason.as_deref());
            if all || !stored.is_some_and(|text| text.starts_with(reason.code.as_str())) {
                self.ledger.explained(*id, Some(&reason.to_string()), now.wall);
            }
        }
        if all {
            self.explained = Some(now.moment);
        }
    }
}

#[cfg(test)]
mod tests;
