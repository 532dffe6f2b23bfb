//! `containerProperties` and `containerOverrides`: a container as AWS Batch describes it for Amazon ECS
//! (<https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerProperties.html>).
//!
//! Invariant: what was written reads back as it was written; members that AWS does not have are dropped. Judges nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::decode::not_empty;

/// `containerProperties`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerProperties {
    pub(crate) image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vcpus: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<i64>,
    pub(crate) command: Vec<String>,
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Option::is_none")]
    pub(crate) job_role_arn: Option<String>,
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Option::is_none")]
    pub(crate) execution_role_arn: Option<String>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) environment: Vec<KeyValue>,
    pub(crate) mount_points: Vec<MountPoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) readonly_root_filesystem: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) privileged: Option<bool>,
    pub(crate) ulimits: Vec<Value>,
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Option::is_none")]
    pub(crate) instance_type: Option<String>,
    pub(crate) resource_requirements: Vec<Requirement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) linux_parameters: Option<LinuxParameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_configuration: Option<LogConfiguration>,
    pub(crate) secrets: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) network_configuration: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fargate_platform_configuration: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ephemeral_storage: Option<EphemeralStorage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime_platform: Option<RuntimePlatform>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repository_credentials: Option<RepositoryCredentials>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enable_execute_command: Option<bool>,
}

/// `environment[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KeyValue {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
}

/// `resourceRequirements[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Requirement {
    pub(crate) value: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

/// `volumes[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Volume {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<Host>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) efs_volume_configuration: Option<Efs>,
    /// Where else it may come from.
    #[serde(flatten)]
    pub(crate) others: Map<String, Value>,
}

/// `volumes[].host`. Without a path the volume is empty at first and gone with the job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Host {
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Option::is_none")]
    pub(crate) source_path: Option<String>,
}

/// `volumes[].efsVolumeConfiguration`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Efs {
    pub(crate) file_system_id: String,
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Option::is_none")]
    pub(crate) root_directory: Option<String>,
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Option::is_none")]
    pub(crate) transit_encryption: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transit_encryption_port: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorization_config: Option<EfsAuthorization>,
}

/// `volumes[].efsVolumeConfiguration.authorizationConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EfsAuthorization {
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Option::is_none")]
    pub(crate) access_point_id: Option<String>,
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Option::is_none")]
    pub(crate) iam: Option<String>,
}

/// `mountPoints[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MountPoint {
    pub(crate) container_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_only: Option<bool>,
    pub(crate) source_volume: String,
}

/// `linuxParameters`; sizes are MiB.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LinuxParameters {
    pub(crate) devices: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) init_process_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shared_memory_size: Option<i64>,
    pub(crate) tmpfs: Vec<Tmpfs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_swap: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) swappiness: Option<i64>,
}

/// `linuxParameters.tmpfs[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Tmpfs {
    pub(crate) container_path: String,
    pub(crate) size: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) mount_options: Vec<String>,
}

/// `logConfiguration`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LogConfiguration {
    pub(crate) log_driver: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) options: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) secret_options: Vec<Value>,
}

/// `ephemeralStorage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EphemeralStorage {
    #[serde(rename = "sizeInGiB", skip_serializing_if = "Option::is_none")]
    pub(crate) gibibytes: Option<i64>,
}

/// `runtimePlatform`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RuntimePlatform {
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Option::is_none")]
    pub(crate) operating_system_family: Option<String>,
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_architecture: Option<String>,
}

/// `repositoryCredentials`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RepositoryCredentials {
    pub(crate) credentials_parameter: String,
}

/// `containerOverrides`. What is absent stays as the definition has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerOverrides {
    pub(crate) vcpus: Option<i64>,
    pub(crate) memory: Option<i64>,
    pub(crate) command: Vec<String>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) instance_type: Option<String>,
    pub(crate) environment: Vec<KeyValue>,
    pub(crate) resource_requirements: Vec<Requirement>,
}
