//! What becomes of Jobs, pods, nodes and finalizers when Bulkhead is removed. Pure: JSON in, a decision with its merge patch out.
//!
//! Invariant: a Job that only Bulkhead had suspended runs again, one that its user holds does not; every decision can be taken
//! again on what the one before it left, so a removal that was interrupted goes on. What is not ours is not touched. Knows
//! nothing about how patches are sent.

use std::collections::{BTreeMap, BTreeSet};

use model::keys;
use serde_json::{Map, Value, json};

/// Annotations under our prefix that say what the user wants; they stay. The hold does not: it becomes the Job's own
/// `suspend`.
const THE_USERS: [&str; 5] = [keys::HOST_NETWORK, keys::GANG, keys::PRIORITY, keys::SHARE, keys::DEPENDS_ON];

/// What to do with the Jobs that are in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// They become plain Jobs, as if Bulkhead had never been there.
    HandBack,
    /// They are deleted.
    Cancel,
}

/// A Job's pods that have neither ended nor been told to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobPods {
    /// On no node.
    pub unbound: u32,
    /// On nodes that stay.
    pub staying: u32,
    /// On machines that go.
    pub leaving: u32,
}

/// What becomes of a Job.
#[derive(Clone, Debug, PartialEq)]
pub enum JobFate {
    /// Not in a queue, or over.
    Leave,
    /// All its pods would be lost: it is suspended, which removes them without counting them as failures, and looked at again.
    Restart(Value),
    /// It is suspended and its pods are still going; look again.
    Wait,
    /// It becomes a plain Job.
    HandBack(HandBack),
    /// It is deleted.
    Cancel,
}

/// How a Job becomes a plain one.
#[derive(Clone, Debug, PartialEq)]
pub struct HandBack {
    /// Everything of ours off the Job and its template.
    pub patch: Value,
    /// The same without the template, for when the API server does not let the template change; `None`: the same.
    pub without_template: Option<Value>,
    /// What it does then.
    pub then: Then,
}

/// What a Job does once it is a plain one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Only Bulkhead had held it: its pods are made now.
    Starts,
    /// Its user had suspended it.
    StaysSuspended,
    /// It had been released before.
    GoesOn,
}

/// Decides about a Job.
pub fn job(job: &Value, pods: JobPods, choice: Choice) -> JobFate {
    if text(job, "/metadata/labels", keys::JOB_ID).is_none() || is_over(job) {
        return JobFate::Leave;
    }
    if choice == Choice::Cancel {
        return JobFate::Cancel;
    }
    let suspended = job.pointer("/spec/suspend") == Some(&Value::Bool(true));
    let annotated = |key| text(job, "/metadata/annotations", key) == Some("true");
    let (held, released) = (annotated(keys::SUSPEND), annotated(keys::RELEASED));
    let alive = pods.unbound + pods.staying + pods.leaving;
    match (suspended, held) {
        (true, _) if alive > 0 => JobFate::Wait,
        // Released and suspended: that was the user, while no hook was there to see it.
        (true, held) if held || released => hand_back(job, None, Then::StaysSuspended),
        (true, _) => hand_back(job, Some(false), Then::Starts),
        // Held while no hook was there to see it.
        (false, true) => hand_back(job, Some(true), Then::StaysSuspended),
        (false, false) if alive > 0 && pods.staying == 0 => JobFate::Restart(restart(job)),
        (false, false) => hand_back(job, None, Then::GoesOn),
    }
}

/// Without the mark of a release, so that after an interruption the suspension still counts as ours.
fn restart(job: &Value) -> Value {
    json!({
        "metadata": identity_with(job, [("annotations", json!({keys::RELEASED: null}))]),
        "spec": {"suspend": true},
    })
}

fn hand_back(job: &Value, suspend: Option<bool>, then: Then) -> JobFate {
    let off = |pointer| Value::Object(ours(job, pointer).into_iter().map(|key| (key, Value::Null)).collect());
    let metadata =
        identity_with(job, [("labels", off("/metadata/labels")), ("annotations", off("/metadata/annotations"))]);
    let spec = |suspend: Option<bool>| suspend.map(|suspend| json!({"suspend": suspend})).unwrap_or(json!({}));
    let plain = json!({"metadata": metadata, "spec": spec(suspend)});
    let labels = off("/spec/template/metadata/labels");
    let annotations = off("/spec/template/metadata/annotations");
    let suspended = job.pointer("/spec/suspend") == Some(&Value::Bool(true));
    // The template of a Job that runs never changes.
    if !suspended || labels == json!({}) && annotations == json!({}) {
        return JobFate::HandBack(HandBack { patch: plain, without_template: None, then });
    }
    let mut patch = plain.clone();
    patch["spec"]["template"] = json!({"metadata": {"labels": labels, "annotations": annotations}});
    JobFate::HandBack(HandBack { patch, without_template: Some(plain), then })
}

/// Where a pod of a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodPlace {
    /// It has ended, or was told to.
    Over,
    /// On no node: made for a queue, with a scheduler or a gate that nobody will serve.
    Unbound,
    /// On a node that stays.
    Staying,
    /// On a machine that goes.
    Leaving,
}

/// Where a pod is, and whether its node stays.
pub fn place(pod: &Value, leaving: &BTreeSet<String>) -> PodPlace {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str);
    if is_deleted(pod) || matches!(phase, Some("Succeeded" | "Failed")) {
        return PodPlace::Over;
    }
    match pod.pointer("/spec/nodeName").and_then(Value::as_str).filter(|name| !name.is_empty()) {
        None => PodPlace::Unbound,
        Some(node) if leaving.contains(node) => PodPlace::Leaving,
        Some(_) => PodPlace::Staying,
    }
}

/// Whether an unbound pod can never start once Bulkhead is gone.
pub fn is_stranded(pod: &Value) -> bool {
    let scheduler = pod.pointer("/spec/schedulerName").and_then(Value::as_str);
    let gates = pod.pointer("/spec/schedulingGates").and_then(Value::as_array);
    matches!(scheduler, Some(keys::SCHEDULER_DIRECT | keys::SCHEDULER_EXTENDED))
        || gates.is_some_and(|gates| gates.iter().any(|gate| gate["name"] == keys::GATE))
}

/// Counts the living pods of each Job, by its UID.
pub fn pods_by_job<'a>(
    pods: impl IntoIterator<Item = &'a Value>,
    leaving: &BTreeSet<String>,
) -> BTreeMap<String, JobPods> {
    let mut by_job = BTreeMap::<String, JobPods>::new();
    for pod in pods {
        let Some((_, uid)) = owner(pod) else { continue };
        let counts = by_job.entry(uid.to_owned()).or_default();
        match place(pod, leaving) {
            PodPlace::Over => {}
            PodPlace::Unbound => counts.unbound += 1,
            PodPlace::Staying => counts.staying += 1,
            PodPlace::Leaving => counts.leaving += 1,
        }
    }
    by_job
}

/// Name and UID of the Job that a pod belongs to.
pub fn owner(pod: &Value) -> Option<(&str, &str)> {
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array)?;
    let job = owners.iter().find(|owner| owner["kind"] == "Job" && owner["controller"] == true)?;
    Some((job["name"].as_str()?, job["uid"].as_str()?))
}

/// What becomes of a node that stays.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeFate {
    /// Nothing of ours is on it.
    Leave,
    /// It has the batch taint, and nothing says that it is ours: AWS Batch uses the same key.
    Unclear,
    /// Our taints and annotations come off. The environment's label stays: whoever labelled the node may want it.
    Clean(Value),
}

/// Decides about a node; `environments` are the UUIDs of Bulkhead's environments.
pub fn node(node: &Value, environments: &BTreeSet<String>) -> NodeFate {
    let taints = node.pointer("/spec/taints").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let has = |key: &str| taints.iter().any(|taint| taint["key"] == key);
    let annotations: Map<String, Value> = keys_at(node, "/metadata/annotations")
        .filter(|key| key.starts_with(keys::RESERVED_PREFIXES[0]))
        .map(|key| (key.to_owned(), Value::Null))
        .collect();
    let labelled = text(node, "/metadata/labels", keys::CE_UUID).is_some_and(|uuid| environments.contains(uuid));
    let ours = labelled || has(keys::RETIRING_TAINT) || !annotations.is_empty();
    match (ours, has(keys::BATCH_TAINT)) {
        (false, false) => NodeFate::Leave,
        (false, true) => NodeFate::Unclear,
        (true, false) if annotations.is_empty() && !has(keys::RETIRING_TAINT) => NodeFate::Leave,
        (true, _) => {
            let kept: Vec<&Value> = taints
                .iter()
                .filter(|taint| taint["key"] != keys::BATCH_TAINT && taint["key"] != keys::RETIRING_TAINT)
                .collect();
            NodeFate::Clean(json!({
                "metadata": identity_with(node, [("annotations", Value::Object(annotations))]),
                "spec": {"taints": kept},
            }))
        }
    }
}

/// The patch that takes our finalizers off an object; `None`: there are none.
pub fn without_finalizers(object: &Value) -> Option<Value> {
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array)?;
    let is_ours = |one: &Value| {
        one.as_str().is_some_and(|one| keys::RESERVED_PREFIXES.iter().any(|prefix| one.starts_with(prefix)))
    };
    let kept: Vec<&Value> = finalizers.iter().filter(|one| !is_ours(one)).collect();
    (kept.len() < finalizers.len()).then(|| json!({"metadata": identity_with(object, [("finalizers", json!(kept))])}))
}

/// Metadata for a patch that applies to exactly the object that was decided about, or conflicts.
fn identity_with<const N: usize>(object: &Value, members: [(&str, Value); N]) -> Value {
    let mut metadata = Map::new();
    for key in ["uid", "resourceVersion"] {
        if let Some(value) = object["metadata"].get(key) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    metadata.extend(members.into_iter().map(|(key, value)| (key.to_owned(), value)));
    Value::Object(metadata)
}

/// Keys in a map that were put there by Bulkhead, or mean nothing without it.
fn ours(object: &Value, pointer: &str) -> Vec<String> {
    keys_at(object, pointer)
        .filter(|key| keys::RESERVED_PREFIXES.iter().any(|prefix| key.starts_with(prefix)) && !THE_USERS.contains(key))
        .map(str::to_owned)
        .collect()
}

fn keys_at<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    object.pointer(pointer).and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key.as_str())
}

fn text<'a>(object: &'a Value, map: &str, key: &str) -> Option<&'a str> {
    object.pointer(map)?.get(key)?.as_str()
}

fn is_deleted(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null())
}

fn is_over(job: &Value) -> bool {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
    is_deleted(job)
        || conditions.is_some_and(|all| {
            all.iter().any(|one| (one["type"] == "Complete" || one["type"] == "Failed") && one["status"] == "True")
        })
}

#[cfg(test)]
mod tests;
