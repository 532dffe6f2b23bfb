//! Requests about jobs.
//!
//! Invariant: only members that something is decided by.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::decode::not_empty;
use crate::definitions::{ContainerResources, EnvVar, Metadata, Retry, Timeout};

/// `SubmitJob`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Submit {
    pub(crate) job_name: String,
    pub(crate) job_queue: String,
    pub(crate) job_definition: String,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) share_identifier: Option<String>,
    pub(crate) scheduling_priority_override: Option<i64>,
    pub(crate) array_properties: Option<Array>,
    pub(crate) depends_on: Vec<DependsOn>,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) container_overrides: Option<Value>,
    pub(crate) node_overrides: Option<Value>,
    pub(crate) ecs_properties_override: Option<Value>,
    pub(crate) consumable_resource_properties_override: Option<Value>,
    pub(crate) retry_strategy: Option<Retry>,
    pub(crate) propagate_tags: Option<bool>,
    pub(crate) timeout: Option<Timeout>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) eks_properties_override: Option<EksOverride>,
}

/// `arrayProperties`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Array {
    pub(crate) size: Option<i64>,
}

/// `dependsOn[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DependsOn {
    #[serde(deserialize_with = "not_empty")]
    pub(crate) job_id: Option<String>,
    #[serde(rename = "type", deserialize_with = "not_empty")]
    pub(crate) kind: Option<String>,
}

/// `eksPropertiesOverride`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EksOverride {
    pub(crate) pod_properties: Option<PodOverride>,
}

/// `eksPropertiesOverride.podProperties`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodOverride {
    pub(crate) containers: Vec<ContainerOverride>,
    pub(crate) init_containers: Vec<ContainerOverride>,
    pub(crate) metadata: Option<Metadata>,
}

/// `containers[]` and `initContainers[]` of an override. What is absent stays as the definition has it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerOverride {
    #[serde(deserialize_with = "not_empty")]
    pub(crate) name: Option<String>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) image: Option<String>,
    pub(crate) command: Option<Vec<String>>,
    pub(crate) args: Option<Vec<String>>,
    pub(crate) env: Vec<EnvVar>,
    pub(crate) resources: Option<ContainerResources>,
}

/// `DescribeJobs`.
#[derive(Debug, Deserialize)]
pub(crate) struct Describe {
    pub(crate) jobs: Vec<String>,
}

/// `ListJobs`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct List {
    #[serde(deserialize_with = "not_empty")]
    pub(crate) job_queue: Option<String>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) array_job_id: Option<String>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) multi_node_job_id: Option<String>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) job_status: Option<String>,
    pub(crate) max_results: Option<i64>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) next_token: Option<String>,
    pub(crate) filters: Vec<Named>,
}

/// `filters[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) values: Vec<String>,
}

/// `CancelJobs`, `TerminateJobs`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct StopAll {
    pub(crate) jobs: Vec<String>,
    #[serde(default)]
    pub(crate) reason: String,
}

/// `CancelJob`, `TerminateJob`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stop {
    pub(crate) job_id: String,
    #[serde(default)]
    pub(crate) reason: String,
}
