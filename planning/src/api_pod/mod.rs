//! The pod of an attempt of the API door: from what was asked for, in AWS Batch's words, to a Pod.
//!
//! Invariant: the same input gives the same pod, so that making it twice is harmless; the contract on it is applied by the function that
//! the webhook uses ([`mutate`]). Members that AWS Batch does not have never reach the pod. Knows nothing about whether the node has room.

mod containers;
mod shape;
#[cfg(test)]
mod tests;

use model::job::{JobId, Placed, Spec};
use model::{keys, names};
use serde_json::{Map, Value, json};

use crate::admission::Admit;
use crate::admission::identity::{Part, UnitName};
use crate::admission::pod::{self as contract, PodContext, QueueFacts, Surroundings, mutate};
use crate::admission::policy::Pass;
use shape::{METADATA, POD, VOLUME_SOURCES};

/// Everything that decides what the pod of an attempt looks like.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a> {
    /// The job, or the child of an array job.
    pub id: JobId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// How often it was placed before, from 0.
    pub placement: u32,
    /// What was asked for.
    pub spec: &'a Spec,
    /// Where it goes; `None`: only its shape is of interest.
    pub placed: Option<&'a Placed>,
    /// Its queue.
    pub queue: &'a QueueFacts,
    /// Namespace it is made in.
    pub namespace: &'a str,
    /// What speaks against the host network there.
    pub surroundings: Surroundings,
}

/// Names of the containers that the pod of a job has, its init containers last; of what has no pod none.
pub fn containers(asked: &Value) -> Vec<String> {
    let asked = shape::pick(asked, &POD, "podProperties").ok();
    let spec = asked.and_then(|asked| asked.as_object().cloned());
    spec.and_then(|mut spec| containers::complete(&mut spec).ok().map(|()| containers::names(&spec)))
        .unwrap_or_default()
}

/// The pod, as it is sent to the API server. One that the planner cannot judge names no node but those among which kube-scheduler may
/// choose.
///
/// The error is a sentence for the job's reason: what was asked for is not shaped as AWS Batch defines it.
pub fn build(made: &Made) -> Result<Value, String> {
    let asked = shape::pick(&made.spec.pod, &POD, "podProperties")?;
    let metadata = shape::pick(made.spec.pod.get("metadata").unwrap_or(&Value::Null), &METADATA, "metadata")?;
    let mut spec = asked.as_object().cloned().unwrap_or_default();
    containers::complete(&mut spec)?;
    check_volumes(&spec)?;
    if made.id.child.is_none() && made.spec.array_size.is_some() {
        return Err("An array job has no pod of its own; its children have.".to_owned());
    }
    spec.insert("restartPolicy".to_owned(), json!("Never"));
    let asked_network = spec.get("hostNetwork").and_then(Value::as_bool);
    let asked_dns = spec.get("dnsPolicy").cloned();
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    pod["metadata"]["name"] = names::pod_name(made.id, made.attempt, made.placement).into();
    pod["metadata"]["namespace"] = made.namespace.into();
    pod["metadata"]["finalizers"] = json!([keys::RECORD_FINALIZER]);
    apply_contract(&mut pod, made, asked_network)?;
    set_network(&mut pod["spec"], asked_network, asked_dns);
    identify(&mut pod, made);
    Ok(pod)
}

/// Whether the planner judges itself where this pod fits; [`build`] gives such a pod the name of its node.
pub fn judged(pod: &Value) -> bool {
    contract::judged(&pod["spec"])
}

fn apply_contract(pod: &mut Value, made: &Made, host_network: Option<bool>) -> Result<(), String> {
    let unit = UnitName { job: made.id.job.to_string(), part: made.id.child.map_or(Part::Whole, Part::Child) };
    let context = PodContext {
        unit: &unit,
        queue_label: None,
        queue: made.queue,
        array_size: made.spec.array_size.map(u64::from),
        host_network,
        surroundings: made.surroundings,
        pass: Pass::First,
    };
    match mutate(pod.clone(), &context) {
        Admit::Allowed(allowed) => json_patch::patch(pod, &allowed.patch).map_err(|error| error.to_string()),
        Admit::Refused(refusal) => Err(refusal.message),
    }
}

/// What was asked for exactly is exactly that. Without it, DNS goes with the network
/// (<https://docs.aws.amazon.com/batch/latest/APIReference/API_EksPodProperties.html>).
fn set_network(spec: &mut Value, host_network: Option<bool>, dns_policy: Option<Value>) {
    let Value::Object(spec) = spec else { return };
    if let Some(asked) = host_network {
        spec.insert("hostNetwork".to_owned(), asked.into());
    }
    let is_on_host = spec.get("hostNetwork") == Some(&Value::Bool(true));
    match dns_policy.or_else(|| is_on_host.then(|| "ClusterFirstWithHostNet".into())) {
        Some(policy) => spec.insert("dnsPolicy".to_owned(), policy),
        None => spec.remove("dnsPolicy"),
    };
}

/// Which placement it is, and where.
fn identify(pod: &mut Value, made: &Made) {
    let is_judged = judged(pod);
    let annotations = &mut pod["metadata"]["annotations"];
    annotations[keys::ATTEMPT] = made.attempt.to_string().into();
    annotations[keys::PLACEMENT] = made.placement.to_string().into();
    let Some(placed) = made.placed else { return };
    annotations[keys::COMPUTE_ENVIRONMENT] = placed.environment.as_str().into();
    pod["metadata"]["labels"][keys::CE_UUID] = placed.environment_uuid.as_str().into();
    if is_judged {
        pod["metadata"]["annotations"][keys::NODE_UID] = placed.node_uid.as_str().into();
        pod["metadata"]["labels"][keys::NODE_UID] = placed.node_uid.as_str().into();
        pod["spec"]["nodeName"] = placed.node.as_str().into();
    } else {
        pod["metadata"]["annotations"][keys::HOLD] = placed.hold.join(",").into();
        open(&mut pod["spec"], &placed.environment_uuid);
    }
}

/// What kube-scheduler places is made when there is room for it, so that no gate keeps it.
fn open(spec: &mut Value, environment_uuid: &str) {
    let Value::Object(spec) = spec else { return };
    spec.remove("schedulingGates");
    spec.insert("nodeSelector".to_owned(), json!({keys::CE_UUID: environment_uuid}));
}

/// Kubernetes takes a volume without a source for an empty directory, which is not what anybody asked for.
fn check_volumes(spec: &Map<String, Value>) -> Result<(), String> {
    let volumes = spec.get("volumes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let has_source = |volume: &&Value| VOLUME_SOURCES.iter().any(|source| volume.get(source).is_some());
    match volumes.iter().find(|volume| !has_source(volume)) {
        Some(volume) => {
            Err(format!("Volume {} has none of the sources {}.", volume["name"], VOLUME_SOURCES.join(", ")))
        }
        None => Ok(()),
    }
}
