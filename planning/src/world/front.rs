//! Who comes next in a queue: its lanes merged, as far as somebody wants to know.
//!
//! Invariant: the order in which the planner serves them; each job once, where it comes first. A Job's pods are passed over together, so
//! that what it costs follows the number of jobs that are told and of lanes; only pods of no job are passed over one by one. Decides nothing.

use std::cmp::Reverse;
use std::collections::btree_map::Range;
use std::collections::{BinaryHeap, HashSet};
use std::ops::Bound;

use model::job::JobId;
use model::snapshot::{Job, Place};
use model::status::JobState;

use super::World;
use super::facts::JobFact;
use super::lines::{Demand, Lane};
use super::rank::Rank;

/// A job that is RUNNABLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting<'w> {
    /// One of the API.
    Record(JobId),
    /// A Job, by its UID.
    Job(&'w str),
}

/// The first of a lane that was not looked at, with the lane's number.
type Head<'w> = Reverse<(&'w Rank, usize, Demand)>;

impl World<'_> {
    /// The first that are RUNNABLE in a queue (its object name), at most so many, without those whose UID (of a job of the API its id) `is_over`
    /// is true for. What is not planned for, or is of no job, is not among them.
    pub fn front(&self, queue: &str, most: usize, is_over: impl Fn(&str) -> bool) -> Vec<Waiting<'_>> {
        let line = self.facts.lines.get(queue);
        let lanes: Vec<&Lane> = line.into_iter().flat_map(|line| line.lanes.values()).collect();
        let mut rests: Vec<Range<'_, Rank, Demand>> =
            lanes.iter().map(|lane| lane.demands.range::<Rank, _>(..)).collect();
        let first = rests.iter_mut().enumerate().filter_map(|(lane, rest)| next(lane, rest));
        let mut heads: BinaryHeap<Head<'_>> = first.collect();
        let (mut front, mut seen) = (Vec::new(), HashSet::new());
        while front.len() < most
            && let Some(Reverse((rank, lane, demand))) = heads.pop()
        {
            if let Some(job) = self.facts.job_of(demand) {
                let waiting = Some(job).filter(|job| seen.insert(*job)).and_then(|job| self.runnable(job));
                front.extend(waiting.filter(|uid| !is_over(uid)).map(Waiting::Job));
                rests[lane] = lanes[lane].demands.range((Bound::Excluded(rank.behind_its_job()), Bound::Unbounded));
            } else if let Some((id, uid)) = self.record(demand) {
                front.extend(Some(Waiting::Record(id)).filter(|_| !is_over(uid)));
            }
            heads.extend(next(lane, &mut rests[lane]));
        }
        front
    }

    /// The UID of a Job, if it is RUNNABLE.
    fn runnable(&self, slot: u32) -> Option<&str> {
        let fact = self.facts.jobs.get(slot)?;
        fact.job.as_deref().filter(|job| is_runnable(job, fact)).map(|job| job.uid.as_str())
    }

    /// A job of the API that has no node, and its id as a text. One that kube-scheduler has is STARTING.
    fn record(&self, demand: Demand) -> Option<(JobId, &str)> {
        let Demand::Unit(slot) = demand else { return None };
        let unit = &self.facts.units.get(slot)?.unit;
        unit.record.filter(|_| unit.place == Place::Waiting).map(|id| (id, unit.uid.as_str()))
    }
}

/// The next of a lane, by its number.
fn next<'w>(lane: usize, rest: &mut Range<'w, Rank, Demand>) -> Option<Head<'w>> {
    rest.next().map(|(rank, demand)| Reverse((rank, lane, *demand)))
}

/// Whether that is the state of a Job of which something wants room: it has not been let go, or has pods of which none has had a node.
fn is_runnable(job: &Job, fact: &JobFact<'_>) -> bool {
    let has_run = job.status.as_ref().is_some_and(|status| status.state == JobState::Running);
    !job.released || (fact.made > 0 && fact.running == 0 && fact.starting == 0 && !has_run)
}
