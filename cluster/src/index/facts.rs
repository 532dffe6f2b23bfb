//! Answers to single questions of those who carry out plans and look after nodes.
//!
//! Invariant: what we did a moment ago is in the answers. Does not change anything.

use std::collections::BTreeMap;

use api::convert::job::WatchedJob;
use api::convert::pod::{Origin, WatchedPod};
use k8s_openapi::api::core::v1::ObjectReference;
use model::clock::Moment;
use model::snapshot::{ObjectKey, Write};
use model::status::JobState;

use super::state::State;

/// A Job that has ended and whose written status does not say so yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedJob {
    /// Namespace and name.
    pub key: ObjectKey,
    /// UID.
    pub uid: String,
    /// SUCCEEDED or FAILED.
    pub state: JobState,
}

/// A pod on a batch node that lacks the labels which its binding was to give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlabelled {
    /// Namespace and name.
    pub key: ObjectKey,
    /// UID.
    pub uid: String,
    /// UID of its node.
    pub node_uid: String,
    /// UUID of its node's environment.
    pub environment_uuid: String,
}

impl State {
    pub(super) fn job_reference(&self, uid: &str) -> Option<ObjectReference> {
        let job = &self.jobs.get(uid)?.job;
        Some(ObjectReference {
            api_version: Some("batch/v1".to_owned()),
            kind: Some("Job".to_owned()),
            namespace: Some(job.key.namespace.clone()),
            name: Some(job.key.name.clone()),
            uid: Some(job.uid.clone()),
            ..ObjectReference::default()
        })
    }

    pub(super) fn finished_jobs(&self, now: Moment) -> Vec<FinishedJob> {
        let finished = |record: &WatchedJob| {
            let state = record.ended?;
            let written = self.assumed.status_of(&record.job.uid).or(record.job.status.as_ref());
            let done = written.is_some_and(|status| status.state == state && status.reason.is_none());
            let rests = || self.refused.rests(&record.job.uid, Write::Status, now);
            (!done && !record.terminating && !rests()).then(|| FinishedJob {
                key: record.job.key.clone(),
                uid: record.job.uid.clone(),
                state,
            })
        };
        let mut all: Vec<_> = self.jobs.values().filter_map(finished).collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    /// Pods on a node, those bound by us a moment ago included.
    fn records_on<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a WatchedPod> {
        let ours = self.assumed.bound_to(node).filter_map(|uid| self.pods.get(uid));
        let shown = self.residents.of(node).filter_map(|uid| self.pods.get(uid));
        shown.chain(ours.filter(|record| record.node.is_none()))
    }

    /// How many units are on a node.
    pub(super) fn units_on(&self, node: &str) -> usize {
        self.records_on(node).filter(|record| self.origin_of(record) == Origin::Unit).count()
    }

    pub(super) fn unlabelled(&self) -> Vec<Unlabelled> {
        let lacking = |record: &WatchedPod| {
            let node = self.nodes.get(record.node.as_deref()?)?;
            let said = record.unlabelled.as_ref().filter(|uid| **uid == node.node.uid && !record.terminating)?;
            Some(Unlabelled {
                key: record.key.clone(),
                uid: record.uid.clone(),
                node_uid: said.clone(),
                environment_uuid: node.environment_uuid()?.to_owned(),
            })
        };
        self.pods.values().filter_map(lacking).collect()
    }

    pub(super) fn unreadable(&self) -> BTreeMap<(&'static str, String), String> {
        let mut all = BTreeMap::new();
        let mut note = |kind, words: &str, name: &str, error: &str| {
            all.insert((kind, name.to_owned()), format!("{words} {name} cannot be read: {error}"));
        };
        for (name, one) in self.environments.iter() {
            if let Err(error) = one {
                note("ComputeEnvironment", "compute environment", name, error);
            }
        }
        for (name, one) in self.queues.iter() {
            if let Err(error) = one {
                note("JobQueue", "job queue", name, error);
            }
        }
        for (name, one) in self.batch_nodes.iter() {
            if let Err(error) = one {
                note("BatchNode", "batch node", name, error);
            }
        }
        all
    }
}
