//! Tests of `RegisterJobDefinition`: one row per rule.

#![allow(clippy::too_many_lines, reason = "a table has one row per rule")]

use serde_json::{Value, json};

use super::*;
use crate::decode;

/// What becomes of a valid request with one member (JSON pointer) changed; `null` removes.
fn changed(pointer: &str, value: Value) -> Result<Body, String> {
    let mut body = json!({"jobDefinitionName": "D", "type": "container", "eksProperties": {"podProperties": {
        "containers": [{"image": "i", "resources": {"limits": {"cpu": "1", "memory": "8Mi"}}}],
        "volumes": [{"name": "v", "emptyDir": {}}], "metadata": {"labels": {}, "annotations": {}}}}});
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[name] = value;
    let body = decode::body(body.to_string().as_bytes()).unwrap();
    validate(decode::members(&body).unwrap()).map_err(|it| it.0)
}

fn check(rows: &[(&str, Value, &str)]) {
    let mut wrong = Vec::new();
    for (pointer, value, message) in rows {
        let got = changed(pointer, value.clone()).map(|_| ());
        if got != Err((*message).to_owned()) {
            wrong.push(format!("{pointer} {value}: {got:?}, not {message}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_common_rule_has_awss_words() {
    let retry = |conditions: Value| json!({"attempts": 2, "evaluateOnExit": conditions});
    let consumables = |names: &[&str]| {
        let list: Value = names.iter().map(|name| json!({"consumableResource": name, "quantity": 1})).collect();
        json!({"consumableResourceList": list})
    };
    check(&[
        ("/jobDefinitionName", json!("a b"), "Job definition name should match a valid pattern."),
        (
            "/eksProperties",
            json!(null),
            "ECS ContainerProperties, ecsProperties, or eksProperties is required when using type container.",
        ),
        ("/containerProperties", json!({}), "Cannot use both ECS containerProperties and eksProperties"),
        ("/ecsProperties", json!({}), "Cannot use both ecsProperties and eksProperties"),
        ("/nodeProperties", json!({}), "Cannot use both nodeProperties and eksProperties"),
        ("/type", json!("multinode"), "Node properties of multinode job is required."),
        ("/propagateTags", json!(true), "Batch on EKS does not support tag propagation."),
        ("/retryStrategy", json!({"attempts": 11}), "RetryAttempts must be between 1 and 10."),
        ("/retryStrategy", json!({"attempts": 0}), "RetryAttempts must be between 1 and 10."),
        (
            "/retryStrategy",
            json!({"evaluateOnExit": [{"onReason": "x", "action": "EXIT"}]}),
            "RetryAttempts must be provided with retry strategy.",
        ),
        (
            "/retryStrategy",
            retry(json!([{"action": "EXIT"}])),
            "EvaluateOnExit should contain at least one of onExitCode, onReason or onStatusReason",
        ),
        (
            "/retryStrategy",
            retry(json!([{"onExitCode": "x", "action": "EXIT"}])),
            "Evaluate on exit condition contains restricted characters.",
        ),
        (
            "/retryStrategy",
            retry(json!([{"onReason": "a*b", "action": "EXIT"}])),
            "Evaluate on exit condition contains restricted characters.",
        ),
        (
            "/retryStrategy",
            retry(json!([{"onReason": "x".repeat(513), "action": "EXIT"}])),
            "Evaluate on exit condition cannot exceed 512 characters.",
        ),
        (
            "/timeout",
            json!({"attemptDurationSeconds": 59}),
            "AttemptDurationSeconds in Timeout must be at least 60 seconds.",
        ),
        ("/schedulingPriority", json!(10_000), "Scheduling priority must be between 0 and 9999."),
        (
            "/consumableResourceProperties",
            consumables(&["a", "b", "c", "d", "e", "f"]),
            "Each ConsumableResourceProperty can have at most 5 consumableResources",
        ),
        (
            "/consumableResourceProperties",
            consumables(&["a", "a"]),
            "Cannot have duplicate consumableResource in consumableResourceProperties",
        ),
        (
            "/consumableResourceProperties",
            consumables(&["a"]),
            "Consumable resources are not supported by Bulkhead yet.",
        ),
    ]);
}

const POD: &str = "/eksProperties/podProperties";

#[test]
fn every_rule_of_a_pod_has_awss_words() {
    let pod = |member: &str| format!("{POD}/{member}");
    let container = |member: &str| format!("{POD}/containers/0/{member}");
    let prefix = |prefix: &str, kind: &str| {
        format!(
            "The prefix {prefix} of the pod {kind} key cannot contain terms from the following [kubernetes.io, k8s.io, \
             batch.amazonaws.com]."
        )
    };
    let long = "x".repeat(256);
    let nul = "Commands, arguments and values of environment variables cannot contain NUL characters.";
    let namespace = "kubernetesNamespace cannot be the default Kubernetes namespace.";
    check(&[
        (POD, json!(null), "You must provide a container for eksProperties."),
        (&pod("containers"), json!([]), "Containers must be provided for Batch on EKS jobs."),
        (
            &container("volumeMounts"),
            json!([{"mountPath": "/"}]),
            "The volumeMounts name is required for eksProperties.",
        ),
        (
            &container("volumeMounts"),
            json!([{"name": "w", "mountPath": "/"}]),
            "The volumeMounts name is required for eksProperties.",
        ),
        (&pod("dnsPolicy"), json!("None"), "Unsupported DNS policy value."),
        (&container("imagePullPolicy"), json!("Sometimes"), "Unsupported image pull policy value."),
        (
            &pod("volumes"),
            json!([{"name": "v", "emptyDir": {"medium": "Disk"}}]),
            "Invalid Volume mount. Allowed values - Memory or null.",
        ),
        (&pod("volumes"), json!([{"name": "v", "emptyDir": {"sizeLimit": "1G"}}]), "Invalid empty dir size limit."),
        (
            &pod("volumes"),
            json!([{"name": "v"}]),
            "Volume v must have exactly one of hostPath, emptyDir, secret and persistentVolumeClaim.",
        ),
        (&pod("metadata/labels"), json!({"kubernetes.io/a": "b"}), &prefix("kubernetes.io", "label")),
        (&pod("metadata/labels"), json!({"x.k8s.io/a": "b"}), &prefix("x.k8s.io", "label")),
        (
            &pod("metadata/annotations"),
            json!({"batch.amazonaws.com/a": "b"}),
            &prefix("batch.amazonaws.com", "annotation"),
        ),
        (
            &pod("metadata/labels"),
            json!({"bulkhead.dev/a": "b"}),
            "The prefix bulkhead.dev of the pod label key is reserved by Bulkhead.",
        ),
        (
            &pod("metadata/labels"),
            json!({"-a": "b"}),
            "The name -a of the pod label key does not match a valid pattern.",
        ),
        (&pod("metadata/labels"), json!({"a": "b c"}), "The pod label value b c does not match a valid pattern."),
        (
            &pod("metadata/annotations"),
            json!({"a": long}),
            &format!("Metadata annotation value {long} cannot be longer than 255 characters."),
        ),
        (&pod("metadata/namespace"), json!("default"), namespace),
        (
            &container("env"),
            json!([{"name": "AWS_BATCH_JOB_ID"}]),
            "Environment variable AWS_BATCH_JOB_ID: names that start with AWS_BATCH are reserved.",
        ),
        (
            &container("env"),
            json!([{"name": "a=b"}]),
            "Environment variable name \"a=b\" contains '=' or a NUL character.",
        ),
        (&container("env"), json!([{"name": "a", "value": "b\u{0}"}]), nul),
        (&container("command"), json!(["a\u{0}"]), nul),
        (&container("image"), json!(null), "Container image is required."),
    ]);
}

#[test]
fn every_rule_of_resources_has_awss_words() {
    let resources = |limits: Value, requests: Value| json!({"limits": limits, "requests": requests});
    let pointer = &format!("{POD}/containers/0/resources");
    let bad_cpu =
        |value: &str| format!("Value {value} for type cpu in resources is not valid. Provide a valid number and unit.");
    for cpu in ["0", "0.1", "500m", "-1", "1.", "x", "", "1.2.5", "+1"] {
        let got = changed(pointer, resources(json!({"cpu": cpu, "memory": "8Mi"}), json!({})));
        assert_eq!(got.map(|_| ()), Err(bad_cpu(cpu)));
    }
    for memory in ["2Gi", "3Mi", "8", "1.5Mi", "Mi"] {
        let got = changed(pointer, resources(json!({"cpu": "1", "memory": memory}), json!({})));
        assert_eq!(got.map(|_| ()), Err(format!("Value {memory} for type memory is not valid.")));
    }
    let enough = json!({"cpu": "1", "memory": "8Mi"});
    let gpu = |limit: &str| json!({"cpu": "1", "memory": "8Mi", "nvidia.com/gpu": limit});
    check(&[
        (pointer, json!(null), "cpu and memory resources must be provided."),
        (pointer, resources(json!({"cpu": "1"}), json!({})), "cpu and memory resources must be provided."),
        (pointer, resources(gpu("0.5"), json!({})), "Value 0.5 for type nvidia.com/gpu in resources is not valid."),
        (
            pointer,
            resources(json!({"cpu": "1", "memory": "8Mi", "x": "1"}), json!({})),
            "x is not a supported type for resources.",
        ),
        (
            pointer,
            resources(enough.clone(), json!({"cpu": "1.25"})),
            "cpu request must be <= to cpu limit if both are provided.",
        ),
        (
            pointer,
            resources(enough.clone(), json!({"memory": "9Mi"})),
            "memory request must be equal to memory limit if both are provided.",
        ),
        (
            pointer,
            resources(gpu("1"), json!({"nvidia.com/gpu": "2"})),
            "gpu request must be equal to gpu limit if both are provided.",
        ),
    ]);
    assert!(changed(pointer, resources(json!({"cpu": "0.75"}), json!({"memory": "8Mi", "cpu": "0.250"}))).is_ok());
}

#[test]
fn one_container_may_go_without_a_name() {
    let check = |containers: &[Option<&str>], inits: &[Option<&str>], expect: bool| {
        let list = |names: &[Option<&str>]| -> Value {
            let limits = json!({"limits": {"cpu": "1", "memory": "8Mi"}});
            names.iter().map(|name| json!({"name": name, "image": "i", "resources": limits})).collect()
        };
        let pod = json!({"containers": list(containers), "initContainers": list(inits)});
        let message = "Container names must be given and unique if there is more than one container.";
        let expect = if expect { Ok(()) } else { Err(message.to_owned()) };
        assert_eq!(changed(POD, pod).map(|_| ()), expect, "{containers:?} {inits:?}");
    };
    check(&[None, Some("a")], &[Some("b")], true);
    check(&[Some("a")], &[None], true);
    check(&[None, None], &[], false);
    check(&[None], &[None], false);
    check(&[Some("a")], &[Some("a")], false);
    // The name that the pod gives it is taken.
    check(&[None, Some("default")], &[], false);
    check(&[Some("init")], &[None], false);
}

#[test]
fn a_valid_definition_is_kept_as_it_was_written() {
    let retry = json!({"attempts": 2, "evaluateOnExit": [{"onStatusReason": "Host EC2*", "action": "Retry"}]});
    let kept = serde_json::to_value(changed("/retryStrategy", retry).unwrap()).unwrap();
    assert_eq!(kept["retryStrategy"]["evaluateOnExit"], json!([{"onStatusReason": "Host EC2*", "action": "retry"}]));
    assert_eq!(kept["eksProperties"]["podProperties"]["volumes"], json!([{"name": "v", "emptyDir": {}}]));
    assert_eq!((&kept["parameters"], kept.get("timeout")), (&json!({}), None));
    assert!(changed("/propagateTags", json!(false)).is_ok() && changed("/timeout", json!({})).is_ok());
    assert_eq!(changed("/retryStrategy", json!({})).unwrap().retry_strategy, None);
}

#[test]
fn kinds_that_are_not_supported_yet_say_so() {
    let register = |body: Value| {
        let body = decode::body(body.to_string().as_bytes()).unwrap();
        validate(decode::members(&body).unwrap()).map_err(|it| it.0).unwrap_err()
    };
    let body = |kind: &str, member: &str| json!({"jobDefinitionName": "D", "type": kind, member: {"image": "i"}});
    assert!(register(body("container", "ecsProperties")).contains("not supported by Bulkhead yet"));
    assert!(register(body("multinode", "nodeProperties")).contains("not supported by Bulkhead yet"));
}

#[test]
fn a_container_is_kept_as_it_was_written_and_obeys_the_rules_of_pods_too() {
    let register = |change: Value| {
        let container = json!({"image": "i", "vcpus": 1, "memory": 8});
        let mut body = json!({"jobDefinitionName": "D", "type": "container", "containerProperties": container});
        for (pointer, value) in change.as_object().unwrap() {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[name] = value.clone();
        }
        let body = decode::body(body.to_string().as_bytes()).unwrap();
        validate(decode::members(&body).unwrap()).map(|it| serde_json::to_value(it).unwrap()).map_err(|it| it.0)
    };
    let kept = register(json!({"/propagateTags": true, "/platformCapabilities": ["EC2"]})).unwrap();
    let container = json!({"image": "i", "vcpus": 1, "memory": 8, "command": [], "volumes": [], "environment": [],
        "mountPoints": [], "ulimits": [], "resourceRequirements": [], "secrets": []});
    let expect = json!({"type": "container", "parameters": {}, "tags": {}, "containerProperties": container,
        "platformCapabilities": ["EC2"], "propagateTags": true});
    assert_eq!(kept, expect);
    for (change, message) in [
        (
            json!({"/containerProperties/environment": [{"name": "AWS_BATCH_X", "value": "1"}]}),
            "Environment variable AWS_BATCH_X: names that start with AWS_BATCH are reserved.",
        ),
        (
            json!({"/containerProperties/environment": [{"name": "", "value": "1"}]}),
            "Environment variable name is required.",
        ),
        (json!({"/platformCapabilities": ["EC2", "FARGATE"]}), "Exactly 1 capability must be provided."),
        (json!({"/containerProperties/vcpus": 0}), "vCPU must be at least 1, got 0."),
        (
            json!({"/containerProperties/vcpus": "1"}),
            "containerProperties cannot be read: invalid type: string \"1\", expected i64",
        ),
        (json!({"/nodeProperties": {}}), "nodeProperties must not be provided for job definitions of type container."),
        (json!({"/eksProperties": {}}), "Cannot use both ECS containerProperties and eksProperties"),
    ] {
        assert_eq!(register(change.clone()), Err(message.to_owned()), "{change}");
    }
}

#[test]
fn a_list_of_definitions_goes_alone() {
    let check = |body: Value| status_filter(&serde_json::from_value(body).unwrap()).map_err(|_| ());
    assert_eq!(check(json!({"status": "INACTIVE"})), Ok(Some(false)));
    assert_eq!(check(json!({"jobDefinitions": ["a"]})), Ok(None));
    assert_eq!(check(json!({"jobDefinitions": ["a"], "status": "ACTIVE"})), Err(()));
    assert_eq!(check(json!({"status": "OLD"})), Err(()));
}
