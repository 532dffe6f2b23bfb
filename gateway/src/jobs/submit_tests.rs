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
    let overrides = "Container overrides or node overrides should not be set for Batch on EKS jobs.";
    let fair = "Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue with fair share scheduling \
                policy.";
    for (change, message) in [
        (json!({"jobName": "-j"}), "Job name should match valid pattern"),
        (json!({"jobName": ""}), "Job name should match valid pattern"),
        (json!({"containerOverrides": {"command": ["x"]}}), overrides),
        (json!({"nodeOverrides": {"numNodes": 2}}), overrides),
        (json!({"shareIdentifier": "a"}), fair),
        (json!({"schedulingPriorityOverride": 1}), fair),
        (json!({"propagateTags": true}), "Batch on EKS does not support tag propagation."),
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
    ] {
        assert_eq!(made(change), Err(message.to_owned()));
    }
}
