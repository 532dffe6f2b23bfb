//! `JobQueueDetail`: a queue as the API shows it.
//!
//! Invariant: pure; a queue that kubectl made is shown like one that the API made.

use api::crd::Validity;
use api::{ComputeEnvironment, JobQueue};
use kube::ResourceExt as _;
use model::names::ArnBase;
use serde_json::{Map, Value, json};

use super::request::Ordered;
use crate::environments::{Orchestration, is_on_fargate};
use crate::names::{Resource, name_of};

/// As the API shows it.
pub(crate) fn detail(queue: &JobQueue, environments: &[ComputeEnvironment], arn: &ArnBase) -> Value {
    let (spec, name) = (&queue.spec, queue.aws_name());
    let kept = spec.aws.clone().unwrap_or_default();
    let member = |name: &str, otherwise: Value| kept.get(name).cloned().unwrap_or(otherwise);
    let status = queue.status.as_ref();
    let shown = match status.and_then(|status| status.status) {
        _ if queue.metadata.deletion_timestamp.is_some() => "DELETING",
        None => "CREATING",
        Some(Validity::Valid) => "VALID",
        Some(Validity::Invalid) => "INVALID",
    };
    let mut detail = json!({
        "jobQueueName": name,
        "jobQueueArn": arn.job_queue(name),
        "state": spec.state,
        "status": shown,
        "priority": spec.priority,
        "jobQueueType": kind(queue, environments),
        "computeEnvironmentOrder": order(queue, &kept, environments, arn),
        "tags": member("tags", json!({})),
        "jobStateTimeLimitActions": spec.job_state_time_limit_actions,
    });
    if let Some(reason) = status.and_then(|status| status.status_reason.as_ref()) {
        detail["statusReason"] = json!(reason);
    }
    detail
}

/// AWS's word for what its environments were asked for as.
pub(super) fn kind(queue: &JobQueue, environments: &[ComputeEnvironment]) -> &'static str {
    let called = |name: &String| environments.iter().find(|it| it.name_any() == *name || it.aws_name() == name);
    let specs = || queue.spec.compute_environments.iter().filter_map(called).map(|it| &it.spec);
    let is_ecs = |spec| Orchestration::of_stored(spec) == Orchestration::Ecs;
    match specs().all(is_ecs) && specs().next().is_some() {
        true if specs().all(is_on_fargate) => "ECS_FARGATE",
        true => "ECS",
        false => "EKS",
    }
}

/// With the numbers that were sent, as long as the environments are still those.
fn order(
    queue: &JobQueue,
    kept: &Map<String, Value>,
    environments: &[ComputeEnvironment],
    arn: &ArnBase,
) -> Vec<Value> {
    // An environment may be named by object or AWS name; one that is not there keeps the name it is called by.
    let aws_name = |called: &String| {
        let there = environments.iter().find(|it| it.name_any() == *called || it.aws_name() == called);
        there.map_or_else(|| called.clone(), |it| it.aws_name().to_owned())
    };
    let names: Vec<String> = queue.spec.compute_environments.iter().map(aws_name).collect();
    let sent = kept.get("computeEnvironmentOrder").cloned().and_then(|sent| serde_json::from_value(sent).ok());
    let mut sent: Vec<Ordered> = sent.unwrap_or_default();
    sent.sort_by_key(|it| it.order);
    let called = |it: &Ordered| name_of(Resource::ComputeEnvironment, &it.compute_environment).ok().map(str::to_owned);
    let same = sent.iter().map(called).eq(names.iter().cloned().map(Some));
    let numbers: Vec<i64> =
        if same { sent.iter().map(|it| it.order).collect() } else { (1..).take(names.len()).collect() };
    let shown = names.iter().zip(numbers);
    shown.map(|(name, order)| json!({"order": order, "computeEnvironment": arn.compute_environment(name)})).collect()
}
