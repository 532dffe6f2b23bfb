//! Who comes first: queues by priority, inside a queue retries, then first in, first out.
//!
//! Invariant: a total order, the same for the same snapshot. Knows nothing about room.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use model::placement::Shape;
use model::snapshot::{Job, Place, Queue, Snapshot, Unit};
use model::status::Reason;

/// How long after its start a Job's missing pods are still expected. The Job controller makes them within a second;
/// after a failure it backs off for 10 s and more, and room must not stand idle that long.
pub(crate) const PODS_EXPECTED: SignedDuration = SignedDuration::from_secs(10);

/// Something that wants room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand<'a> {
    /// The Job it belongs to; `None`: a bare pod.
    pub(crate) job: Option<&'a Job>,
    /// What it needs.
    pub(crate) shape: &'a Shape,
    /// Which units.
    pub(crate) wanted: Wanted<'a>,
}

impl<'a> Demand<'a> {
    /// UID of what is told why it waits: its Job, or the unit itself.
    pub(crate) fn uid(&self) -> Option<&'a str> {
        let unit = if let Wanted::Unit(unit) = self.wanted { Some(unit.uid.as_str()) } else { None };
        self.job.map(|job| job.uid.as_str()).or(unit)
    }
}

/// Which units a demand stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted<'a> {
    /// A pod that waits, or that kube-scheduler holds.
    Unit(&'a Unit),
    /// So many pods that the Job controller has not made yet.
    Future(u32),
}

/// Jobs and units of one queue.
#[derive(Debug, Default)]
pub(crate) struct Line<'a> {
    /// What wants room, first come first.
    pub(crate) demands: Vec<Demand<'a>>,
    /// Units on a node.
    pub(crate) dispatched: u32,
}

impl<'a> Line<'a> {
    /// Takes out the pods that are not planned for, with the reason.
    pub(crate) fn take_barred(&mut self) -> Vec<(Demand<'a>, &'a Reason)> {
        let mut all = Vec::new();
        self.demands.retain(|demand| match demand.wanted {
            Wanted::Unit(Unit { barred: Some(reason), place: Place::Waiting, .. }) => {
                all.push((*demand, &**reason));
                false
            }
            _ => true,
        });
        all
    }

    /// Takes out what a DISABLED queue does not let in. What it has taken goes on: jobs of the API, which were submitted while it was
    /// ENABLED, and Jobs that were released
    /// (<https://docs.aws.amazon.com/batch/latest/APIReference/API_UpdateJobQueue.html>).
    pub(crate) fn turn_away(&mut self) -> Vec<Demand<'a>> {
        let is_in = |demand: &mut Demand<'_>| match demand.wanted {
            Wanted::Unit(unit) if unit.record.is_some() => true,
            _ => demand.job.is_some_and(|job| job.released),
        };
        self.demands.extract_if(.., |demand| !is_in(demand)).collect()
    }
}

/// The queues, first those that go first.
pub(crate) fn queues(snapshot: &Snapshot) -> Vec<&Queue> {
    let mut queues: Vec<&Queue> = snapshot.queues.iter().collect();
    queues.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
    queues
}

/// The line of each queue, by the name that jobs and units carry.
pub(crate) fn lines(snapshot: &Snapshot, now: Timestamp) -> HashMap<&str, Line<'_>> {
    let jobs: HashMap<&str, &Job> = snapshot.jobs.iter().map(|job| (job.uid.as_str(), job)).collect();
    let mut lines: HashMap<&str, Line<'_>> = HashMap::new();
    let mut made: HashMap<&str, u32> = HashMap::new();
    for unit in &snapshot.units {
        let job = unit.job.as_ref().and_then(|job| jobs.get(job.uid.as_str()).copied());
        if let Some(job) = job {
            *made.entry(job.uid.as_str()).or_default() += 1;
        }
        let line = lines.entry(unit.queue.as_str()).or_default();
        if matches!(unit.place, Place::Bound { .. }) {
            line.dispatched += 1;
        } else {
            line.demands.push(Demand { job, shape: &unit.shape, wanted: Wanted::Unit(unit) });
        }
    }
    for job in &snapshot.jobs {
        let missing = missing(job, made.get(job.uid.as_str()).copied().unwrap_or(0), now);
        let line = lines.entry(job.queue.as_str()).or_default();
        if missing > 0 {
            line.demands.push(Demand { job: Some(job), shape: &job.shape, wanted: Wanted::Future(missing) });
        }
    }
    for line in lines.values_mut() {
        line.demands.sort_by(|a, b| rank(a).cmp(&rank(b)));
    }
    lines
}

/// How many pods a Job runs together, now.
pub(crate) fn together(job: &Job) -> u32 {
    job.remaining.map_or(job.parallelism, |remaining| remaining.min(job.parallelism))
}

/// How many pods of a Job are still to be made, of which `made` exist.
fn missing(job: &Job, made: u32, now: Timestamp) -> u32 {
    let expected = match (job.released, job.started) {
        (false, _) => !job.held && job.barred.is_none(),
        (true, None) => true,
        (true, Some(started)) => now.duration_since(started) < PODS_EXPECTED,
    };
    if expected { together(job).saturating_sub(made) } else { 0 }
}

type Rank<'a> = (bool, Timestamp, &'a str, bool, u32, Timestamp, &'a str);

fn rank<'a>(demand: &Demand<'a>) -> Rank<'a> {
    match demand.wanted {
        Wanted::Unit(unit) => {
            let first = unit.attempt <= 1;
            // The children of an array job go by their index, and what stands in front of it is the same for all.
            let own = || unit.record.and(unit.uid.split_once(':')).map_or(unit.uid.as_str(), |(array, _)| array);
            let (created, job) =
                unit.job.as_ref().map_or_else(|| (unit.created, own()), |job| (job.created, job.uid.as_str()));
            (first, created, job, false, unit.index, unit.created, unit.uid.as_str())
        }
        Wanted::Future(_) => {
            let (created, uid) = demand.job.map_or((Timestamp::MAX, ""), |job| (job.created, job.uid.as_str()));
            (true, created, uid, true, 0, created, uid)
        }
    }
}
