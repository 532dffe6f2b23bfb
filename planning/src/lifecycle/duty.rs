//! What has to be done to a pod now.
//!
//! Invariant: nothing of a pod is let go before its outcome is stored, and every pod that is nobody's goes in the end. All duties may
//! be repeated.

use model::job::{JobRecord, Placed, PodFacts, StopKind};
use model::status::JobState;

use super::pod::is_current;

/// What has to be done to a pod now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Duty {
    /// Nothing.
    Nothing,
    /// Make the pod of the current placement.
    Create,
    /// Ask for its deletion, with the usual 30 seconds to end.
    Delete,
    /// Tell kube-scheduler's extender among which nodes it may choose now.
    Hold,
    /// Take our finalizer off: its outcome is stored, or nobody wants it.
    Release,
}

impl Duty {
    /// What carrying it out is, for a sentence that says that it cannot be done.
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "do nothing",
            Self::Create => "make the pod",
            Self::Delete => "delete the pod",
            Self::Hold => "tell kube-scheduler among which nodes it may choose",
            Self::Release => "take Bulkhead's finalizer off the pod",
        }
    }
}

/// What has to be done to this pod of a job, or about its absence. Look again when it is done: a pod that nobody wants and that runs is
/// deleted first, then released.
pub fn duty(record: &JobRecord, pod: Option<&PodFacts>) -> Duty {
    let Some(pod) = pod else {
        return if is_to_be_made(record) { Duty::Create } else { Duty::Nothing };
    };
    let runs = !pod.ended() && pod.deleting.is_none();
    if is_current(record, pod) {
        let stops = record.stop.as_ref().is_some_and(|stop| stop.kind != StopKind::Cancel);
        let is_held = |placed: &Placed| placed.node.is_empty() && placed.hold != pod.hold;
        return match stops {
            true if runs => Duty::Delete,
            false if runs && record.placed.as_ref().is_some_and(is_held) => Duty::Hold,
            _ => Duty::Nothing,
        };
    }
    duty_of_stranger(pod)
}

/// What has to be done to a pod of a job that has ended or that nobody knows.
pub fn duty_of_stranger(pod: &PodFacts) -> Duty {
    let runs = !pod.ended() && pod.deleting.is_none();
    match (runs, pod.kept) {
        (true, _) => Duty::Delete,
        (false, true) => Duty::Release,
        (false, false) => Duty::Nothing,
    }
}

fn is_to_be_made(record: &JobRecord) -> bool {
    let never_seen = record.placed.as_ref().is_some_and(|placed| placed.pod_uid.is_none());
    record.state == JobState::Starting && record.stop.is_none() && never_seen
}
