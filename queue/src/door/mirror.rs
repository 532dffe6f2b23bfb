//! Records of the Jobs of the Job door: what Kubernetes knows of them, kept after they are gone, in the same listings as the API's jobs.
//!
//! Invariant: written only when it differs from what is stored. Nothing is decided on them: Kubernetes' objects are the truth, and a Job
//! that came and went while nobody looked has no record.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use api::convert::asked::Asked;
use api::convert::job::JobRecord as Seen;
use jiff::Timestamp;
use model::job::{Door, JobId, JobRecord, Spec};
use model::snapshot::Snapshot;
use model::status::{JobState, Status};
use records::{Error, Store};

use crate::cycle::Context;

/// Records written at most in one cycle.
const MOST: usize = 1_000;

/// What is stored of the Jobs of the Job door.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    /// Those that have not ended, as stored.
    open: HashMap<JobId, (JobRecord, Arc<Spec>)>,
    /// Those whose end is stored and that are still there.
    done: HashSet<JobId>,
    /// Those that went after their end, which is not stored yet.
    departed: Vec<Seen>,
}

impl Mirror {
    /// Takes in a record that is stored as open.
    pub(super) fn known(&mut self, record: JobRecord, spec: Arc<Spec>) {
        self.open.insert(record.id, (record, spec));
    }

    /// Whether nothing is known here that is nowhere else.
    pub(super) fn is_stored(&self) -> bool {
        self.departed.is_empty()
    }

    /// Stores what is new. What the store does not take, the next cycle brings again.
    pub(super) async fn update(
        &mut self,
        context: &Context,
        snapshot: &Snapshot,
        store: &Store,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.departed.append(&mut context.index.take_departed());
        let (fresh, here) = self.fresh(context, snapshot, now);
        self.done.retain(|id| here.contains(id));
        if fresh.is_empty() {
            self.departed.clear();
            return Ok(());
        }
        let rows: Vec<(JobRecord, Spec)> =
            fresh.iter().map(|(record, spec)| (record.clone(), (**spec).clone())).collect();
        store.mirror(&rows).await?;
        if rows.len() < MOST {
            self.departed.clear();
        }
        for (record, spec) in fresh {
            let id = record.id;
            if record.state.is_terminal() {
                self.open.remove(&id);
                self.done.insert(id);
            } else {
                self.open.insert(id, (record, spec));
            }
        }
        Ok(())
    }

    /// Records that differ from what is stored, and the ids of all Jobs that are there.
    fn fresh(
        &self,
        context: &Context,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> (Vec<(JobRecord, Arc<Spec>)>, HashSet<JobId>) {
        let mut here = HashSet::new();
        let instead = context.index.shown_instead();
        let mut of = |seen: &Seen| {
            let asked = seen.asked.as_ref()?;
            here.insert(asked.id);
            if self.done.contains(&asked.id) {
                return None;
            }
            let stored = self.open.get(&asked.id);
            let status = instead.get(&seen.job.uid).or(seen.job.status.as_ref());
            let record = record(seen, asked, status, now, stored.map(|(record, _)| record));
            let same = stored.is_some_and(|(stored, _)| *stored == record);
            (!same).then(|| {
                (record, stored.map_or_else(|| Arc::new(spec(seen, asked, snapshot)), |(_, spec)| spec.clone()))
            })
        };
        let mut fresh: Vec<_> = self.departed.iter().filter_map(&mut of).collect();
        fresh.extend(context.index.map_jobs(&mut of));
        let gone = self.open.iter().filter(|(id, _)| !here.contains(id));
        fresh.extend(gone.map(|(_, (record, spec))| (deleted(record, now), spec.clone())));
        fresh.truncate(MOST);
        (fresh, here)
    }
}

/// `status` is what is written on the Job, or would be if the cluster let it.
fn record(
    seen: &Seen,
    asked: &Asked,
    status: Option<&Status>,
    now: Timestamp,
    stored: Option<&JobRecord>,
) -> JobRecord {
    let written = status.map_or(JobState::Submitted, |status| status.state);
    // A status that says it ended was written for a Job that has.
    let state = seen.ended.unwrap_or(written);
    let waits = status.and_then(|status| status.reason.as_ref());
    let reason = match seen.ended {
        Some(_) => asked.failure.clone(),
        None => waits.map(|reason| format!("{} - {}", reason.code.as_str(), reason.message)),
    };
    let runs = matches!(state, JobState::Running | JobState::Succeeded | JobState::Failed);
    let known = stored.and_then(|stored| stored.started);
    JobRecord {
        state,
        reason,
        started: known.or(seen.job.started).filter(|_| runs),
        stopped: seen.ended.map(|_| asked.stopped.unwrap_or(now)),
        ..JobRecord::submitted(asked.id, seen.job.created)
    }
}

fn spec(seen: &Seen, asked: &Asked, snapshot: &Snapshot) -> Spec {
    let queue = snapshot.queues.iter().find(|queue| queue.name == seen.job.queue);
    Spec {
        name: seen.job.key.name.clone(),
        door: Door::Job,
        queue: queue.map_or_else(|| seen.job.queue.clone(), |queue| queue.aws_name.clone()),
        definition: String::new(),
        namespace: Some(seen.job.key.namespace.clone()),
        pod: (*asked.pod).clone(),
        retry: None,
        timeout_seconds: None,
        depends_on: Vec::new(),
        array_size: None,
        parameters: std::collections::BTreeMap::new(),
        tags: std::collections::BTreeMap::new(),
        share: None,
        priority: None,
    }
}

fn deleted(record: &JobRecord, now: Timestamp) -> JobRecord {
    JobRecord {
        state: JobState::Failed,
        reason: Some("The Job is gone; that it ended was not seen".to_owned()),
        stopped: Some(now),
        ..record.clone()
    }
}
