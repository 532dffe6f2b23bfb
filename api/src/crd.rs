//! The custom resources `bulkhead.dev/v1alpha1`: what admins write, and one record per machine.
//!
//! Invariant: every rule that can be checked without knowing other objects is in the schema (CEL), so that the API server
//! refuses a bad object with a message that says what to do. Knows nothing about how the objects are used.

#![allow(clippy::duplicated_attributes, reason = "printer columns repeat keys on purpose")]
#![allow(unreachable_pub, reason = "the KubeSchema derive repeats each struct in a private scope")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Whether Bulkhead adds and removes the nodes of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum EnvironmentType {
    /// Bulkhead launches and retires nodes.
    Managed,
    /// Admins label nodes with the environment's UUID.
    Unmanaged,
}

/// Whether an environment or queue takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// It takes work.
    #[default]
    Enabled,
    /// What runs goes on; nothing new starts.
    Disabled,
}

/// How offers are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AllocationStrategy {
    /// The offers that fit the waiting work at the lowest price.
    #[default]
    BestFitProgressive,
    /// As `BEST_FIT_PROGRESSIVE`.
    BestFitProgressiveOrdered,
    /// As `BEST_FIT_PROGRESSIVE`, among spot offers.
    SpotCapacityOptimized,
    /// As `BEST_FIT_PROGRESSIVE`, among spot offers.
    SpotPriceCapacityOptimized,
    /// As `BEST_FIT_PROGRESSIVE`, among spot offers.
    SpotCapacityOptimizedPrioritized,
}

impl AllocationStrategy {
    /// Whether it chooses among spot offers.
    pub fn is_spot(self) -> bool {
        match self {
            Self::BestFitProgressive | Self::BestFitProgressiveOrdered => false,
            Self::SpotCapacityOptimized | Self::SpotPriceCapacityOptimized | Self::SpotCapacityOptimizedPrioritized => {
                true
            }
        }
    }
}

/// Whether an object can be used, in AWS's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Validity {
    /// It can.
    Valid,
    /// It cannot; the reason says why.
    Invalid,
}

/// A pool of nodes and its limits.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "bulkhead.dev",
    version = "v1alpha1",
    kind = "ComputeEnvironment",
    shortname = "ce",
    category = "bulkhead",
    status = "ComputeEnvironmentStatus",
    derive = "PartialEq",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "State", type_ = "string", json_path = ".spec.state"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.status"),
    printcolumn(name = "vCPUs", type_ = "string", json_path = ".status.vcpus"),
    printcolumn(name = "Nodes", type_ = "integer", json_path = ".status.nodes.ready"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type != 'UNMANAGED' || !has(self.provider)").message("an UNMANAGED compute environment has no spec.provider: its nodes are the ones you label"),
    validation = Rule::new("self.type == 'UNMANAGED' || !has(self.selfRegistration)").message("selfRegistration is for UNMANAGED compute environments: nodes of a MANAGED one are Bulkhead's own machines"),
    validation = Rule::new("self.minvCpus <= self.maxvCpus").message("minvCpus must not be greater than maxvCpus"),
    validation = Rule::new("has(self.name) == has(oldSelf.name) && (!has(self.name) || self.name == oldSelf.name)").message("spec.name cannot be changed: the environment's ARN and UUID come from it"),
    validation = Rule::new("self.type == oldSelf.type").message("spec.type cannot be changed; make a new compute environment")
)]
pub struct ComputeEnvironmentSpec {
    /// AWS name; defaults to metadata.name. Up to 128 letters, digits, hyphens and underscores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$')").message("a name has 1 to 128 letters, digits, hyphens and underscores and starts with a letter or digit"))]
    pub name: Option<String>,
    /// MANAGED: Bulkhead adds and removes nodes. UNMANAGED: label nodes yourself.
    #[serde(rename = "type")]
    pub type_: EnvironmentType,
    /// ENABLED or DISABLED.
    #[serde(default)]
    pub state: State,
    /// Namespace of pods submitted through the AWS Batch API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!self.startsWith('kube-') && self != 'bulkhead-system'").message("the namespaces of the system and of Bulkhead itself are not for jobs"))]
    pub namespace: Option<String>,
    /// vCPUs kept even when idle.
    #[serde(default, rename = "minvCpus")]
    #[schemars(range(min = 0))]
    pub minv_cpus: u32,
    /// vCPUs never exceeded. 0: nothing is launched.
    #[serde(default = "default_maxv_cpus", rename = "maxvCpus")]
    #[schemars(range(min = 0))]
    pub maxv_cpus: u32,
    /// Names or families among the provider's offers; empty, `optimal` or `default_x86_64`: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instance_types: Vec<String>,
    /// How offers are chosen.
    #[serde(default)]
    pub allocation_strategy: AllocationStrategy,
    /// How long a node stays idle before it goes, as a Go duration (`90s`, `1m`, `1h30m`).
    #[serde(default = "default_scale_down_delay")]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(h|m|s|ms))+$')").message("a duration such as 30s, 1m or 1h30m"))]
    pub scale_down_delay: String,
    /// Where machines come from; MANAGED only. Without it a MANAGED environment is INVALID: it can be stored, because one that is
    /// made through the AWS API names no provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// Jobs of the AWS Batch API may have what Pod Security's level `baseline` forbids (hostPath volumes, privileged containers, further capabilities):
    /// whoever may submit can then take over the environment's nodes. The API cannot set this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_privileged: bool,
    /// UNMANAGED only: whether nodes may join by registering with the environment's label, as node groups that label through the kubelet do
    /// (the default). False: somebody who may edit nodes has to set the label, so that no kubelet can get itself work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_registration: Option<bool>,
    /// Members of the AWS API that have no meaning here, echoed by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub aws: Option<Map<String, Value>>,
}

/// An object whose members the API server keeps as they are.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "nullable": true, "x-kubernetes-preserve-unknown-fields": true})
}

fn default_maxv_cpus() -> u32 {
    256
}

fn default_scale_down_delay() -> String {
    "1m".to_owned()
}

/// Where machines come from: exactly one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.external)").message("name one provider, for example provider: {external: {url: http://…}}"))]
pub struct Provider {
    /// An HTTP service that launches machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalProvider>,
}

impl Provider {
    /// What tells providers apart.
    pub fn key(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// An HTTP service that launches machines; see the documentation of provider `external`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalProvider {
    /// Base URL; `/offers` and `/instances` are appended.
    #[x_kube(validation = Rule::new("self.startsWith('http://')").message("provider.external.url must be a plain http:// URL"))]
    pub url: String,
}

/// What Bulkhead knows about a compute environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComputeEnvironmentStatus {
    /// UUID that nodes carry as a label; made from the environment's ARN, never changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// VALID or INVALID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Validity>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// vCPUs of the machines that exist or are being launched.
    #[serde(default, rename = "desiredvCpus", skip_serializing_if = "Option::is_none")]
    pub desiredv_cpus: Option<u32>,
    /// `desired/max`, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcpus: Option<String>,
    /// Its nodes by what they are doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeCounts>,
}

/// Nodes by what they are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeCounts {
    /// Taking work.
    pub ready: u32,
    /// On their way.
    pub launching: u32,
    /// On their way out.
    pub retiring: u32,
}

/// Where jobs wait.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "bulkhead.dev",
    version = "v1alpha1",
    kind = "JobQueue",
    shortname = "jq",
    category = "bulkhead",
    status = "JobQueueStatus",
    derive = "PartialEq",
    printcolumn(name = "Priority", type_ = "integer", json_path = ".spec.priority"),
    printcolumn(name = "State", type_ = "string", json_path = ".spec.state"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.status"),
    printcolumn(name = "Waiting", type_ = "integer", json_path = ".status.waiting"),
    printcolumn(name = "Running", type_ = "integer", json_path = ".status.dispatched"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.name) == has(oldSelf.name) && (!has(self.name) || self.name == oldSelf.name)").message("spec.name cannot be changed: the queue's ARN comes from it"))]
pub struct JobQueueSpec {
    /// AWS name; defaults to metadata.name. Up to 128 letters, digits, hyphens and underscores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$')").message("a name has 1 to 128 letters, digits, hyphens and underscores and starts with a letter or digit"))]
    pub name: Option<String>,
    /// Queues with a higher number go first.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10000))]
    pub priority: i32,
    /// ENABLED or DISABLED.
    #[serde(default)]
    pub state: State,
    /// Compute environments (metadata.name or AWS name), tried in this order.
    #[schemars(length(min = 1, max = 16))]
    pub compute_environments: Vec<String>,
    /// True: nothing passes a job that waits. Default: smaller work may pass as long as it does not delay it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict_fifo: bool,
    /// Requests of a pod in which no container has requests or limits; its first container gets them.
    #[serde(default = "default_requests")]
    pub default_requests: BTreeMap<String, String>,
    /// hostNetwork of pods that do not say. true: of all; false: of none. Default: of all but those of Indexed Jobs, whose host name
    /// carries their index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_network: Option<bool>,
    /// Jobs of the API that have waited for too long for a reason are cancelled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.all(one, self.exists_one(other, other.reason == one.reason))").message("there is one limit for each reason"))]
    pub job_state_time_limit_actions: Vec<JobStateTimeLimitAction>,
    /// Members of the AWS API that have no meaning here, echoed by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub aws: Option<Map<String, Value>>,
}

/// What is done about a job that waits for too long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobStateTimeLimitAction {
    /// Code of the reason, for example `CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY`.
    #[schemars(length(min = 1, max = 128))]
    pub reason: String,
    /// State of the job.
    pub state: TimeLimitState,
    /// How long it may wait for that reason. The AWS API takes 600 and more.
    #[schemars(range(min = 1, max = 86400))]
    pub max_time_seconds: u32,
    /// What is done then.
    pub action: TimeLimitAction,
}

/// State of a job that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum TimeLimitState {
    /// It waits for room.
    Runnable,
}

/// What is done about a job that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum TimeLimitAction {
    /// It is cancelled.
    Cancel,
}

fn default_requests() -> BTreeMap<String, String> {
    BTreeMap::from([("cpu".to_owned(), "250m".to_owned()), ("memory".to_owned(), "256Mi".to_owned())])
}

/// What Bulkhead knows about a job queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobQueueStatus {
    /// VALID or INVALID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Validity>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// Units that wait.
    #[serde(default)]
    pub waiting: u32,
    /// Units on a node.
    #[serde(default)]
    pub dispatched: u32,
}

/// One machine of a MANAGED environment, from before its launch until it is gone. Written by Bulkhead alone.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "bulkhead.dev",
    version = "v1alpha1",
    kind = "BatchNode",
    shortname = "bn",
    category = "bulkhead",
    status = "BatchNodeStatus",
    derive = "PartialEq",
    printcolumn(name = "CE", type_ = "string", json_path = ".spec.computeEnvironment"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.offer"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Node", type_ = "string", json_path = ".status.nodeName"),
    printcolumn(name = "Units", type_ = "integer", json_path = ".status.units"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("a BatchNode's spec cannot be changed"))]
pub struct BatchNodeSpec {
    /// metadata.name of the compute environment.
    pub compute_environment: String,
    /// UUID of the compute environment.
    pub compute_environment_uuid: String,
    /// AWS name of the compute environment.
    pub compute_environment_name: String,
    /// The provider's offer, for example `m5.large`.
    pub offer: String,
    /// vCPUs as sold, in thousandths.
    pub milli_vcpus: u64,
    /// What pods are expected to be able to request, as quantities.
    pub allocatable: BTreeMap<String, String>,
    /// Labels that its offer promises (instance type, zone), besides the environment's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Where it was launched; kept here so that it can be taken down after its environment is gone.
    pub provider: Provider,
}

/// Where a machine is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Stored; the provider has not confirmed the launch.
    #[default]
    Pending,
    /// Launched; its node is not Ready yet.
    Launching,
    /// Its node takes work.
    Ready,
    /// It gets no more work and goes when the last unit has ended.
    Retiring,
    /// The machine is being taken down.
    Terminating,
}

/// What Bulkhead knows about a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchNodeStatus {
    /// Where it is in its life.
    #[serde(default)]
    pub phase: Phase,
    /// The provider's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Name of its Node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Units on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u32>,
    /// Why it is in this phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its provider has said that it is taking it down: that it does not know it any more is to be expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<bool>,
    /// When it entered this phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
}

impl ComputeEnvironment {
    /// Its AWS name.
    pub fn aws_name(&self) -> &str {
        self.spec.name.as_deref().or(self.metadata.name.as_deref()).unwrap_or_default()
    }
}

impl JobQueue {
    /// Its AWS name.
    pub fn aws_name(&self) -> &str {
        self.spec.name.as_deref().or(self.metadata.name.as_deref()).unwrap_or_default()
    }
}

impl BatchNode {
    /// Where it is in its life.
    pub fn phase(&self) -> Phase {
        self.status.as_ref().map_or(Phase::Pending, |status| status.phase)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    #[test]
    fn the_api_server_keeps_members_of_the_aws_api_as_they_are() {
        for crd in &crate::crds()[..2] {
            let crd = serde_json::to_value(crd).unwrap();
            let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
            let aws = &schema["properties"]["aws"];
            assert_eq!((&aws["type"], &aws["x-kubernetes-preserve-unknown-fields"]), (&json!("object"), &json!(true)));
            assert!(aws["description"].is_string(), "{aws}");
            assert!(!schema["required"].as_array().is_some_and(|names| names.contains(&Value::from("aws"))));
        }
    }
}
