//! Tests of how jobs are shown.

#![allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]

use std::collections::BTreeMap;
use std::sync::Arc;

use model::job::{JobId, Placed, Stop};
use serde_json::json;
use uuid::Uuid;

use super::*;

fn job(spec: Value) -> Kept {
    let mut full = json!({"name": "n", "door": "api", "queue": "Q", "definition": "d",
        "pod": {"containers": [{"image": "i"}]}});
    full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let record = JobRecord::submitted(JobId::new(Uuid::from_u128(1)), Timestamp::from_millisecond(7).unwrap());
    Kept {
        record,
        spec: Arc::new(serde_json::from_value(full).unwrap()),
        attempts: vec![],
        children: None,
        requested: None,
    }
}

fn shown(job: &Kept) -> Value {
    detail(job, &ArnBase::default(), &Known { now: Timestamp::UNIX_EPOCH, fronts: None })
}

#[test]
fn what_runs_says_where() {
    let mut running = job(json!({}));
    running.record.state = JobState::Running;
    running.record.started = Some(Timestamp::from_millisecond(976_000).unwrap());
    running.record.placed = Some(Placed {
        since: None,
        pod_name: "aws-batch.x".into(),
        namespace: "ns".into(),
        pod_uid: None,
        node: "node-1".into(),
        node_uid: "u".into(),
        hold: vec![],
        environment: "CE".into(),
        environment_uuid: "e".into(),
        trouble: None,
    });
    let detail = shown(&running);
    let pod = &detail["eksProperties"]["podProperties"];
    assert_eq!((&pod["podName"], &pod["nodeName"]), (&json!("aws-batch.x"), &json!("node-1")));
    assert_eq!(pod["metadata"]["namespace"], "ns");
    assert_eq!((&detail["createdAt"], &detail["startedAt"]), (&json!(7), &json!(976_000)));
    for absent in
        ["stoppedAt", "statusReason", "retryStrategy", "timeout", "arrayProperties", "isCancelled", "isTerminated"]
    {
        assert_eq!(detail.get(absent), None, "{absent}");
    }
}

#[test]
fn what_has_ended_says_how() {
    let mut ended = job(
        json!({"dependsOn": [{"jobId": JobId::new(Uuid::from_u128(2))}, {"type": "SEQUENTIAL"}], "timeoutSeconds": 60}),
    );
    let time = |millis| Timestamp::from_millisecond(millis).unwrap();
    ended.record.state = JobState::Failed;
    ended.record.reason = Some("why".into());
    ended.record.stopped = Some(time(3000));
    ended.record.stop = Some(Stop { kind: StopKind::Cancel, reason: "why".into() });
    let end = ContainerEnd {
        name: "default".into(),
        container_id: Some("c".into()),
        exit_code: Some(1),
        reason: Some("Error".into()),
    };
    ended.attempts = vec![Attempt {
        number: 1,
        containers: vec![end],
        init_containers: vec![],
        pod_name: "p".into(),
        namespace: "ns".into(),
        node: "n".into(),
        started: Some(time(1000)),
        stopped: time(2000),
        reason: None,
    }];
    let detail = shown(&ended);
    assert_eq!(
        (&detail["status"], &detail["statusReason"], &detail["isCancelled"]),
        (&json!("FAILED"), &json!("why"), &json!(true))
    );
    let attempts = json!([{"containers": [{"name": "default", "containerID": "c", "exitCode": 1, "reason": "Error"}],
        "podName": "p", "podNamespace": "ns", "nodeName": "n", "startedAt": 1000, "stoppedAt": 2000}]);
    assert_eq!(detail["eksAttempts"], attempts);
    let container = &detail["eksProperties"]["podProperties"]["containers"][0];
    assert_eq!((&container["exitCode"], &container["reason"]), (&json!(1), &json!("Error")));
    assert_eq!(detail["dependsOn"], json!([{"jobId": JobId::new(Uuid::from_u128(2))}, {"type": "SEQUENTIAL"}]));
    assert_eq!(detail["timeout"], json!({"attemptDurationSeconds": 60}));
}

#[test]
fn containers_without_names_are_those_that_the_pod_names() {
    let list = json!([{"name": "x", "image": "i"}, {"image": "i"}]);
    let mut ended = job(json!({"pod": {"containers": list, "initContainers": list}}));
    let end = |name: &str, code| ContainerEnd { name: name.into(), exit_code: Some(code), ..ContainerEnd::default() };
    ended.record.stopped = Some(Timestamp::from_millisecond(3000).unwrap());
    ended.attempts = vec![Attempt {
        number: 1,
        containers: vec![end("x", 1), end("default", 2)],
        init_containers: vec![end("x", 3), end("init", 4)],
        pod_name: "p".into(),
        namespace: "ns".into(),
        node: "n".into(),
        started: None,
        stopped: Timestamp::from_millisecond(2000).unwrap(),
        reason: None,
    }];
    let pod = shown(&ended)["eksProperties"]["podProperties"].take();
    let code = |list: &str, at: usize| pod[list][at]["exitCode"].as_i64();
    let codes = [("containers", 0), ("containers", 1), ("initContainers", 0), ("initContainers", 1)];
    assert_eq!(codes.map(|(list, at)| code(list, at)), [Some(1), Some(2), Some(3), Some(4)]);
}

#[test]
fn a_parent_counts_its_children() {
    let mut parent = job(json!({"arraySize": 3}));
    parent.children = Some(BTreeMap::from([(JobState::Running, 2), (JobState::Failed, 1)]));
    let summary =
        json!({"SUBMITTED": 0, "PENDING": 0, "RUNNABLE": 0, "STARTING": 0, "RUNNING": 2, "SUCCEEDED": 0, "FAILED": 1});
    assert_eq!(shown(&parent)["arrayProperties"], json!({"statusSummary": summary, "size": 3}));
    parent.record.id = parent.record.id.with_child(2);
    assert_eq!(shown(&parent)["arrayProperties"], json!({"statusSummary": {}, "index": 2}));
}

#[test]
fn an_end_that_was_asked_for_shows_until_the_job_has_ended_by_itself() {
    let mut asked = job(json!({}));
    asked.requested = Some(Stop { kind: StopKind::Terminate, reason: String::new() });
    assert_eq!(shown(&asked)["isTerminated"], true);
    asked.record.state = JobState::Succeeded;
    assert_eq!(shown(&asked).get("isTerminated"), None);
}

#[test]
fn values_of_variables_are_shown_of_jobs_of_the_api_alone() {
    let env = json!([{"name": "PASSWORD", "value": "secret"}, {"name": "EMPTY"}]);
    let pod = json!({"containers": [{"name": "a", "env": env}, {"name": "b"}], "initContainers": [{"name": "c", "env": env}]});
    let env_of = |door: &str, list: &str| {
        let detail = shown(&job(json!({"door": door, "definition": "", "pod": pod})));
        detail["eksProperties"]["podProperties"][list][0]["env"].clone()
    };
    for list in ["containers", "initContainers"] {
        assert_eq!(env_of("api", list), env);
        assert_eq!(env_of("job", list), json!([{"name": "PASSWORD"}, {"name": "EMPTY"}]));
    }
}

#[test]
fn a_kubernetes_job_is_shown_with_what_is_known() {
    let detail = shown(&job(json!({"door": "job", "definition": "", "pod": {"containers": "odd", "more": 1}})));
    assert_eq!(detail["eksProperties"]["podProperties"], json!({"containers": "odd", "more": 1, "volumes": []}));
    assert_eq!(
        shown(&job(json!({"door": "job", "pod": null})))["eksProperties"]["podProperties"]["containers"],
        json!([])
    );
}
