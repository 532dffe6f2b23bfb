//! `CreateJobQueue`, `UpdateJobQueue`, `DeleteJobQueue`: from the request and what is stored to the object.
//!
//! Invariant: pure; AWS's words where they are recorded. There are no scheduling policies yet, so none is found.

use std::collections::{BTreeMap, BTreeSet};

use api::crd::{JobQueueSpec, JobStateTimeLimitAction, State, TimeLimitAction, TimeLimitState};
use api::{ComputeEnvironment, JobQueue};
use model::keys::BATCH_NAMESPACE;
use model::names::object_name;
use model::status::Code;
use serde_json::{Map, Value};

use super::request::{Create, Ordered, TimeLimit, Update};
use super::show::kind;
use crate::environments::is_valid;
use crate::failure::Invalid;
use crate::limits::{STATES, one_of};
use crate::names::{Resource, in_arn, is_name, name_of};
use crate::stored::find;
use crate::tags::tags;

/// What is kept only to be echoed.
const ECHOED: [&str; 2] = ["tags", "computeEnvironmentOrder"];
/// Types of queues that there are.
const TYPES: [(&str, ()); 3] = [("EKS", ()), ("ECS", ()), ("ECS_FARGATE", ())];

/// The object that a request asks for.
pub(crate) fn queue(
    request: &Create,
    body: &Map<String, Value>,
    environments: &[ComputeEnvironment],
) -> Result<JobQueue, Invalid> {
    let name = &request.job_queue_name;
    if !is_name(name) {
        return Invalid::err("Job Queue name should match a valid pattern.");
    }
    tags(&request.tags)?;
    no_services(&request.service_environment_order)?;
    if let Some(given) = request.job_queue_type.as_deref() {
        one_of("jobQueueType", given, &TYPES)?;
    }
    scheduling_policy(request.scheduling_policy_arn.as_deref())?;
    let actions = actions(&request.job_state_time_limit_actions)?;
    let Some(given) = request.priority else { return Invalid::err("priority is required.") };
    let state = request.state.as_deref().map_or(Ok(State::Enabled), |state| one_of("state", state, &STATES))?;
    let spec = JobQueueSpec {
        name: Some(name.clone()),
        priority: priority(given)?,
        state,
        compute_environments: ordered(&request.compute_environment_order, environments)?,
        strict_fifo: false,
        default_requests: default_requests(),
        host_network: None,
        job_state_time_limit_actions: actions,
        aws: Some(echoed(body)),
    };
    let queue = JobQueue::new(&object_name(name), spec);
    let is = kind(&queue, environments);
    match request.job_queue_type.as_deref().filter(|given| *given != is) {
        None => Ok(queue),
        Some(given) => Invalid::err(format!(
            "jobQueueType {given} does not match the compute environments, with which it is {is}."
        )),
    }
}

/// Where pods of a queue's jobs go that say nothing themselves, if its first environment has room for them.
pub(crate) fn namespace(queue: &JobQueue, environments: &[ComputeEnvironment]) -> String {
    namespaces(queue, environments).next().unwrap_or_else(|| BATCH_NAMESPACE.to_owned())
}

/// Where these pods go in each environment of a queue.
pub(crate) fn namespaces(queue: &JobQueue, environments: &[ComputeEnvironment]) -> impl Iterator<Item = String> {
    let called =
        |name: &String| environments.iter().find(|it| it.aws_name() == name || it.metadata.name.as_ref() == Some(name));
    let all = queue.spec.compute_environments.iter().filter_map(called);
    all.map(|it| it.spec.namespace.clone().unwrap_or_else(|| BATCH_NAMESPACE.to_owned()))
}

/// The stored object with the changes of a request.
pub(crate) fn changed(
    stored: &JobQueue,
    request: &Update,
    body: &Map<String, Value>,
    environments: &[ComputeEnvironment],
) -> Result<JobQueue, Invalid> {
    let mut wanted = stored.clone();
    no_services(&request.service_environment_order)?;
    scheduling_policy(request.scheduling_policy_arn.as_deref())?;
    if let Some(given) = &request.job_state_time_limit_actions {
        wanted.spec.job_state_time_limit_actions = actions(given)?;
    }
    if let Some(state) = &request.state {
        wanted.spec.state = one_of("state", state, &STATES)?;
    }
    if let Some(given) = request.priority {
        wanted.spec.priority = priority(given)?;
    }
    if let Some(order) = &request.compute_environment_order {
        wanted.spec.compute_environments = ordered(order, environments)?;
    }
    let mut sent = echoed(body);
    sent.remove("tags");
    if !sent.is_empty() {
        wanted.spec.aws.get_or_insert_default().extend(sent);
    }
    Ok(wanted)
}

/// Whether a queue may go.
pub(crate) fn may_delete(stored: &JobQueue) -> Result<(), Invalid> {
    match stored.spec.state {
        State::Disabled => Ok(()),
        State::Enabled => Invalid::err("Cannot delete, job queue must be DISABLED first."),
    }
}

/// Object names of environments in their order.
fn ordered(order: &[Ordered], environments: &[ComputeEnvironment]) -> Result<Vec<String>, Invalid> {
    if order.is_empty() {
        return Invalid::err("computeEnvironmentOrder is required.");
    }
    if order.len() > 3 {
        return Invalid::err("Only 3 environments are allowed in job queue request.");
    }
    let mut by_order = BTreeMap::new();
    let mut names = BTreeSet::new();
    for it in order {
        let name = name_of(Resource::ComputeEnvironment, &it.compute_environment)?;
        if !names.insert(name) {
            return Invalid::err("Duplicate ComputeEnvironments within order list.");
        }
        if by_order.insert(it.order, name).is_some() {
            return Invalid::err("Duplicate ComputeEnvironment order values.");
        }
    }
    let found = by_order.into_values().map(|name| find(environments, name).filter(|it| is_valid(it)));
    let found = found.map(|environment| environment.map(kube::ResourceExt::name_any)).collect::<Option<Vec<_>>>();
    found.ok_or_else(|| {
        Invalid::new("Compute Environments must be created and valid before attaching them to a job queue")
    })
}

fn priority(given: i64) -> Result<i32, Invalid> {
    let in_range = i32::try_from(given).ok().filter(|priority| (0..=10_000).contains(priority));
    in_range.ok_or_else(|| Invalid(format!("priority must be between 0 and 10000, got {given}.")))
}

fn no_services(order: &[Value]) -> Result<(), Invalid> {
    if order.is_empty() { Ok(()) } else { Invalid::err("serviceEnvironmentOrder is not supported by Bulkhead.") }
}

fn scheduling_policy(arn: Option<&str>) -> Result<(), Invalid> {
    match arn {
        None => Ok(()),
        Some(arn) if in_arn(Resource::SchedulingPolicy, arn).is_none() => {
            Invalid::err("Only scheduling policy Arn can be allowed.")
        }
        Some(arn) => Invalid::err(format!("SchedulingPolicy {arn} not found.")),
    }
}

fn actions(actions: &[TimeLimit]) -> Result<Vec<JobStateTimeLimitAction>, Invalid> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for it in actions {
        if it.action != "CANCEL" {
            return Invalid::err("Invalid job action. Valid job actions: [CANCEL]");
        }
        let state = one_of("jobStateTimeLimitActions.state", &it.state, &[("RUNNABLE", TimeLimitState::Runnable)])?;
        let seconds = u32::try_from(it.max_time_seconds).ok().filter(|seconds| (600..=86_400).contains(seconds));
        let Some(max_time_seconds) = seconds else {
            return Invalid::err("maxTimeSeconds must be between 600 and 86400.");
        };
        if it.reason.parse::<Code>().is_err() {
            return Err(Invalid(format!("jobStateTimeLimitActions.reason: no job waits for {:?}.", it.reason)));
        }
        if !seen.insert((&it.state, &it.reason)) {
            return Invalid::err("Duplicate job state limit actions are not allowed.");
        }
        let (reason, action) = (it.reason.clone(), TimeLimitAction::Cancel);
        all.push(JobStateTimeLimitAction { reason, state, max_time_seconds, action });
    }
    Ok(all)
}

fn echoed(body: &Map<String, Value>) -> Map<String, Value> {
    let named = body.iter().filter(|(name, _)| ECHOED.contains(&name.as_str()));
    named.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Those of the custom resource.
fn default_requests() -> BTreeMap<String, String> {
    BTreeMap::from([("cpu".to_owned(), "250m".to_owned()), ("memory".to_owned(), "256Mi".to_owned())])
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
