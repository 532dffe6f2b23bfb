//! `SubmitJob`: from the request and its definition to what is stored.
//!
//! Invariant: pure; AWS's words where they are recorded. What a submission says stands in place of what the definition says;
//! the rules of definitions hold for the result.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::JobQueue;
use api::crd::State;
use model::job::{Dependency, Door, OfContainer, Spec};
use records::Definition;
use serde::Deserialize as _;
use serde_json::Value;

use super::merge::merge;
use super::parameters::substitute;
use super::request::Submit;
use crate::definitions::{Body, EksProperties, PodProperties, retry_strategy, timeout_seconds, validate_pod};
use crate::ecs::{self, ContainerOverrides, ContainerProperties};
use crate::failure::Invalid;
use crate::limits::namespace as check_namespace;
use crate::names::{Resource, in_arn};
use crate::tags::tags;

/// What `Ref::name` stands for.
type Parameters = BTreeMap<String, String>;

/// What is wrong whatever is stored.
pub(crate) fn precheck(request: &Submit) -> Result<(), Invalid> {
    let name = &request.job_name;
    if !crate::names::is_name(name) {
        return Invalid::err("Job name should match valid pattern");
    }
    if request.consumable_resource_properties_override.as_ref().is_some_and(says_something) {
        return Invalid::err("Consumable resources are not supported by Bulkhead yet.");
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
    let parameters: Parameters = kept.parameters.into_iter().chain(request.parameters.clone()).collect();
    let (pod, container) = if let Some(container) = kept.container_properties {
        let (pod, container) = container_pod(request, container, &kept.platform_capabilities, &parameters)?;
        let of_container = OfContainer {
            properties: ecs::rest(container).unwrap_or_default(),
            platform_capabilities: kept.platform_capabilities,
            propagate_tags: request.propagate_tags.or(kept.propagate_tags).unwrap_or(false),
        };
        (pod, Some(of_container))
    } else {
        (eks_pod(request, kept.eks_properties, &parameters)?, None)
    };
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
        container,
        retry: retry.or(kept.retry_strategy),
        timeout_seconds: timeout.or(kept.timeout.map(|timeout| timeout.attempt_duration_seconds)),
        depends_on,
        array_size: array_size(request)?,
        parameters,
        tags,
        share: None,
        priority: None,
        submitter: None,
    })
}

/// Whether there are overrides of kinds of definition that are not there yet.
fn overrides_others(request: &Submit) -> bool {
    [&request.node_overrides, &request.ecs_properties_override].into_iter().flatten().any(says_something)
}

/// The pod of a job of `eksProperties`.
fn eks_pod(request: &Submit, kept: Option<EksProperties>, parameters: &Parameters) -> Result<PodProperties, Invalid> {
    if request.container_overrides.as_ref().is_some_and(says_something) || overrides_others(request) {
        return Invalid::err("Container overrides or node overrides should not be set for Batch on EKS jobs.");
    }
    if request.propagate_tags == Some(true) {
        return Invalid::err("Batch on EKS does not support tag propagation.");
    }
    let Some(mut pod) = kept.and_then(|kept| kept.pod_properties) else {
        return Invalid::err("You must provide a container for eksProperties.");
    };
    if let Some(given) = request.eks_properties_override.as_ref().and_then(|eks| eks.pod_properties.as_ref()) {
        merge(&mut pod, given)?;
        validate_pod(&pod)?;
    }
    substitute(&mut pod, parameters)?;
    Ok(pod)
}

/// The pod of a job of `containerProperties`, and these with what the submission says.
fn container_pod(
    request: &Submit,
    mut container: ContainerProperties,
    capabilities: &[String],
    parameters: &Parameters,
) -> Result<(PodProperties, ContainerProperties), Invalid> {
    if request.eks_properties_override.as_ref().is_some_and(|given| given.pod_properties.is_some()) {
        return Invalid::err(
            "eksPropertiesOverride should not be set for jobs of containerProperties: use containerOverrides.",
        );
    }
    if overrides_others(request) {
        return Invalid::err(
            "nodeOverrides and ecsPropertiesOverride should not be set for jobs of containerProperties: use \
             containerOverrides.",
        );
    }
    let capability = ecs::capability(capabilities)?;
    if let Some(given) = &request.container_overrides {
        let given = ContainerOverrides::deserialize(given)
            .map_err(|error| Invalid(format!("containerOverrides cannot be read: {error}")))?;
        ecs::merge(&mut container, &given);
        ecs::validate(&container, capability)?;
    }
    let mut pod = ecs::pod(&container, capability)?;
    validate_pod(&pod)?;
    // Before parameters are put in, so that what is stored is what is measured.
    ecs::literal(&mut pod);
    let escaped = |(name, value): (&String, &String)| (name.clone(), ecs::escaped(value));
    substitute(&mut pod, &parameters.iter().map(escaped).collect())?;
    Ok((pod, container))
}

#[cfg(test)]
#[path = "submit_tests.rs"]
mod tests;
