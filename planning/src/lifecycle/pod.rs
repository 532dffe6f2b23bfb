//! What is seen of a pod, held against the job that it says it is of.
//!
//! Invariant: a pod is that of a placement by all its marks or not at all, and no time that a node tells comes before the placement or after
//! now. Decides nothing about the job.

use jiff::Timestamp;
use model::job::{ContainerFacts, ContainerState, JobRecord, Placed, PodFacts};
use model::status::JobState;

/// Whether this is the pod of the current placement, by everything but its UID; a first one only if it has our finalizer.
pub(super) fn is_of(record: &JobRecord, placed: &Placed, facts: &PodFacts) -> bool {
    (facts.job, facts.attempt, facts.placement) == (record.id, record.attempt, record.placement)
        && (&facts.name, &facts.namespace) == (&placed.pod_name, &placed.namespace)
        && (facts.kept || placed.pod_uid.is_some())
}

/// Whether this is the pod on which the job is now: by job, attempt, placement, namespace and name, and by its UID, or as long as that is
/// not known by the finalizer that it was made with.
pub fn is_current(record: &JobRecord, pod: &PodFacts) -> bool {
    matches!(record.state, JobState::Starting | JobState::Running)
        && record.placed.as_ref().is_some_and(|placed| {
            is_of(record, placed, pod) && placed.pod_uid.as_ref().is_none_or(|uid| *uid == pod.uid)
        })
}

/// Whether a main container runs or has run. One that the runtime could not start has no start time.
pub(super) fn has_run(facts: &PodFacts) -> bool {
    facts.containers.iter().any(|container| match &container.state {
        ContainerState::Waiting { .. } => false,
        ContainerState::Running { .. } => true,
        ContainerState::Ended { started, exit_code, .. } => started.is_some() || *exit_code == 0,
    })
}

/// When the first main container began to run.
pub(super) fn began(facts: &PodFacts) -> Option<Timestamp> {
    let began = |state: &ContainerState| match state {
        ContainerState::Waiting { .. } => None,
        ContainerState::Running { since } => *since,
        ContainerState::Ended { started, .. } => *started,
    };
    facts.containers.iter().filter_map(|container| began(&container.state)).min()
}

/// A time that a node tells of a pod: after it was placed and before it was seen, whatever the node's clock says, and whatever that of the
/// leader said that placed it.
pub(super) fn within(record: &JobRecord, placed: &Placed, told: Timestamp, now: Timestamp) -> Timestamp {
    told.max(placed.since.unwrap_or(record.created)).min(now).max(record.created)
}

/// When the last container ended; `None`: one still runs, as far as anybody knows, or none ever did.
pub(super) fn stopped(facts: &PodFacts) -> Option<Timestamp> {
    let all = || facts.init_containers.iter().chain(&facts.containers);
    let runs = all().any(|container| matches!(container.state, ContainerState::Running { .. }));
    let finished = |container: &ContainerFacts| match &container.state {
        ContainerState::Ended { finished, .. } => *finished,
        _ => None,
    };
    if runs { None } else { all().filter_map(finished).max() }
}

/// When the last of these containers ended; `None`: not all have, or nobody knows when.
pub(super) fn last_end(containers: &[ContainerFacts]) -> Option<Timestamp> {
    let ends = containers.iter().map(|container| match &container.state {
        ContainerState::Ended { finished, .. } => *finished,
        _ => None,
    });
    ends.collect::<Option<Vec<_>>>()?.into_iter().max()
}
