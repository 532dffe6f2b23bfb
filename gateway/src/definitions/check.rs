//! `RegisterJobDefinition`: what is kept of a request.
//!
//! Invariant: pure; AWS's words where they are recorded. What is kept is what AWS shows of a definition.

use std::collections::{BTreeMap, BTreeSet};

use model::job::RetryStrategy;
use serde::{Deserialize, Serialize};

use super::pod::{EksProperties, PodProperties};
use super::pod_check;
use super::request::{Consumables, Describe, Register};
use super::retry::{retry_strategy, timeout_seconds};
use crate::ecs::{self, ContainerProperties};
use crate::failure::Invalid;
use crate::limits::one_of;
use crate::names::is_name;
use crate::tags::tags;

/// A definition as it is kept and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Body {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) parameters: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scheduling_priority: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_strategy: Option<RetryStrategy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<KeptTimeout>,
    #[serde(default)]
    pub(crate) tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) eks_properties: Option<EksProperties>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) container_properties: Option<ContainerProperties>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) platform_capabilities: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) propagate_tags: Option<bool>,
}

impl Body {
    /// The pod of `containerProperties`; `None`: it is of `eksProperties`.
    pub(crate) fn container(&self) -> Result<Option<PodProperties>, Invalid> {
        let Some(container) = &self.container_properties else { return Ok(None) };
        ecs::pod(container, ecs::capability(&self.platform_capabilities)?).map(Some)
    }
}

/// `timeout` of a definition that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptTimeout {
    pub(crate) attempt_duration_seconds: u32,
}

/// Checks a request and keeps what is shown of it.
pub(crate) fn validate(request: Register) -> Result<Body, Invalid> {
    if !is_name(&request.job_definition_name) {
        return Invalid::err("Job definition name should match a valid pattern.");
    }
    one_of("type", &request.kind, &[("container", ()), ("multinode", ())])?;
    let container = match kind(&request)? {
        Kind::Eks(pod) => {
            pod_check::validate(pod)?;
            None
        }
        Kind::Ecs(container) => {
            let capability = ecs::capability(&request.platform_capabilities)?;
            ecs::validate(&container, capability)?;
            pod_check::validate(&ecs::pod(&container, capability)?)?;
            Some(*container)
        }
    };
    let retry = request.retry_strategy.as_ref().map(retry_strategy).transpose()?.flatten();
    let timeout = request.timeout.as_ref().map(timeout_seconds).transpose()?.flatten();
    let priority = request.scheduling_priority.map(scheduling_priority).transpose()?;
    if container.is_none() {
        eks_only(&request)?;
    }
    if let Some(consumables) = &request.consumable_resource_properties {
        consumable_resources(consumables)?;
    }
    tags(&request.tags)?;
    Ok(Body {
        kind: request.kind,
        parameters: request.parameters,
        scheduling_priority: priority,
        retry_strategy: retry,
        timeout: timeout.map(|attempt_duration_seconds| KeptTimeout { attempt_duration_seconds }),
        tags: request.tags,
        // Of the other kind `false` is as good as nothing, and AWS shows none.
        propagate_tags: request.propagate_tags.filter(|_| container.is_some()),
        eks_properties: request.eks_properties,
        container_properties: container,
        platform_capabilities: request.platform_capabilities,
    })
}

fn eks_only(request: &Register) -> Result<(), Invalid> {
    if request.propagate_tags == Some(true) {
        return Invalid::err("Batch on EKS does not support tag propagation.");
    }
    if !request.platform_capabilities.is_empty() {
        return Invalid::err("platformCapabilities must not be provided for Batch on EKS jobs.");
    }
    Ok(())
}

/// A kind of definition.
enum Kind<'r> {
    /// A pod.
    Eks(&'r PodProperties),
    /// One container.
    Ecs(Box<ContainerProperties>),
}

/// Which kind of definition it is.
fn kind(request: &Register) -> Result<Kind<'_>, Invalid> {
    if request.eks_properties.is_some() {
        for (other, given) in [
            ("ECS containerProperties", request.container_properties.is_some()),
            ("ecsProperties", request.ecs_properties.is_some()),
            ("nodeProperties", request.node_properties.is_some()),
        ] {
            if given {
                return Invalid::err(format!("Cannot use both {other} and eksProperties"));
            }
        }
    }
    if request.kind == "multinode" {
        if request.node_properties.is_none() {
            return Invalid::err("Node properties of multinode job is required.");
        }
        return Invalid::err("Job definitions of type multinode are not supported by Bulkhead yet.");
    }
    if request.node_properties.is_some() {
        return Invalid::err("nodeProperties must not be provided for job definitions of type container.");
    }
    if request.ecs_properties.is_some() {
        return Invalid::err(
            "ecsProperties are not supported by Bulkhead yet: use containerProperties, or eksProperties for several containers.",
        );
    }
    match (&request.container_properties, &request.eks_properties) {
        (Some(container), _) => match ContainerProperties::deserialize(container) {
            Ok(container) => Ok(Kind::Ecs(Box::new(container))),
            Err(error) => Invalid::err(format!("containerProperties cannot be read: {error}")),
        },
        (None, None) => Invalid::err(
            "ECS ContainerProperties, ecsProperties, or eksProperties is required when using type container.",
        ),
        (None, Some(EksProperties { pod_properties: None })) => {
            Invalid::err("You must provide a container for eksProperties.")
        }
        (None, Some(EksProperties { pod_properties: Some(pod) })) => Ok(Kind::Eks(pod)),
    }
}

fn scheduling_priority(given: i64) -> Result<i32, Invalid> {
    let priority = i32::try_from(given).ok().filter(|priority| (0..=9999).contains(priority));
    priority.ok_or_else(|| Invalid::new("Scheduling priority must be between 0 and 9999."))
}

fn consumable_resources(given: &Consumables) -> Result<(), Invalid> {
    let list = &given.consumable_resource_list;
    if list.len() > 5 {
        return Invalid::err("Each ConsumableResourceProperty can have at most 5 consumableResources");
    }
    let names: BTreeSet<&str> = list.iter().map(|it| it.consumable_resource.as_str()).collect();
    if names.len() < list.len() {
        return Invalid::err("Cannot have duplicate consumableResource in consumableResourceProperties");
    }
    // A job that runs without waiting for what it names would be worse than none.
    if list.is_empty() { Ok(()) } else { Invalid::err("Consumable resources are not supported by Bulkhead yet.") }
}

/// `status` of `DescribeJobDefinitions`; a list of definitions goes alone.
pub(crate) fn status_filter(request: &Describe) -> Result<Option<bool>, Invalid> {
    let others = request.job_definition_name.is_some() || request.status.is_some();
    if !request.job_definitions.is_empty() && others {
        return Invalid::err("jobDefinitions cannot be used together with jobDefinitionName or status.");
    }
    if request.job_definitions.len() > 100 {
        return Invalid::err("jobDefinitions can have at most 100 entries.");
    }
    let values = [("ACTIVE", true), ("INACTIVE", false)];
    request.status.as_deref().map(|status| one_of("status", status, &values)).transpose()
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
