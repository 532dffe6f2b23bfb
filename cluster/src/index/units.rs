//! What a planning cycle is told of pods that go through a queue: units.
//!
//! Invariant: a unit hangs on its pod, the Job that this is of, the node that it is on, what we did to it a moment ago, and who else waits in
//! its namespace; whoever changes one of these marks the pod. Does not decide anything.

use std::collections::BTreeMap;

use api::convert::Problems;
use api::convert::pod::{self, Origin, Queued, WatchedPod};
use k8s_openapi::api::core::v1::Pod;
use model::clock::Now;
use model::snapshot::{JobRef, ObjectKey, Place, Unit};
use planning::admission::identity::derived_job_id;

use super::assumed::AssumedPlace;
use super::crowd::Waiting;
use super::jobs::is_open;
use super::look::job_of;
use super::marks::Marked;
use super::state::State;

impl State {
    /// The units of marked pods as they are now. Marks the Jobs that hang on them.
    pub(super) fn units(&mut self, marked: &mut Marked) -> BTreeMap<String, Option<Unit>> {
        let (mut things, mut turned) = (BTreeMap::new(), Vec::new());
        for uid in std::mem::take(&mut marked.pods) {
            let unit = self.pods.get(&uid).and_then(|record| self.unit(record));
            let waiting = unit.as_ref().filter(|unit| unit.place == Place::Waiting && unit.barred.is_none());
            let waiting = waiting.map(|unit| Waiting {
                namespace: &unit.key.namespace,
                age: unit.job.as_ref().map_or(unit.created, |job| job.created),
                created: unit.created,
                bytes: 0,
            });
            self.found.pods.set(&uid, waiting, &mut turned);
            self.note(&uid, unit.as_ref(), marked);
            things.insert(uid, unit);
        }
        for uid in turned {
            if !things.contains_key(&*uid) {
                let unit = self.pods.get(&uid).and_then(|record| self.unit(record));
                things.insert((*uid).to_owned(), unit);
            }
        }
        for unit in things.values_mut().flatten() {
            if self.found.pods.is_beyond(&unit.uid) {
                unit.barred = Some(self.found.barred.clone());
            }
        }
        things
    }

    /// Notes what others hang on.
    fn note(&mut self, uid: &str, unit: Option<&Unit>, marked: &mut Marked) {
        let found = &mut self.found;
        match unit.map(|unit| &unit.place) {
            Some(Place::Held { nodes, refused }) => drop(found.held.insert(uid.to_owned(), (nodes.clone(), *refused))),
            _ => drop(found.held.remove(uid)),
        }
        let record = self.pods.get(uid);
        let queued = record.and_then(|record| record.queued.as_ref());
        if queued.is_some_and(|queued| queued.misbound.is_some()) {
            found.misbound.insert(uid.to_owned());
        } else {
            found.misbound.remove(uid);
        }
        let troubled = queued.filter(|queued| queued.mounting || queued.stuck.is_some());
        let before = match troubled.and_then(|queued| queued.job.clone()) {
            Some(job) => {
                marked.jobs.insert(job.clone());
                found.troubled.insert(uid.to_owned(), job)
            }
            None => found.troubled.remove(uid),
        };
        marked.jobs.extend(before);
        if let Some(job) = record.and_then(job_of).filter(|job| found.refused.contains(*job)) {
            marked.jobs.insert(job.to_owned());
        }
    }

    /// The UID of the Job that a pod is of. Its rank and attempt count only if that Job is there and has the id that the pod has: an owner
    /// can be written by whoever makes a pod.
    pub(super) fn job_of<'a>(&self, queued: &'a Queued) -> Option<&'a str> {
        let uid = queued.job.as_deref()?;
        let same = || self.jobs.get(uid).is_some_and(|record| record.id == queued.id);
        // A Job that the hook missed has no id; its pods' is made of its UID.
        (same() || derived_job_id(uid) == queued.id).then_some(uid)
    }

    /// What the Job controller has written on a pod about its index. It replaces what a template says only in Jobs that limit the failures of
    /// each index, and a policy lets nobody change it on a pod that is there: a retry goes before all others.
    fn attempt_of_index(&self, job: &str, queued: &Queued) -> Option<u32> {
        self.jobs.get(job).filter(|record| record.counts_indexes)?;
        queued.failures.map(|failures| failures.saturating_add(1))
    }

    /// Of a pod that is in a queue and has its place there.
    pub(super) fn unit(&self, record: &WatchedPod) -> Option<Unit> {
        let queued = record.queued.as_ref()?;
        let job = self.job_of(queued);
        let index = queued.index.filter(|_| job.is_some());
        let said = job.and_then(|uid| queued.attempt.or_else(|| self.attempt_of_index(uid, queued)));
        Some(Unit {
            key: record.key.clone(),
            uid: record.uid.clone(),
            record: None,
            queue: queued.queue.clone(),
            job: job.map(|uid| {
                let of = self.jobs.get(uid);
                let created = of.map_or(record.created, |of| of.job.created);
                JobRef { uid: uid.to_owned(), created, silent: !of.is_some_and(is_open) }
            }),
            created: record.created,
            index: index.unwrap_or(0),
            attempt: said.unwrap_or_else(|| self.failures.attempt(job, index, record.created)),
            shape: queued.shape.clone(),
            place: self.place(record, queued)?,
            barred: queued.barred.then(|| self.found.barred.clone()),
            said: queued.said.clone().filter(|_| !job.and_then(|uid| self.jobs.get(uid)).is_some_and(is_open)),
        })
    }

    /// Where a pod of a queue is; `None`: it is no unit.
    pub(super) fn place(&self, record: &WatchedPod, queued: &Queued) -> Option<Place> {
        let shown = queued.place.clone()?;
        if record.node.is_some() {
            return (self.origin_of(record) == Origin::Unit).then_some(shown);
        }
        Some(match self.assumed.of_pod(&record.uid) {
            None => shown,
            Some(AssumedPlace::Bound(node)) => Place::Bound { node: node.clone(), running: false },
            Some(AssumedPlace::Held { nodes, .. }) => Place::Held { nodes: nodes.clone(), refused: false },
        })
    }

    /// We bound a pod.
    pub(super) fn assume_bound(&mut self, pod: &str, node: &str, now: Now) {
        self.mark_placed(pod);
        self.assumed.bound(pod, node, now.moment);
        self.mark_placed(pod);
    }

    /// We handed a pod to kube-scheduler, perhaps not for the first time.
    pub(super) fn assume_held(&mut self, pod: &str, nodes: &[String], now: Now) {
        let place = self.pods.get(pod).and_then(|record| record.queued.as_ref()?.place.as_ref());
        let again = matches!(place, Some(Place::Held { .. }));
        self.mark_placed(pod);
        self.assumed.held(pod, nodes, again, now.moment);
    }

    /// Nothing is assumed about a pod or Job any more.
    pub(super) fn forget(&mut self, uid: &str) {
        self.mark_placed(uid);
        self.marks.job(uid);
        self.assumed.forget(uid);
    }

    /// Marks a pod, and the node on which we put it a moment ago.
    pub(super) fn mark_placed(&mut self, pod: &str) {
        self.marks.pod(pod);
        if let Some(AssumedPlace::Bound(node)) = self.assumed.of_pod(pod) {
            self.marks.node(node);
        }
    }

    /// Pods of which the watch does not show for long what we did.
    pub(super) fn unseen(&mut self, now: Now) -> Vec<(ObjectKey, String)> {
        let unseen = self.assumed.unseen(now.moment);
        let key = |uid: String| Some((self.pods.get(&uid)?.key.clone(), uid));
        unseen.into_iter().filter_map(key).collect()
    }

    /// A pod as the API server has it; `None`: it has none of this name.
    pub(super) fn found(&mut self, uid: &str, pod: Option<&Pod>, now: Now) -> Option<String> {
        let found = pod.map(|pod| pod::pod(pod, &mut Problems::new())).filter(|found| found.uid == uid);
        let place = found.as_ref().and_then(|found| found.queued.as_ref()?.place.as_ref());
        self.mark_placed(uid);
        match (found.as_ref().and_then(|found| found.node.as_ref()), place) {
            (Some(node), _) => self.assumed.bound(uid, node, now.moment),
            (None, Some(Place::Held { nodes, .. })) => self.assumed.held(uid, nodes, true, now.moment),
            _ => self.forget(uid),
        }
        self.mark_placed(uid);
        found?.node
    }

    /// Whose a pod is. A unit is what a plan has dispatched to the very node that it is on, or a moment ago.
    pub(super) fn origin_of(&self, record: &WatchedPod) -> Origin {
        let here = |name: &String| {
            let other = |uid: &String| self.nodes.get(name).is_some_and(|node| node.node.uid != *uid);
            record.dispatched.as_ref().is_some_and(|uid| !other(uid))
        };
        let bound = || matches!(self.assumed.of_pod(&record.uid), Some(AssumedPlace::Bound(_)));
        if record.node.as_ref().map_or_else(bound, here) { Origin::Unit } else { record.origin }
    }
}
