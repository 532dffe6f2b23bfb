//! The story, told from objects as watches show them.

use serde_json::{Value, json};

use super::*;

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn job(suspend: bool, annotations: &Value, status: &Value) -> Seen {
    let metadata = json!({"namespace": "form-1", "name": JOB, "annotations": annotations});
    let spec = json!({"suspend": suspend, "template": {}});
    Seen::Job(Box::new(read(json!({"metadata": metadata, "spec": spec, "status": status}))))
}

fn pod(node: Option<&str>, phase: &str) -> Seen {
    let metadata = json!({
        "namespace": "form-1", "name": "p", "uid": "p-uid",
        "labels": {"batch.kubernetes.io/job-name": JOB},
        "annotations": {"batch.kubernetes.io/job-completion-index": "3"},
    });
    let spec = json!({"containers": [], "nodeName": node});
    Seen::Pod(Box::new(read(json!({"metadata": metadata, "spec": spec, "status": {"phase": phase}}))))
}

fn node(labels: &Value, ready: &str) -> Seen {
    let status = json!({"conditions": [{"type": "Ready", "status": ready}]});
    Seen::Node(Box::new(read(json!({"metadata": {"name": "m", "uid": "n-uid", "labels": labels}, "status": status}))))
}

fn machine(status: &Value) -> Seen {
    let spec = json!({
        "computeEnvironment": "demo-ce", "computeEnvironmentUuid": "u", "computeEnvironmentName": "demo-ce",
        "offer": "m5.large", "milliVcpus": 2000, "allocatable": {}, "provider": {},
    });
    Seen::Machine(Box::new(read(json!({"metadata": {"name": "m"}, "spec": spec, "status": status}))))
}

/// What is told about things seen one after another, one text for each.
fn check(seen: Vec<Seen>, expect: &[&str]) -> Story {
    let mut story = Story::new("u".into());
    let effects: Vec<String> = seen
        .into_iter()
        .flat_map(|seen| story.see(seen))
        .map(|effect| match effect {
            Effect::Say { who, what } => format!("{who}: {what}"),
            Effect::Read { name, .. } => format!("read {name}"),
        })
        .collect();
    assert_eq!(effects, expect);
    story
}

#[test]
fn a_job_waits_with_its_reason_is_released_and_ends() {
    let waits = json!({"bulkhead.dev/status": r#"{"state":"RUNNABLE","code":"CAPACITY:LAUNCHING","message":"soon"}"#});
    let released = json!({
        "bulkhead.dev/released": "true",
        "bulkhead.dev/status": r#"{"state":"STARTING","code":"STARTING:CREATING_PODS","message":"x"}"#,
    });
    let end = json!({"completedIndexes": "0-4", "conditions": [
        {"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]});
    let story = check(
        vec![
            job(true, &json!({}), &json!({})),
            job(true, &waits, &json!({})),
            job(true, &waits, &json!({})),
            job(false, &released, &json!({})),
            job(false, &released, &end),
        ],
        &[
            "form-1: the Job is stored, suspended by Bulkhead: it waits in demo-queue",
            "form-1: waits: soon (CAPACITY:LAUNCHING)",
            "form-1: there is room: the Job is released, Kubernetes makes its pods",
            "form-1: the Job is complete, indexes 0-4",
        ],
    );
    assert_eq!(story.evidence.jobs["form-1"].ended.as_deref(), Some("Complete"));
    assert!(!story.has_ended(), "two more Jobs are to be seen");
}

#[test]
fn a_pod_is_read_as_soon_as_it_has_ended_and_only_once() {
    let output = Seen::Output { uid: "p-uid".into(), output: Ok("xuq".into()) };
    check(
        vec![
            pod(None, "Pending"),
            pod(Some("m"), "Pending"),
            pod(Some("m"), "Succeeded"),
            pod(Some("m"), "Succeeded"),
            output,
        ],
        &["form-1: index 3 goes to m", "read p", "form-1: index 3 printed `xuq`"],
    );
}

#[test]
fn a_failed_pod_says_so() {
    let output = Seen::Output { uid: "p-uid".into(), output: Err("gone".into()) };
    check(
        vec![pod(Some("m"), "Failed"), output],
        &[
            "form-1: index 3 goes to m",
            "read p",
            "form-1: index 3 failed; it printed something that could not be read: gone",
        ],
    );
}

#[test]
fn a_machine_comes_and_goes() {
    let ours = json!({"batch.amazonaws.com/compute-environment-uuid": "u"});
    let story = check(
        vec![
            machine(&json!({})),
            machine(&json!({"phase": "Launching"})),
            node(&ours, "False"),
            node(&ours, "True"),
            machine(&json!({"phase": "Retiring", "message": "idle for 5s"})),
            machine(&json!({"phase": "Terminating", "message": "idle for 5s"})),
            Seen::NodeGone("m".into()),
            Seen::MachineGone("m".into()),
        ],
        &[
            "m: a machine is ordered for what waits: m5.large with 2 vCPUs",
            "m: its node has joined, with the environment's label and the batch taint",
            "m: its node is Ready",
            "m: retires and gets no more work: idle for 5s",
            "m: is being taken down",
            "m: its node has left the cluster",
            "m: its machine is gone, and with it its BatchNode",
        ],
    );
    assert_eq!((story.evidence.machines_ever, story.evidence.peak_milli), (1, 2000));
    assert!(story.evidence.machines.is_empty());
}

#[test]
fn a_machine_that_is_given_up_says_why() {
    check(
        vec![
            machine(&json!({"phase": "Launching"})),
            machine(&json!({"phase": "Terminating", "message": "it was lost"})),
        ],
        &["m: a machine is ordered for what waits: m5.large with 2 vCPUs", "m: is being taken down: it was lost"],
    );
}

#[test]
fn what_is_not_of_the_demo_is_not_told() {
    let elsewhere = json!({"metadata": {"namespace": "default", "name": JOB}, "spec": {"template": {}}});
    check(vec![Seen::Job(Box::new(read(elsewhere))), node(&json!({}), "True"), Seen::NodeGone("m".into())], &[]);
}
