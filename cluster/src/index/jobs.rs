//! What a planning cycle is told of Jobs that are in a queue and have not ended.
//!
//! Invariant: a Job hangs on its object, what we wrote on it a moment ago, who else waits in its namespace, and what the cluster says of its
//! pods; whoever changes one of these marks the Job. Does not decide anything.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use api::convert::job::WatchedJob;
use api::convert::refusal::Refusal;
use jiff::Timestamp;
use model::clock::Now;
use model::snapshot::{Job, ObjectKey};
use planning::lifecycle::trouble;

use super::crowd::Waiting;
use super::marks::Marked;
use super::refusals;
use super::state::State;

impl State {
    /// The marked Jobs as they are now.
    pub(super) fn open_jobs(&mut self, marked: &mut Marked, now: Now) -> BTreeMap<String, Option<Job>> {
        let mut turned = Vec::new();
        for uid in &marked.jobs {
            let waits = |record: &&WatchedJob| {
                is_open(record) && !record.job.released && !self.assumed.is_released(&record.job.uid)
            };
            let waiting = self.jobs.get(uid).filter(waits).map(|WatchedJob { job, size, .. }| Waiting {
                namespace: &job.key.namespace,
                age: job.created,
                created: job.created,
                bytes: *size,
            });
            self.found.jobs.set(uid, waiting, &mut turned);
        }
        marked.jobs.extend(turned.iter().map(|uid| (**uid).to_owned()));
        if marked.jobs.is_empty() {
            return BTreeMap::new();
        }
        let (refusals, stuck) = (refusals::latest(&self.refusals), self.stuck());
        let of = |uid: &String| {
            let mut job = self.open_job(self.jobs.get(uid).filter(|record| is_open(record))?);
            job.refusal = self.refusal_of(&job, &refusals).map(|refusal| refusal.message.clone());
            let why = stuck.get(&(uid.as_str(), job.key.namespace.as_str()));
            job.stuck = why.map(|(key, why)| format!("{}: {why}", key.name));
            Some(job)
        };
        let mut things: BTreeMap<String, Option<Job>> = marked.jobs.iter().map(|uid| (uid.clone(), of(uid))).collect();
        for (uid, job) in &mut things {
            match job.as_mut().and_then(|job| job.started.as_mut()) {
                Some(started) => *started = self.job_ages.of(uid, *started, now),
                None => self.job_ages.forget(uid),
            }
        }
        things
    }

    /// One that has not ended, but for what the cluster says of its pods.
    fn open_job(&self, record: &WatchedJob) -> Job {
        let mut job = if self.found.jobs.is_beyond(&record.job.uid) {
            // What it needs is not copied: there may be a great many of these.
            Job { barred: Some(self.limits.reason()), ..bare(&record.job) }
        } else {
            record.job.clone()
        };
        job.released |= self.assumed.is_released(&job.uid);
        if let Some(status) = self.assumed.status_of(&job.uid) {
            job.status = Some(status.clone());
        }
        job
    }

    /// Why the cluster refuses pods of a Job, if it does: none was made since.
    fn refusal_of<'a>(&self, job: &Job, refusals: &HashMap<(&str, &str), &'a Refusal>) -> Option<&'a Refusal> {
        let refusal = refusals.get(&(job.key.namespace.as_str(), job.uid.as_str()))?;
        if job.started.is_some_and(|started| refusal.at < started) {
            return None;
        }
        let newer = |uid: &str| {
            let Some(record) = self.pods.get(uid) else { return false };
            let Some(queued) = record.queued.as_ref() else { return false };
            record.key.namespace == job.key.namespace
                && record.created > refusal.at
                && self.job_of(queued).is_some()
                && self.place(record, queued).is_some()
        };
        (!self.siblings.of(&job.uid).any(newer)).then_some(refusal)
    }

    /// Why pods do not start, by UID of their Job and namespace; of several of a Job the first by name.
    fn stuck(&self) -> HashMap<(&str, &str), (&ObjectKey, Cow<'_, str>)> {
        let mut first: HashMap<(&str, &str), (&ObjectKey, Cow<'_, str>)> = HashMap::new();
        if self.found.troubled.is_empty() {
            return first;
        }
        let unmounted = self.unmounted();
        for record in self.found.troubled.keys().filter_map(|uid| self.pods.get(uid)) {
            let Some(queued) = record.queued.as_ref() else { continue };
            let about = (record.key.namespace.as_str(), record.uid.as_str());
            let volume = unmounted.get(&about).filter(|_| queued.mounting).map(trouble::not_mounted);
            let why = queued.stuck.as_deref().map(Cow::Borrowed).or(volume.map(Cow::Owned));
            let Some((job, why)) = self.job_of(queued).zip(why) else { continue };
            let job = (job, record.key.namespace.as_str());
            if first.get(&job).is_none_or(|(key, _)| record.key < **key) {
                first.insert(job, (&record.key, why));
            }
        }
        first
    }

    /// Marks the pods of a Job.
    pub(super) fn mark_pods_of(&mut self, job: &str) {
        for uid in self.siblings.of(job) {
            self.marks.pod(uid);
        }
    }
}

/// Whether a Job is planned for.
pub(super) fn is_open(record: &WatchedJob) -> bool {
    record.ended.is_none() && !record.terminating
}

/// What pods hang on of their Job.
pub(super) fn for_pods(record: &WatchedJob) -> (String, bool, Timestamp, bool) {
    (record.id.clone(), record.counts_indexes, record.job.created, is_open(record))
}

/// A Job without what it needs of nodes.
fn bare(job: &Job) -> Job {
    Job {
        key: job.key.clone(),
        uid: job.uid.clone(),
        queue: job.queue.clone(),
        created: job.created,
        held: job.held,
        released: job.released,
        started: job.started,
        parallelism: job.parallelism,
        remaining: job.remaining,
        has_deadline: job.has_deadline,
        shape: Arc::default(),
        refusal: None,
        stuck: None,
        barred: job.barred.clone(),
        status: job.status.clone(),
    }
}
