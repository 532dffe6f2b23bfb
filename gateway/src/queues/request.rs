//! Requests about job queues.
//!
//! Invariant: only members that something is decided by.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::decode::not_empty;

/// `CreateJobQueue`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Create {
    pub(crate) job_queue_name: String,
    pub(crate) state: Option<String>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) scheduling_policy_arn: Option<String>,
    pub(crate) priority: Option<i64>,
    pub(crate) compute_environment_order: Vec<Ordered>,
    pub(crate) service_environment_order: Vec<Value>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) job_queue_type: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) job_state_time_limit_actions: Vec<TimeLimit>,
}

/// `computeEnvironmentOrder[]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ordered {
    pub(crate) order: i64,
    pub(crate) compute_environment: String,
}

/// `jobStateTimeLimitActions[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TimeLimit {
    pub(crate) reason: String,
    pub(crate) state: String,
    pub(crate) max_time_seconds: i64,
    pub(crate) action: String,
}

/// `DescribeJobQueues`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Describe {
    pub(crate) job_queues: Vec<String>,
    pub(crate) max_results: Option<i64>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) next_token: Option<String>,
}

/// `GetJobQueueSnapshot`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Snapshot {
    pub(crate) job_queue: String,
}

/// `UpdateJobQueue`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Update {
    pub(crate) job_queue: String,
    #[serde(default)]
    pub(crate) state: Option<String>,
    #[serde(default, deserialize_with = "not_empty")]
    pub(crate) scheduling_policy_arn: Option<String>,
    #[serde(default)]
    pub(crate) priority: Option<i64>,
    #[serde(default)]
    pub(crate) compute_environment_order: Option<Vec<Ordered>>,
    #[serde(default)]
    pub(crate) service_environment_order: Vec<Value>,
    #[serde(default)]
    pub(crate) job_state_time_limit_actions: Option<Vec<TimeLimit>>,
}

/// `DeleteJobQueue`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Delete {
    pub(crate) job_queue: String,
}
