//! Tests of `SubmitJob`: one row per rule, and what is stored.

#![allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]

use std::sync::Arc;

use jiff::Timestamp;
use model::job::{DependencyKind, JobId, JobRecord};
use records::Kept;
use serde_json::json;
use uuid::Uuid;

use super::super::dependencies;
use super::*;
use crate::decode;

fn request(change: Value) -> Submit {
    let mut body = json!({"jobName": "J", "jobQueue": "Q", "jobDefinition": "D"});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    decode::members(&decode::body(body.to_string().as_bytes()).unwrap()).unwrap()
}

#[test]
fn every_rule_has_awss_words() {
    let fair = "Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue with fair share scheduling \
                policy.";
    for (change, message) in [
        (json!({"jobName": "-j"}), "Job name should match valid pattern"),
        (json!({"jobName": ""}), "Job name should match valid pattern"),
        (json!({"shareIdentifier": "a"}), fair),
        (json!({"schedulingPriorityOverride": 1}), fair),
        (json!({"arrayProperties": {"size": 1}}), "Array size must be between 2 and 10000, got 1"),
        (json!({"arrayProperties": {"size": 10_001}}), "Array size must be between 2 and 10000, got 10001"),
    ] {
        assert_eq!(precheck(&request(change.clone())), Invalid::err(message), "{change}");
    }
    let fine = json!({"containerOverrides": {}, "shareIdentifier": "", "propagateTags": false, "arrayProperties": {}});
    assert_eq!(precheck(&request(fine)), Ok(()));
}

fn kept(id: JobId, array_size: Option<u32>) -> Kept {
    let spec = json!({"name": "n", "door": "api", "queue": "Q", "definition": "d", "pod": {}, "arraySize": array_size});
    let spec = Arc::new(serde_json::from_value(spec).unwrap());
    let record = JobRecord::submitted(id, Timestamp::UNIX_EPOCH);
    Kept { record, spec, attempts: vec![], children: None, requested: None }
}

#[test]
fn dependencies_are_on_jobs_that_are_there() {
    let (single, array) = (JobId::new(Uuid::from_u128(1)), JobId::new(Uuid::from_u128(2)));
    let there = [kept(single, None), kept(array, Some(3)), kept(array.with_child(1), Some(3))];
    let check = |array: Option<u32>, depends_on: Value| {
        let request = request(json!({"arrayProperties": {"size": array}, "dependsOn": depends_on}));
        dependencies::ids(&request.depends_on)
            .and_then(|_| dependencies::check(&request, &there))
            .map(|all| all.into_iter().map(|it| (it.job_id, it.kind)).collect::<Vec<_>>())
            .map_err(|it| it.0)
    };
    let ok = |id, kind| Ok(vec![(id, kind)]);
    for (size, depends_on, expected) in [
        (None, json!([{"jobId": single}]), ok(Some(single), None)),
        (None, json!([{"jobId": array.with_child(1)}]), ok(Some(array.with_child(1)), None)),
        (Some(3), json!([{"jobId": array, "type": "N_TO_N"}]), ok(Some(array), Some(DependencyKind::NToN))),
        (Some(3), json!([{"type": "SEQUENTIAL"}]), ok(None, Some(DependencyKind::Sequential))),
    ] {
        assert_eq!(check(size, depends_on.clone()), expected, "{depends_on}");
    }
    let missing = JobId::new(Uuid::from_u128(3));
    for (size, depends_on, message) in [
        (None, json!([{"jobId": "x"}]), "x is not the id of a job"),
        (None, json!([{"jobId": missing}]), "does not exist"),
        (None, json!([{}]), "jobId is required"),
        (None, json!([{"type": "SEQUENTIAL"}]), "only array jobs"),
        (None, json!([{"jobId": array, "type": "N_TO_N"}]), "only array jobs"),
        (Some(4), json!([{"jobId": array, "type": "N_TO_N"}]), "this one has 4"),
        (Some(3), json!([{"jobId": array.with_child(1), "type": "N_TO_N"}]), "has 1"),
        (Some(3), json!([{"jobId": array, "type": "SEQUENTIAL"}]), "has no jobId"),
        (Some(3), json!([{"jobId": array, "type": "OTHER"}]), "must be one of [N_TO_N, SEQUENTIAL]"),
        (None, json!(vec![json!({"jobId": single}); 21]), "Job cannot have more than 20 dependencies"),
    ] {
        let got = check(size, depends_on.clone()).unwrap_err();
        assert!(got.contains(message), "{depends_on}: {got}");
    }
}

fn definition_body() -> Body {
    serde_json::from_value(json!({"type": "container", "parameters": {"a": "1", "b": "2"}, "tags": {"t": "d"},
        "retryStrategy": {"attempts": 3}, "timeout": {"attemptDurationSeconds": 100},
        "eksProperties": {"podProperties": {"containers": [{"image": "i", "command": ["Ref::a", "Ref::b"],
            "resources": {"limits": {"cpu": "1", "memory": "8Mi"}}}], "metadata": {"namespace": "own"}}}}))
    .unwrap()
}

fn made(change: Value) -> Result<Spec, String> {
    spec(&request(change), definition_body(), "arn".to_owned(), "Q".to_owned(), Vec::new()).map_err(|it| it.0)
}

#[test]
fn a_submission_stands_over_its_definition() {
    let plain = made(json!({})).unwrap();
    assert_eq!((plain.attempts(), plain.timeout_seconds, plain.array_size), (3, Some(100), None));
    assert_eq!((plain.namespace.as_deref(), plain.tags["t"].as_str()), (Some("own"), "d"));
    assert_eq!(plain.pod["containers"][0]["command"], json!(["1", "2"]));
    let change = json!({"parameters": {"b": "3"}, "tags": {"u": "s"}, "retryStrategy": {"attempts": 1},
        "timeout": {"attemptDurationSeconds": 60}, "arrayProperties": {"size": 2},
        "eksPropertiesOverride": {"podProperties": {"metadata": {"namespace": "other"}}}});
    let other = made(change).unwrap();
    assert_eq!((other.attempts(), other.timeout_seconds, other.array_size), (1, Some(60), Some(2)));
    assert_eq!((other.namespace.as_deref(), other.tags.len()), (Some("other"), 1));
    assert_eq!(other.pod["containers"][0]["command"], json!(["1", "3"]));
    assert_eq!(other.parameters.len(), 2);
}

#[test]
fn the_rules_of_definitions_hold_for_overrides() {
    let container = |container: Value| json!({"eksPropertiesOverride": {"podProperties": {"containers": [container]}}});
    for (change, message) in [
        (container(json!({"command": ["Ref::c"]})), "Unable to substitute value. No parameter found for reference c"),
        (container(json!({"resources": {"limits": {"cpu": "1"}}})), "cpu and memory resources must be provided."),
        (
            container(json!({"env": [{"name": "AWS_BATCH_X"}]})),
            "Environment variable AWS_BATCH_X: names that start with AWS_BATCH are reserved.",
        ),
        (json!({"retryStrategy": {"attempts": 0}}), "RetryAttempts must be between 1 and 10."),
        (
            json!({"containerOverrides": {"command": []}}),
            "Container overrides or node overrides should not be set for Batch on EKS jobs.",
        ),
        (
            json!({"containerOverrides": {"command": ["x"]}}),
            "Container overrides or node overrides should not be set for Batch on EKS jobs.",
        ),
        (
            json!({"nodeOverrides": {"numNodes": 2}}),
            "Container overrides or node overrides should not be set for Batch on EKS jobs.",
        ),
        (json!({"propagateTags": true}), "Batch on EKS does not support tag propagation."),
    ] {
        assert_eq!(made(change), Err(message.to_owned()));
    }
}

fn made_of_container(change: Value) -> Result<Spec, String> {
    let container = json!({"image": "i", "vcpus": 1, "memory": 8, "command": ["echo", "Ref::a", "$$"], "jobRoleArn": "r",
        "environment": [{"name": "A", "value": "$(HOME)"}]});
    let body = json!({"type": "container", "parameters": {"a": "$(x)"}, "containerProperties": container});
    let kept = serde_json::from_value(body).unwrap();
    spec(&request(change), kept, "arn".to_owned(), "Q".to_owned(), Vec::new()).map_err(|it| it.0)
}

#[test]
fn a_container_becomes_the_pod_of_a_job() {
    let plain = made_of_container(json!({"propagateTags": true})).unwrap();
    let container = &plain.pod["containers"][0];
    assert_eq!(container["args"], json!(["echo", "$$(x)", "$$$$"]), "Kubernetes makes one dollar of two");
    let env = json!([{"name": "AWS_EXECUTION_ENV", "value": "AWS_ECS_EC2"}, {"name": "A", "value": "$$(HOME)"}]);
    assert_eq!(container["env"], env);
    let of_container = plain.container.unwrap();
    assert!(of_container.propagate_tags);
    let rest = of_container.properties;
    assert_eq!((&rest["jobRoleArn"], rest.get("command"), rest.get("environment")), (&json!("r"), None, None));
    let need = json!([{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "16"}]);
    let overrides =
        json!({"command": ["true"], "resourceRequirements": need, "environment": [{"name": "B", "value": "1"}]});
    let other = made_of_container(json!({"containerOverrides": overrides})).unwrap();
    let container = &other.pod["containers"][0];
    assert_eq!((&container["args"], container["env"].as_array().unwrap().len()), (&json!(["true"]), 3));
    assert_eq!(container["resources"]["requests"], json!({"cpu": "2", "memory": "16Mi"}));
    assert_eq!(other.container.unwrap().properties["resourceRequirements"], need);
    for (change, message) in [
        (json!({"containerOverrides": {"vcpus": 0}}), "vCPU must be at least 1, got 0."),
        (
            json!({"containerOverrides": {"vcpus": "2"}}),
            "containerOverrides cannot be read: invalid type: string \"2\", expected i64",
        ),
        (json!({"containerOverrides": {"command": [""]}}), "Command field cannot have empty strings"),
        (
            json!({"containerOverrides": {"command": ["Ref::z"]}}),
            "Unable to substitute value. No parameter found for reference z",
        ),
        (
            json!({"containerOverrides": {"environment": [{"name": "AWS_BATCH_X"}]}}),
            "Environment variable AWS_BATCH_X: names that start with AWS_BATCH are reserved.",
        ),
        (
            json!({"nodeOverrides": {"numNodes": 2}}),
            "nodeOverrides and ecsPropertiesOverride should not be set for jobs of containerProperties: use containerOverrides.",
        ),
        (
            json!({"eksPropertiesOverride": {"podProperties": {}}}),
            "eksPropertiesOverride should not be set for jobs of containerProperties: use containerOverrides.",
        ),
    ] {
        assert_eq!(made_of_container(change.clone()).map(|_| ()), Err(message.to_owned()), "{change}");
    }
}

#[test]
fn a_job_is_measured_as_it_is_stored() {
    let of = |dollars: usize| {
        let command: Vec<String> = vec!["Ref::a".to_owned(); 10];
        let change = json!({"containerOverrides": {"command": command}, "parameters": {"a": "$".repeat(dollars)}});
        made_of_container(change).map(|spec| spec.pod.to_string().len())
    };
    // Ten times the parameter, of which each dollar is two: 128 KiB in all.
    assert!(of(6_500).is_ok_and(|length| (130_000..=131_072).contains(&length)), "{:?}", of(6_500));
    assert!(
        of(6_600).is_err_and(|said| said.starts_with("Job size with parameters substituted must be at most 128 KiB"))
    );
}

#[test]
fn what_the_release_before_stored_reads_as_it_did() {
    let definition = json!({"type": "container", "parameters": {}, "tags": {}, "eksProperties": {"podProperties": {
        "containers": [{"image": "i", "resources": {"limits": {"cpu": "1", "memory": "8Mi"}}}]}}});
    let kept: Body = serde_json::from_value(definition.clone()).unwrap();
    assert_eq!(serde_json::to_value(&kept).unwrap(), definition);
    let made = spec(&request(json!({})), kept, "d".to_owned(), "Q".to_owned(), Vec::new()).unwrap();
    let stored = json!({"name": "J", "door": "api", "queue": "Q", "definition": "d", "pod": made.pod});
    assert_eq!(serde_json::to_value(&made).unwrap(), stored);
    assert_eq!(serde_json::from_value::<Spec>(stored).unwrap(), made);
}
