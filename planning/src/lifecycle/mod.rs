//! The life of one job: from what is stored about it and what happened, what is to be stored next.
//!
//! Invariant: total over every state and event. An event that says nothing new changes nothing, so that it may come twice or late, and
//! no way leads out of SUCCEEDED and FAILED. Knows nothing about who stores, who watches pods, or what waits for the job.

pub mod chores;
mod duty;
mod ending;
mod parent;
pub mod patience;
mod placed;
mod pod;
mod retry;
#[cfg(test)]
mod tests;
pub mod texts;
pub mod trouble;
mod verdict;
mod waiting;
pub mod whereabouts;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use model::job::{Attempt, JobRecord, Placed, PodFacts, Spec, Stop};
use model::status::JobState;

pub use duty::{Duty, duty, duty_of_stranger};
pub use pod::is_current;

/// What happened to a job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// Its dependencies were looked at for the first time.
    Considered {
        /// Some of them are open.
        waits: bool,
    },
    /// All its dependencies have succeeded.
    DependenciesMet,
    /// One of its dependencies has failed.
    DependencyFailed {
        /// It may have succeeded: nobody knows.
        unknown: bool,
    },
    /// Why it waits for room; `None`: nobody can say.
    Explained(Option<&'a str>),
    /// There is room for it, here.
    Dispatched(&'a Placed),
    /// There is room elsewhere for its pod, of which kube-scheduler has not chosen the node yet.
    Held {
        /// Names of all nodes among which it may choose now.
        nodes: &'a [String],
        /// UUID of their environment.
        environment_uuid: &'a str,
    },
    /// A pod that says it is of this job. If a pod is seen and its node is gone too, this comes first.
    PodSeen(&'a PodFacts),
    /// A pod of this job was told to go, and has not said that it has for too long.
    PodOverdue(&'a PodFacts),
    /// There is no pod of the name that is stored.
    PodGone,
    /// The node on which it is placed now is gone for good.
    NodeGone {
        /// The node's name, or its provider's name for the machine.
        instance: &'a str,
    },
    /// The cluster did not take its pod.
    NotMade {
        /// The cluster's words.
        message: &'a str,
        /// It may take the pod later, without anybody changing the job: a quota is full, a webhook does not answer.
        passing: bool,
    },
    /// Somebody wants its end. Whoever stops an array job passes it to the parent and to all children.
    StopAsked(&'a Stop),
    /// Time has passed: [`wake_at`] says when this matters.
    Tick,
    /// How many children an array job has in which state.
    Children(&'a BTreeMap<JobState, u32>),
}

/// What is to be stored after an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// What the job is now.
    pub record: JobRecord,
    /// The attempt that ended with it. None for a placement that never ran and is repeated elsewhere, nor for a job that was stopped
    /// before its pod was seen.
    pub attempt: Option<Attempt>,
}

/// What an event makes of a job; `None`: nothing changes.
pub fn next(record: &JobRecord, spec: &Spec, event: &Event, now: Timestamp) -> Option<Transition> {
    let mut after = match record.state {
        JobState::Succeeded | JobState::Failed => None,
        _ if is_parent(record, spec) => parent::next(record, spec, event, now).map(Transition::from),
        JobState::Submitted | JobState::Pending | JobState::Runnable => {
            waiting::next(record, event, now).map(Transition::from)
        }
        JobState::Starting | JobState::Running => placed::next(record, spec, event, now),
    }?;
    after.record.reason_since = reason_since(record, &after.record, now);
    (after.attempt.is_some() || after.record != *record).then_some(after)
}

/// Since when a job waits for what it waits for now. Other numbers are no other reason; nor is it another that a launch is tried again, and again
/// in vain.
pub fn reason_since(before: &JobRecord, after: &JobRecord, now: Timestamp) -> Option<Timestamp> {
    let code = |record: &'_ JobRecord| record.reason.as_deref().map(|reason| texts::code(reason).to_owned());
    let waits_for = code(after).filter(|_| after.state == JobState::Runnable)?;
    let same = |before: &str| before == waits_for || [before, &waits_for].iter().all(|code| texts::for_machines(code));
    let goes_on = before.state == JobState::Runnable && code(before).is_some_and(|before| same(&before));
    before.reason_since.filter(|_| goes_on).or(Some(now))
}

/// Something that time alone brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// When, as stored.
    pub due: Timestamp,
    /// How long it takes at most: what is due later than so long after now was stored by a clock that was ahead.
    pub within: SignedDuration,
}

/// When [`Event::Tick`] matters next, if nothing else happens before.
pub fn wake_at(record: &JobRecord, spec: &Spec) -> Option<Wake> {
    let (due, seconds) = match record.state {
        JobState::Runnable => (record.not_before?, ending::LONGEST_BACK_OFF),
        JobState::Running if record.stop.is_none() => (placed::deadline(record, spec)?, spec.timeout_seconds?),
        _ => return None,
    };
    Some(Wake { due, within: SignedDuration::from_secs(i64::from(seconds)) })
}

/// Whether it is an array job itself, which has children in place of attempts.
fn is_parent(record: &JobRecord, spec: &Spec) -> bool {
    record.id.child.is_none() && spec.array_size.is_some()
}

/// The record of a job that has failed.
fn failed(record: &JobRecord, reason: impl Into<String>, stopped: Timestamp) -> JobRecord {
    JobRecord {
        state: JobState::Failed,
        reason: Some(reason.into()),
        stopped: Some(not_before_start(record, stopped)),
        not_before: None,
        placed: None,
        ..record.clone()
    }
}

/// A time at which a job ended, so that times never go back: the clocks of two leaders may differ.
fn not_before_start(record: &JobRecord, stopped: Timestamp) -> Timestamp {
    stopped.max(record.started.unwrap_or(record.created))
}

/// So many seconds later; the end of all times is not passed.
fn later(time: Timestamp, seconds: u32) -> Timestamp {
    time.checked_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MAX)
}

impl From<JobRecord> for Transition {
    fn from(record: JobRecord) -> Self {
        Self { record, attempt: None }
    }
}
