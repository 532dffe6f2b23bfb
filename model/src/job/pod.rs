//! What is seen of the pod of an attempt.
//!
//! Invariant: facts, not judgements. Does not know Kubernetes objects: whoever builds it has decoded them.

use jiff::Timestamp;

use super::JobId;
use crate::names;

/// What is seen of the pod of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFacts {
    /// The job it says it is of.
    pub job: JobId,
    /// Number of the attempt it says it is.
    pub attempt: u32,
    /// Number of the placement it says it is.
    pub placement: u32,
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// UID.
    pub uid: String,
    /// Name of its node; `None`: kube-scheduler has not chosen yet.
    pub node: Option<String>,
    /// Nodes among which kube-scheduler may choose, as it says itself.
    pub hold: Vec<String>,
    /// What kube-scheduler says if it has found no node for it.
    pub unschedulable: Option<String>,
    /// It has chosen a node, and could not put the pod there.
    pub misbound: bool,
    /// A volume of it could not be mounted, if so.
    pub unmounted: Option<Unmounted>,
    /// Its volumes are mounted and its sandbox is there (condition `PodReadyToStartContainers`); `None`: the kubelet does not say.
    pub ready_to_start: Option<bool>,
    /// Since when `ready_to_start` is false, if it is.
    pub unready_since: Option<Timestamp>,
    /// Phase.
    pub phase: PodPhase,
    /// `status.reason`: `Evicted`, `OutOfcpu`, `NodeLost`.
    pub reason: Option<String>,
    /// `status.message`.
    pub message: Option<String>,
    /// Reason of condition `DisruptionTarget`, if that is true: `DeletionByPodGC`, `TerminationByKubelet`, `EvictionByEvictionAPI`.
    pub disruption: Option<String>,
    /// Containers.
    pub containers: Vec<ContainerFacts>,
    /// Init containers.
    pub init_containers: Vec<ContainerFacts>,
    /// When its deletion was asked for.
    pub deleting: Option<Timestamp>,
    /// The kubelet has confirmed the deletion (grace period 0): nothing of it runs any more.
    pub confirmed: bool,
    /// It still carries the finalizer that keeps it until its outcome is stored.
    pub kept: bool,
}

impl PodFacts {
    /// Whether it has the name that the pod of its placement gets, so that it can be that one.
    pub fn has_own_name(&self) -> bool {
        self.name == names::pod_name(self.job, self.attempt, self.placement)
    }

    /// Nothing of it runs any more.
    pub fn ended(&self) -> bool {
        matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed) || self.confirmed
    }

    /// When it ended, as far as its containers say; one without any is not kept.
    pub fn ended_at(&self) -> Timestamp {
        let ends = self.containers.iter().chain(&self.init_containers).filter_map(|container| match &container.state {
            ContainerState::Ended { finished, .. } => *finished,
            _ => None,
        });
        ends.max().unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// That a volume could not be attached or mounted, as an Event tells it. The cluster goes on trying, so that this may be over; and whoever may
/// write Events in the pod's namespace may have made it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmounted {
    /// `FailedMount`, in the kubelet's words; `FailedAttachVolume`, in those of the controller that attaches.
    pub reason: String,
    /// When it told first.
    pub since: Timestamp,
    /// When it told last.
    pub last: Timestamp,
    /// Its words.
    pub message: String,
}

/// A pod's phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodPhase {
    /// Not all containers have been started.
    #[default]
    Pending,
    /// At least one main container was started.
    Running,
    /// All ended with 0.
    Succeeded,
    /// All ended, at least one badly; or the kubelet refused or evicted it.
    Failed,
    /// Its node has not been heard of.
    Unknown,
}

/// What is seen of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerFacts {
    /// Name.
    pub name: String,
    /// Id that the runtime gave it.
    pub id: Option<String>,
    /// What it does.
    pub state: ContainerState,
}

/// What a container does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// It has not started.
    Waiting {
        /// `ContainerCreating`, `PodInitializing`, `ImagePullBackOff`, `ErrImagePull`, `CreateContainerConfigError`.
        reason: Option<String>,
        /// The kubelet's words.
        message: Option<String>,
    },
    /// It runs.
    Running {
        /// Since when.
        since: Option<Timestamp>,
    },
    /// It ended.
    Ended {
        /// Exit code.
        exit_code: i32,
        /// `Completed`, `Error`, `OOMKilled`, `ContainerCannotRun`, `StartError`.
        reason: Option<String>,
        /// The runtime's words.
        message: Option<String>,
        /// When it began.
        started: Option<Timestamp>,
        /// When it ended.
        finished: Option<Timestamp>,
    },
}

impl ContainerState {
    /// The exit code; `None`: it has not ended, or nobody knows how. A kubelet that has nothing to say about a container, because it never
    /// started or is gone, writes 137 and `ContainerStatusUnknown`
    /// (<https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/status/status_manager.go>).
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Ended { reason: Some(reason), .. } if reason == "ContainerStatusUnknown" => None,
            Self::Ended { exit_code, .. } => Some(*exit_code),
            Self::Waiting { .. } | Self::Running { .. } => None,
        }
    }
}
