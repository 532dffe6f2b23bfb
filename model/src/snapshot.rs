//! What one planning cycle sees: queues, environments, nodes, machines, jobs and units, as plain data.
//!
//! Invariant: immutable during a cycle; everything the plan depends on is in here or is the time. Does not know Kubernetes
//! objects: whoever builds it has decoded and judged them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::job::JobId;
use crate::keys;
use crate::placement::{Shape, Taint};
use crate::resources::Resources;
use crate::status::{Reason, Status};

/// Namespace and name of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// From namespace and name.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A job queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Object name.
    pub name: String,
    /// AWS name.
    pub aws_name: String,
    /// Higher goes first.
    pub priority: i32,
    /// Whether it takes work.
    pub enabled: bool,
    /// Object or AWS names of its environments, in order.
    pub environments: Vec<String>,
    /// Nothing passes a job that waits.
    pub strict_fifo: bool,
}

/// A compute environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Object name.
    pub name: String,
    /// AWS name.
    pub aws_name: String,
    /// UUID that its nodes carry.
    pub uuid: String,
    /// Whether it takes work.
    pub enabled: bool,
    /// Where pods of the API's jobs go that name no namespace of their own; `None`: [`keys::BATCH_NAMESPACE`].
    pub namespace: Option<String>,
    /// How it is scaled; `None`: UNMANAGED.
    pub scaling: Option<Scaling>,
}

impl Environment {
    /// Where the pod of a job of the API goes; `own`: the job's own namespace, if it has one.
    pub fn namespace_for<'a>(&'a self, own: Option<&'a str>) -> &'a str {
        own.or(self.namespace.as_deref()).unwrap_or(keys::BATCH_NAMESPACE)
    }
}

/// Why no pod of the API can be made in a namespace. Pods that others make are not concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Closed {
    /// It does not exist, or is being deleted.
    NotThere,
    /// [`keys::BATCH_USER`] may not.
    Forbidden,
    /// Nobody knows whether it may: what the API server said when it was asked.
    Unclear(String),
}

/// Limits and choices of a MANAGED environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scaling {
    /// vCPUs (thousandths) kept even when idle.
    pub min_milli: i64,
    /// vCPUs (thousandths) never exceeded.
    pub max_milli: i64,
    /// Names or families of offers; empty: any.
    pub instance_types: Vec<String>,
    /// Only spot offers.
    pub spot: bool,
    /// How long a node stays idle before it goes.
    pub scale_down_delay: SignedDuration,
    /// What the provider offers, or why that is not known.
    pub offers: Result<Vec<Offer>, String>,
    /// Offers, or all launches, that are not tried again before a time.
    pub setbacks: Vec<Setback>,
    /// What the last nodes of an offer really were, by name of the offer.
    pub learned: BTreeMap<String, Given>,
    /// Until when more offers may come back: the list has just become shorter, or is not known since a short time. One wrong answer
    /// is no reason to start a Job with fewer units than it may have.
    pub unsettled_until: Option<Timestamp>,
    /// How many machines its provider has delivered since a launch failed there for more than want of capacity, as far as is known.
    pub delivered: u32,
}

/// One kind of machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// Name, for example `m5.large`.
    pub name: String,
    /// vCPUs as sold, in thousandths.
    pub milli_vcpus: i64,
    /// What pods can request on a node of this kind.
    pub allocatable: Resources,
    /// Price per hour in millionths; vCPUs stand in where there is none.
    pub price_micros: i64,
    /// Can be taken back at any time.
    pub spot: bool,
    /// Labels a node of this kind is known to have, the environment's own left out.
    pub labels: BTreeMap<String, String>,
}

/// What nodes of an offer really were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Given {
    /// What they gave to units; a promised resource that is not in it is not given.
    pub room: Resources,
    /// Labels of the newest one.
    pub labels: BTreeMap<String, String>,
    /// Those of them that the one before had, too; a label of a single node says nothing about what others lack.
    pub same_labels: BTreeMap<String, String>,
    /// Taints that the newest one kept, those of its start and Bulkhead's own left out.
    pub taints: Vec<Taint>,
    /// Labels that the offer had promised when that one was launched; of another promise the node says nothing.
    pub promised: BTreeMap<String, String>,
}

/// A failed launch that is not repeated for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setback {
    /// The offer concerned; `None`: every launch of the environment.
    pub offer: Option<String>,
    /// Not before.
    pub until: Timestamp,
    /// The provider's words.
    pub message: String,
    /// Whether the provider was out of capacity (else it answered an error).
    pub capacity: bool,
}

/// A batch node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Name.
    pub name: String,
    /// UID of the Node object.
    pub uid: String,
    /// UUID of its environment.
    pub environment_uuid: String,
    /// Ready, schedulable, not being deleted.
    pub ready: bool,
    /// It would be ready, had not somebody closed it to new pods (`kubectl cordon`).
    pub cordoned: bool,
    /// Until when what it lacks may still come, and taints of its start may go: it has just joined. `None`: it is as it will be.
    pub starting_until: Option<Timestamp>,
    /// Gets no more work.
    pub retiring: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<Taint>,
    /// What pods can request.
    pub allocatable: Resources,
    /// Requests of all pods on it that have not ended, foreign ones included.
    pub used: Resources,
    /// The part of `used` that is not of units: DaemonSets and whatever else tolerates everything.
    pub foreign: Resources,
    /// The part of `foreign` that every such node has: of DaemonSets and static pods.
    pub daemons: Resources,
    /// Units on it that have not ended.
    pub units: u32,
    /// When it last became idle; `None`: it is not.
    pub idle_since: Option<Timestamp>,
    /// Until when logs are promised that would go with it.
    pub logs_until: Option<Timestamp>,
}

/// A machine of a MANAGED environment that is being launched, serves or goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Name of machine, Node and BatchNode.
    pub name: String,
    /// Object name of the environment.
    pub environment: String,
    /// Name of the offer.
    pub offer: String,
    /// vCPUs as sold, in thousandths.
    pub milli_vcpus: i64,
    /// What pods are expected to be able to request.
    pub allocatable: Resources,
    /// Labels that its offer promises, the environment's own left out.
    pub labels: BTreeMap<String, String>,
    /// Where it is in its life.
    pub stage: Stage,
}

/// Where a machine is in its life, as far as planning cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// On its way: its room is still to come.
    Coming,
    /// Its node takes work.
    Serving,
    /// On its way out: it counts against the limit and gives no room.
    Going,
}

/// A Job of the Job door that is in a queue and has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Namespace and name.
    pub key: ObjectKey,
    /// UID.
    pub uid: String,
    /// Name of its queue, as its label says.
    pub queue: String,
    /// When it was created.
    pub created: Timestamp,
    /// The user holds it.
    pub held: bool,
    /// The plan has let it go.
    pub released: bool,
    /// When it was last started, by its status.
    pub started: Option<Timestamp>,
    /// Pods that may run at the same time.
    pub parallelism: u32,
    /// Pods still to succeed; `None`: a work queue with none succeeded yet.
    pub remaining: Option<u32>,
    /// Its clock starts at its release, so it starts with all the units it will ever run together, or not at all.
    pub has_deadline: bool,
    /// What each unit needs.
    pub shape: Arc<Shape>,
    /// The cluster refuses its pods: why, in the words of whoever refused.
    pub refusal: Option<String>,
    /// Why one of its pods does not start that is on a node, or waits for somebody else's gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<String>,
    /// It is not planned for while it waits, and why; what it needs may not be known.
    pub barred: Option<Reason>,
    /// The status that is written on it.
    pub status: Option<Status>,
}

/// A pod that goes through a queue and has not ended, or an attempt of a job of the API, which has a pod only once it is placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unit {
    /// Namespace and name; of an attempt without a pod the job's id as its name.
    pub key: ObjectKey,
    /// UID; of an attempt without a pod the job's id.
    pub uid: String,
    /// The job of the API that it is an attempt of; `None`: a pod that somebody else made.
    pub record: Option<JobId>,
    /// Name of its queue, as its label says.
    pub queue: String,
    /// UID and creation time of its Job; `None`: a bare pod.
    pub job: Option<JobRef>,
    /// When the pod was created.
    pub created: Timestamp,
    /// Completion index, for order.
    pub index: u32,
    /// Number of its attempt, from 1.
    pub attempt: u32,
    /// What it needs; units of one job share it.
    pub shape: Arc<Shape>,
    /// Where it is.
    pub place: Place,
    /// It is not planned for while it waits, and why; what it needs may not be known.
    pub barred: Option<Arc<Reason>>,
    /// Why it waits, as is written on it, or stored where it is a job of the API; not of a pod whose Job has a status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Arc<Reason>>,
}

/// The Job that a unit belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRef {
    /// UID.
    pub uid: String,
    /// When it was created.
    pub created: Timestamp,
    /// It is not among the jobs: the Job hook missed it, so that it has no status, or it has ended or is being deleted, and its status changes no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
}

/// Where a unit is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// Waits for its dispatch.
    Waiting,
    /// With kube-scheduler, which may choose among the nodes on which the plan holds room.
    Held {
        /// Names of the nodes.
        nodes: Vec<String>,
        /// kube-scheduler has tried and found none of them fit.
        refused: bool,
    },
    /// On a node.
    Bound {
        /// Name of the node.
        node: String,
        /// Its containers have started.
        running: bool,
    },
}

/// Something that is written to a pod or a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Write {
    /// A Job is let go.
    Release,
    /// A Job's state and reason.
    Status,
    /// A pod is put on a node.
    Bind,
    /// A pod is handed to kube-scheduler.
    Hold,
}

/// A write that did not go through: the cluster refused it, or did not answer clearly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// UID of the pod or Job.
    pub uid: String,
    /// What was to be written.
    pub write: Write,
    /// Why not, in the words of whoever refused.
    pub message: String,
    /// It is not to be tried again yet.
    pub rests: bool,
}

/// What one planning cycle sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The API server does not call Bulkhead for new pods, because somebody has removed the webhook configuration: a Job that is
    /// released now would run outside of its queue.
    pub hooks_missing: bool,
    /// Namespaces in which no pod of the API can be made now, of those that matter.
    pub closed: BTreeMap<String, Closed>,
    /// All queues.
    pub queues: Vec<Queue>,
    /// All environments.
    pub environments: Vec<Environment>,
    /// All batch nodes.
    pub nodes: Vec<Node>,
    /// All machines.
    pub machines: Vec<Machine>,
    /// All Jobs that are in a queue and have not ended.
    pub jobs: Vec<Job>,
    /// All units that have not ended.
    pub units: Vec<Unit>,
    /// Writes that did not go through the last time.
    pub refused: Vec<Refused>,
    /// Since when room has been kept for what still waits, by the UID of its Job, pod or job of the API.
    pub kept_since: BTreeMap<String, Timestamp>,
}
