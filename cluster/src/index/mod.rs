//! What the cluster looks like, in memory: fed by the watches and by our own writes, of which each cycle is told what has changed.
//!
//! Invariants: an object that cannot be read is absent and stalls nothing, but a node, which is there and takes no work, and
//! a pod, which keeps its room; a write of ours is seen at once, so that no cycle acts twice before the watches have caught up; nothing here reads a clock, and no lock is held across a wait. Keeps converted
//! values, not Kubernetes objects, except our own custom resources, which are few. Does not know where events come from.

mod ages;
mod assumed;
mod batch;
mod change;
mod crowd;
mod facts;
mod failures;
mod idle;
mod jobs;
mod look;
mod marks;
mod notes;
mod refusals;
mod refused;
mod residents;
mod shapes;
mod state;
mod table;
mod units;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::convert::custom;
use api::convert::job::WatchedJob;
use api::convert::node::NodeRecord;
use api::convert::requests::Stated;
use api::crd::Provider;
use api::{BatchNode, ComputeEnvironment, JobQueue};
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use model::clock::{Moment, Now};
use model::job::{JobId, PodFacts, TimeLimit};
use model::names::ArnBase;
use model::snapshot::{ObjectKey, Offer, Setback, Snapshot, Write};
use model::status::Status;
use planning::refusal::Answer;
use planning::world::News;
use tokio::sync::watch;

pub use change::Change;
pub use crowd::NamespaceLimits;
pub use facts::{FinishedJob, Unlabelled};
pub use notes::NotesOf;
use state::State;

/// The index. Clones share it.
#[derive(Clone, Debug)]
pub struct Index(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    version: watch::Sender<u64>,
    synced: watch::Sender<bool>,
    pods_wanted: watch::Sender<()>,
}

impl Index {
    /// An empty index. `arn` makes the UUIDs of environments that do not have one in their status yet.
    pub fn new(arn: ArnBase) -> Self {
        Self::limited(arn, NamespaceLimits::default())
    }

    /// An empty index in which no more than this waits of a namespace.
    pub fn limited(arn: ArnBase, limits: NamespaceLimits) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State::new(arn, limits)),
            version: watch::Sender::new(0),
            synced: watch::Sender::new(false),
            pods_wanted: watch::Sender::new(()),
        }))
    }

    /// Takes in one event of a watch.
    pub fn feed(&self, change: impl Into<Change>) {
        let mut state = self.state();
        let changed = state.feed(change.into());
        let synced = state.synced();
        drop(state);
        // Never back: another watch may have looked before the last list was complete, and come here after it.
        self.0.synced.send_if_modified(|now| synced && !std::mem::replace(now, true));
        if changed {
            self.changed();
        }
    }

    /// What is so, our own writes included that the watches have not shown yet, as far as it was not told by the last look: all of what there is
    /// little of, and nodes, Jobs and units that may be otherwise than they were. Of the same moment, the pods made for the API, also those
    /// that have ended, until they are gone. A node without units is idle from the first `now` at which it is seen so.
    pub fn look(&self, now: Now) -> (News, Vec<Arc<PodFacts>>) {
        let mut state = self.settled();
        (state.look(now), state.attempts_now())
    }

    /// All that is so. The next [`look`](Self::look) tells everything, too.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        self.settled().snapshot(now)
    }

    /// Changes when pods are to be listed anew: of some that wait it was not kept what they need, and now it can be.
    pub fn pods_wanted(&self) -> watch::Receiver<()> {
        self.0.pods_wanted.subscribe()
    }

    /// Changes whenever something changed that a plan may depend on, and when a custom resource of ours changed. Heartbeats of
    /// nodes, status of environments and queues, and assumptions do not count.
    pub fn version(&self) -> watch::Receiver<u64> {
        self.0.version.subscribe()
    }

    /// Whether every watch has delivered its first list.
    pub fn synced(&self) -> bool {
        *self.0.synced.borrow()
    }

    /// Waits until [`synced`](Self::synced).
    pub async fn wait_synced(&self) {
        let mut synced = self.0.synced.subscribe();
        // The sender lives as long as `self`, so this ends only when it is true.
        let _true = synced.wait_for(|synced| *synced).await;
    }

    /// We bound a pod to a node. Counts until the watch shows a node for it, the pod is gone, or, after 30 s, it is [`found`](Self::found)
    /// elsewhere.
    pub fn assume_bound(&self, pod_uid: &str, node: &str, now: Now) {
        self.state().assume_bound(pod_uid, node, now);
    }

    /// We handed a pod to kube-scheduler with room held on these nodes. Counts as [`assume_bound`](Self::assume_bound) does; a
    /// refusal of an earlier hold is not taken for one of this.
    pub fn assume_held(&self, pod_uid: &str, nodes: &[String], now: Now) {
        self.state().assume_held(pod_uid, nodes, now);
    }

    /// Pods, and their UIDs, that we bound or handed over and that the watch has shown nothing of for 30 s: somebody is to look them up.
    pub fn unseen(&self, now: Now) -> Vec<(ObjectKey, String)> {
        self.state().unseen(now)
    }

    /// The pod of this UID was looked up by its name: where it is counts as if we had just put it there. Returns its node.
    pub fn found(&self, uid: &str, pod: Option<&Pod>, now: Now) -> Option<String> {
        self.state().found(uid, pod, now)
    }

    /// When a snapshot will show a refusal by kube-scheduler that it does not show yet, although nothing changes.
    pub fn next_doubt(&self, now: Now) -> Option<Moment> {
        self.state().assumed.next_doubt(now.moment)
    }

    /// We released a Job. Counts until the watch shows it, the Job has ended or is gone, or 30 s have passed.
    pub fn assume_released(&self, job_uid: &str, now: Now) {
        let mut state = self.state();
        state.marks.job(job_uid);
        state.assumed.released(job_uid, now.moment);
    }

    /// We wrote a Job's status. Counts as [`assume_released`](Self::assume_released) does.
    pub fn assume_status(&self, job_uid: &str, status: &Status, now: Now) {
        let mut state = self.state();
        state.marks.job(job_uid);
        state.assumed.status(job_uid, status, now.moment);
    }

    /// A write failed: everything assumed about this pod or Job is forgotten. Does not count as a change, so that a write that
    /// always fails makes no busy loop: whoever wrote plans again after a while.
    pub fn forget(&self, uid: &str) {
        self.state().forget(uid);
    }

    /// A write to this pod or Job did not go through: it is not planned again before a time, which grows. Returns whether that, or why, is
    /// news. Does not count as a change.
    pub fn refused(&self, uid: &str, write: Write, answer: &Answer, now: Moment) -> bool {
        self.state().refused.add(uid, write, answer, now)
    }

    /// A write to this pod or Job went through.
    pub fn accepted(&self, uid: &str, write: Write) {
        self.state().refused.clear(uid, write);
    }

    /// A trial of a write that was refused before went through: it may be planned again.
    pub fn tried(&self, uid: &str, write: Write) {
        self.state().refused.tried(uid, write);
        self.changed();
    }

    /// What a Job's status would be, could it be written. Returns whether that is news.
    pub fn show_instead(&self, uid: &str, status: &Status) -> bool {
        self.state().refused.instead(uid, status)
    }

    /// Only these Jobs have another status than is written on them.
    pub fn shows_instead_only(&self, is_to_be_written: impl Fn(&str) -> bool) {
        self.state().refused.keep_instead(is_to_be_written);
    }

    /// What the status of Jobs would be on which it cannot be written, by UID.
    pub fn shown_instead(&self) -> HashMap<String, Status> {
        self.state().refused.all_instead()
    }

    /// When a write that did not go through may be tried again.
    pub fn next_try(&self, now: Moment) -> Option<Moment> {
        self.state().refused.next(now)
    }

    /// Takes in a `BatchNode` as a create or patch returned it; older versions that a watch shows later are ignored.
    pub fn apply_batch_node(&self, object: BatchNode) {
        let changed = self.state().apply_batch_node(object);
        if changed {
            self.changed();
        }
    }

    /// It is being written that a machine retires. However long that takes, it does not count among those that stay, or another one would
    /// retire, too, and fewer were left than there should be.
    pub fn retires(&self, name: &str) {
        self.state().retiring.insert(name.to_owned());
    }

    /// That write has ended; if it went through, the object says so by now.
    pub fn retires_no_more(&self, name: &str) {
        let was = self.state().retiring.remove(name);
        if was {
            self.changed();
        }
    }

    /// A `BatchNode` is gone for good; what a watch still shows of it is ignored until it shows the end.
    pub fn remove_batch_node(&self, name: &str) {
        let changed = self.state().remove_batch_node(name);
        if changed {
            self.changed();
        }
    }

    /// What the provider of an environment (object name) offers, or why that is not known.
    pub fn set_offers(&self, environment: &str, offers: Result<Vec<Offer>, String>, now: Now) {
        let changed = self.state().launches.set_offers(environment, offers, now);
        if changed {
            self.changed();
        }
    }

    /// A launch failed, and is the last of so many failures in a row; replaces an earlier setback of the same offer.
    pub fn add_setback(&self, environment: &str, setback: Setback, failures: u32, now: Now) {
        self.state().launches.add_setback(environment, setback, failures, now);
        self.changed();
    }

    /// What hinders work on nodes, in sentences by UUID of their environment. Replaces what the same one has noted before.
    pub fn set_node_notes(&self, of: NotesOf, texts: BTreeMap<String, String>) {
        let changed = self.state().launches.set_node_notes(of, texts);
        if changed {
            self.changed();
        }
    }

    /// What [`set_node_notes`](Self::set_node_notes) said of an environment, by UUID.
    pub fn node_notes(&self, uuid: &str) -> Option<String> {
        self.state().launches.node_notes(uuid)
    }

    /// Forgets what failed in an environment (object name).
    pub fn clear_setbacks(&self, environment: &str) {
        let changed = self.state().launches.clear_setbacks(environment);
        if changed {
            self.changed();
        }
    }

    /// A provider has delivered a machine, which has joined.
    pub fn deliver(&self, provider: &Provider) {
        self.state().launches.deliver(&provider.key());
        self.changed();
    }

    /// A provider has not delivered a machine, and not for want of capacity.
    pub fn distrust(&self, provider: &Provider) {
        self.state().launches.distrust(&provider.key());
    }

    /// How many failures in a row it makes, for back-off, that a launch fails which began at `begun`: of an offer, or (`None`) of all launches,
    /// until [`clear_setbacks`](Self::clear_setbacks). What began before the last setback was over does not count again.
    pub fn setback_count(&self, environment: &str, offer: Option<&str>, begun: Moment) -> u32 {
        self.state().launches.setback_count(environment, offer, begun)
    }

    /// So many machines of an environment (object name) seem lost at once that none is given up: what is said about that.
    pub fn set_losses(&self, environment: &str, losses: Option<String>) {
        let changed = self.state().launches.set_losses(environment, losses);
        if changed {
            self.changed();
        }
    }

    /// What was said by [`set_losses`](Self::set_losses).
    pub fn losses(&self, environment: &str) -> Option<String> {
        self.state().launches.losses(environment)
    }

    /// All compute environments that can be read.
    pub fn compute_environments(&self) -> Vec<ComputeEnvironment> {
        self.state().environments.values().filter_map(|one| one.clone().ok()).collect()
    }

    /// One compute environment (object name), if it can be read.
    pub fn compute_environment(&self, name: &str) -> Option<ComputeEnvironment> {
        self.state().environments.get(name)?.clone().ok()
    }

    /// UUIDs of the environments whose nodes users label.
    pub fn unmanaged(&self) -> BTreeSet<String> {
        self.state().unmanaged()
    }

    /// How long jobs may wait, by the AWS name of those queues that say so.
    pub fn time_limits(&self) -> BTreeMap<String, Vec<TimeLimit>> {
        self.state().queues.values().flatten().filter_map(custom::time_limits).collect()
    }

    /// Whether there is a compute environment (object name), also one that cannot be read.
    pub fn has_environment(&self, name: &str) -> bool {
        self.state().environments.get(name).is_some()
    }

    /// All job queues that can be read.
    pub fn job_queues(&self) -> Vec<JobQueue> {
        self.state().queues.values().filter_map(|one| one.clone().ok()).collect()
    }

    /// All batch nodes (machines) that can be read.
    pub fn batch_nodes(&self) -> Vec<BatchNode> {
        self.state().batch_nodes.values().filter_map(|one| one.clone().ok()).collect()
    }

    /// One batch node.
    pub fn batch_node(&self, name: &str) -> Option<BatchNode> {
        self.state().batch_nodes.get(name)?.clone().ok()
    }

    /// Custom resources that cannot be read, as sentences by kind and name: `("ComputeEnvironment", "a")` →
    /// `compute environment a cannot be read: …`.
    pub fn unreadable(&self) -> BTreeMap<(&'static str, String), String> {
        self.state().unreadable()
    }

    /// What `of` makes of the nodes of the cluster. What pods make of them (`used`, `foreign`, `units`, `idle_since`) is filled in only in
    /// the [`look`](Self::look). Nothing else of the index may be read meanwhile.
    pub fn map_nodes<T>(&self, of: impl FnMut(&NodeRecord) -> Option<T>) -> Vec<T> {
        self.state().nodes.values().filter_map(of).collect()
    }

    /// Requests that `LimitRanges` of these namespaces give to containers that state none: the largest; `None`: none.
    pub fn container_defaults<'a>(&self, namespaces: impl IntoIterator<Item = &'a str>) -> Option<Stated> {
        let state = self.state();
        namespaces.into_iter().filter_map(|namespace| state.container_defaults(namespace)).reduce(|mut all, one| {
            all.max(&one);
            all
        })
    }

    /// Whether a namespace exists and something can be made in it.
    pub fn has_namespace(&self, name: &str) -> bool {
        self.state().namespaces.get(name).is_some()
    }

    /// One node.
    pub fn node(&self, name: &str) -> Option<NodeRecord> {
        self.state().nodes.get(name).cloned()
    }

    /// What `of` makes of the Jobs in queues, those that have ended included. Nothing else of the index may be read meanwhile.
    pub fn map_jobs<T>(&self, of: impl FnMut(&WatchedJob) -> Option<T>) -> Vec<T> {
        self.state().jobs.values().filter_map(of).collect()
    }

    /// From now on somebody takes the Jobs that go: [`take_departed`](Self::take_departed).
    pub fn keep_departed(&self) {
        self.state().departed.get_or_insert_default();
    }

    /// Jobs that went, as they were last, since this was asked last; at most the first 10,000.
    pub fn take_departed(&self) -> Vec<WatchedJob> {
        self.state().departed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The job id of a Job.
    pub fn job_id(&self, uid: &str) -> Option<JobId> {
        self.state().jobs.get(uid)?.asked.as_ref().map(|asked| asked.id)
    }

    /// What an Event about a Job refers to.
    pub fn job_reference(&self, uid: &str) -> Option<ObjectReference> {
        self.state().job_reference(uid)
    }

    /// Jobs of queues that have ended and whose written status does not say so yet, unless writing it was refused a moment ago.
    pub fn finished_jobs(&self, now: Moment) -> Vec<FinishedJob> {
        self.state().finished_jobs(now)
    }

    /// Pods on batch nodes that lack the labels which their binding was to give them.
    pub fn unlabelled(&self) -> Vec<Unlabelled> {
        self.state().unlabelled()
    }

    /// How many units are on a node that have not ended, those bound by us a moment ago included.
    pub fn units_on(&self, node: &str) -> u32 {
        u32::try_from(self.state().units_on(node)).unwrap_or(u32::MAX)
    }

    fn settled(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        let limit = state.limits.bytes;
        if state.shapes.settle(limit) {
            self.0.pods_wanted.send_replace(());
        }
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change that matters; a poisoned lock is as good as any other.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.0.version.send_modify(|version| *version = version.wrapping_add(1));
    }
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
