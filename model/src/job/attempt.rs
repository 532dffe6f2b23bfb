//! How an attempt ended.
//!
//! Invariant: written once, when it ended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An attempt that has ended: one element of `eksAttempts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// Its containers.
    #[serde(default)]
    pub containers: Vec<ContainerEnd>,
    /// Its init containers.
    #[serde(default)]
    pub init_containers: Vec<ContainerEnd>,
    /// Name of its pod.
    pub pod_name: String,
    /// Namespace of its pod.
    pub namespace: String,
    /// Name of its node.
    pub node: String,
    /// When it began to run; `None`: it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    pub stopped: Timestamp,
    /// Why it ended badly, or was ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerEnd {
    /// Name.
    pub name: String,
    /// Id that the runtime gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// Exit code; `None`: it never ran, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Kubernetes' word for it, at most 255 characters: `Completed`, `Error`, `OOMKilled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
