//! Pods as the watch shows them: what is kept of each, and what is learned from it.
//!
//! Invariant: a pod that cannot be read keeps its room, and whatever hangs on a pod that has changed is marked. Does not say what a unit is.

use std::sync::Arc;

use api::convert::pod::{self, Ending, WatchedPod};
use api::convert::unread::unread;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Event;
use model::job::PodFacts;
use model::resources::Resources;
use model::snapshot::Place;

use super::super::look::job_of;
use super::super::table::Taken;
use super::{State, by_uid, keep};
use crate::lean::Lean;

impl State {
    pub(super) fn feed_pod(&mut self, event: Event<Lean<Pod>>) -> bool {
        let Self { told, pods, attempts: facts, .. } = &mut *self;
        let event = keep(event, by_uid, |Lean { object, remains }| {
            let metadata = object.0.as_ref().err().map(|error| error.metadata.clone()).unwrap_or_default();
            let read = told.about("pod", object, |object, problems| Some(pod::pod(&object, problems)));
            read.or_else(|| {
                // One that grew until it cannot be read takes its room as before.
                let uid = metadata.uid.clone().unwrap_or_default();
                let remains = remains.map_or_else(|| Pod { metadata, ..Pod::default() }, |remains| *remains);
                Some(unread(&remains, pods.get(&uid), facts.get(&uid).map(Arc::as_ref)))
            })
        });
        let mut attempts = attempts(&event);
        if let Event::Apply((key, Some(facts))) | Event::InitApply((key, Some(facts))) = &mut attempts {
            self.keep_first_deletion(key, facts);
        }
        let attempt = self.attempts.take(attempts, PartialEq::eq).changed;
        let event = match event {
            Event::Apply((key, record)) => Event::Apply((key, self.keep_pod(record))),
            Event::InitApply((key, record)) => Event::InitApply((key, self.keep_pod(record))),
            Event::Delete((key, record)) => {
                self.forget_failures(record.as_ref());
                Event::Delete((key, None))
            }
            other => other,
        };
        self.take_pod(event) | attempt
    }

    /// Stores what is kept of a pod, on which node it is, and of which Job.
    fn take_pod(&mut self, event: Event<(String, Option<WatchedPod>)>) -> bool {
        let one = match &event {
            Event::Apply((uid, _)) | Event::Delete((uid, _)) => Some(uid.clone()),
            _ => None,
        };
        let all = matches!(event, Event::InitDone);
        let whose = |record: &WatchedPod| (record.node.clone(), job_of(record).map(str::to_owned));
        let before = one.as_ref().and_then(|uid| self.pods.get(uid)).map(whose).unwrap_or_default();
        let Taken { changed, touched, .. } = self.pods.take(event, PartialEq::eq);
        for uid in &touched {
            self.mark_placed(uid);
        }
        if let Some(uid) = one {
            let after = self.pods.get(&uid).map(whose).unwrap_or_default();
            self.residents.moved(&uid, before.0.as_deref(), after.0.as_deref());
            self.siblings.moved(&uid, before.1.as_deref(), after.1.as_deref());
            if !touched.is_empty() {
                self.mark_around(before);
                self.mark_around(after);
            }
        }
        if all {
            let there = self.pods.values().filter_map(|record| Some((record.uid.as_str(), record.node.as_deref()?)));
            self.residents.replace(there);
            let of = self.pods.values().filter_map(|record| Some((record.uid.as_str(), job_of(record)?)));
            self.siblings.replace(of);
            self.marks.with(|marked| {
                marked.nodes.extend(self.nodes.keys().cloned());
                marked.refusals = true;
            });
        }
        changed
    }

    /// Marks what hangs on a pod of this node and Job.
    fn mark_around(&mut self, (node, job): (Option<String>, Option<String>)) {
        if let Some(node) = node {
            self.marks.node(&node);
        }
        if let Some(job) = job.filter(|job| self.found.refused.contains(job)) {
            self.marks.job(&job);
        }
    }

    /// When a kubelet has ended a pod that a finalizer keeps, its confirmation moves the time of the deletion to then: what the containers
    /// did between looks as if it had come before.
    fn keep_first_deletion(&self, uid: &str, facts: &mut Arc<PodFacts>) {
        if let Some(known) = self.attempts.get(uid).and_then(|known| known.deleting) {
            Arc::make_mut(facts).deleting = Some(known);
        }
    }

    /// What is kept of a pod; notes it if it failed.
    fn keep_pod(&mut self, record: Option<WatchedPod>) -> Option<WatchedPod> {
        let mut record = record?;
        record.attempt = None;
        // Later it may be resized, which says nothing about others.
        if self.pods.get(&record.uid).is_none() {
            self.learn(&record);
        }
        let queued = record.queued.as_ref();
        if let Some(job) = queued.and_then(|queued| queued.job.as_ref()) {
            // Also of a pod that has ended: it was made.
            let made = self.refusals.drop_where(|refusal| refusal.job == *job && refusal.at < record.created);
            self.marks.with(|marked| marked.refusals |= made);
        }
        if record.ended == Some(Ending::Failed)
            && let Some((queued, job)) = queued.and_then(|queued| Some((queued, queued.job.as_ref()?)))
            && self.failures.add(job, &record.uid, queued.index, record.created)
        {
            self.mark_pods_of(job);
        }
        let waits = queued.is_some_and(|queued| queued.place.is_some() || queued.stuck.is_some());
        let stays = record.ended.is_none() && (record.node.is_some() || waits);
        stays.then(|| self.with_shape(record))
    }

    /// What a pod of a queue needs, once for all that need the same; of one that waits where too much does, nothing.
    fn with_shape(&mut self, mut record: WatchedPod) -> WatchedPod {
        let Some(queued) = &mut record.queued else { return record };
        if record.node.is_none() && queued.place.is_none() {
            // Nobody may dispatch it: it is kept for what it says alone.
            queued.shape = self.shapes.share(&Arc::default());
            record.requests = Resources::default();
            return record;
        }
        if record.node.is_some() || !matches!(queued.place, Some(Place::Waiting)) {
            queued.shape = self.shapes.share(&queued.shape);
            return record;
        }
        let kept = self.shapes.keep(&record.key.namespace, &queued.shape, queued.size, self.limits.bytes);
        queued.barred = kept.is_none();
        if queued.barred {
            record.requests = Resources::default();
        }
        queued.shape = kept.unwrap_or_else(|| self.shapes.share(&Arc::default()));
        record
    }

    /// The last pods of a Job may go after it.
    fn forget_failures(&mut self, record: Option<&WatchedPod>) {
        let job = record.and_then(|record| record.queued.as_ref()?.job.as_deref());
        if let Some(job) = job.filter(|job| self.jobs.listed() && self.jobs.get(job).is_none()) {
            self.drop_failures(job);
        }
    }

    /// Nothing is known of a Job's failures any more.
    pub(super) fn drop_failures(&mut self, job: &str) {
        if self.failures.drop_job(job) {
            self.mark_pods_of(job);
        }
    }
}

/// What an event about a pod says about an attempt.
fn attempts(event: &Event<(String, Option<WatchedPod>)>) -> Event<(String, Option<Arc<PodFacts>>)> {
    let facts = |record: &Option<WatchedPod>| record.as_ref().and_then(|record| record.attempt.clone());
    match event {
        Event::Apply((key, record)) => Event::Apply((key.clone(), facts(record))),
        Event::InitApply((key, record)) => Event::InitApply((key.clone(), facts(record))),
        Event::Delete((key, record)) => Event::Delete((key.clone(), facts(record))),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}
