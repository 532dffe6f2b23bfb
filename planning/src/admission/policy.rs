//! Where an object belongs: which queue, outside and why, or none of our business.
//!
//! Invariant: the Job hook and the pod hook answer from these same functions, so a Job and its pods are always of one mind.
//! Knows nothing about what is done to the object afterwards.

use super::Outcome;
use super::edit::{at, has_any, is_true, items, text};
use super::identity::{Part, UnitName, derived_job_id, job_of_label};
use super::pod::host_network;
use jiff::Timestamp;
use model::keys;
use serde_json::Value;

/// What admission needs to know about a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// Queue that the namespace's Jobs go through.
    pub queue: Option<String>,
    /// When the queue label was put there, as far as the namespace itself tells.
    pub labelled: Option<Labelled>,
    /// Whether it has a Pod Security level that forbids the host network: enforced, warned of or audited.
    pub pod_security: bool,
}

/// When a label was put on an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labelled {
    /// Not after this.
    pub at: Timestamp,
    /// Nor before.
    pub is_exact: bool,
}

impl NamespaceFacts {
    /// Reads the facts from a Namespace object.
    pub fn read(namespace: &Value) -> Self {
        // What is no level counts as the strictest.
        let forbids = |label: &&str| {
            at(namespace, &["metadata", "labels", *label]).is_some_and(|level| level != keys::POD_SECURITY_PRIVILEGED)
        };
        Self {
            queue: queue_label(namespace).filter(|queue| *queue != keys::QUEUE_NONE).map(str::to_owned),
            labelled: labelled(namespace),
            pod_security: keys::POD_SECURITY.iter().any(forbids),
        }
    }
}

/// Where a Job goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobRoute {
    /// Neither it nor its namespace names a queue.
    Unqueued,
    /// It says `none`.
    OptedOut,
    /// It cannot go through the queue; the sentence says why.
    Outside(String),
    /// It goes through this queue.
    Queue(String),
}

/// Decides where a Job goes: its own label counts before its namespace's.
pub fn route_job(job: &Value, namespace: &NamespaceFacts) -> JobRoute {
    let Some(queue) = queue_label(job).or(namespace.queue.as_deref()) else { return JobRoute::Unqueued };
    if queue == keys::QUEUE_NONE {
        return JobRoute::OptedOut;
    }
    match left_outside(job) {
        Some(reason) => JobRoute::Outside(format!("this Job does not go through queue {queue:?}: {reason}")),
        None => JobRoute::Queue(queue.to_owned()),
    }
}

/// Why a Job cannot go through a queue, if so; ends with what to do about it.
pub fn left_outside(job: &Value) -> Option<String> {
    if let Some(manager) = text(job, &["spec", "managedBy"])
        && manager != "kubernetes.io/job-controller"
    {
        return Some(format!("spec.managedBy hands it to {manager:?}; remove that to let it be queued"));
    }
    if let Some(queue) = text(job, &["metadata", "labels", keys::KUEUE_QUEUE]) {
        return Some(format!(
            "it belongs to Kueue's queue {queue:?}; remove label {} to let it be queued",
            keys::KUEUE_QUEUE
        ));
    }
    spec_outside(at(job, &["spec", "template", "spec"])?, "spec.template.spec")
}

/// Why a pod spec cannot go through a queue, if so.
fn spec_outside(spec: &Value, place: &str) -> Option<String> {
    if let Some(node) = text(spec, &["nodeName"]) {
        return Some(format!("{place}.nodeName names node {node:?}; use a nodeSelector to let it be queued"));
    }
    let scheduler = text(spec, &["schedulerName"])?;
    let ours = ["default-scheduler", keys::SCHEDULER_DIRECT, keys::SCHEDULER_EXTENDED].contains(&scheduler);
    (!ours).then(|| format!("{place}.schedulerName names scheduler {scheduler:?}; remove it to let it be queued"))
}

/// Where a pod goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodRoute {
    /// It stays as it is.
    Leave(Outcome),
    /// It was labelled for a queue but cannot go through it; the sentence says why.
    Outside(String),
    /// It brings an id along and goes through no queue: if somebody gave it one later, the id would look as if it were ours.
    Claims,
    /// It goes through a queue.
    Queue(QueuedPod),
    /// It depends on its Job: look that up and call [`route_pod_of_job`].
    LookUpJob {
        /// Name of the Job.
        name: String,
        /// Its UID.
        uid: String,
    },
}

/// A pod that goes through a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedPod {
    /// Name of the queue.
    pub queue: String,
    /// The unit it is.
    pub unit: UnitName,
    /// Number of children of its array job, where the pod itself does not say.
    pub array_size: Option<u64>,
    /// The user's choice about the host network, where it shows on the Job only.
    pub host_network: Option<bool>,
}

/// When a pod is looked at: every webhook of others may come before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// As it comes from whoever makes it.
    First,
    /// Once more, with what others have added since. What has been decided is kept: whether it goes through the queue, its network.
    Again,
    /// For the first time, and late: somebody else has named the queue only now. Nobody asks again, whatever is still added.
    Late,
}

impl Pass {
    /// Of a pod that the hook for pods is asked about: the first pass leaves the unit's name as an annotation. Whoever brings one along
    /// is given no network, and is not left outside for a node or scheduler that it names, which it loses.
    pub fn of(pod: &Value) -> Self {
        let seen = at(pod, &["metadata", "annotations", keys::JOB_ID_RAW]).is_some();
        if seen { Self::Again } else { Self::First }
    }
}

/// Decides where a pod goes, as far as the pod itself and whoever makes it tell. `fresh_id` becomes the id of a pod that is nobody's.
/// What a pod says of its job is believed of the Job controller alone: anybody may write an owner and an id.
pub fn route_pod(pod: &Value, namespace: &NamespaceFacts, requester: &str, fresh_id: &str, pass: Pass) -> PodRoute {
    let mirrors = at(pod, &["metadata", "annotations", keys::K8S_MIRROR]).is_some();
    if mirrors && requester.starts_with(keys::NODE_USERS) {
        return PodRoute::Leave(Outcome::LeftAlone);
    }
    let owner = owning_job(pod).map(|(name, uid)| PodRoute::LookUpJob { name: name.to_owned(), uid: uid.to_owned() });
    let labelled = text(pod, &["metadata", "labels", keys::JOB_ID]).map(job_of_label);
    let leave = |outcome| if labelled.is_some() { PodRoute::Claims } else { PodRoute::Leave(outcome) };
    // Its Job was taken: whatever others have made of the pod or of its template since, it goes where the Job goes.
    let of_taken = owner.is_some() && labelled.is_some() && keys::JOB_CONTROLLER_USERS.contains(&requester);
    let queue = match queue_label(pod) {
        None | Some(keys::QUEUE_NONE) if of_taken => return owner.unwrap_or(PodRoute::Claims),
        None if namespace.queue.is_some() => return owner.unwrap_or_else(|| leave(Outcome::LeftAlone)),
        None => return leave(Outcome::LeftAlone),
        Some(keys::QUEUE_NONE) => return leave(Outcome::OptedOut),
        Some(queue) => queue,
    };
    if pass != Pass::Again
        && !of_taken
        && let Some(reason) = at(pod, &["spec"]).and_then(|spec| spec_outside(spec, "spec"))
    {
        return PodRoute::Outside(format!("this pod does not go through queue {queue:?}: {reason}"));
    }
    let unit = match (owner, labelled) {
        (Some(_), Some(job)) if keys::JOB_CONTROLLER_USERS.contains(&requester) => UnitName::of_pod(job, pod),
        (Some(look_up), _) => return look_up,
        (None, _) => UnitName { job: fresh_id.to_owned(), part: Part::Whole },
    };
    PodRoute::Queue(QueuedPod { queue: queue.to_owned(), unit, array_size: None, host_network: None })
}

/// Decides where a pod goes whose Job never went through the Job hook, or stayed outside, or that somebody else than the Job controller
/// makes. A Job that has ended gets no more pods: one that names it all the same is a bare pod.
pub fn route_pod_of_job(
    pod: &Value,
    job: &Value,
    namespace: &NamespaceFacts,
    requester: &str,
    fresh_id: &str,
) -> PodRoute {
    let admitted_id = text(job, &["metadata", "labels", keys::JOB_ID]);
    let own_label = queue_label(pod).filter(|queue| *queue != keys::QUEUE_NONE);
    let taken = admitted_id.and(queue_label(job)).filter(|queue| *queue != keys::QUEUE_NONE);
    if own_label.is_none() && queue_label(job).is_none() && admitted_id.is_none() && existed_before(job, namespace) {
        return PodRoute::Leave(Outcome::LeftAlone);
    }
    let queue = match (own_label.or(taken), route_job(job, namespace)) {
        (Some(queue), _) if taken.is_some() => queue.to_owned(),
        (Some(_), JobRoute::Outside(reason)) => return PodRoute::Outside(reason),
        (Some(own), _) => own.to_owned(),
        (None, JobRoute::Queue(queue)) => queue,
        (None, JobRoute::Outside(_)) => return PodRoute::Leave(Outcome::LeftOutside),
        (None, JobRoute::OptedOut) => return PodRoute::Leave(Outcome::OptedOut),
        (None, JobRoute::Unqueued) => return PodRoute::Leave(Outcome::LeftAlone),
    };
    let id = admitted_id.map_or_else(
        || derived_job_id(text(job, &["metadata", "uid"]).unwrap_or_default()),
        |label| job_of_label(label).to_owned(),
    );
    let host_network = host_network::choice_of_job(job);
    if has_ended(job) && !keys::JOB_CONTROLLER_USERS.contains(&requester) {
        let unit = UnitName { job: fresh_id.to_owned(), part: Part::Whole };
        return PodRoute::Queue(QueuedPod { queue, unit, array_size: None, host_network });
    }
    PodRoute::Queue(QueuedPod { queue, unit: UnitName::of_pod(&id, pod), array_size: array_size(job), host_network })
}

fn has_ended(job: &Value) -> bool {
    items(job, &["status", "conditions"]).iter().any(|condition| {
        matches!(text(condition, &["type"]), Some("Complete" | "Failed"))
            && text(condition, &["status"]) == Some("True")
    })
}

/// Number of children of an Indexed Job.
pub fn array_size(job: &Value) -> Option<u64> {
    let indexed = text(job, &["spec", "completionMode"]) == Some("Indexed");
    at(job, &["spec", "completions"]).and_then(Value::as_u64).filter(|_| indexed)
}

/// Name and UID of the Job that controls a pod.
pub fn owning_job(pod: &Value) -> Option<(&str, &str)> {
    items(pod, &["metadata", "ownerReferences"])
        .iter()
        .find(|owner| {
            is_true(owner, &["controller"])
                && text(owner, &["kind"]) == Some("Job")
                && text(owner, &["apiVersion"]).is_some_and(|version| version.starts_with("batch/"))
        })
        .and_then(|owner| Some((text(owner, &["name"])?, text(owner, &["uid"])?)))
}

fn queue_label(object: &Value) -> Option<&str> {
    text(object, &["metadata", "labels", keys::QUEUE])
}

/// Whether a Job is older than its namespace's queue label. Unknown counts as no: then its pods are queued, not lost. Where the label may be
/// older than its time says, a Job that never had a pod is not believed to be: while Bulkhead is down it has none.
fn existed_before(job: &Value, namespace: &NamespaceFacts) -> bool {
    let created = text(job, &["metadata", "creationTimestamp"]).and_then(|time| time.parse::<Timestamp>().ok());
    let Some((created, labelled)) = created.zip(namespace.labelled) else { return false };
    created < labelled.at && (labelled.is_exact || had_pods(job))
}

fn had_pods(job: &Value) -> bool {
    let count = |field| at(job, &["status", field]).and_then(Value::as_u64).unwrap_or(0);
    let uncounted = |field| has_any(job, &["status", "uncountedTerminatedPods", field]);
    ["active", "ready", "terminating", "succeeded", "failed"].into_iter().any(|field| count(field) > 0)
        || ["succeeded", "failed"].into_iter().any(uncounted)
}

/// When the queue label was put on a namespace: its field manager's time. If that manager has written other fields, too, it may have done so
/// since, so that the time can be too late, never too early.
fn labelled(namespace: &Value) -> Option<Labelled> {
    let label = format!("f:{}", keys::QUEUE);
    let members = |value: &Value| value.as_object().map_or(0, |all| all.keys().filter(|key| *key != ".").count());
    let of = |entry: &Value| {
        let fields = at(entry, &["fieldsV1"])?;
        let (metadata, labels) = (at(fields, &["f:metadata"])?, at(fields, &["f:metadata", "f:labels"])?);
        at(labels, &[&label])?;
        let is_exact = [fields, metadata, labels].into_iter().all(|level| members(level) == 1);
        Some(Labelled { at: text(entry, &["time"])?.parse().ok()?, is_exact })
    };
    items(namespace, &["metadata", "managedFields"]).iter().filter_map(of).min_by_key(|labelled| labelled.at)
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
