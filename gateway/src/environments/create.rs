//! `CreateComputeEnvironment`: from the request to the object.
//!
//! Invariant: pure. Members that mean something here go to the fields of the object, the others to `spec.aws` as they were sent.

use api::ComputeEnvironment;
use api::crd::{ComputeEnvironmentSpec, EnvironmentType, State};
use model::keys;
use model::names::object_name;
use serde_json::{Map, Value};

use super::orchestration::{Orchestration, mark};
use super::request::{AccessEntry, Create, EksConfiguration};
use super::resources::{self, Checked};
use crate::decode::drop_empty;
use crate::failure::Invalid;
use crate::gateway::Config;
use crate::limits::{namespace, one_of};
use crate::names::is_name;
use crate::tags::tags;

/// What is echoed of the request itself.
pub(crate) const ECHOED: [&str; 4] = ["serviceRole", "tags", "context", "unmanagedvCpus"];
/// What is echoed of `computeResources`.
pub(crate) const ECHOED_RESOURCES: [&str; 14] = [
    "type",
    "imageId",
    "subnets",
    "securityGroupIds",
    "ec2KeyPair",
    "instanceRole",
    "tags",
    "placementGroup",
    "bidPercentage",
    "spotIamFleetRole",
    "launchTemplate",
    "ec2Configuration",
    "allocationStrategy",
    "capacityTags",
];
/// What is echoed of `eksConfiguration`.
pub(crate) const ECHOED_EKS: [&str; 2] = ["eksClusterArn", "accessEntry"];

/// vCPUs of an UNMANAGED environment, which has no limit: the field is not used.
const NO_LIMIT: u32 = 256;

/// The object that a request asks for.
pub(crate) fn environment(
    request: &Create,
    body: &Map<String, Value>,
    Config { default_provider, default_namespace, .. }: &Config,
) -> Result<ComputeEnvironment, Invalid> {
    let (kind, checked) = validate(request)?;
    let name = &request.compute_environment_name;
    let namespace = match &request.eks_configuration {
        Some(eks) => Some(eks.kubernetes_namespace.clone()),
        // Named, so that the environment itself says if no pod of the API may be made there.
        None => Some(default_namespace.clone().unwrap_or_else(|| keys::BATCH_NAMESPACE.to_owned())),
    };
    let managed = checked.unwrap_or(Checked {
        strategy: api::crd::AllocationStrategy::default(),
        min_vcpus: 0,
        max_vcpus: NO_LIMIT,
        instance_types: Vec::new(),
        scale_down_minutes: None,
    });
    let spec = ComputeEnvironmentSpec {
        name: Some(name.clone()),
        type_: kind,
        state: State::Enabled,
        namespace,
        minv_cpus: managed.min_vcpus,
        maxv_cpus: managed.max_vcpus,
        instance_types: managed.instance_types,
        allocation_strategy: managed.strategy,
        scale_down_delay: delay(managed.scale_down_minutes),
        provider: default_provider.clone().filter(|_| kind == EnvironmentType::Managed),
        // Only admins allow that, with kubectl.
        allow_privileged: false,
        self_registration: None,
        aws: Some(mark(echoed(body), Orchestration::of(request))),
    };
    Ok(ComputeEnvironment::new(&object_name(name), spec))
}

/// `scaleDownDelay` for minutes; the default of the field if nothing is said.
pub(crate) fn delay(minutes: Option<u32>) -> String {
    format!("{}m", minutes.unwrap_or(1))
}

fn validate(request: &Create) -> Result<(EnvironmentType, Option<Checked>), Invalid> {
    if !is_name(&request.compute_environment_name) {
        return Invalid::err("Compute Environment name should match a valid pattern.");
    }
    let kinds = [("MANAGED", EnvironmentType::Managed), ("UNMANAGED", EnvironmentType::Unmanaged)];
    let kind = one_of("type", &request.kind, &kinds)?;
    if request.state.as_deref().is_some_and(|state| state != "ENABLED") {
        return Invalid::err("Compute Environment must be created in ENABLED state.");
    }
    tags(&request.tags)?;
    request.eks_configuration.as_ref().map_or(Ok(()), eks_configuration)?;
    let orchestration = Orchestration::of(request);
    let checked = match (kind, &request.compute_resources) {
        (EnvironmentType::Managed, None) => {
            return Invalid::err("computeResources must be provided for a MANAGED compute environment");
        }
        (EnvironmentType::Managed, Some(_)) if request.unmanaged_vcpus.is_some() => {
            return Invalid::err("unmanagedvCpus is not applicable for managed Compute Environment.");
        }
        (EnvironmentType::Managed, Some(given)) => Some(resources::validate(given, orchestration)?),
        (EnvironmentType::Unmanaged, Some(_)) => {
            return Invalid::err("computeResources must not be provided for an UNMANAGED compute environment");
        }
        (EnvironmentType::Unmanaged, None) => {
            if orchestration == Orchestration::Ecs && request.service_role.is_none() {
                return Invalid::err("ServiceRole is required.");
            }
            if request.service_role.as_deref().is_some_and(|role| role.contains("/aws-service-role/")) {
                return Invalid::err("Service Linked Role cannot be used with UNMANAGED Compute Environment.");
            }
            None
        }
    };
    Ok((kind, checked))
}

/// The cluster is this one, whatever name, region and account its ARN has.
fn eks_configuration(eks: &EksConfiguration) -> Result<(), Invalid> {
    let mut parts = eks.eks_cluster_arn.splitn(6, ':');
    let service = (parts.next() == Some("arn")).then(|| parts.nth(1)).flatten();
    let cluster = parts.nth(2).and_then(|resource| resource.strip_prefix("cluster/"));
    if service != Some("eks") || cluster.is_none_or(str::is_empty) {
        return Invalid::err("eksClusterArn must be an EKS cluster ARN.");
    }
    namespace(&eks.kubernetes_namespace)?;
    eks.access_entry.as_ref().map_or(Ok(()), access_entry)
}

pub(crate) fn access_entry(entry: &AccessEntry) -> Result<(), Invalid> {
    let states = [("ENABLED", ()), ("DISABLED", ()), ("INHERIT_FROM_CLUSTER", ())];
    entry.desired_state.as_deref().map_or(Ok(()), |given| one_of("accessEntry.desiredState", given, &states))
}

/// Members that are only echoed, as they were sent.
pub(crate) fn echoed(body: &Map<String, Value>) -> Map<String, Value> {
    let mut kept = pick(body, &ECHOED);
    for (member, names) in [("computeResources", &ECHOED_RESOURCES[..]), ("eksConfiguration", &ECHOED_EKS[..])] {
        let inner = body.get(member).and_then(Value::as_object).map(|inner| pick(inner, names)).unwrap_or_default();
        if !inner.is_empty() {
            kept.insert(member.to_owned(), Value::Object(inner));
        }
    }
    kept
}

fn pick(members: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let picked = members.iter().filter(|(name, _)| names.contains(&name.as_str()));
    let mut value = Value::Object(picked.map(|(name, value)| (name.clone(), value.clone())).collect());
    drop_empty(&mut value);
    match value {
        Value::Object(kept) => kept,
        _ => Map::new(),
    }
}

#[cfg(test)]
#[path = "create_tests.rs"]
mod tests;
