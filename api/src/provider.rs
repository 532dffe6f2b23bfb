//! Wire format of the `external` node provider: JSON over HTTP, for others to implement.
//!
//! `GET /offers` → [`OfferList`]; `PUT /instances/{token}` with a [`LaunchRequest`] → [`Instance`] (idempotent: the same
//! token never makes a second machine); `GET /instances` → [`InstanceList`]; `DELETE /instances/{token}` → 200 with the
//! [`Instance`] while it is going away, 404 once it is gone (idempotent). Every other answer carries a [`ProviderError`].
//! The token is the name of the machine, of its Node and of its BatchNode. Knows nothing about who serves or calls it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Answer to `GET /offers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferList {
    /// What can be launched.
    pub offers: Vec<Offer>,
}

/// One kind of machine. Quantities are Kubernetes quantities (`"2"`, `"500m"`, `"8Gi"`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// Name, for example `m5.large`; the part before the first dot is its family.
    pub name: String,
    /// vCPUs as sold; counted against `maxvCpus`.
    pub cpu: String,
    /// Memory as sold.
    pub memory: String,
    /// Other resources by name, for example `nvidia.com/gpu`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, String>,
    /// What pods can request on a node of this kind, by resource name (`cpu`, `memory`, `pods`, …); a resource that is
    /// not named here is taken as sold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub allocatable: BTreeMap<String, String>,
    /// Zone, if the offer is bound to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Labels that a node of this kind has, besides its instance type, zone, `kubernetes.io/os: linux` and `kubernetes.io/arch: amd64`; or
    /// what it has instead of these. The launch asks for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Price per hour in millionths of any one currency; without it, vCPUs stand in for the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_micros: Option<u64>,
    /// True if the machine can be taken back at any time.
    #[serde(default)]
    pub spot: bool,
}

/// Body of `PUT /instances/{token}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchRequest {
    /// Name of the offer.
    pub offer: String,
    /// Labels the node registers with.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Taints the node registers with.
    #[serde(default)]
    pub taints: Vec<Taint>,
    /// AWS name of the compute environment it is for.
    pub compute_environment: String,
}

/// A node taint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value; may be empty.
    #[serde(default)]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// The token it was launched with.
    pub token: String,
    /// The provider's own id, for example `i-0123456789`.
    pub id: String,
    /// Where it is in its life.
    pub state: InstanceState,
    /// Name its Node has or will have.
    pub node_name: String,
    /// Name of the offer.
    pub offer: String,
    /// AWS name of the compute environment it was launched for.
    #[serde(default)]
    pub compute_environment: String,
}

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// Being made.
    Pending,
    /// Powered on; its node may still be joining.
    Running,
    /// Being taken down.
    Terminating,
    /// Died or failed to start; still listed so that the loss can be seen. `DELETE` clears it.
    Failed,
}

/// Answer to `GET /instances`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceList {
    /// Every instance that is not gone.
    pub instances: Vec<Instance>,
}

/// Body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderError {
    /// What kind of failure.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

/// Kinds of failure, each with its HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorCode {
    /// 503: this offer cannot be had now; try another.
    InsufficientCapacity,
    /// 400: the request can never succeed.
    InvalidRequest,
    /// 429: the same request may succeed later.
    TryLater,
}
