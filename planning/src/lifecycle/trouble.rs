//! Why a pod does not start, in words that stay the same while the cause does.
//!
//! Invariant: what a container normally waits for is no trouble; a kubelet that tries again and again to pull an image alternates
//! between two reasons and gives one text.

use model::job::{ContainerState, JobRecord, PodFacts, Unmounted};

use super::pod::is_current;
use super::texts;

/// What a container waits for that starts as it should.
const NORMAL: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// Reasons of a kubelet that has no image, pulled or not
/// (<https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/images/types.go>).
const PULL: [&str; 7] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];
/// Begins the message of a kubelet that waits before the next try; its last error may follow.
const BACK_OFF: &str = "Back-off pulling image \"";

/// Why the first container that does not start does not; `stored` is what was found before.
pub(super) fn of_pod(facts: &PodFacts, stored: Option<&str>) -> Option<String> {
    if let Some(message) = facts.unschedulable.as_deref().filter(|_| facts.node.is_none()) {
        return Some(texts::unschedulable(message));
    }
    if let Some(unmounted) = facts.unmounted.as_ref().filter(|_| !is_mounted(facts)) {
        return Some(not_mounted(unmounted));
    }
    let found = facts.init_containers.iter().chain(&facts.containers).find_map(|container| of(&container.state))?;
    // The back-off of older kubelets forgets the error, which came once between two of them.
    let forgets = found.starts_with(&format!("{}: {BACK_OFF}", texts::CANNOT_PULL));
    let pull = stored.filter(|stored| forgets && stored.starts_with(texts::CANNOT_PULL));
    Some(pull.map_or(found, ToOwned::to_owned))
}

/// That a volume does not mount.
pub fn not_mounted(unmounted: &Unmounted) -> String {
    texts::joined(&unmounted.reason, Some(&unmounted.message))
}

/// Whether its volumes are mounted: a kubelet makes the sandbox, pulls images and starts containers, init containers included, only then.
fn is_mounted(facts: &PodFacts) -> bool {
    let mut all = facts.init_containers.iter().chain(&facts.containers);
    facts.ready_to_start == Some(true)
        || all.any(|container| {
            !matches!(container.state, ContainerState::Waiting { .. }) || of(&container.state).is_some()
        })
}

/// That a pod does not start because a volume is not mounted, as its own kubelet has it. An Event gives the words and says nothing by itself:
/// anybody may write one. A pod that the job has left behind says nothing about it.
pub(super) fn unmounted(record: &JobRecord, facts: &PodFacts) -> Option<String> {
    let waits = is_current(record, facts) && !facts.ended() && !is_mounted(facts);
    let unmounted = facts.unmounted.as_ref().filter(|_| waits)?;
    (facts.ready_to_start == Some(false) && facts.unready_since.is_some()).then(|| not_mounted(unmounted))
}

/// Why a container does not start; `None`: it does, or has.
pub fn of(state: &ContainerState) -> Option<String> {
    let ContainerState::Waiting { reason: Some(reason), message } = state else { return None };
    let message = message.as_deref();
    match reason.as_str() {
        reason if NORMAL.contains(&reason) => None,
        reason if PULL.contains(&reason) => {
            Some(texts::joined(texts::CANNOT_PULL, message.map(last_error).or(Some(reason))))
        }
        reason => Some(texts::joined(reason, message)),
    }
}

/// The error behind `Back-off pulling image "i": ErrImagePull: …`, as it is told without the back-off.
fn last_error(message: &str) -> &str {
    let behind = message.strip_prefix(BACK_OFF).and_then(|rest| rest.split_once("\": "));
    let Some((_, error)) = behind else { return message };
    match error.split_once(": ") {
        Some((word, rest)) if PULL.contains(&word) => rest,
        _ => error,
    }
}
