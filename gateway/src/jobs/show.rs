//! `JobDetail`: a job as `DescribeJobs` shows it.
//!
//! Invariant: pure. Empty containers are there and unknown values are not, as AWS does it. A Kubernetes Job is shown like a job of
//! the API, with what is known of its pod.

use jiff::Timestamp;
use model::job::{Attempt, ContainerEnd, Dependency, Door, JobRecord, OfContainer, Spec, StopKind};
use model::names::ArnBase;
use model::status::JobState;
use records::Kept;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::reason::{self, Known};
use crate::definitions::{UNNAMED, UNNAMED_INIT};
use crate::ecs;

/// All states, as `statusSummary` counts them.
const STATES: [JobState; 7] = [
    JobState::Submitted,
    JobState::Pending,
    JobState::Runnable,
    JobState::Starting,
    JobState::Running,
    JobState::Succeeded,
    JobState::Failed,
];

/// As `DescribeJobs` shows it.
pub(crate) fn detail(job: &Kept, arn: &ArnBase, known: &Known<'_>) -> Value {
    let (record, spec) = (&job.record, &*job.spec);
    let mut detail = Members::default();
    detail.put("jobArn", arn.job(record.id));
    detail.put("jobName", &spec.name);
    detail.put("jobId", record.id);
    detail.put("jobQueue", arn.job_queue(&spec.queue));
    detail.put("jobDefinition", &spec.definition);
    state(&mut detail, job, known);
    detail.maybe("shareIdentifier", spec.share.as_ref());
    detail.maybe("schedulingPriority", spec.priority);
    detail.maybe("retryStrategy", spec.retry.as_ref());
    detail.set("dependsOn", spec.depends_on.iter().map(dependency).collect());
    detail.put("parameters", &spec.parameters);
    detail.maybe("timeout", spec.timeout_seconds.map(|seconds| json!({"attemptDurationSeconds": seconds})));
    detail.put("tags", &spec.tags);
    detail.maybe("arrayProperties", array(job, true));
    if let Some(OfContainer { properties, platform_capabilities, propagate_tags }) = &spec.container {
        detail.put("platformCapabilities", platform_capabilities);
        detail.put("propagateTags", propagate_tags);
        detail.set("container", ecs::container(job, properties));
        detail.set("attempts", ecs::attempts(job));
        detail.set("eksAttempts", json!([]));
    } else {
        let properties = Map::from_iter([("podProperties".to_owned(), pod_properties(job))]);
        detail.set("platformCapabilities", json!([]));
        detail.set("eksProperties", Value::Object(properties));
        detail.set("attempts", json!([]));
        detail.set("eksAttempts", job.attempts.iter().map(attempt).collect());
    }
    Value::Object(detail.0)
}

/// Members of an answer.
#[derive(Default)]
pub(crate) struct Members(pub(crate) Map<String, Value>);

impl Members {
    pub(crate) fn put(&mut self, name: &str, value: impl Serialize) {
        // Plain data: it has no keys that are no strings.
        self.0.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
    }

    /// What is JSON already is not copied: an answer may have a hundred pods.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    pub(crate) fn maybe(&mut self, name: &str, value: Option<impl Serialize>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }
}

/// What details and summaries both say of where a job is.
pub(crate) fn state(members: &mut Members, job: &Kept, known: &Known<'_>) {
    let record = &job.record;
    members.put("status", record.state);
    let told = reason::told(record, &job.spec.queue, known);
    members.maybe("statusReason", told.or_else(|| ecs::went_well(job).map(Into::into)));
    members.put("createdAt", record.created.as_millisecond());
    members.maybe("startedAt", record.started.map(Timestamp::as_millisecond));
    members.maybe("stoppedAt", record.stopped.map(Timestamp::as_millisecond));
    let open = !matches!(record.state, JobState::Succeeded | JobState::Failed);
    let asked = job.requested.as_ref().filter(|_| open);
    let kinds: Vec<StopKind> = record.stop.iter().chain(asked).map(|stop| stop.kind).collect();
    members.maybe("isCancelled", kinds.contains(&StopKind::Cancel).then_some(true));
    members.maybe("isTerminated", kinds.contains(&StopKind::Terminate).then_some(true));
}

/// `arrayProperties` of a parent or child. A child has an empty summary in details and none in lists.
pub(crate) fn array(job: &Kept, detail: bool) -> Option<Value> {
    if let Some(index) = job.record.id.child {
        return Some(if detail { json!({"statusSummary": {}, "index": index}) } else { json!({"index": index}) });
    }
    let size = job.spec.array_size?;
    let counts = job.children.as_ref();
    let count = |state: &JobState| counts.and_then(|counts| counts.get(state)).copied().unwrap_or(0);
    let mut summary = Members::default();
    for state in &STATES {
        let name = serde_json::to_value(state).unwrap_or_default();
        summary.put(name.as_str().unwrap_or_default(), count(state));
    }
    Some(json!({"statusSummary": summary.0, "size": size}))
}

fn dependency(dependency: &Dependency) -> Value {
    let mut shown = Members::default();
    shown.maybe("jobId", dependency.job_id);
    shown.maybe("type", dependency.kind);
    Value::Object(shown.0)
}

/// `podProperties`, with where the attempt that runs is and how the containers of the last one ended.
fn pod_properties(job: &Kept) -> Value {
    let Kept { record, spec, attempts, .. } = job;
    let mut pod = spec.pod.as_object().cloned().unwrap_or_default();
    let defaults: &[(&str, Value)] = match spec.door {
        Door::Api => &[("hostNetwork", json!(true)), ("containers", json!([])), ("volumes", json!([]))],
        Door::Job => &[("containers", json!([])), ("volumes", json!([]))],
    };
    fill(&mut pod, defaults);
    let last = attempts.last().filter(|_| record.stopped.is_some());
    let ends = last.map_or((&[][..], &[][..]), |last| (&last.containers, &last.init_containers));
    containers(pod.get_mut("containers"), ends.0, UNNAMED);
    containers(pod.get_mut("initContainers"), ends.1, UNNAMED_INIT);
    if spec.door == Door::Job {
        conceal(&mut pod);
    }
    place(&mut pod, record, spec);
    Value::Object(pod)
}

/// Values of variables of a Job that kubectl made are for those who may read Jobs in its namespace. Records of older versions hold them.
fn conceal(pod: &mut Map<String, Value>) {
    for list in ["containers", "initContainers"] {
        let containers = pod.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        let env = containers.filter_map(|container| container.get_mut("env")).filter_map(Value::as_array_mut);
        for variable in env.flatten().filter_map(Value::as_object_mut) {
            variable.retain(|member, _| member == "name");
        }
    }
}

fn place(pod: &mut Map<String, Value>, record: &JobRecord, spec: &Spec) {
    if let Some(placed) = &record.placed {
        pod.insert("podName".to_owned(), json!(placed.pod_name));
        if !placed.node.is_empty() {
            pod.insert("nodeName".to_owned(), json!(placed.node));
        }
        // The namespace that was taken from the environment, if the job does not say.
        if spec.namespace.is_none()
            && let Some(metadata) = pod.entry("metadata").or_insert_with(|| json!({})).as_object_mut()
        {
            metadata.entry("namespace").or_insert_with(|| json!(placed.namespace));
        }
    }
}

/// `unnamed`: what the pod calls a container without a name.
fn containers(list: Option<&mut Value>, ends: &[ContainerEnd], unnamed: &str) {
    for container in list.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
        fill(container, &[("args", json!([])), ("env", json!([])), ("volumeMounts", json!([]))]);
        let name = container.get("name").and_then(Value::as_str).unwrap_or(unnamed).to_owned();
        if let Some(end) = ends.iter().find(|end| end.name.eq_ignore_ascii_case(&name)) {
            container.extend(end.exit_code.map(|code| ("exitCode".to_owned(), json!(code))));
            container.extend(end.reason.as_ref().map(|reason| ("reason".to_owned(), json!(reason))));
        }
    }
}

fn fill(members: &mut Map<String, Value>, defaults: &[(&str, Value)]) {
    for (name, value) in defaults {
        members.entry(*name).or_insert_with(|| value.clone());
    }
}

/// An element of `eksAttempts`.
fn attempt(attempt: &Attempt) -> Value {
    let mut shown = Members::default();
    shown.set("containers", attempt.containers.iter().map(end).collect());
    if !attempt.init_containers.is_empty() {
        shown.set("initContainers", attempt.init_containers.iter().map(end).collect());
    }
    shown.put("podName", &attempt.pod_name);
    shown.put("podNamespace", &attempt.namespace);
    shown.maybe("nodeName", Some(&attempt.node).filter(|node| !node.is_empty()));
    shown.maybe("startedAt", attempt.started.map(Timestamp::as_millisecond));
    shown.put("stoppedAt", attempt.stopped.as_millisecond());
    shown.maybe("statusReason", attempt.reason.as_ref());
    Value::Object(shown.0)
}

fn end(end: &ContainerEnd) -> Value {
    let mut shown = Members::default();
    shown.put("name", &end.name);
    shown.maybe("containerID", end.container_id.as_ref());
    shown.maybe("exitCode", end.exit_code);
    shown.maybe("reason", end.reason.as_ref());
    Value::Object(shown.0)
}

#[cfg(test)]
#[path = "show_tests.rs"]
mod tests;
