//! Jobs that carry an id which is another's.
//!
//! Invariant: an id belongs to the job that is stored with it; of Jobs of which none is, to the one that was made first. The webhook gives
//! each Job an id of its own, so only Jobs that were made while it was not called for them are here. Knows no store.

use std::collections::{BTreeMap, HashMap, HashSet};

use api::convert::job::WatchedJob;
use cluster::index::Index;
use jiff::Timestamp;
use model::job::{JobId, Spec};
use model::status::{Code, Reason};

/// Which Jobs they are.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    /// Those whose ids are stored as others', by UID: they stay it when the others have gone.
    told: HashSet<String>,
    /// All that are there, by UID, and whose ids they carry.
    all: HashMap<String, JobId>,
}

impl Strangers {
    /// Looks at all Jobs. `is_owner` says of an id that is taken whether this Job has it.
    pub(super) fn look(&mut self, index: &Index, is_owner: impl Fn(&WatchedJob, JobId) -> Option<bool>) {
        let (mut all, mut told) = (HashMap::new(), HashSet::new());
        let mut first: HashMap<JobId, (Timestamp, String)> = HashMap::new();
        let none: Vec<()> = index.map_jobs(|seen| {
            let (id, uid) = (seen.asked.as_ref()?.id, &seen.job.uid);
            let is_owner = is_owner(seen, id);
            if is_owner == Some(false) || (is_owner.is_none() && self.told.contains(uid)) {
                told.insert(uid.clone());
                all.insert(uid.clone(), id);
            } else if is_owner.is_none() {
                let own = (seen.job.created, uid.clone());
                let later = match first.remove(&id) {
                    Some(known) if known < own => {
                        first.insert(id, known);
                        Some(own)
                    }
                    known => {
                        first.insert(id, own);
                        known
                    }
                };
                all.extend(later.map(|(_, uid)| (uid, id)));
            }
            None
        });
        drop(none);
        for uid in all.keys().filter(|uid| !self.all.contains_key(*uid)) {
            tracing::warn!(uid, "a Job carries the id of another job: it is not released, and has no record");
        }
        (self.all, self.told) = (all, told);
    }

    /// The store has said of these that their ids are others'.
    pub(super) fn told(&mut self, uid: String, id: JobId) {
        tracing::warn!(uid, "a Job carries the id of another job: it is not released, and has no record");
        self.told.insert(uid.clone());
        self.all.insert(uid, id);
    }

    pub(super) fn has(&self, uid: &str) -> bool {
        self.all.contains_key(uid)
    }

    /// Why such Jobs are not released, by their UIDs.
    pub(super) fn reasons(&self) -> BTreeMap<String, Reason> {
        self.all.keys().filter_map(|uid| Some((uid.clone(), self.reason(uid)?))).collect()
    }

    /// Why such a Job is not released.
    pub(super) fn reason(&self, uid: &str) -> Option<Reason> {
        let id = self.all.get(uid)?;
        let message = format!(
            "its id {id} is another job's: the Job was made while Bulkhead's webhook was not called; delete it and create it anew"
        );
        Some(Reason { code: Code::JobIdTaken, message })
    }
}

/// Whether a Job is the one of which this is stored. Earlier releases did not store the UID.
pub(super) fn is_of(spec: &Spec, seen: &WatchedJob) -> bool {
    match &spec.uid {
        Some(uid) => *uid == seen.job.uid,
        None => spec.name == seen.job.key.name && spec.namespace.as_ref() == Some(&seen.job.key.namespace),
    }
}
