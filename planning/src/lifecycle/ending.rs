//! What becomes of a job whose placement ended.
//!
//! Invariant: a placement on which no main container ran uses no attempt, as long as somebody else than the job is to blame and there
//! are not too many of them; a job whose end was asked for is never tried again.

use jiff::Timestamp;
use model::job::{Attempt, ContainerEnd, ContainerFacts, ContainerState, JobRecord, Placed, PodFacts, Spec};
use model::status::JobState;

use super::retry::{self, Failure};
use super::verdict::Verdict;
use super::{Transition, failed, later, pod, texts, trouble};

/// So often is an attempt placed; then it has failed.
const MOST_PLACEMENTS: u32 = 5;
/// Seconds before the third placement of an attempt; doubled before each that follows. The second comes at once.
const BACK_OFF: u32 = 10;
/// Then it stays at about five minutes.
const MOST_DOUBLED: u32 = 5;
/// Seconds that a job backs off at most.
pub(super) const LONGEST_BACK_OFF: u32 = BACK_OFF << MOST_DOUBLED;
/// Seconds before something that passes, such as a full quota, is tried again.
const PAUSE: u32 = 30;
/// Most characters of a container's reason.
const LONGEST_REASON: usize = 255;

/// What becomes of the job.
pub(super) fn end(
    record: &JobRecord,
    placed: &Placed,
    spec: &Spec,
    facts: Option<&PodFacts>,
    verdict: Verdict,
    now: Timestamp,
) -> Transition {
    let ran = record.state == JobState::Running || facts.is_some_and(pod::has_run);
    let reason = match (verdict, &record.stop) {
        (Verdict::Succeeded, _) => None,
        (_, Some(stop)) => Some(stop.reason.clone()),
        (Verdict::Later(reason), None) if !ran => return later_on(record, reason, now).into(),
        (Verdict::Elsewhere(reason), None) if !ran && record.placement < MOST_PLACEMENTS - 1 => {
            return elsewhere(record, reason, now).into();
        }
        (Verdict::Failed(reason) | Verdict::Elsewhere(reason) | Verdict::Later(reason), None) => Some(reason),
    };
    let attempt = attempt(record, placed, facts, reason, now);
    let ended = JobRecord { started: attempt.started, ..record.clone() };
    let record = match &attempt.reason {
        None => succeeded(&ended, attempt.stopped),
        Some(reason)
            if record.stop.is_none()
                && retry::again(spec, record.attempt, &Failure::new(reason, placed, facts, ran)) =>
        {
            another(record, reason)
        }
        Some(reason) => failed(&ended, reason.as_str(), attempt.stopped),
    };
    Transition { record, attempt: Some(attempt) }
}

fn succeeded(record: &JobRecord, stopped: Timestamp) -> JobRecord {
    JobRecord { state: JobState::Succeeded, reason: None, stopped: Some(stopped), placed: None, ..record.clone() }
}

/// Back into the queue for the next attempt. Until the plan says why it waits, the reason says why it is here again.
fn another(record: &JobRecord, reason: &str) -> JobRecord {
    JobRecord {
        state: JobState::Runnable,
        reason: Some(reason.to_owned()),
        started: None,
        attempt: record.attempt + 1,
        placement: 0,
        placed: None,
        ..record.clone()
    }
}

/// Back into the queue with the same placement: there was no pod, and waiting uses nothing up.
fn later_on(record: &JobRecord, reason: String, now: Timestamp) -> JobRecord {
    JobRecord {
        state: JobState::Runnable,
        reason: Some(reason),
        not_before: Some(later(now, PAUSE)),
        placed: None,
        ..record.clone()
    }
}

/// Back into the queue with the same attempt.
fn elsewhere(record: &JobRecord, reason: String, now: Timestamp) -> JobRecord {
    let not_before = record.placement.checked_sub(1).map(|doubled| later(now, BACK_OFF << doubled.min(MOST_DOUBLED)));
    JobRecord {
        state: JobState::Runnable,
        reason: Some(reason),
        placement: record.placement + 1,
        not_before,
        placed: None,
        ..record.clone()
    }
}

fn attempt(
    record: &JobRecord,
    placed: &Placed,
    facts: Option<&PodFacts>,
    reason: Option<String>,
    now: Timestamp,
) -> Attempt {
    let ends = |containers: &[ContainerFacts]| containers.iter().map(container_end).collect();
    let ran = facts.filter(|facts| pod::has_run(facts));
    let within = |told| pod::within(record, placed, told, now);
    let stopped = within(facts.and_then(pod::stopped).unwrap_or(now));
    let started = record.started.or_else(|| ran.map(|facts| pod::began(facts).map_or(stopped, within)));
    Attempt {
        number: record.attempt,
        containers: facts.map_or_else(Vec::new, |facts| ends(&facts.containers)),
        init_containers: facts.map_or_else(Vec::new, |facts| ends(&facts.init_containers)),
        pod_name: placed.pod_name.clone(),
        namespace: placed.namespace.clone(),
        node: placed.node.clone(),
        started,
        stopped: started.map_or(stopped, |started| started.max(stopped)),
        reason,
    }
}

fn container_end(container: &ContainerFacts) -> ContainerEnd {
    let (exit_code, reason) = match &container.state {
        ended @ ContainerState::Ended { reason, .. } => (ended.exit_code(), reason.clone()),
        waiting => (None, trouble::of(waiting)),
    };
    ContainerEnd {
        name: container.name.clone(),
        container_id: container.id.clone(),
        exit_code,
        reason: reason.map(|reason| texts::clip(&reason, LONGEST_REASON)),
    }
}
