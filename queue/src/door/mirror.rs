//! Records of the Jobs of the Job door: what Kubernetes knows of them, kept after they are gone, in the same listings as the API's jobs.
//!
//! Invariant: written only when it differs from what is stored, and not again when retention has removed it. Nothing is decided on them:
//! Kubernetes' objects are the truth, then the Events about those that are gone. A Job that came and went while nobody looked has no record.
//! Nor has one that carries another's id.

mod evidence;
mod rows;
mod strangers;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use api::convert::asked::Asked;
use api::convert::job::WatchedJob as Seen;
use cluster::index::Index;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use model::job::{JobId, JobRecord, Spec};
use model::status::Reason;
use planning::world::World;
use records::{Error, Leading};

use evidence::Evidence;
use strangers::{Strangers, is_of};

/// Records written at most in one cycle. What a Job asks for is in memory only meanwhile.
const MOST: usize = 250;

/// A job and what was asked for.
type Row = (JobRecord, Arc<Spec>);

/// What is stored of the Jobs of the Job door.
#[derive(Debug)]
pub(super) struct Mirror {
    /// Those that have not ended, as stored, but without their pods.
    open: HashMap<JobId, Row>,
    /// Those that are still there, and whose end is stored or was forgotten long ago, with their UIDs.
    done: HashMap<JobId, String>,
    strangers: Strangers,
    /// Those that went, which is not stored yet.
    departed: Vec<Seen>,
    evidence: Evidence,
    retention: SignedDuration,
}

/// What the index shows that is not stored.
#[derive(Default)]
struct News {
    fresh: Vec<Row>,
    /// Of all Jobs that are there or were seen to go.
    here: HashSet<JobId>,
    /// Those that ended too long ago, with their UIDs.
    forgotten: Vec<(JobId, String)>,
}

impl Mirror {
    /// Of which nothing is known yet; records go after `retention`.
    pub(super) fn new(retention: SignedDuration) -> Self {
        let (open, done, departed) = (HashMap::new(), HashMap::new(), Vec::new());
        let (strangers, evidence) = (Strangers::default(), Evidence::default());
        Self { open, done, strangers, departed, evidence, retention }
    }

    /// Takes in a record that is stored as open.
    pub(super) fn known(&mut self, record: JobRecord, spec: &Spec) {
        self.open.insert(record.id, (record, without_pod(spec)));
    }

    /// Looks which Jobs carry the ids of others. `is_taken` says whether the API has a job of this id.
    pub(super) fn look(&mut self, index: &Index, is_taken: impl Fn(JobId) -> bool) {
        let (open, done) = (&self.open, &self.done);
        self.strangers.look(index, |seen, id| {
            let stored = || open.get(&id).map(|(_, spec)| is_of(spec, seen));
            let ended = || done.get(&id).map(|uid| *uid == seen.job.uid);
            if is_taken(id) { Some(false) } else { stored().or_else(ended) }
        });
    }

    /// Why Jobs that carry others' ids are not released, by their UIDs.
    pub(super) fn strangers(&self) -> BTreeMap<String, Reason> {
        self.strangers.reasons()
    }

    /// Why a Job that carries another's id is not released.
    pub(super) fn stranger(&self, uid: &str) -> Option<Reason> {
        self.strangers.reason(uid)
    }

    /// Whether what is seen is the job that has this id, as far as is known here.
    fn is_owner(&self, seen: &Seen, id: JobId) -> bool {
        !self.strangers.has(&seen.job.uid)
            && self.open.get(&id).is_none_or(|(_, spec)| is_of(spec, seen))
            && self.done.get(&id).is_none_or(|uid| *uid == seen.job.uid)
    }

    /// Stores what is new. What the store does not take, the next cycle brings again. Returns the UIDs of those whose ids it has as others'.
    pub(super) async fn update(
        &mut self,
        index: &Index,
        client: &Client,
        world: &World<'_>,
        store: &Leading,
        now: Timestamp,
    ) -> Result<Vec<String>, Error> {
        let News { mut fresh, here, forgotten } = self.news(index, world, now);
        self.done.extend(forgotten);
        self.done.retain(|id, _| here.contains(id));
        let gone: Vec<&Row> = self.open.values().filter(|(record, _)| !here.contains(&record.id)).collect();
        let told = self.evidence.of(client, &gone, Instant::now()).await;
        fresh.extend(
            told.iter().map(|((record, spec), outcome)| (rows::told(record, outcome.as_ref(), now), spec.clone())),
        );
        fresh.truncate(MOST);
        if fresh.is_empty() {
            self.departed.clear();
            return Ok(Vec::new());
        }
        // What was asked for is stored once.
        let new = |(record, spec): &Row| (!self.open.contains_key(&record.id)).then(|| (**spec).clone());
        let all: Vec<(JobRecord, Option<Spec>)> = fresh.iter().map(|row| (row.0.clone(), new(row))).collect();
        let others = store.mirror(&all).await?;
        if all.len() < MOST {
            self.departed.clear();
        }
        let mut told = Vec::new();
        for (record, spec) in fresh {
            let id = record.id;
            let uid = || spec.uid.clone().unwrap_or_default();
            if others.contains(&id) {
                self.strangers.told(uid(), id);
                told.push(uid());
            } else if record.state.is_terminal() {
                self.open.remove(&id);
                self.done.insert(id, uid());
            } else {
                self.open.insert(id, (record, without_pod(&spec)));
            }
        }
        Ok(told)
    }

    /// What is seen and not stored.
    fn news(&mut self, index: &Index, world: &World<'_>, now: Timestamp) -> News {
        self.departed.append(&mut index.take_departed());
        let mut news = News::default();
        let instead = index.shown_instead();
        let mut look = |seen: &Seen, gone: bool| {
            let is_new = |asked: &&Asked| self.is_owner(seen, asked.id) && news.here.insert(asked.id);
            let Some(asked) = seen.asked.as_ref().filter(is_new) else { return };
            let stored = self.open.get(&asked.id);
            if self.done.contains_key(&asked.id) || news.fresh.len() >= MOST {
                return;
            }
            if stored.is_none() && rows::is_forgotten(seen, asked, self.retention, now) {
                news.forgotten.push((asked.id, seen.job.uid.clone()));
                return;
            }
            let status = instead.get(&seen.job.uid).or(seen.job.status.as_ref());
            let look = rows::Look { seen, asked, status, gone };
            let record = rows::seen(&look, stored.map(|(record, _)| record), now);
            if stored.is_none_or(|(stored, _)| *stored != record) {
                let spec = || Arc::new(rows::spec(seen, asked, world));
                news.fresh.push((record, stored.map_or_else(spec, |(_, spec)| spec.clone())));
            }
        };
        for departed in &self.departed {
            look(departed, true);
        }
        let none: Vec<()> = index.map_jobs(|seen| {
            look(seen, false);
            None
        });
        drop(none);
        news
    }
}

/// What is remembered of what was asked for: a pod may be large.
fn without_pod(spec: &Spec) -> Arc<Spec> {
    Arc::new(Spec {
        name: spec.name.clone(),
        door: spec.door,
        queue: spec.queue.clone(),
        definition: spec.definition.clone(),
        namespace: spec.namespace.clone(),
        uid: spec.uid.clone(),
        pod: serde_json::Value::Null,
        retry: None,
        timeout_seconds: None,
        depends_on: Vec::new(),
        container: None,
        array_size: None,
        parameters: spec.parameters.clone(),
        tags: spec.tags.clone(),
        share: None,
        priority: None,
        submitter: None,
    })
}

#[cfg(test)]
mod tests;
