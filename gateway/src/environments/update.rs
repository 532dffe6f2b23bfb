//! `UpdateComputeEnvironment` and `DeleteComputeEnvironment`: what becomes of the stored object.
//!
//! Invariant: pure. Only members that are sent change; what a change touches obeys the same rules as a new environment.

use api::crd::{EnvironmentType, State};
use api::{ComputeEnvironment, JobQueue};
use serde_json::{Map, Value, json};

use super::create::{access_entry, delay, echoed};
use super::orchestration::{Orchestration, is_fargate, is_on_fargate, kept_type};
use super::request::{ComputeResources, UpdateEnvironment};
use super::resources::{BEST_FIT, machines, not_for_fargate, scale_down_minutes, strategy_name, surroundings, vcpus};
use super::show;
use crate::failure::Invalid;
use crate::limits::{STATES, one_of};

/// The stored object with the changes of a request.
pub(crate) fn environment(
    stored: &ComputeEnvironment,
    request: &UpdateEnvironment,
    body: &Map<String, Value>,
) -> Result<ComputeEnvironment, Invalid> {
    let mut wanted = stored.clone();
    if let Some(state) = &request.state {
        wanted.spec.state = one_of("state", state, &STATES)?;
    }
    let managed = stored.spec.type_ == EnvironmentType::Managed;
    if managed && request.unmanaged_vcpus.is_some() {
        return Invalid::err("unmanagedvCpus is not applicable for managed Compute Environment.");
    }
    if let Some(entry) = request.eks_configuration.as_ref().and_then(|eks| eks.access_entry.as_ref()) {
        access_entry(entry)?;
    }
    let mut sent = echoed(body);
    // Its cluster and its tags stay what they are.
    sent.remove("tags");
    sent.extend(request.update_policy.clone().map(|policy| ("updatePolicy".to_owned(), policy)));
    if let Some(Value::Object(eks)) = sent.get_mut("eksConfiguration") {
        eks.remove("eksClusterArn");
    }
    let raw = body.get("computeResources").and_then(Value::as_object);
    if let Some(given) = &request.compute_resources {
        if !managed {
            return Invalid::err("computeResources must not be provided for an UNMANAGED compute environment");
        }
        if raw.is_none_or(Map::is_empty) {
            return Invalid::err("At least one compute-resources attribute must be specified");
        }
        scale(stored, given, &mut wanted)?;
    }
    let mut aws = Value::Object(wanted.spec.aws.take().unwrap_or_default());
    merge(&mut aws, Value::Object(sent));
    unset(&mut aws, body);
    wanted.spec.aws = aws.as_object().cloned();
    Ok(wanted)
}

/// `computeResources`: what is stored with what is sent is checked as a whole, as far as what is stored came through the API.
fn scale(
    stored: &ComputeEnvironment,
    given: &ComputeResources,
    wanted: &mut ComputeEnvironment,
) -> Result<(), Invalid> {
    let now = stored.status.as_ref().and_then(|status| status.desiredv_cpus).map_or(0, i64::from);
    let orchestration = Orchestration::of_stored(&stored.spec);
    // Where machines follow the work it says nothing new; AWS takes it of environments for Amazon ECS.
    if let Some(desired) = given.desired_vcpus {
        if desired < now {
            return Invalid::err(
                "Manually scaling down compute environment is not supported. Disconnecting job queues from compute \
                 environment will cause it to scale-down to minvCpus",
            );
        }
        if desired > now && orchestration == Orchestration::Eks {
            return Invalid::err("desiredvCpus cannot be set for EKS compute environments; raise minvCpus instead.");
        }
    }
    let resources = merged(stored, given);
    if orchestration == Orchestration::Ecs {
        if is_fargate(&resources) != is_on_fargate(&stored.spec) {
            return Invalid::err("computeResources.type cannot change between instances and Fargate.");
        }
        if is_fargate(&resources) {
            not_for_fargate(given)?;
        }
    }
    (wanted.spec.minv_cpus, wanted.spec.maxv_cpus) = vcpus(&resources, orchestration)?;
    // kubectl may choose machines as AWS does not allow it; who changes something else is not kept from that.
    if given.instance_types.is_some() || given.allocation_strategy.is_some() || given.kind.is_some() {
        let (types, strategy) = machines(&resources, orchestration)?;
        wanted.spec.allocation_strategy = strategy;
        if given.instance_types.is_some() {
            wanted.spec.instance_types = types;
        }
    }
    surroundings(&resources, orchestration)?;
    if given.scaling_policy.is_some() {
        wanted.spec.scale_down_delay = delay(scale_down_minutes(given)?);
    }
    Ok(())
}

fn merged(stored: &ComputeEnvironment, given: &ComputeResources) -> ComputeResources {
    let spec = &stored.spec;
    let given = given.clone();
    // An environment that kubectl made has none of what AWS requires and nothing here needs; that is no reason to refuse.
    let not_needed = || Some(vec!["-".to_owned()]);
    let is_ecs = Orchestration::of_stored(spec) == Orchestration::Ecs;
    let kept = spec.aws.as_ref().filter(|_| is_ecs).and_then(|aws| aws.get("computeResources"));
    let role = || kept?.get("spotIamFleetRole")?.as_str().map(ToOwned::to_owned);
    let any = || if spec.instance_types.is_empty() { vec!["optimal".to_owned()] } else { spec.instance_types.clone() };
    ComputeResources {
        kind: given.kind.or_else(|| Some(show::resource_type(spec))),
        allocation_strategy: given.allocation_strategy.or_else(|| Some(show::strategy(spec))),
        min_vcpus: given.min_vcpus.or(Some(i64::from(spec.minv_cpus))),
        max_vcpus: given.max_vcpus.or(Some(i64::from(spec.maxv_cpus))),
        desired_vcpus: None,
        instance_types: given.instance_types.or_else(|| Some(any())),
        subnets: given.subnets.or_else(not_needed),
        security_group_ids: given.security_group_ids.or_else(not_needed),
        spot_iam_fleet_role: given.spot_iam_fleet_role.or_else(role),
        instance_role: given.instance_role.or_else(|| Some("-".to_owned())),
        ..given
    }
}

/// Puts members into objects; everything else replaces.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                let deep = name == "computeResources" || name == "eksConfiguration" || name == "accessEntry";
                match into.get_mut(&name) {
                    Some(there) if deep => merge(there, value),
                    _ => drop(into.insert(name, value)),
                }
            }
        }
        (into, from) => *into = from,
    }
}

/// Terraform unsets a member by sending `""` or `[]`, and a launch template by an empty id.
fn unset(aws: &mut Value, body: &Map<String, Value>) {
    let Some(sent) = body.get("computeResources").and_then(Value::as_object) else { return };
    let Some(kept) = aws.get_mut("computeResources").and_then(Value::as_object_mut) else { return };
    for (name, value) in sent {
        let nothing = *value == json!("") || *value == json!([]);
        if nothing || (name == "launchTemplate" && no_template(value)) {
            kept.remove(name);
        }
    }
}

fn no_template(template: &Value) -> bool {
    ["launchTemplateId", "launchTemplateName"]
        .iter()
        .all(|name| template.get(*name).and_then(Value::as_str).is_none_or(str::is_empty))
}

/// Whether an environment may go.
pub(crate) fn may_delete(stored: &ComputeEnvironment, queues: &[JobQueue]) -> Result<(), Invalid> {
    let names = [Some(stored.aws_name()), stored.metadata.name.as_deref()];
    let used = |queue: &JobQueue| queue.spec.compute_environments.iter().any(|it| names.contains(&Some(it)));
    if queues.iter().any(used) {
        return Invalid::err("Cannot delete, found existing JobQueue relationship.");
    }
    if stored.spec.state == State::Enabled {
        return Invalid::err("Cannot delete, compute environment must be DISABLED first.");
    }
    Ok(())
}

/// The strategy that a request named, if the object cannot say it.
pub(crate) fn said(spec: &api::crd::ComputeEnvironmentSpec) -> Option<&str> {
    let resources = spec.aws.as_ref()?.get("computeResources")?;
    let is_ecs = Orchestration::of_stored(spec) == Orchestration::Ecs;
    let said = resources.get("allocationStrategy").and_then(Value::as_str).or(is_ecs.then_some(BEST_FIT))?;
    let spot = kept_type(spec)? == "SPOT";
    let stands_in = strategy_name(spec.allocation_strategy);
    let instead = if spot { "SPOT_PRICE_CAPACITY_OPTIMIZED" } else { "BEST_FIT_PROGRESSIVE" };
    let is_other = (spot && said == "BEST_FIT_PROGRESSIVE") || (is_ecs && said == BEST_FIT);
    (is_other && stands_in == instead).then_some(said)
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
