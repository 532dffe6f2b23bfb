//! How the placement of a pod that has ended is to be understood.
//!
//! Invariant: a success is one only if nobody interfered, and a node is blamed only for what the job did not do. Knows nothing about
//! what becomes of the job.

use model::job::{ContainerFacts, ContainerState, JobRecord, Placed, PodFacts, PodPhase};
use model::status::JobState;

use super::{pod, texts};

/// How a placement ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All its containers ended with 0, by themselves.
    Succeeded,
    /// Badly.
    Failed(String),
    /// The node is to blame: refused, or lost.
    Elsewhere(String),
    /// Something is to blame that passes: it is tried again for as long as it takes.
    Later(String),
}

/// How the placement of a pod that has ended is to be understood.
///
/// A program that is told to end may well end with 0. That is a success only if it ended before it was told, as far as whole seconds can
/// say; the deletion may be ours or somebody else's.
pub(super) fn verdict(record: &JobRecord, placed: &Placed, facts: &PodFacts) -> Verdict {
    let told = facts.deleting.is_some_and(|asked| pod::last_end(&facts.containers).is_none_or(|end| end >= asked));
    let is_disrupted = facts.disruption.is_some() && (told || facts.deleting.is_none());
    let reason = facts.reason.as_deref().unwrap_or_default();
    let message = facts.message.as_deref();
    if facts.phase == PodPhase::Succeeded && !told {
        Verdict::Succeeded
    } else if record.state == JobState::Starting && is_refused(facts) {
        Verdict::Elsewhere(texts::joined(reason, message))
    } else if is_lost(facts) {
        Verdict::Elsewhere(texts::host_terminated(&placed.node))
    } else if reason == "Evicted" || reason == "Preempting" || is_disrupted {
        Verdict::Failed(texts::joined(texts::EVICTED, message.or(facts.disruption.as_deref())))
    } else if told || facts.phase != PodPhase::Failed {
        Verdict::Failed(texts::DELETED.to_owned())
    } else {
        Verdict::Failed(blame(facts))
    }
}

/// The kubelet did not let it in, or let others in instead (`rejectPod` in
/// <https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kubelet.go>): it says so, and no container ever started.
fn is_refused(facts: &PodFacts) -> bool {
    const WORDS: [&str; 5] = ["OutOf", "Node", "UnexpectedAdmissionError", "TopologyAffinityError", "Preempting"];
    let is_untouched = |container: &ContainerFacts| {
        matches!(container.state, ContainerState::Waiting { .. } | ContainerState::Ended { started: None, .. })
    };
    let says_so = facts.message.as_ref().is_some_and(|message| message.starts_with("Pod was rejected"))
        || facts.reason.as_ref().is_some_and(|reason| WORDS.iter().any(|word| reason.starts_with(word)));
    facts.phase == PodPhase::Failed
        && says_so
        && facts.init_containers.iter().chain(&facts.containers).all(is_untouched)
}

/// Its node went away under it: the garbage collector found it without one, or the kubelet ended it because the machine shuts down
/// (<https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions>).
fn is_lost(facts: &PodFacts) -> bool {
    match facts.disruption.as_deref() {
        Some("DeletionByPodGC") => true,
        Some("TerminationByKubelet") => facts.reason.as_deref() == Some("Terminated"),
        _ => false,
    }
}

/// Why a pod failed that nobody disturbed.
fn blame(facts: &PodFacts) -> String {
    let bad = |containers: &[ContainerFacts]| {
        containers.iter().find_map(|container| match &container.state {
            ContainerState::Ended { exit_code, message, .. } if *exit_code != 0 => {
                Some((container.name.clone(), *exit_code, message.clone()))
            }
            _ => None,
        })
    };
    if let Some((name, code, _)) = bad(&facts.init_containers) {
        return texts::joined(texts::FAILED_TO_START, Some(&format!("init container {name} exited with {code}")));
    }
    match (bad(&facts.containers), facts.reason.as_deref()) {
        (Some((_, _, message)), _) if !pod::has_run(facts) => texts::joined(texts::FAILED_TO_START, message.as_deref()),
        (Some(_), None) => texts::CONTAINER_EXITED.to_owned(),
        (_, Some(reason)) => texts::joined(reason, facts.message.as_deref()),
        (None, None) => texts::joined(texts::POD_FAILED, facts.message.as_deref()),
    }
}
