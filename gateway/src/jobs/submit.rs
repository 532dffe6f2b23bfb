//! `SubmitJob`: from the request and its definition to what is stored.
//!
//! Invariant: pure; AWS's words where they are recorded. What a submission says stands in place of what the definition says;
//! the rules of definitions hold for the result.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::JobQueue;
use api::crd::State;
use model::job::{Dependency, Door, Spec};
use records::Definition;
use serde_json::Value;

use super::merge::merge;
use super::parameters::substitute;
use super::request::Submit;
use crate::definitions::{Body, retry_strategy, timeout_seconds, validate_pod};
use crate::failure::Invalid;
use crate::limits::namespace as check_namespace;
use crate::names::{Resource, in_arn};
use crate::tags::tags;

/// What is wrong whatever is stored.
pub(crate) fn precheck(request: &Submit) -> Result<(), Invalid> {
    let name = &request.job_name;
    if !crate::names::is_name(name) {
        return Invalid::err("Job name should match valid pattern");
    }
    let overrides = [&request.container_overrides, &request.node_overrides, &request.ecs_properties_override];
    if overrides.into_iter().flatten().any(says_something) {
        return Invalid::err("Container overrides or node overrides should not be set for Batch on EKS jobs.");
    }
    if request.consumable_resource_properties_override.as_ref().is_some_and(says_something) {
        return Invalid::err("Consumable resources are not supported by Bulkhead yet.");
    }
    if request.propagate_tags == Some(true) {
        return Invalid::err("Batch on EKS does not support tag propagation.");
    }
    // All queues are first in, first out yet. The typing error is AWS's.
    if request.share_identifier.is_some() || request.scheduling_priority_override.is_some() {
        return Invalid::err(
            "Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue with fair share scheduling \
             policy.",
        );
    }
    array_size(request)?;
    tags(&request.tags)
}

fn says_something(given: &Value) -> bool {
    given.as_object().is_none_or(|members| !members.is_empty())
}

/// `arrayProperties.size`; empty properties say nothing.
pub(crate) fn array_size(request: &Submit) -> Result<Option<u32>, Invalid> {
    let Some(size) = request.array_properties.as_ref().and_then(|array| array.size) else { return Ok(None) };
    match u32::try_from(size) {
        Ok(size @ 2..=10_000) => Ok(Some(size)),
        _ => Invalid::err(format!("Array size must be between 2 and 10000, got {size}")),
    }
}

/// The queue, if it takes jobs.
pub(crate) fn queue<'a>(request: &Submit, found: Option<&'a JobQueue>) -> Result<&'a JobQueue, Invalid> {
    let given = &request.job_queue;
    match found {
        None => Invalid::err(format!("JobQueue {given} not found.")),
        Some(queue) if queue.spec.state == State::Disabled || queue.metadata.deletion_timestamp.is_some() => {
            Invalid::err(format!("JobQueue {given} is DISABLED and takes no new jobs."))
        }
        Some(queue) => Ok(queue),
    }
}

/// The definition, if jobs can be made of it.
pub(crate) fn definition(request: &Submit, found: Option<Arc<Definition>>) -> Result<Arc<Definition>, Invalid> {
    let given = &request.job_definition;
    found.filter(|definition| definition.active).ok_or_else(|| {
        Invalid(match in_arn(Resource::JobDefinition, given) {
            Some(_) => format!("JobDefinition {given} is not in ACTIVE status"),
            None => format!("JobDefinition name {given} does not exist or is not in ACTIVE status"),
        })
    })
}

/// What is stored: `definition` is the ARN of the definition that is `kept`, `queue` the AWS name of the queue.
pub(crate) fn spec(
    request: &Submit,
    kept: Body,
    definition: String,
    queue: String,
    depends_on: Vec<Dependency>,
) -> Result<Spec, Invalid> {
    let Some(mut pod) = kept.eks_properties.pod_properties else {
        return Invalid::err("You must provide a container for eksProperties.");
    };
    if let Some(given) = request.eks_properties_override.as_ref().and_then(|eks| eks.pod_properties.as_ref()) {
        merge(&mut pod, given)?;
        validate_pod(&pod)?;
    }
    let parameters: BTreeMap<String, String> = kept.parameters.into_iter().chain(request.parameters.clone()).collect();
    substitute(&mut pod, &parameters)?;
    let retry = request.retry_strategy.as_ref().map(retry_strategy).transpose()?.flatten();
    let timeout = request.timeout.as_ref().map(timeout_seconds).transpose()?.flatten();
    let tags = if request.tags.is_empty() { kept.tags } else { request.tags.clone() };
    let namespace = pod.metadata.as_ref().and_then(|metadata| metadata.namespace.clone());
    // Definitions of older versions may name one that is reserved by now.
    namespace.as_deref().map_or(Ok(()), check_namespace)?;
    let Ok(pod) = serde_json::to_value(pod) else { return Invalid::err("eksProperties cannot be stored.") };
    Ok(Spec {
        name: request.job_name.clone(),
        door: Door::Api,
        queue,
        definition,
        namespace,
        uid: None,
        pod,
        retry: retry.or(kept.retry_strategy),
        timeout_seconds: timeout.or(kept.timeout.map(|timeout| timeout.attempt_duration_seconds)),
        depends_on,
        array_size: array_size(request)?,
        parameters,
        tags,
        share: None,
        priority: None,
    })
}

#[cfg(test)]
#[path = "submit_tests.rs"]
mod tests;
