//! A job that has a place: STARTING until a main container has run, then RUNNING.
//!
//! Invariant: only the pod of the current placement is heard; what others of its pods do changes nothing.

use jiff::Timestamp;
use model::job::{JobRecord, Placed, PodFacts, Spec, Stop, StopKind};
use model::status::JobState;

use super::ending::end;
use super::pod::{began, has_run, is_of, within};
use super::verdict::{Verdict, verdict};
use super::{Event, Transition, failed, later, texts, trouble};

pub(super) fn next(record: &JobRecord, spec: &Spec, event: &Event, now: Timestamp) -> Option<Transition> {
    let placed = record.placed.as_ref()?;
    match event {
        Event::Held { nodes, environment_uuid } if placed.node.is_empty() => {
            Some(held(record, placed, spec, nodes, environment_uuid, now))
        }
        Event::PodSeen(facts) if is_of(record, placed, facts) => seen(record, placed, spec, facts, now),
        // On a node that is dead and not deleted nobody confirms an end. Of a job whose end was asked for nothing can run twice.
        Event::PodOverdue(facts) if record.stop.is_some() && is_known(record, placed, facts) => {
            Some(ended(record, placed, spec, facts, now))
        }
        Event::PodGone => gone(record, placed, spec, now),
        Event::NodeGone { instance } => {
            Some(end(record, placed, spec, None, Verdict::Elsewhere(texts::host_terminated(instance)), now))
        }
        Event::NotMade { message, passing } if placed.pod_uid.is_none() => {
            let words = texts::joined(texts::NOT_MADE, Some(message));
            let verdict = if *passing { Verdict::Later(words) } else { Verdict::Elsewhere(words) };
            Some(end(record, placed, spec, None, verdict, now))
        }
        Event::StopAsked(stop) => stopped(record, placed, stop, now).map(Transition::from),
        Event::Tick => timed_out(record, spec, now).map(Transition::from),
        _ => None,
    }
}

fn seen(record: &JobRecord, placed: &Placed, spec: &Spec, facts: &PodFacts, now: Timestamp) -> Option<Transition> {
    if placed.pod_uid.as_ref().is_some_and(|uid| *uid != facts.uid) {
        // Somebody has put another pod in the place of ours.
        return gone(record, placed, spec, now);
    }
    if facts.ended() {
        return Some(ended(record, placed, spec, facts, now));
    }
    let trouble = trouble::of_pod(facts, placed.trouble.as_deref());
    let ran = record.state == JobState::Running || has_run(facts);
    let state = if ran { JobState::Running } else { JobState::Starting };
    let started = record.started.or_else(|| ran.then(|| within(record, placed, began(facts).unwrap_or(now), now)));
    // Most pods are as they were, and each is looked at in every cycle: nothing is copied for those.
    let is_known = placed.pod_uid.is_some() && facts.node.as_ref().is_none_or(|node| *node == placed.node);
    if is_known
        && (state, started) == (record.state, record.started)
        && placed.trouble == trouble
        && record.reason == trouble
    {
        return None;
    }
    let placed = Placed { trouble: trouble.clone(), ..found(placed, facts) };
    Some(JobRecord { state, reason: trouble, started, placed: Some(placed), ..record.clone() }.into())
}

/// Whether this is the pod of the current placement, seen before.
fn is_known(record: &JobRecord, placed: &Placed, facts: &PodFacts) -> bool {
    is_of(record, placed, facts) && placed.pod_uid.as_ref() == Some(&facts.uid)
}

/// What becomes of the job when its pod ends like this.
fn ended(record: &JobRecord, placed: &Placed, spec: &Spec, facts: &PodFacts, now: Timestamp) -> Transition {
    let placed = found(placed, facts);
    let verdict = verdict(record, &placed, facts);
    end(record, &placed, spec, Some(facts), verdict, now)
}

/// Other nodes to choose among. The pod's selector names its environment, so for nodes of another one it is made anew.
fn held(
    record: &JobRecord,
    placed: &Placed,
    spec: &Spec,
    nodes: &[String],
    environment_uuid: &str,
    now: Timestamp,
) -> Transition {
    if environment_uuid != placed.environment_uuid {
        let verdict = Verdict::Elsewhere(texts::joined(texts::NO_NODE_LEFT, Some(&placed.environment)));
        return end(record, placed, spec, None, verdict, now);
    }
    let placed = Placed { hold: nodes.to_vec(), ..placed.clone() };
    JobRecord { placed: Some(placed), ..record.clone() }.into()
}

/// What its pod tells about the place. Where kube-scheduler chose another node than the plan had in mind, that node's UID is not known.
fn found(placed: &Placed, facts: &PodFacts) -> Placed {
    let mut placed = Placed { pod_uid: Some(facts.uid.clone()), ..placed.clone() };
    if let Some(node) = facts.node.as_ref().filter(|node| **node != placed.node) {
        placed.node.clone_from(node);
        placed.node_uid.clear();
        placed.hold.clear();
    }
    placed
}

/// A pod that was never seen is one that was not made yet.
fn gone(record: &JobRecord, placed: &Placed, spec: &Spec, now: Timestamp) -> Option<Transition> {
    (placed.pod_uid.is_some() || record.stop.is_some())
        .then(|| end(record, placed, spec, None, Verdict::Failed(texts::DELETED.to_owned()), now))
}

/// The end comes when its pod has ended. If that was never seen, the job ends at once: a pod that shows up all the same is one of an
/// ended job, and is deleted as such. A cancellation comes too late here, and of two others the first counts.
fn stopped(record: &JobRecord, placed: &Placed, stop: &Stop, now: Timestamp) -> Option<JobRecord> {
    let is_late = match stop.kind {
        StopKind::Cancel => true,
        StopKind::Timeout => record.state != JobState::Running,
        StopKind::Terminate | StopKind::Hopeless => false,
    };
    if is_late || record.stop.is_some() {
        return None;
    }
    let record = JobRecord { stop: Some(stop.clone()), ..record.clone() };
    Some(if placed.pod_uid.is_none() { failed(&record, stop.reason.as_str(), now) } else { record })
}

fn timed_out(record: &JobRecord, spec: &Spec, now: Timestamp) -> Option<JobRecord> {
    let is_over = record.stop.is_none() && deadline(record, spec).is_some_and(|deadline| deadline <= now);
    let stop = Stop { kind: StopKind::Timeout, reason: texts::TIMED_OUT.to_owned() };
    is_over.then(|| JobRecord { stop: Some(stop), ..record.clone() })
}

/// When the current attempt has run as long as it may. Pulling images and init containers do not count
/// (<https://docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html>).
pub(super) fn deadline(record: &JobRecord, spec: &Spec) -> Option<Timestamp> {
    let started = record.started.filter(|_| record.state == JobState::Running)?;
    spec.timeout_seconds.map(|seconds| later(started, seconds))
}
