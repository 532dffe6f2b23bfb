//! What is done to the pods of the API's jobs once they are there: deleted when their job is to end, let go when their outcome is stored,
//! deleted for good some time after their end.
//!
//! Invariant: every deed follows from what is stored and what is seen, so that it may be done twice, or again after a restart: a pod stays
//! until its outcome is stored, because of its finalizer. What the cluster refuses is remembered, and keeps no other pod from its turn.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use cluster::fault::{self, Point};
use cluster::index::NotesOf;
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use model::clock::{Moment, Now};
use model::job::{JobId, PodFacts};
use model::keys;
use planning::lifecycle::chores::{Chores, chores, is_left};
use planning::lifecycle::{self, Duty};
use planning::refusal::Answer;
use serde_json::json;

use super::keeper::Keeper;
use super::{Open, bounded};
use crate::context::Context;
use crate::pods::together;
use crate::write::{self, Clogged, Outcome, patient};

/// A deed is not repeated before this time: the watch needs a moment to show it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was done a moment ago, by name or UID of the pod, and what is due later.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    done: HashMap<(String, Duty), Moment>,
    next: Option<Moment>,
    /// When pods that have ended did, by UID: what their containers say counts once.
    ended: HashMap<String, Moment>,
    /// The last job whose pod was tried to be made.
    pub(super) tried: Option<JobId>,
}

impl Deeds {
    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.next
    }

    /// Whether this may be done now; notes that it is.
    pub(super) fn begin(&mut self, pod: &str, duty: Duty, now: Moment) -> bool {
        let key = (pod.to_owned(), duty);
        if self.done.get(&key).is_some_and(|last| now.since(*last) < PATIENCE) {
            return false;
        }
        self.done.insert(key, now);
        true
    }

    /// Whether kube-scheduler was given other nodes for a pod a moment ago: longer than it takes to try them
    /// (`podMaxBackoffSeconds` in its configuration).
    pub(super) fn held_lately(&self, pod: &str, now: Moment) -> bool {
        let last = self.done.get(&(pod.to_owned(), Duty::Hold));
        last.is_some_and(|last| now.since(*last) < PATIENCE)
    }

    pub(super) fn forget(&mut self, pod: &str, duty: Duty) {
        self.done.remove(&(pod.to_owned(), duty));
    }

    fn clean(&mut self, pods: &[Arc<PodFacts>], now: Moment) {
        self.done.retain(|_, last| now.since(*last) < PATIENCE);
        if !self.ended.is_empty() {
            let here: HashSet<&str> = pods.iter().map(|pod| pod.uid.as_str()).collect();
            self.ended.retain(|uid, _| here.contains(uid.as_str()));
        }
        self.next = None;
    }

    /// When a pod ended.
    fn ended(&mut self, pod: &PodFacts, now: Now) -> Moment {
        *self.ended.entry(pod.uid.clone()).or_insert_with(|| now.began(pod.ended_at()))
    }
}

impl Open {
    /// Brings the cluster's pods to what is stored. False: something failed that nobody remembers.
    pub(super) async fn act(
        &mut self,
        context: &Context,
        ttl: Duration,
        mut keeper: Option<&mut Keeper>,
        now: Now,
    ) -> bool {
        self.deeds.clean(&self.pods, now.moment);
        let Some(strangers) = self.strangers().await else { return false };
        let pods = std::mem::take(&mut self.pods);
        let known = pods.iter().filter(|pod| !strangers.contains(&pod.job));
        let mut may_now = |pod, duty| keeper.as_mut().map_or(duty, |keeper| keeper.gate(pod, duty, now.moment));
        let known: Vec<_> =
            known.map(|pod| (pod, may_now(pod, self.duty_of(pod)), self.promised(pod, ttl, now))).collect();
        // One that is left is to be deleted, sooner or later.
        self.refused.keep(known.iter().map(|(pod, duty, left)| (*pod, left.map_or(*duty, |_| Duty::Delete))));
        let may = |pod: &PodFacts, duty| {
            !self.refused.rests(pod, duty, now.moment) && self.deeds.begin(key(pod, duty), duty, now.moment)
        };
        let Chores { due, next } = chores(known, now.moment, may);
        self.deeds.next = next;
        let here: HashSet<JobId> = super::placed::current(&self.ledger, &pods).into_keys().collect();
        let missing = self.missing(&here, now.moment);
        let clogged = Clogged::default();
        let doing = due.into_iter().map(|(pod, duty)| {
            let placed = self.ledger.get(pod.job).and_then(|live| live.record.placed.as_ref());
            let nodes = placed.map(|placed| placed.hold.join(",")).unwrap_or_default();
            let clogged = &clogged;
            async move { (pod, duty, one(context, pod, duty, nodes, clogged).await) }.boxed()
        });
        let doing = together(doing.collect());
        let (done, made) = tokio::join!(doing, self.make(context, missing, now.wall));
        for (pod, duty, answer) in done {
            self.settle(context, pod, duty, answer);
        }
        let environment = |node: &str| context.index.node(node).map(|record| record.node.environment_uuid);
        context.index.set_node_notes(NotesOf::Attempts, self.refused.notices(&pods, environment));
        made
    }

    /// Until when the log of a pod is promised of which nothing else is left.
    fn promised(&mut self, pod: &PodFacts, ttl: Duration, now: Now) -> Option<Moment> {
        is_left(pod).then(|| self.deeds.ended(pod, now).plus(ttl))
    }

    /// Takes in what came of a deed; `None`: it is done, or the pod is gone.
    fn settle(&mut self, context: &Context, pod: &PodFacts, duty: Duty, answer: Option<Answer>) {
        if answer.is_some() {
            self.deeds.forget(key(pod, duty), duty);
        }
        if let Some(why) = self.refused.settle(pod, duty, answer, cluster::clock::moment()) {
            tracing::warn!(pod = pod.name, namespace = pod.namespace, why, "a pod is not as it should be");
            context.events.warning(&reference(pod), "Refused", why);
        }
    }

    /// Jobs of running pods that the store knows nothing of: it is the wrong one, or an old copy. They are left alone. `None`: it cannot
    /// be asked now.
    async fn strangers(&mut self) -> Option<HashSet<JobId>> {
        let runs = self.pods.iter().filter(|pod| !pod.ended() && pod.deleting.is_none());
        let mut strange: HashSet<JobId> =
            runs.map(|pod| pod.job).filter(|job| self.ledger.get(*job).is_none()).collect();
        if strange.is_empty() {
            return Some(strange);
        }
        match bounded(self.store.outcomes(&strange.iter().copied().collect::<Vec<_>>())).await {
            Ok(known) => strange.retain(|job| !known.get(job).is_some_and(|outcome| outcome.state.is_terminal())),
            Err(failure) => {
                self.rest("jobs of running pods cannot be looked up", &failure);
                return None;
            }
        }
        for job in strange.difference(&self.strange) {
            tracing::warn!(%job, "its pod runs, and the record store does not know it: is it the right one? The pod is left alone");
        }
        self.strange.clone_from(&strange);
        Some(strange)
    }

    /// What has to be done to a pod that is there.
    fn duty_of(&self, pod: &PodFacts) -> Duty {
        let live = self.ledger.get(pod.job);
        live.map_or_else(|| lifecycle::duty_of_stranger(pod), |live| lifecycle::duty(&live.record, Some(pod)))
    }
}

/// By what a deed is remembered: whoever widens a choice asks by name.
fn key(pod: &PodFacts, duty: Duty) -> &str {
    if duty == Duty::Hold { &pod.name } else { &pod.uid }
}

fn reference(pod: &PodFacts) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: Some(pod.namespace.clone()),
        name: Some(pod.name.clone()),
        uid: Some(pod.uid.clone()),
        ..ObjectReference::default()
    }
}

/// Does a duty. `None`: it is done, or the pod is not there any more. In a namespace where that hangs one of a cycle's pods is tried.
async fn one(context: &Context, pod: &Arc<PodFacts>, duty: Duty, nodes: String, clogged: &Clogged) -> Option<Answer> {
    if let Some(answer) = clogged.why(&pod.namespace) {
        return Some(answer);
    }
    let answer = patient(send(context.clone(), pod.clone(), duty, nodes)).await.unwrap_or_else(|| Some(write::slow()));
    if let Some(answer) = &answer {
        clogged.learn(&pod.namespace, answer);
    }
    answer
}

async fn send(context: Context, pod: Arc<PodFacts>, duty: Duty, nodes: String) -> Option<Answer> {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &pod.namespace);
    let (name, params) = (&pod.name, PatchParams::default());
    let answer = match duty {
        Duty::Nothing | Duty::Create => return None,
        Duty::Delete => {
            let only_this = Preconditions { uid: Some(pod.uid.clone()), resource_version: None };
            let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
            pods.delete(name, &params).await.map(drop)
        }
        Duty::Hold => {
            let patch = json!({"metadata": {"uid": pod.uid, "annotations": {keys::HOLD: nodes}}});
            pods.patch(name, &params, &Patch::Merge(patch)).await.map(drop)
        }
        Duty::Release => {
            fault::reach(Point::OutcomeStored);
            let patch = json!({
                "metadata": {"uid": pod.uid, "$deleteFromPrimitiveList/finalizers": [keys::RECORD_FINALIZER]},
            });
            pods.patch(name, &params, &Patch::Strategic(patch)).await.map(drop)
        }
    };
    match write::outcome(&pods, name, Some(&pod.uid), answer).await {
        Outcome::Written | Outcome::Gone => None,
        Outcome::Not(answer) => Some(answer),
    }
}
