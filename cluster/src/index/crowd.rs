//! Which Jobs and pods of a namespace are more than may wait.
//!
//! Invariant: the oldest wait, the rest waits for its turn, so that one namespace takes no more memory of a plan than its share, and nothing
//! is lost. Does not know what a plan needs of a Job.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use api::convert::job::WatchedJob;
use model::snapshot::{Place, Unit};
use model::status::{Code, Reason};

/// How much may wait in one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceLimits {
    /// Jobs, and as many pods.
    pub jobs: usize,
    /// Bytes that a plan needs for the Jobs, and as many for the pods.
    pub bytes: usize,
}

impl Default for NamespaceLimits {
    fn default() -> Self {
        Self { jobs: 20_000, bytes: 32 << 20 }
    }
}

impl NamespaceLimits {
    /// UIDs of those that are too many among Jobs that wait.
    pub(super) fn beyond<'a>(&self, waiting: impl Iterator<Item = &'a WatchedJob>) -> HashSet<&'a str> {
        let mut all: BTreeMap<&str, Vec<&WatchedJob>> = BTreeMap::new();
        for record in waiting {
            all.entry(&record.job.key.namespace).or_default().push(record);
        }
        let mut beyond = HashSet::new();
        for jobs in all.values_mut() {
            let bytes: usize = jobs.iter().map(|record| record.size).sum();
            if jobs.len() <= self.jobs && bytes <= self.bytes {
                continue;
            }
            jobs.sort_by(|a, b| (a.job.created, &a.job.uid).cmp(&(b.job.created, &b.job.uid)));
            let (mut count, mut bytes) = (0, 0);
            for record in jobs {
                (count, bytes) = (count + 1, bytes + record.size);
                if count > self.jobs || bytes > self.bytes {
                    beyond.insert(record.job.uid.as_str());
                }
            }
        }
        beyond
    }

    /// Bars those that are too many among units that wait.
    pub(super) fn bar(&self, units: &mut [Unit], reason: &Arc<Reason>) {
        let mut all: HashMap<String, Vec<&mut Unit>> = HashMap::new();
        for unit in units.iter_mut().filter(|unit| matches!(unit.place, Place::Waiting) && unit.barred.is_none()) {
            if let Some(of_namespace) = all.get_mut(&unit.key.namespace) {
                of_namespace.push(unit);
            } else {
                all.insert(unit.key.namespace.clone(), vec![unit]);
            }
        }
        for units in all.values_mut().filter(|units| units.len() > self.jobs) {
            let age = |unit: &Unit| unit.job.as_ref().map_or(unit.created, |job| job.created);
            units.sort_by(|a, b| (age(a), a.created, &a.uid).cmp(&(age(b), b.created, &b.uid)));
            for unit in &mut units[self.jobs..] {
                unit.barred = Some(reason.clone());
            }
        }
    }

    /// Why one of those waits.
    pub(super) fn reason_of_pods(&self) -> Reason {
        let Self { jobs, bytes } = self;
        let message = format!(
            "more pods wait in its namespace than are planned for at a time ({jobs}, or {bytes} bytes of what they ask of nodes, the same counted \
             once); it is planned for when others have started"
        );
        Reason { code: Code::NamespaceWaiting, message }
    }

    /// Why one of the Jobs that are too many waits.
    pub(super) fn reason(&self) -> Reason {
        let Self { jobs, bytes } = self;
        let message = format!(
            "more Jobs wait in its namespace than are planned for at a time ({jobs}, or {bytes} bytes of what their pods ask of nodes); it is \
             planned for when older ones have started"
        );
        Reason { code: Code::NamespaceWaiting, message }
    }
}
