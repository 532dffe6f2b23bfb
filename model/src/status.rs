//! State and reason of a job, as users see them.
//!
//! Invariant: a job that waits has a reason. The codes are AWS Batch's where AWS has one
//! (<https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html>).

use serde::{Deserialize, Serialize};

/// A job's state, in AWS Batch's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum JobState {
    /// Known, not looked at yet.
    Submitted,
    /// Held or waiting for other jobs.
    Pending,
    /// Waits for room.
    Runnable,
    /// Dispatched; no container has started.
    Starting,
    /// At least one container has started.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
}

impl JobState {
    /// It has ended, and nothing changes it any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Pending => "PENDING",
            Self::Runnable => "RUNNABLE",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }
}

/// Why a job or one of its units waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Code {
    /// The user holds it.
    #[serde(rename = "HELD")]
    Held,
    /// Its queue does not exist.
    #[serde(rename = "MISCONFIGURATION:JOB_QUEUE_NOT_FOUND")]
    QueueNotFound,
    /// Its queue takes no work.
    #[serde(rename = "MISCONFIGURATION:JOB_QUEUE_DISABLED")]
    QueueDisabled,
    /// None of the queue's environments exists.
    #[serde(rename = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_NOT_FOUND")]
    EnvironmentNotFound,
    /// All of the queue's environments are disabled.
    #[serde(rename = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_DISABLED")]
    EnvironmentDisabled,
    /// None of the queue's environments can be used as it is.
    #[serde(rename = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_INVALID")]
    EnvironmentInvalid,
    /// The limit of the environments is too low for one unit.
    #[serde(rename = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE")]
    MaxResource,
    /// A unit is larger than any node can be.
    #[serde(rename = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")]
    ResourceRequirement,
    /// The environments are at their limit.
    #[serde(rename = "LIMIT:MAX_VCPUS")]
    MaxVcpus,
    /// The provider has no more of the machines that would fit.
    #[serde(rename = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")]
    InsufficientCapacity,
    /// The provider answers errors.
    #[serde(rename = "CAPACITY:PROVIDER_ERROR")]
    ProviderError,
    /// Nodes are on their way.
    #[serde(rename = "CAPACITY:LAUNCHING")]
    Launching,
    /// The nodes are full, and nobody may add some.
    #[serde(rename = "CAPACITY:NO_ROOM")]
    NoRoom,
    /// Something ahead of it waits, and it would be delayed.
    #[serde(rename = "ORDER:BEHIND")]
    Behind,
    /// Room is held; kube-scheduler is choosing the node.
    #[serde(rename = "SCHEDULING:KUBE_SCHEDULER")]
    KubeScheduler,
    /// Released; the Job controller is making its pods.
    #[serde(rename = "STARTING:CREATING_PODS")]
    CreatingPods,
    /// The cluster refuses its pods.
    #[serde(rename = "ADMISSION:PODS_REFUSED")]
    PodsRefused,
    /// The API server does not call Bulkhead's hooks.
    #[serde(rename = "ADMISSION:HOOKS_MISSING")]
    HooksMissing,
}

impl Code {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "HELD",
            Self::QueueNotFound => "MISCONFIGURATION:JOB_QUEUE_NOT_FOUND",
            Self::QueueDisabled => "MISCONFIGURATION:JOB_QUEUE_DISABLED",
            Self::EnvironmentNotFound => "MISCONFIGURATION:COMPUTE_ENVIRONMENT_NOT_FOUND",
            Self::EnvironmentDisabled => "MISCONFIGURATION:COMPUTE_ENVIRONMENT_DISABLED",
            Self::EnvironmentInvalid => "MISCONFIGURATION:COMPUTE_ENVIRONMENT_INVALID",
            Self::MaxResource => "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
            Self::ResourceRequirement => "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
            Self::MaxVcpus => "LIMIT:MAX_VCPUS",
            Self::InsufficientCapacity => "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
            Self::ProviderError => "CAPACITY:PROVIDER_ERROR",
            Self::Launching => "CAPACITY:LAUNCHING",
            Self::NoRoom => "CAPACITY:NO_ROOM",
            Self::Behind => "ORDER:BEHIND",
            Self::KubeScheduler => "SCHEDULING:KUBE_SCHEDULER",
            Self::CreatingPods => "STARTING:CREATING_PODS",
            Self::PodsRefused => "ADMISSION:PODS_REFUSED",
            Self::HooksMissing => "ADMISSION:HOOKS_MISSING",
        }
    }
}

/// Why something waits: a code for machines, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For machines.
    pub code: Code,
    /// For people: what is missing, who holds it, what to do.
    pub message: String,
}

/// State and reason of a job; written on a Job as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Where it is.
    pub state: JobState,
    /// Why it, or the rest of it, waits.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_of_json_and_reads_back() {
        let reason = Reason { code: Code::MaxVcpus, message: "full".to_owned() };
        let status = Status { state: JobState::Runnable, reason: Some(reason) };
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(text, r#"{"state":"RUNNABLE","code":"LIMIT:MAX_VCPUS","message":"full"}"#);
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
        let bare = Status { state: JobState::Running, reason: None };
        let text = serde_json::to_string(&bare).unwrap();
        assert_eq!(text, r#"{"state":"RUNNING"}"#);
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), bare);
    }

    #[test]
    fn a_code_is_written_as_it_is_read() {
        for code in
            [Code::Held, Code::Launching, Code::MaxResource, Code::PodsRefused, Code::HooksMissing, Code::Behind]
        {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
