//! The hooks: look up what a decision needs, then decide.
//!
//! Invariant: no decision is made here. What cannot be looked up and matters is an error; what only helps is left out.

use std::sync::Arc;

use model::keys;
use planning::admission::job::{self, JobContext};
use planning::admission::node::{self, NodeOwner};
use planning::admission::pod::{self, PodContext, QueueFacts};
use planning::admission::policy::{
    JobRoute, NamespaceFacts, Pass, PodRoute, QueuedPod, route_job, route_pod, route_pod_of_job,
};
use planning::admission::{Admit, Outcome, size};
use serde_json::Value;
use uuid::Uuid;

use crate::look_up::{LookUp, LookUpError};
use crate::review::{Operation, Request};

/// What the API server asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Jobs, created or updated.
    Jobs,
    /// Pods, created.
    Pods,
    /// Jobs that name a queue and are not, or not any more, what the hook for Jobs makes of them; created.
    LateJobs,
    /// Pods whose queue others have named only now; created.
    LatePods,
    /// Nodes, created.
    Nodes,
}

impl Hook {
    /// The word in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Pods => "pods",
            Self::LateJobs => "late_jobs",
            Self::LatePods => "late_pods",
            Self::Nodes => "nodes",
        }
    }
}

/// What is said to whoever makes a pod with an id and without a queue.
const CLAIMS: &str = "label batch.amazonaws.com/job-id is reserved for Bulkhead; remove it. To send a pod through a queue, label it \
    bulkhead.dev/queue=QUEUE";

/// Decides about one request, of which nothing is needed afterwards but its uid.
pub(crate) async fn decide(hook: Hook, request: &mut Request, look_up: &LookUp) -> Result<Admit, LookUpError> {
    match (hook, request.operation) {
        (Hook::Jobs | Hook::LateJobs, Operation::Create) => create_job(request, look_up).await,
        (Hook::Jobs, Operation::Update) => Ok(update_job(request, look_up)),
        (Hook::Pods, Operation::Create) => create_pod(request, look_up, Pass::of(&request.object)).await,
        (Hook::LatePods, Operation::Create) => create_pod(request, look_up, Pass::Late).await,
        (Hook::Nodes, Operation::Create) => Ok(create_node(request, look_up).await),
        _ => Ok(Admit::unchanged(Outcome::LeftAlone)),
    }
}

async fn create_job(request: &Request, look_up: &LookUp) -> Result<Admit, LookUpError> {
    let namespace = namespace(request, look_up).await?;
    let queue_exists = match route_job(&request.object, &namespace) {
        // Only a warning depends on it.
        JobRoute::Queue(queue) => look_up.queue(&queue).await.map_or(true, |found| found.is_some()),
        _ => true,
    };
    let fresh_id = Uuid::new_v4().to_string();
    Ok(job::mutate(&request.object, None, &job_context(request, &fresh_id, &namespace, queue_exists, look_up)))
}

fn update_job(request: &Request, look_up: &LookUp) -> Admit {
    let Some(old) = &request.old else {
        return Admit::refused(400, "request.oldObject is missing in an UPDATE");
    };
    job::mutate(&request.object, Some(old), &job_context(request, "", &NamespaceFacts::default(), true, look_up))
}

fn job_context<'a>(
    request: &'a Request,
    fresh_id: &'a str,
    namespace: &'a NamespaceFacts,
    queue_exists: bool,
    look_up: &LookUp,
) -> JobContext<'a> {
    JobContext {
        fresh_id,
        namespace,
        requester: &request.user,
        manager: request.manager.as_deref(),
        queue_exists,
        most_template: look_up.most_template(),
    }
}

async fn create_pod(request: &mut Request, look_up: &LookUp, pass: Pass) -> Result<Admit, LookUpError> {
    let namespace = namespace(request, look_up).await?;
    let fresh_id = Uuid::new_v4().to_string();
    let mut route = route_pod(&request.object, &namespace, &request.user, &fresh_id, pass);
    let mut missed = None;
    if let PodRoute::LookUpJob { name, uid } = &route {
        let job = look_up.job(&request.namespace, name).await?.filter(|job| job["metadata"]["uid"] == **uid);
        let Some(job) = job else {
            return Ok(Admit::refused(409, format!("Job {name:?}, which owns this pod, does not exist any more")));
        };
        route = route_pod_of_job(&request.object, &job, &namespace, &request.user, &fresh_id);
        missed = Some(job).filter(|job| job["metadata"]["labels"][keys::JOB_ID].is_null());
    }
    // What others add to a pod costs its Job nothing.
    let of_controller = keys::JOB_CONTROLLER_USERS.contains(&request.user.as_str());
    let measured = !of_controller || (missed.is_some() && pass != Pass::Again);
    if measured
        && matches!(route, PodRoute::Queue(_))
        && let Some(refusal) =
            size::of_pod(&request.object, missed.as_ref().filter(|_| of_controller), look_up.most_template())
    {
        return Ok(Admit::Refused(refusal));
    }
    Ok(match route {
        PodRoute::Leave(outcome) => Admit::unchanged(outcome),
        PodRoute::Outside(reason) => pod::leave_outside(request.object.take(), reason),
        PodRoute::Claims => Admit::refused(403, CLAIMS),
        PodRoute::Queue(queued) => queue_pod(request, &queued, &namespace, look_up, pass).await?,
        // The second route is made from the Job; it never asks for one.
        PodRoute::LookUpJob { name, .. } => Admit::refused(500, format!("Job {name:?} was looked up in vain")),
    })
}

async fn queue_pod(
    request: &mut Request,
    queued: &QueuedPod,
    namespace: &NamespaceFacts,
    look_up: &LookUp,
    pass: Pass,
) -> Result<Admit, LookUpError> {
    let known = look_up.queue(&queued.queue).await?;
    let queue = known.unwrap_or_else(|| Arc::new(QueueFacts::unknown(&queued.queue)));
    let context = PodContext {
        unit: &queued.unit,
        queue_label: Some(&queued.queue),
        queue: &queue,
        array_size: queued.array_size,
        host_network: queued.host_network,
        surroundings: look_up.around(&request.namespace, namespace),
        pass,
    };
    Ok(pod::mutate(request.object.take(), &context))
}

/// A node whose environment cannot be looked up gets the harmless taint; the controller completes it.
async fn create_node(request: &Request, look_up: &LookUp) -> Admit {
    let environment = match node::environment_uuid(&request.object) {
        None => NodeOwner::Unknown,
        Some(uuid) => look_up.environment(uuid).await.unwrap_or_else(|error| {
            let error = cluster::telemetry::chain(&error);
            tracing::warn!(uid = request.uid, node = request.name, error, "the node's environment is not known");
            NodeOwner::Unknown
        }),
    };
    node::mutate(&request.object, environment)
}

async fn namespace(request: &Request, look_up: &LookUp) -> Result<Arc<NamespaceFacts>, LookUpError> {
    look_up.namespace(&request.namespace, !has_queue_label(&request.object)).await
}

fn has_queue_label(object: &Value) -> bool {
    object["metadata"]["labels"][keys::QUEUE].as_str().is_some_and(|queue| !queue.is_empty())
}
