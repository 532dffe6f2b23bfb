//! What is kept of a pod: the room it takes on its node and, for one that goes through a queue, its place in it.
//!
//! Invariant: a pod that ended takes nothing; one that nobody may dispatch has no place. Does not know nodes or Jobs.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use model::job::PodFacts;
use model::keys;
use model::placement::Shape;
use model::resources::Resources;
use model::snapshot::{ObjectKey, Place};
use model::status::Reason;
use planning::admission::identity::job_of_label;
use planning::lifecycle::trouble;

use super::added::Additions;
use super::attempt::{containers, facts};
use super::requests::Requests;
use super::shape::shape;
use super::{LARGEST, Problems, annotation, clip, created, key, label, queue, size, uid};

/// What is kept of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedPod {
    /// Namespace and name.
    pub key: ObjectKey,
    /// UID.
    pub uid: String,
    /// When it was created.
    pub created: Timestamp,
    /// How it ended; `None`: it has not.
    pub ended: Option<Ending>,
    /// Name of its node; `None`: it has none yet.
    pub node: Option<String>,
    /// UID of the node that its binding names, while the pod lacks it as a label: API servers before 1.35 take none from a Binding.
    pub unlabelled: Option<String>,
    /// It is being deleted.
    pub terminating: bool,
    /// Whose it is, if it was not dispatched.
    pub origin: Origin,
    /// UID of the node that it was dispatched to, as the dispatch wrote it. Nobody but Bulkhead may write that: the hook takes it off new
    /// pods, and policies refuse it in all others, in Bindings and in later changes.
    pub dispatched: Option<String>,
    /// Its effective requests, one of `pods` included.
    pub requests: Resources,
    /// Its requests are not known, because it cannot be read: on its node there is no room for others.
    pub fills_node: bool,
    /// Its part in a queue, if it has the label of one.
    pub queued: Option<Box<Queued>>,
    /// What is seen of it, if it was made for the API.
    pub attempt: Option<Arc<PodFacts>>,
}

/// Whose a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A plan has dispatched it, through a queue or for the API. No label makes a pod a unit.
    Unit,
    /// A `DaemonSet` made it.
    DaemonSet,
    /// The kubelet runs it by itself (a static pod).
    Static,
    /// Somebody else's.
    Foreign,
}

/// How a pod ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All containers ended well.
    Succeeded,
    /// At least one did not.
    Failed,
}

/// What is kept of a pod that has the label of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Name of the queue, as the label says.
    pub queue: String,
    /// Id of its job, as the label says, without the part.
    pub id: String,
    /// UID of its Job; `None`: a bare pod.
    pub job: Option<String>,
    /// Completion index; `None`: its Job is not Indexed.
    pub index: Option<u32>,
    /// Number of its attempt, where its dispatch has written it.
    pub attempt: Option<u32>,
    /// How often its index is said to have failed: by the Job controller, or by whoever wrote the template.
    pub failures: Option<u32>,
    /// What it needs.
    pub shape: Arc<Shape>,
    /// About how much memory it takes to keep that.
    pub size: usize,
    /// What it needs is not kept, because too much waits in its namespace.
    pub barred: bool,
    /// Why it waits, as is written on it.
    pub said: Option<Arc<Reason>>,
    /// Why it does not start, if it is on a node or waits for somebody else's gate.
    pub stuck: Option<Box<str>>,
    /// Why kube-scheduler could not put it on the node that it chose.
    pub misbound: Option<Box<str>>,
    /// It is on a node, and nothing says that its volumes are mounted.
    pub mounting: bool,
    /// Where it is; `None`: nobody may dispatch it: it is being deleted, waits for somebody else's gate, or is another
    /// scheduler's.
    pub place: Option<Place>,
}

/// What is kept of a pod.
pub fn pod(pod: &Pod, problems: &mut Problems) -> WatchedPod {
    let meta = &pod.metadata;
    let requests = Requests::of_pod(pod, problems).effective(&Additions::default());
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    WatchedPod {
        key: key(meta),
        uid: uid(meta),
        created: created(meta),
        ended: match phase {
            Some("Succeeded") => Some(Ending::Succeeded),
            Some("Failed") => Some(Ending::Failed),
            _ => None,
        },
        node: node(pod).map(str::to_owned),
        unlabelled: unlabelled(pod).map(str::to_owned),
        terminating: meta.deletion_timestamp.is_some(),
        origin: origin(pod),
        dispatched: dispatched(pod),
        queued: queued(pod, &requests, problems).map(Box::new),
        requests,
        fills_node: false,
        attempt: facts(pod).map(Arc::new),
    }
}

fn origin(pod: &Pod) -> Origin {
    let meta = &pod.metadata;
    if is_mirror(meta) {
        Origin::Static
    } else if controller(meta).is_some_and(|owner| owner.kind == "DaemonSet") {
        Origin::DaemonSet
    } else {
        Origin::Foreign
    }
}

fn is_mirror(meta: &ObjectMeta) -> bool {
    annotation(meta, keys::K8S_MIRROR).is_some()
}

/// UID of the node that a pod was dispatched to. Only pods that came through the hook can be, and those that were made for the API, under the
/// name of their placement.
pub fn dispatched(pod: &Pod) -> Option<String> {
    let meta = &pod.metadata;
    let uid = annotation(meta, keys::NODE_UID).filter(|uid| !uid.is_empty() && !is_mirror(meta))?;
    let ours = queue(meta).is_some() || facts(pod).is_some_and(|facts| facts.has_own_name());
    ours.then(|| uid.to_owned())
}

fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

fn queued(pod: &Pod, requests: &Resources, problems: &mut Problems) -> Option<Queued> {
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref()?;
    let job = controller(meta).filter(|owner| owner.kind == "Job" && owner.api_version.starts_with("batch/"));
    let either = |key| annotation(meta, key).or_else(|| label(meta, key));
    let failures = either(keys::K8S_INDEX_FAILURE_COUNT).and_then(|text| text.parse::<u32>().ok());
    let attempt = annotation(meta, keys::ATTEMPT).and_then(|text| text.parse().ok()).filter(|attempt| *attempt > 0);
    let judged = spec.scheduler_name.as_deref() == Some(keys::SCHEDULER_DIRECT);
    let queue = queue(meta)?.to_owned();
    let mut shape = shape(spec, requests.clone(), judged);
    let mut place = place(pod);
    if size::of_shape(&shape) > LARGEST {
        problems.push(format!("what it asks of nodes takes more than {LARGEST} bytes; it is not dispatched"));
        shape = Shape { requests: requests.clone(), judged, ..Shape::default() };
        place = place.filter(|place| matches!(place, Place::Bound { .. }));
    }
    Some(Queued {
        queue,
        id: label(meta, keys::JOB_ID).map(job_of_label).unwrap_or_default().to_owned(),
        job: job.map(|owner| owner.uid.clone()),
        index: either(keys::K8S_COMPLETION_INDEX).and_then(|text| text.parse().ok()),
        attempt,
        failures,
        // Its requests are in both.
        size: size::of_shape(&shape) + 2 * size::of_requests(&shape.requests),
        shape: Arc::new(shape),
        barred: false,
        said: said(pod).map(Arc::new),
        stuck: stuck(pod).map(|why| clip(&why).into_boxed_str()),
        misbound: misbound(pod).filter(|_| matches!(place, Some(Place::Held { .. }))).map(String::into_boxed_str),
        mounting: mounting(pod),
        place,
    })
}

fn node(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

fn unlabelled(pod: &Pod) -> Option<&str> {
    let (meta, _bound) = (&pod.metadata, node(pod)?);
    annotation(meta, keys::NODE_UID).filter(|_| label(meta, keys::NODE_UID).is_none())
}

fn place(pod: &Pod) -> Option<Place> {
    let scheduler = pod.spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref());
    let ours = scheduler == Some(keys::SCHEDULER_DIRECT) || scheduler == Some(keys::SCHEDULER_EXTENDED);
    if let Some(node) = node(pod) {
        // A pod with the label of a queue that was placed by somebody else is not a unit.
        return dispatched(pod).map(|_| Place::Bound { node: node.to_owned(), running: running(pod) });
    }
    let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_deref()).unwrap_or_default();
    let foreign = gates.iter().any(|gate| gate.name != keys::GATE);
    if !ours || foreign || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    if scheduler == Some(keys::SCHEDULER_DIRECT) || !gates.is_empty() {
        return Some(Place::Waiting);
    }
    Some(Place::Held { nodes: hold(pod), refused: unschedulable(pod).is_some() })
}

/// Why it does not start, although nothing of ours is left to do.
fn stuck(pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    if node(pod).is_none() {
        let gates = pod.spec.iter().flat_map(|spec| spec.scheduling_gates.iter().flatten());
        let foreign: Vec<&str> = gates.map(|gate| gate.name.as_str()).filter(|name| *name != keys::GATE).collect();
        return (!foreign.is_empty()).then(|| format!("it waits for the scheduling gate {}", foreign.join(", ")));
    }
    let status = pod.status.as_ref().filter(|_| !running(pod))?;
    let lists = [&status.init_container_statuses, &status.container_statuses];
    let all = lists.into_iter().flat_map(|list| containers(list.as_deref()));
    all.into_iter().find_map(|container| trouble::of(&container.state))
}

fn mounting(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    // As of Kubernetes 1.29 a kubelet says so of every pod (KEP-3085).
    let mut ready = conditions.filter(|one| one.type_ == "PodReadyToStartContainers");
    node(pod).is_some() && !running(pod) && ready.any(|one| one.status == "False")
}

/// The nodes among which kube-scheduler may choose.
pub(super) fn hold(pod: &Pod) -> Vec<String> {
    let held = annotation(&pod.metadata, keys::HOLD).unwrap_or_default();
    held.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// What kube-scheduler says, if it has found no node, or could not put the pod on the one that it chose.
pub(super) fn unschedulable(pod: &Pod) -> Option<String> {
    not_scheduled(pod, "Unschedulable").or_else(|| misbound(pod))
}

/// What kube-scheduler says, if it could not put the pod on the node that it chose.
pub(super) fn misbound(pod: &Pod) -> Option<String> {
    not_scheduled(pod, "SchedulerError").map(|message| clip(&message))
}

/// Why it waits, as a leader has written it.
fn said(pod: &Pod) -> Option<Reason> {
    let text = not_scheduled(pod, keys::QUEUED_REASON)?;
    let (code, message) = text.split_once(": ")?;
    Some(Reason { code: code.parse().ok()?, message: message.to_owned() })
}

/// The message of condition `PodScheduled`, if it is False for this reason.
fn not_scheduled(pod: &Pod, reason: &str) -> Option<String> {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let found = conditions.into_iter().find(|condition| {
        condition.type_ == "PodScheduled" && condition.status == "False" && condition.reason.as_deref() == Some(reason)
    })?;
    Some(found.message.clone().unwrap_or_default())
}

/// Whether any container has started, init containers included.
fn running(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let lists = [&status.container_statuses, &status.init_container_statuses];
    lists.into_iter().flatten().flatten().any(started)
}

fn started(status: &ContainerStatus) -> bool {
    let has_run =
        |state: &k8s_openapi::api::core::v1::ContainerState| state.running.is_some() || state.terminated.is_some();
    status.state.as_ref().is_some_and(has_run) || status.last_state.as_ref().is_some_and(has_run)
}

#[cfg(test)]
#[path = "pod_tests.rs"]
mod tests;
