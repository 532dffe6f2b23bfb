//! State and reason of a job, as users see them.
//!
//! Invariant: a job that waits has a reason. The codes are AWS Batch's where AWS has one
//! (<https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html>).

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr, ParseError};

/// A job's state, in AWS Batch's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE")]
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
        self.into()
    }
}

/// Why a job or one of its units waits.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr, EnumString, EnumIter,
)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Code {
    /// The user holds it.
    #[strum(serialize = "HELD")]
    Held,
    /// Its queue does not exist.
    #[strum(serialize = "MISCONFIGURATION:JOB_QUEUE_NOT_FOUND")]
    QueueNotFound,
    /// Its queue takes no work.
    #[strum(serialize = "MISCONFIGURATION:JOB_QUEUE_DISABLED")]
    QueueDisabled,
    /// None of the queue's environments exists.
    #[strum(serialize = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_NOT_FOUND")]
    EnvironmentNotFound,
    /// All of the queue's environments are disabled.
    #[strum(serialize = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_DISABLED")]
    EnvironmentDisabled,
    /// None of the queue's environments can be used as it is.
    #[strum(serialize = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_INVALID")]
    EnvironmentInvalid,
    /// The namespace that the job itself names takes no pods of the API.
    #[strum(serialize = "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS")]
    ServiceRolePermissions,
    /// The limit of the environments is too low for one unit.
    #[strum(serialize = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE")]
    MaxResource,
    /// Its pod template is larger than what is kept of a Job.
    #[strum(serialize = "MISCONFIGURATION:JOB_TOO_LARGE")]
    JobTooLarge,
    /// It carries the id of another job.
    #[strum(serialize = "MISCONFIGURATION:JOB_ID_TAKEN")]
    JobIdTaken,
    /// More waits in its namespace than may.
    #[strum(serialize = "LIMIT:NAMESPACE_WAITING")]
    NamespaceWaiting,
    /// A unit is larger than any node can be.
    #[strum(serialize = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")]
    ResourceRequirement,
    /// The environments are at their limit.
    #[strum(serialize = "LIMIT:MAX_VCPUS")]
    MaxVcpus,
    /// The provider has no more of the machines that would fit.
    #[strum(serialize = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")]
    InsufficientCapacity,
    /// The provider answers errors.
    #[strum(serialize = "CAPACITY:PROVIDER_ERROR")]
    ProviderError,
    /// Nodes are on their way.
    #[strum(serialize = "CAPACITY:LAUNCHING")]
    Launching,
    /// The nodes are full, and nobody may add some.
    #[strum(serialize = "CAPACITY:NO_ROOM")]
    NoRoom,
    /// Something ahead of it waits, and it would be delayed.
    #[strum(serialize = "ORDER:BEHIND")]
    Behind,
    /// Room is held; kube-scheduler is choosing the node.
    #[strum(serialize = "SCHEDULING:KUBE_SCHEDULER")]
    KubeScheduler,
    /// Released; the Job controller is making its pods.
    #[strum(serialize = "STARTING:CREATING_PODS")]
    CreatingPods,
    /// One of its pods does not start: its containers cannot, or it waits for somebody else's gate.
    #[strum(serialize = "STARTING:PODS_WAIT")]
    PodsWait,
    /// The cluster refuses its pods.
    #[strum(serialize = "ADMISSION:PODS_REFUSED")]
    PodsRefused,
    /// The cluster refuses what Bulkhead would do to it.
    #[strum(serialize = "ADMISSION:WRITE_REFUSED")]
    WriteRefused,
    /// The API server does not call Bulkhead's hooks.
    #[strum(serialize = "ADMISSION:HOOKS_MISSING")]
    HooksMissing,
}

impl Code {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl TryFrom<String> for Code {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
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

impl Reason {
    /// What was written with [`Display`](fmt::Display); `None`: that was something else.
    pub fn read(text: &str) -> Option<Self> {
        let (code, message) = text.split_once(" - ")?;
        Some(Self { code: code.parse().ok()?, message: message.to_owned() })
    }
}

/// On one line, as records keep it.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} - {}", self.code.as_str(), self.message)
    }
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
    use strum::IntoEnumIterator as _;

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
    fn a_reason_is_read_as_it_is_written() {
        for message in ["full", "", "a - b", " - "] {
            let reason = Reason { code: Code::MaxVcpus, message: message.to_owned() };
            assert_eq!(Reason::read(&reason.to_string()), Some(reason));
        }
        for other in ["", "full", "LIMIT:MAX_VCPUS", "Essential container in task exited - 1"] {
            assert_eq!(Reason::read(other), None, "{other}");
        }
    }

    #[test]
    fn a_code_is_written_as_it_is_read() {
        for code in Code::iter() {
            let text = serde_json::to_value(code).unwrap();
            assert_eq!(text, code.as_str());
            assert_eq!(serde_json::from_value::<Code>(text).unwrap(), code);
            assert!(code.as_str().chars().all(|c| c.is_ascii_uppercase() || ":_".contains(c)), "{}", code.as_str());
        }
        assert!(serde_json::from_str::<Code>("\"NO_SUCH_CODE\"").is_err());
    }

    #[test]
    fn a_state_is_written_as_it_is_named() {
        for state in [JobState::Submitted, JobState::Pending, JobState::Runnable, JobState::Starting, JobState::Running]
        {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
