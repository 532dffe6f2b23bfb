//! Who comes first inside a queue: retries, then first in, first out.
//!
//! Invariant: a total order that hangs on nothing but the units and Jobs themselves. Knows nothing about room.

use jiff::Timestamp;
use model::snapshot::{Job, Unit};

use super::uid::Uid;

/// The place of a demand in its queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// It is no retry.
    is_first: bool,
    /// Of its job.
    created: Timestamp,
    job: Uid,
    /// Pods that do not exist yet come after those that do.
    is_future: bool,
    /// The children of an array job go by their index.
    index: u32,
    own_created: Timestamp,
    uid: Uid,
}

impl Rank {
    /// Of a unit.
    pub(crate) fn unit(unit: &Unit) -> Self {
        // What stands in front of a child's index is the same for all of its array job.
        let own = || unit.record.and(unit.uid.split_once(':')).map_or(unit.uid.as_str(), |(array, _)| array);
        let of_job = unit.job.as_ref().map(|job| (job.created, Uid::new(&job.uid)));
        let (created, job) = of_job.unwrap_or_else(|| (unit.created, Uid::new(own())));
        Self {
            is_first: unit.attempt <= 1,
            created,
            job,
            is_future: false,
            index: unit.index,
            own_created: unit.created,
            uid: Uid::new(&unit.uid),
        }
    }

    /// Behind all that is of the same Job, as far as it is a retry like this or is none like this.
    pub(crate) fn behind_its_job(&self) -> Self {
        Self { is_future: true, index: u32::MAX, ..self.clone() }
    }

    /// Of the pods of a Job that do not exist yet.
    pub(crate) fn future(job: &Job) -> Self {
        let uid = Uid::new(&job.uid);
        Self {
            is_first: true,
            created: job.created,
            job: uid.clone(),
            is_future: true,
            index: 0,
            own_created: job.created,
            uid,
        }
    }
}
