//! Requests about compute environments, as far as something is decided by them.
//!
//! Invariant: members that only are echoed are not here; they are taken from the request as they are (`create::ECHOED`).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::decode::not_empty;

/// `CreateComputeEnvironment`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Create {
    pub(crate) compute_environment_name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) state: Option<String>,
    #[serde(rename = "unmanagedvCpus")]
    pub(crate) unmanaged_vcpus: Option<i64>,
    pub(crate) compute_resources: Option<ComputeResources>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) service_role: Option<String>,
    pub(crate) eks_configuration: Option<EksConfiguration>,
    pub(crate) tags: BTreeMap<String, String>,
}

/// `eksConfiguration`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EksConfiguration {
    pub(crate) eks_cluster_arn: String,
    pub(crate) kubernetes_namespace: String,
    pub(crate) access_entry: Option<AccessEntry>,
}

/// `eksConfiguration.accessEntry`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AccessEntry {
    pub(crate) desired_state: Option<String>,
}

/// `computeResources`, of a creation or a change.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ComputeResources {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) allocation_strategy: Option<String>,
    #[serde(rename = "minvCpus")]
    pub(crate) min_vcpus: Option<i64>,
    #[serde(rename = "maxvCpus")]
    pub(crate) max_vcpus: Option<i64>,
    #[serde(rename = "desiredvCpus")]
    pub(crate) desired_vcpus: Option<i64>,
    pub(crate) instance_types: Option<Vec<String>>,
    pub(crate) subnets: Option<Vec<String>>,
    pub(crate) security_group_ids: Option<Vec<String>>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) instance_role: Option<String>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) spot_iam_fleet_role: Option<String>,
    pub(crate) ec2_configuration: Vec<Ec2Configuration>,
    pub(crate) launch_template: Option<LaunchTemplate>,
    pub(crate) scaling_policy: Option<ScalingPolicy>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) capacity_tags: BTreeMap<String, String>,
}

/// `computeResources.ec2Configuration[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Ec2Configuration {
    #[serde(deserialize_with = "not_empty")]
    pub(crate) image_type: Option<String>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) image_kubernetes_version: Option<String>,
}

/// `computeResources.launchTemplate`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LaunchTemplate {
    pub(crate) overrides: Vec<TemplateOverride>,
}

/// `computeResources.launchTemplate.overrides[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TemplateOverride {
    pub(crate) target_instance_types: Vec<String>,
}

/// `computeResources.scalingPolicy`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ScalingPolicy {
    pub(crate) min_scale_down_delay_minutes: Option<i64>,
}

/// `DescribeComputeEnvironments`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Describe {
    pub(crate) compute_environments: Vec<String>,
    pub(crate) max_results: Option<i64>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) next_token: Option<String>,
}

/// `UpdateComputeEnvironment`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdateEnvironment {
    pub(crate) compute_environment: String,
    #[serde(default)]
    pub(crate) state: Option<String>,
    #[serde(default, rename = "unmanagedvCpus")]
    pub(crate) unmanaged_vcpus: Option<i64>,
    #[serde(default)]
    pub(crate) compute_resources: Option<ComputeResources>,
    #[serde(default)]
    pub(crate) eks_configuration: Option<EksConfiguration>,
    #[serde(default)]
    pub(crate) update_policy: Option<Value>,
}

/// `DeleteComputeEnvironment`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Delete {
    pub(crate) compute_environment: String,
}
