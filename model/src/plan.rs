//! What a planning cycle decided. Executing it is the only place with side effects.
//!
//! Invariant: executing any part of a plan twice, or not at all, is harmless: the next cycle sees what is and plans again.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::job::JobId;
use crate::snapshot::{Environment, ObjectKey, Offer};
use crate::status::{Reason, Status};

/// What a planning cycle decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Jobs to unsuspend; their status is written in the same request.
    pub release: Vec<StatusChange>,
    /// Units to bind to a node.
    pub dispatch: Vec<Dispatch>,
    /// Units that kube-scheduler may place on nodes with room held for them.
    pub hold: Vec<Hold>,
    /// Machines to launch.
    pub launch: Vec<Launch>,
    /// Nodes that get no more work and go.
    pub retire: Vec<Retire>,
    /// Jobs whose status changed.
    pub status: Vec<StatusChange>,
    /// Jobs whose release was refused, to be tried without effect: only if that goes through they are planned for again.
    pub probe: Vec<StatusChange>,
    /// Jobs whose status has changed and cannot be written now; it is shown elsewhere.
    pub unwritten: Vec<StatusChange>,
    /// Why jobs of the API wait, as far as that is not [said](crate::snapshot::Unit::said) already.
    pub explain: Vec<(JobId, Arc<Reason>)>,
    /// Why pods wait that are of no Job and no job of the API, as far as it is not written on them.
    pub pods: Vec<PodReason>,
    /// What queues show. Shared with the next plan, which changes what has changed.
    pub queues: Arc<Vec<QueueCounts>>,
    /// Whose waiting is to be remembered with [`kept_since`](crate::snapshot::Snapshot::kept_since), by UID: room is kept for it, or was and it
    /// still waits. Shared as the counts are.
    pub keeps: Arc<BTreeSet<String>>,
    /// When to plan again even if nothing changes.
    pub wake_at: Option<Timestamp>,
}

/// A unit and its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// The pod.
    pub unit: ObjectKey,
    /// UID of the pod.
    pub uid: String,
    /// The job of the API whose pod is still to be made there; `None`: the pod exists and is bound.
    pub record: Option<JobId>,
    /// UID of its Job, for events.
    pub job: Option<String>,
    /// Name of the node.
    pub node: String,
    /// UID of the node.
    pub node_uid: String,
    /// AWS name of the environment.
    pub environment: String,
    /// UUID of the environment.
    pub environment_uuid: String,
    /// Number of the attempt.
    pub attempt: u32,
}

/// A unit that kube-scheduler places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The pod.
    pub unit: ObjectKey,
    /// UID of the pod.
    pub uid: String,
    /// The job of the API that it is; its pod may be still to be made.
    pub record: Option<JobId>,
    /// UID of its Job, for events.
    pub job: Option<String>,
    /// Names of the nodes with room held.
    pub nodes: Vec<String>,
    /// AWS name of the environment.
    pub environment: String,
    /// UUID of the environment.
    pub environment_uuid: String,
    /// Number of the attempt.
    pub attempt: u32,
    /// Its gate has not been removed before.
    pub first: bool,
}

/// A machine to launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Object name of the environment.
    pub environment: String,
    /// Its AWS name.
    pub aws_name: String,
    /// Its UUID, which tells it from another one of that name.
    pub environment_uuid: String,
    /// The offer, as it was planned with.
    pub offer: Offer,
    /// UID of the job that asked first, for events; `None`: minvCpus did.
    pub job: Option<String>,
}

impl Launch {
    /// A machine of an offer for an environment, and for a job.
    pub fn new(environment: &Environment, offer: &Offer, job: Option<String>) -> Self {
        Self {
            environment: environment.name.clone(),
            aws_name: environment.aws_name.clone(),
            environment_uuid: environment.uuid.clone(),
            offer: offer.clone(),
            job,
        }
    }
}

/// A node that gets no more work and goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retire {
    /// Name of machine, Node and BatchNode.
    pub machine: String,
    /// Why, for people.
    pub reason: String,
}

/// A job whose status changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChange {
    /// The Job.
    pub job: ObjectKey,
    /// UID of the Job.
    pub uid: String,
    /// What to write.
    pub status: Status,
}

/// Why a pod waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodReason {
    /// The pod.
    pub pod: ObjectKey,
    /// UID of the pod.
    pub uid: String,
    /// Why.
    pub reason: Reason,
}

/// What a queue shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueCounts {
    /// Object name.
    pub queue: String,
    /// Units that wait.
    pub waiting: u32,
    /// Units on a node.
    pub dispatched: u32,
    /// Thousandths of a CPU that those ask for.
    pub milli_cpu: u32,
    /// What is wrong with it.
    pub problem: Option<String>,
    /// What the cluster does not let happen to its jobs.
    pub refused: Option<String>,
}
