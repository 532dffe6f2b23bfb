//! Tests of job queues: one row per rule.

use serde_json::json;

use super::*;
use crate::decode;

fn environments() -> Vec<ComputeEnvironment> {
    ["A", "B", "C", "D", "Invalid"]
        .map(|name| {
            let status = if name == "Invalid" { "INVALID" } else { "VALID" };
            serde_json::from_value(json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "ComputeEnvironment",
                "metadata": {"name": name.to_lowercase()}, "spec": {"name": name, "type": "UNMANAGED"},
                "status": {"status": status}}))
            .unwrap()
        })
        .to_vec()
}

fn order(names: &[&str]) -> Value {
    (1..).zip(names).map(|(order, name)| json!({"order": order, "computeEnvironment": name})).collect()
}

fn created(member: &str, value: Value) -> Result<JobQueue, String> {
    let mut body = json!({"jobQueueName": "Q", "priority": 1, "computeEnvironmentOrder": order(&["A"])});
    body[member] = value;
    let body = decode::body(body.to_string().as_bytes()).unwrap();
    queue(&decode::members(&body).unwrap(), &body, &environments()).map_err(|it| it.0)
}

#[test]
fn every_rule_has_awss_words() {
    let policy = "arn:aws:batch:us-east-1:1:scheduling-policy/p";
    let limit = |action: &str| json!({"reason": "LIMIT:MAX_VCPUS", "state": "RUNNABLE", "maxTimeSeconds": 600, "action": action});
    let not_valid = "Compute Environments must be created and valid before attaching them to a job queue";
    for (member, value, message) in [
        ("jobQueueName", json!("a b"), "Job Queue name should match a valid pattern."),
        ("computeEnvironmentOrder", json!([]), "computeEnvironmentOrder is required."),
        (
            "computeEnvironmentOrder",
            order(&["A", "B", "C", "D"]),
            "Only 3 environments are allowed in job queue request.",
        ),
        ("computeEnvironmentOrder", order(&["A", "A"]), "Duplicate ComputeEnvironments within order list."),
        (
            "computeEnvironmentOrder",
            json!([{"order": 1, "computeEnvironment": "A"}, {"order": 1, "computeEnvironment": "B"}]),
            "Duplicate ComputeEnvironment order values.",
        ),
        ("computeEnvironmentOrder", order(&["Invalid"]), not_valid),
        ("computeEnvironmentOrder", order(&["Missing"]), not_valid),
        ("schedulingPolicyArn", json!("p"), "Only scheduling policy Arn can be allowed."),
        ("schedulingPolicyArn", json!(policy), &format!("SchedulingPolicy {policy} not found.")),
        ("jobStateTimeLimitActions", json!([limit("TERMINATE")]), "Invalid job action. Valid job actions: [CANCEL]"),
        (
            "jobStateTimeLimitActions",
            json!([limit("CANCEL"), limit("CANCEL")]),
            "Duplicate job state limit actions are not allowed.",
        ),
        (
            "jobStateTimeLimitActions",
            json!([{"reason": "RAIN", "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"}]),
            "jobStateTimeLimitActions.reason: no job waits for \"RAIN\".",
        ),
        ("priority", json!(null), "priority is required."),
        ("priority", json!(-1), "priority must be between 0 and 10000, got -1."),
        (
            "jobQueueType",
            json!("SAGEMAKER_TRAINING"),
            "jobQueueType must be one of [EKS, ECS, ECS_FARGATE], got SAGEMAKER_TRAINING.",
        ),
        (
            "jobQueueType",
            json!("ECS"),
            "jobQueueType ECS does not match the compute environments, with which it is EKS.",
        ),
        ("serviceEnvironmentOrder", json!([{}]), "serviceEnvironmentOrder is not supported by Bulkhead."),
        ("state", json!("OFF"), "state must be one of [ENABLED, DISABLED], got OFF."),
    ] {
        assert_eq!(created(member, value.clone()).map(|_| ()), Err(message.to_owned()), "{member} {value}");
    }
}

#[test]
fn environments_come_in_the_order_of_their_numbers() {
    let given = json!([{"order": 9, "computeEnvironment": "A"},
        {"order": 1, "computeEnvironment": "arn:aws:batch:eu-west-1:1:compute-environment/B"}]);
    assert_eq!(created("computeEnvironmentOrder", given).unwrap().spec.compute_environments, ["b", "a"]);
    assert!(created("jobQueueType", json!("EKS")).is_ok());
    assert_eq!(created("state", json!("DISABLED")).unwrap().spec.state, State::Disabled);
}

#[test]
fn a_queue_made_here_has_the_defaults_of_the_custom_resource() {
    let spec = created("priority", json!(0)).unwrap().spec;
    let bare: JobQueueSpec = serde_json::from_value(json!({"computeEnvironments": ["a"]})).unwrap();
    assert_eq!(JobQueueSpec { name: None, aws: None, ..spec }, bare);
}

#[test]
fn only_what_is_sent_changes() {
    let before = created("tags", json!({"a": "b"})).unwrap();
    let change = |body: Value| {
        let body = decode::body(body.to_string().as_bytes()).unwrap();
        changed(&before, &decode::members(&body).unwrap(), &body, &environments()).map_err(|it| it.0)
    };
    assert_eq!(change(json!({"jobQueue": "Q"})).unwrap().spec, before.spec);
    let after = change(json!({"jobQueue": "Q", "priority": 5, "computeEnvironmentOrder": order(&["B", "C"])})).unwrap();
    assert_eq!((after.spec.priority, after.spec.compute_environments), (5, vec!["b".to_owned(), "c".to_owned()]));
    assert_eq!(after.spec.aws.unwrap()["tags"], json!({"a": "b"}));
    assert!(change(json!({"jobQueue": "Q", "computeEnvironmentOrder": []})).is_err());
    let actions = |list: Value| change(json!({"jobQueue": "Q", "jobStateTimeLimitActions": list}));
    let code = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY";
    let limit = json!([{"reason": code, "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"}]);
    let limited = actions(limit.clone()).unwrap();
    assert_eq!(json!(limited.spec.job_state_time_limit_actions), limit);
    let change = |body: Value| {
        let body = body.as_object().unwrap().clone();
        changed(&limited, &decode::members(&body).unwrap(), &body, &environments()).map_err(|it| it.0)
    };
    assert_eq!(change(json!({"jobQueue": "Q", "priority": 7})).unwrap().spec.job_state_time_limit_actions.len(), 1);
    let none = change(json!({"jobQueue": "Q", "jobStateTimeLimitActions": []})).unwrap();
    assert_eq!(none.spec.job_state_time_limit_actions, []);
}

#[test]
fn pods_that_say_nothing_go_where_the_first_environment_has_them() {
    let environment = |name: &str, namespace: Value| -> ComputeEnvironment {
        let spec = json!({"name": name, "type": "UNMANAGED", "namespace": namespace});
        serde_json::from_value(json!({"metadata": {"name": name.to_lowercase()}, "spec": spec})).unwrap()
    };
    let all = [environment("A", json!("here")), environment("B", json!("there")), environment("Silent", json!(null))];
    for (names, expect) in [
        (json!(["A", "B"]), "here"),
        (json!(["b", "A"]), "there"),
        (json!(["gone", "B"]), "there"),
        (json!(["Silent", "B"]), "default"),
        (json!([]), "default"),
    ] {
        let queue = json!({"metadata": {"name": "q"}, "spec": {"computeEnvironments": names}});
        assert_eq!(namespace(&serde_json::from_value(queue).unwrap(), &all), expect, "{names}");
    }
}
