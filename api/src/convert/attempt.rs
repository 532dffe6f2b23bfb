//! What is seen of a pod that Bulkhead made for the API: whose it is, what its containers do, how they ended.
//!
//! Invariant: only pods that say which placement they are give facts; a pod of the Job door never does. Judges nothing.

use k8s_openapi::api::core::v1::{ContainerState as RawState, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use model::job::{ContainerFacts, ContainerState, PodFacts, PodPhase};
use model::keys;

use super::pod::{hold, misbound, unschedulable};
use super::{annotation, uid};

/// What is seen of a pod; `None`: it was not made for the API.
pub fn facts(pod: &Pod) -> Option<PodFacts> {
    let meta = &pod.metadata;
    let number = |key| annotation(meta, key).and_then(|text| text.parse::<u32>().ok());
    let status = pod.status.as_ref();
    let conditions = || status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let condition = |name| conditions().find(move |condition| condition.type_ == name);
    let disruption = condition("DisruptionTarget").filter(|condition| condition.status == "True");
    let words = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    Some(PodFacts {
        job: annotation(meta, keys::JOB_ID_RAW)?.parse().ok()?,
        attempt: number(keys::ATTEMPT)?,
        placement: number(keys::PLACEMENT)?,
        name: meta.name.clone().unwrap_or_default(),
        namespace: meta.namespace.clone().unwrap_or_default(),
        uid: uid(meta),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).filter(|name| !name.is_empty()),
        hold: hold(pod),
        unschedulable: unschedulable(pod),
        misbound: misbound(pod).is_some(),
        unmounted: None,
        ready_to_start: condition("PodReadyToStartContainers").map(|condition| condition.status == "True"),
        unready_since: condition("PodReadyToStartContainers")
            .filter(|condition| condition.status == "False")
            .and_then(|condition| time(condition.last_transition_time.as_ref())),
        phase: phase(status.and_then(|status| status.phase.as_deref())),
        reason: words(status.and_then(|status| status.reason.as_ref())),
        message: words(status.and_then(|status| status.message.as_ref())),
        disruption: disruption.map(|condition| condition.reason.clone().unwrap_or_default()),
        containers: containers(status.and_then(|status| status.container_statuses.as_deref())),
        init_containers: containers(status.and_then(|status| status.init_container_statuses.as_deref())),
        deleting: asked_to_go(pod),
        confirmed: meta.deletion_timestamp.is_some() && meta.deletion_grace_period_seconds == Some(0),
        kept: meta.finalizers.iter().flatten().any(|finalizer| finalizer == keys::RECORD_FINALIZER),
    })
}

/// Kubernetes writes when the grace period is over, not when the deletion was asked for; and when a kubelet confirms the end of a pod that a
/// finalizer keeps, it writes that moment and a grace period of 0. That was at most the pod's own grace period later: whoever did not see the
/// pod before takes what ended in between for ended by force, because work that was cut off must not count as done.
fn asked_to_go(pod: &Pod) -> Option<Timestamp> {
    let over = time(pod.metadata.deletion_timestamp.as_ref())?;
    let said = pod.metadata.deletion_grace_period_seconds.filter(|grace| *grace > 0);
    let own = || pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(0);
    let grace = SignedDuration::from_secs(said.unwrap_or_else(own));
    Some(over.checked_sub(grace).unwrap_or(over))
}

fn phase(phase: Option<&str>) -> PodPhase {
    match phase {
        Some("Running") => PodPhase::Running,
        Some("Succeeded") => PodPhase::Succeeded,
        Some("Failed") => PodPhase::Failed,
        Some("Unknown") => PodPhase::Unknown,
        _ => PodPhase::Pending,
    }
}

/// What containers do.
pub(super) fn containers(statuses: Option<&[ContainerStatus]>) -> Vec<ContainerFacts> {
    let one = |status: &ContainerStatus| ContainerFacts {
        name: status.name.clone(),
        id: status.container_id.clone().filter(|id| !id.is_empty()),
        state: status.state.as_ref().map_or_else(waiting, state),
    };
    statuses.unwrap_or_default().iter().map(one).collect()
}

fn waiting() -> ContainerState {
    ContainerState::Waiting { reason: None, message: None }
}

fn state(raw: &RawState) -> ContainerState {
    if let Some(ended) = &raw.terminated {
        return ContainerState::Ended {
            exit_code: ended.exit_code,
            reason: ended.reason.clone(),
            message: ended.message.clone(),
            started: time(ended.started_at.as_ref()),
            finished: time(ended.finished_at.as_ref()),
        };
    }
    if let Some(running) = &raw.running {
        return ContainerState::Running { since: time(running.started_at.as_ref()) };
    }
    raw.waiting.as_ref().map_or_else(waiting, |waits| ContainerState::Waiting {
        reason: waits.reason.clone(),
        message: waits.message.clone(),
    })
}

/// The kubelet writes the zero time where it does not know one.
fn time(time: Option<&Time>) -> Option<Timestamp> {
    time.map(|time| time.0).filter(|time| time.as_second() > 0)
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;
