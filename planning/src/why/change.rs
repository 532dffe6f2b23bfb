//! What would let something start: changes that are tried, one by one, and then together.
//!
//! Invariant: whatever is returned was tried: the plan of the changed snapshot starts it, or launches a machine for it.

use jiff::Timestamp;
use model::plan::Plan;
use model::snapshot::Snapshot;
use model::status::Code;

use super::Seen;
use super::candidates::{Candidates, candidates};
use super::subject::Wanted;

/// One change.
pub(super) struct Change<'c> {
    /// Goes on from "it would start if".
    text: String,
    /// The time of the plan, if that is what changes.
    at: Option<Timestamp>,
    apply: Box<dyn Fn(&mut Snapshot) + 'c>,
}

impl<'c> Change<'c> {
    pub(super) fn new(text: impl Into<String>, apply: impl Fn(&mut Snapshot) + 'c) -> Self {
        Self { text: text.into(), at: None, apply: Box::new(apply) }
    }

    /// The same, once it is so late.
    pub(super) fn at(self, time: Timestamp) -> Self {
        Self { at: Some(time), ..self }
    }
}

/// How far it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Waits,
    Launches,
    Starts,
}

/// What lets it start: each by itself; if nothing does, the least that does together.
pub(super) fn changes(seen: &Seen<'_>, wanted: &Wanted<'_>) -> Vec<String> {
    if step(seen.snapshot, seen.plan, wanted, 0) == Step::Launches {
        return Vec::new();
    }
    let Candidates { near, far } = candidates(seen, wanted);
    for some in [&near, &far] {
        let told: Vec<String> = some.iter().filter_map(|change| told(change, tried(seen, wanted, &[change]))).collect();
        if !told.is_empty() {
            return told;
        }
    }
    let near: Vec<&Change<'_>> = near.iter().collect();
    let all: Vec<&Change<'_>> = near.iter().copied().chain(&far).collect();
    let enough = [near, all].into_iter().find(|some| tried(seen, wanted, some) > Step::Waits);
    enough.map(|some| least(seen, wanted, some)).into_iter().collect()
}

fn told(change: &Change<'_>, step: Step) -> Option<String> {
    match step {
        Step::Waits => None,
        Step::Launches => Some(format!("{} (a machine is launched for it)", change.text)),
        Step::Starts => Some(change.text.clone()),
    }
}

/// As few of these as are enough together, in words.
fn least(seen: &Seen<'_>, wanted: &Wanted<'_>, mut together: Vec<&Change<'_>>) -> String {
    for index in (0..together.len()).rev() {
        let mut fewer = together.clone();
        fewer.remove(index);
        if tried(seen, wanted, &fewer) > Step::Waits {
            together = fewer;
        }
    }
    let texts: Vec<&str> = together.iter().map(|change| change.text.as_str()).collect();
    texts.join(", and ")
}

/// How far it comes with these changes.
fn tried(seen: &Seen<'_>, wanted: &Wanted<'_>, some: &[&Change<'_>]) -> Step {
    let mut snapshot = seen.snapshot.clone();
    for change in some {
        (change.apply)(&mut snapshot);
    }
    let now = some.iter().filter_map(|change| change.at).fold(seen.now, Timestamp::max);
    step(&snapshot, &crate::plan(&snapshot, now), wanted, wanted.started(seen.plan))
}

/// How far it comes with a plan; more of its units than `before` have to start.
fn step(snapshot: &Snapshot, plan: &Plan, wanted: &Wanted<'_>, before: usize) -> Step {
    let is_released = plan.release.iter().any(|change| change.uid == wanted.uid);
    if is_released || wanted.started(plan) > before {
        return Step::Starts;
    }
    let record = wanted.unit.and_then(|unit| unit.record);
    let of_job = wanted.unit.and_then(|unit| unit.job.as_ref()).map_or(wanted.uid, |job| job.uid.as_str());
    let written = snapshot.jobs.iter().find(|job| job.uid == of_job).and_then(|job| job.status.as_ref());
    let changed = plan.status.iter().chain(&plan.unwritten).find(|change| change.uid == of_job);
    let of_job = changed.map(|change| &change.status).or(written).and_then(|status| status.reason.as_ref());
    let of_api = record.and_then(|record| plan.explain.iter().find(|(id, _)| *id == record)).map(|(_, reason)| reason);
    let of_pod = plan.pods.iter().find(|one| one.uid == wanted.uid).map(|one| &one.reason);
    let of_pod = of_pod.or_else(|| wanted.unit.and_then(|unit| unit.said.as_deref()));
    let reason = of_api.or(of_pod).or(of_job.filter(|_| record.is_none()));
    if reason.is_some_and(|reason| reason.code == Code::Launching) { Step::Launches } else { Step::Waits }
}
