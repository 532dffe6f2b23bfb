//! `ComputeEnvironmentDetail`: an environment as the API shows it.
//!
//! Invariant: pure; an environment that kubectl made is shown like one that the API made.

use api::ComputeEnvironment;
use api::convert::{custom, duration};
use api::crd::{ComputeEnvironmentSpec, EnvironmentType, Validity};
use model::names::ArnBase;
use serde_json::{Map, Value, json};

use super::orchestration::{Orchestration, is_fargate_type, is_on_fargate, kept_type};
use super::resources::strategy_name;
use super::update::said;

/// As the API shows it.
pub(crate) fn detail(environment: &ComputeEnvironment, arn: &ArnBase) -> Value {
    let (spec, name) = (&environment.spec, environment.aws_name());
    let status = environment.status.as_ref();
    let mut detail = spec.aws.clone().unwrap_or_default();
    detail.entry("tags").or_insert_with(|| json!({}));
    let eks = detail.remove("eksConfiguration");
    let resources = detail.remove("computeResources");
    let managed = spec.type_ == EnvironmentType::Managed;
    let shown = json!({
        "computeEnvironmentName": name,
        "computeEnvironmentArn": arn.compute_environment(name),
        "type": spec.type_,
        "state": spec.state,
        "status": status_name(environment),
        "uuid": custom::environment_uuid(environment, arn),
    });
    extend(&mut detail, shown);
    let orchestration = Orchestration::of_stored(spec);
    detail.insert("containerOrchestrationType".to_owned(), json!(orchestration.name()));
    match orchestration {
        Orchestration::Eks => detail.insert("eksConfiguration".to_owned(), eks_configuration(spec, eks)),
        Orchestration::Ecs => detail.insert("ecsClusterArn".to_owned(), json!(arn.ecs_cluster(name))),
    };
    if managed {
        let desired = status.and_then(|status| status.desiredv_cpus);
        detail.insert("computeResources".to_owned(), compute_resources(spec, resources, desired));
    }
    let reason = status.and_then(|status| status.status_reason.clone());
    detail.extend(reason.map(|reason| ("statusReason".to_owned(), Value::String(reason))));
    Value::Object(detail)
}

/// `status` in AWS's words.
fn status_name(environment: &ComputeEnvironment) -> &'static str {
    if environment.metadata.deletion_timestamp.is_some() {
        return "DELETING";
    }
    match environment.status.as_ref().and_then(|status| status.status) {
        None => "CREATING",
        Some(Validity::Valid) => "VALID",
        Some(Validity::Invalid) => "INVALID",
    }
}

/// Whether a queue may use it.
pub(crate) fn is_valid(environment: &ComputeEnvironment) -> bool {
    status_name(environment) == "VALID"
}

fn eks_configuration(spec: &ComputeEnvironmentSpec, kept: Option<Value>) -> Value {
    let mut shown = object(kept);
    if let Some(namespace) = &spec.namespace {
        shown.insert("kubernetesNamespace".to_owned(), json!(namespace));
    }
    let mut entry = object(shown.remove("accessEntry"));
    // What it stands for on AWS, rights in the cluster, is Bulkhead's own here.
    entry.insert("status".to_owned(), json!("INACTIVE"));
    shown.insert("accessEntry".to_owned(), Value::Object(entry));
    Value::Object(shown)
}

fn compute_resources(spec: &ComputeEnvironmentSpec, kept: Option<Value>, desired: Option<u32>) -> Value {
    let mut shown = object(kept);
    for list in ["subnets", "securityGroupIds"] {
        shown.entry(list).or_insert_with(|| json!([]));
    }
    shown.entry("tags").or_insert_with(|| json!({}));
    if is_on_fargate(spec) {
        extend(&mut shown, json!({"type": resource_type(spec), "maxvCpus": spec.maxv_cpus}));
        return Value::Object(shown);
    }
    // AWS shows none where none was sent, and Terraform would take one for a change.
    let is_silent = Orchestration::of_stored(spec) == Orchestration::Ecs && !shown.contains_key("allocationStrategy");
    let fields = json!({
        "type": resource_type(spec),
        "allocationStrategy": strategy(spec),
        "minvCpus": spec.minv_cpus,
        "maxvCpus": spec.maxv_cpus,
        "desiredvCpus": desired.unwrap_or(spec.minv_cpus),
        "instanceTypes": spec.instance_types,
    });
    extend(&mut shown, fields);
    if is_silent {
        shown.remove("allocationStrategy");
    }
    // Less than AWS allows is shown as not set.
    let minutes = duration(&spec.scale_down_delay).map(|delay| delay.as_mins()).filter(|minutes| *minutes >= 20);
    let policy = minutes.map(|minutes| json!({"minScaleDownDelayMinutes": minutes}));
    shown.extend(policy.map(|policy| ("scalingPolicy".to_owned(), policy)));
    Value::Object(shown)
}

/// `computeResources.type`.
pub(crate) fn resource_type(spec: &ComputeEnvironmentSpec) -> String {
    let kept = kept_type(spec).filter(|kept| is_fargate_type(kept));
    kept.unwrap_or(if spec.allocation_strategy.is_spot() { "SPOT" } else { "EC2" }).to_owned()
}

/// `computeResources.allocationStrategy`.
pub(crate) fn strategy(spec: &ComputeEnvironmentSpec) -> String {
    said(spec).unwrap_or_else(|| strategy_name(spec.allocation_strategy)).to_owned()
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

fn extend(into: &mut Map<String, Value>, from: Value) {
    if let Value::Object(from) = from {
        into.extend(from);
    }
}
