//! Jobs as they are kept: what was asked for, where each is, how its attempts ended.
//!
//! Invariant: plain data that reads back as it was written; a field that is added later has a default, because records live longer than
//! programs. Does not know who stores it, nor which change of state is allowed (`planning::lifecycle`).

mod attempt;
mod id;
mod pod;
mod spec;

pub use attempt::{Attempt, ContainerEnd};
pub use id::{JobId, NotAJobId};
pub use pod::{ContainerFacts, ContainerState, PodFacts, PodPhase, Unmounted};
pub use spec::{Dependency, DependencyKind, EvaluateOnExit, OfContainer, RetryAction, RetryStrategy, Spec, Submitter};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::status::JobState;

/// Way in by which a job came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// The AWS Batch API.
    Api,
    /// A Kubernetes Job.
    Job,
}

/// What changes about a job while it lives: a single job, an array job's parent, or one of its children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// Where it is.
    pub state: JobState,
    /// Why it is there, as `statusReason` shows it.
    pub reason: Option<String>,
    /// Since when it has waited for a reason of this code, while it is RUNNABLE.
    pub reason_since: Option<Timestamp>,
    /// When it was submitted. Milliseconds count, smaller parts are lost in the store.
    pub created: Timestamp,
    /// When the last attempt began to run.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub stopped: Option<Timestamp>,
    /// Number of the attempt that runs or comes next, from 1.
    pub attempt: u32,
    /// How often this attempt was placed anew without having run, from 0.
    pub placement: u32,
    /// It is not placed before this time.
    pub not_before: Option<Timestamp>,
    /// Where its current attempt is: from its dispatch until its outcome is stored.
    pub placed: Option<Placed>,
    /// Somebody asked for its end.
    pub stop: Option<Stop>,
    /// Number of its last change, from 0 for its submission: one that is stored twice counts once.
    pub version: u64,
}

impl JobRecord {
    /// A job that was submitted a moment ago.
    pub fn submitted(id: JobId, created: Timestamp) -> Self {
        Self {
            id,
            state: JobState::Submitted,
            reason: None,
            reason_since: None,
            created,
            started: None,
            stopped: None,
            attempt: 1,
            placement: 0,
            not_before: None,
            placed: None,
            stop: None,
            version: 0,
        }
    }
}

/// Begins the reason of a FAILED job of which nobody knows how it ended: it may have succeeded.
pub const OUTCOME_UNKNOWN: &str = "Outcome unknown";

/// How far a job is, for those that wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its state.
    pub state: JobState,
    /// Nobody knows how it ended; it counts as FAILED.
    pub unknown: bool,
}

impl From<JobState> for Outcome {
    fn from(state: JobState) -> Self {
        Self { state, unknown: false }
    }
}

/// Where an attempt is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placed {
    /// When it was placed, by the clock of the leader: nothing of its pod comes before. `None`: an earlier release placed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Name of its pod.
    pub pod_name: String,
    /// Namespace of its pod.
    pub namespace: String,
    /// UID of its pod, once seen: without it a pod that is missing was never made, with it somebody has removed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Name of its node; empty while kube-scheduler chooses it.
    pub node: String,
    /// UID of its node; empty where kube-scheduler chose it.
    pub node_uid: String,
    /// Names of the nodes among which kube-scheduler chooses; none once it has chosen, or if the plan did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hold: Vec<String>,
    /// AWS name of its environment.
    pub environment: String,
    /// UUID of its environment.
    pub environment_uuid: String,
    /// Why the last look at the pod did not find it running, in the cluster's words (image cannot be pulled, volume not mounted).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Jobs of a queue are cancelled that are RUNNABLE for too long for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeLimit {
    /// The code of the reason.
    pub reason: String,
    /// For how long, in seconds.
    pub max_seconds: u32,
}

/// That a job is to end before it ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// Who wants it.
    pub kind: StopKind,
    /// Becomes the job's `statusReason`.
    pub reason: String,
}

/// Who wants a job to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopKind {
    /// `CancelJob`: only before it starts.
    Cancel,
    /// `TerminateJob`.
    Terminate,
    /// It ran longer than its definition allows.
    Timeout,
    /// Something that it needs can never be had (a volume that does not mount): Bulkhead ends it.
    Hopeless,
}

/// A change of a job that is to be stored, in one transaction with everything else of its cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What the job is now.
    pub record: JobRecord,
    /// When it changed.
    pub at: Timestamp,
    /// The attempt that ended with it.
    pub attempt: Option<Attempt>,
}
