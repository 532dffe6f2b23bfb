//! What would let something start: changes that are tried, one by one, and then together.
//!
//! Invariant: whatever is returned was tried: the plan of the changed snapshot starts it, or launches machines on which it
//! starts when they have joined.

use std::collections::BTreeSet;

use jiff::Timestamp;
use model::snapshot::Snapshot;

use super::Seen;
use super::candidates::{Candidates, candidates};
use super::follow::{Step, follow};
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

/// What lets it start: each by itself; if nothing does, the least that does together.
pub(super) fn changes(seen: &Seen<'_>, wanted: &Wanted<'_>) -> Vec<String> {
    if tried(seen, wanted, &[]) > Step::Waits {
        return Vec::new();
    }
    let Candidates { near, far } = candidates(seen, wanted);
    for some in [&near, &far] {
        let told: Vec<String> = some.iter().filter_map(|change| told(change, tried(seen, wanted, &[change]))).collect();
        if !told.is_empty() {
            // Environments may lack the same.
            let mut seen = BTreeSet::new();
            return told.into_iter().filter(|text| seen.insert(text.clone())).collect();
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
        Step::Launches => Some(format!("{} (machines are launched for it)", change.text)),
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
    follow(snapshot, now, wanted, wanted.started(seen.plan))
}
