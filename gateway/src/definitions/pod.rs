//! `eksProperties`: the part of a pod that AWS Batch lets users write
//! (<https://docs.aws.amazon.com/batch/latest/APIReference/API_EksPodProperties.html>).
//!
//! Invariant: what was written reads back as it was written; members that AWS does not have are dropped. Judges nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `eksProperties`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EksProperties {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod_properties: Option<PodProperties>,
}

/// `podProperties`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodProperties {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service_account_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host_network: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dns_policy: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) image_pull_secrets: Vec<PullSecret>,
    pub(crate) containers: Vec<Container>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) init_containers: Vec<Container>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) volumes: Vec<Volume>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) share_process_namespace: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) security_context: Option<PodSecurity>,
}

/// `imagePullSecrets[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PullSecret {
    pub(crate) name: String,
}

/// `containers[]`, `initContainers[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Container {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image_pull_policy: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) command: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) args: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) env: Vec<EnvVar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resources: Option<ContainerResources>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) volume_mounts: Vec<VolumeMount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) security_context: Option<ContainerSecurity>,
}

/// `env[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EnvVar {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
}

/// `resources`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerResources {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) limits: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) requests: BTreeMap<String, String>,
}

/// `volumeMounts[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct VolumeMount {
    pub(crate) name: String,
    pub(crate) mount_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sub_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_only: Option<bool>,
}

/// `securityContext` of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerSecurity {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_as_user: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_as_group: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) privileged: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allow_privilege_escalation: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_only_root_filesystem: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_as_non_root: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) capabilities: Option<Capabilities>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seccomp_profile: Option<Seccomp>,
}

/// `securityContext.capabilities`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Capabilities {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) add: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) drop: Vec<String>,
}

/// `seccompProfile`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Seccomp {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) localhost_profile: Option<String>,
}

/// `securityContext` of the pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSecurity {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_as_user: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_as_group: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_as_non_root: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fs_group: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seccomp_profile: Option<Seccomp>,
}

/// `volumes[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Volume {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host_path: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) empty_dir: Option<EmptyDir>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) persistent_volume_claim: Option<Value>,
}

/// `volumes[].emptyDir`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EmptyDir {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) medium: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size_limit: Option<String>,
}

/// `metadata`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
}
