//! What was asked for: job definition, overrides and defaults in one, as stored at submission.
//!
//! Invariant: nothing in here changes after the submission; all children of an array job share it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Door, JobId};
use crate::identity::Identity;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// `jobName`.
    pub name: String,
    /// Way in.
    pub door: Door,
    /// AWS name of its queue.
    pub queue: String,
    /// ARN of its job definition, with revision; for a Kubernetes Job empty.
    pub definition: String,
    /// Namespace that it asks for; `None`: that of the compute environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// UID of the Kubernetes Job that it is; `None`: it is none, or an earlier release stored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// `eksProperties.podProperties` with overrides and parameters applied, as AWS Batch writes it; of a job of `containerProperties` what
    /// these mean.
    pub pod: Value,
    /// What only jobs of `containerProperties` have; `None`: it is of `eksProperties`, or a Kubernetes Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<OfContainer>,
    /// How often it is tried; `None`: it was never said, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryStrategy>,
    /// Seconds an attempt may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// What must succeed first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// Number of children; `None`: not an array job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array_size: Option<u32>,
    /// `parameters`, those of the definition included.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// `tags`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Its share in a fair-share queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// Its priority inside its share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Who submitted it; `None`: a Kubernetes Job, or submitted where no keys are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitter: Option<Submitter>,
}

/// Who submitted a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Submitter {
    /// What he may do is asked again when the job starts.
    pub identity: Identity,
    /// In which namespace the job is for whoever asks for it, if it names none: that of the first environment of its queue, then.
    pub namespace: String,
}

impl Spec {
    /// How often it is tried at most.
    pub fn attempts(&self) -> u32 {
        self.retry.as_ref().map_or(1, |retry| retry.attempts.max(1))
    }
}

/// What a job of `containerProperties` is shown with besides its pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OfContainer {
    /// `containerProperties` with overrides applied, less what the pod says as well: command and environment.
    pub properties: Map<String, Value>,
    /// `platformCapabilities`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platform_capabilities: Vec<String>,
    /// `propagateTags`.
    pub propagate_tags: bool,
}

/// How often a job is tried, and which failures count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryStrategy {
    /// 1 to 10.
    pub attempts: u32,
    /// The first that matches decides; none: another attempt.
    #[serde(default)]
    pub evaluate_on_exit: Vec<EvaluateOnExit>,
}

/// What is done after an attempt that ended like this. All patterns that are given must match; a `*` at the end stands for anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvaluateOnExit {
    /// Against the attempt's `statusReason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_status_reason: Option<String>,
    /// Against the container's reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_reason: Option<String>,
    /// Against the container's exit code in decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exit_code: Option<String>,
    /// What is done.
    pub action: RetryAction,
}

/// What is done after an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetryAction {
    /// Another attempt, if one is left.
    Retry,
    /// The job has failed.
    Exit,
}

/// What must succeed first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// The job, array job or child; `None` only with [`DependencyKind::Sequential`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// How.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<DependencyKind>,
}

/// How an array job depends; without one the whole job must have succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DependencyKind {
    /// Each child on the child with the same index.
    NToN,
    /// Each child on the child before it.
    Sequential,
}
