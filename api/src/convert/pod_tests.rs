//! Tests of what is kept of a pod.

#![allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]

use super::*;
use serde_json::{Value, json};

fn record(change: impl FnOnce(&mut Value)) -> WatchedPod {
    let mut object = json!({
        "metadata": {
            "namespace": "n", "name": "p", "uid": "pod-1", "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"bulkhead.dev/queue": "q", "batch.amazonaws.com/job-id": "j"},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "job", "uid": "job-1", "controller": true}],
        },
        "spec": {"schedulerName": "bulkhead", "containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
        "status": {"phase": "Pending"},
    });
    change(&mut object);
    let is_plain = object["metadata"]["annotations"].get(keys::NODE_UID).is_none();
    if is_plain && object["spec"]["nodeName"].is_string() {
        object["metadata"]["annotations"][keys::NODE_UID] = json!("node-1");
    }
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        annotations.retain(|_, value| !value.is_null());
    }
    let mut problems = Problems::new();
    let record = pod(&serde_json::from_value(object).unwrap(), &mut problems);
    assert_eq!(problems, Problems::new());
    record
}

fn queued(change: impl FnOnce(&mut Value)) -> Queued {
    *record(change).queued.unwrap()
}

fn status(state: Value) -> Value {
    json!([{"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}])
}

#[test]
fn a_pod_of_a_job_is_kept_with_what_it_needs() {
    let record = record(|_| ());
    assert_eq!(record.key, ObjectKey::new("n", "p"));
    assert_eq!(record.created, "2026-01-02T03:04:05Z".parse().unwrap());
    assert_eq!((record.ended, record.node, record.dispatched), (None, None, None));
    assert_eq!(record.requests, Resources::new(1000, 0).with("pods", 1));
    let queued = record.queued.unwrap();
    assert_eq!(
        (queued.queue.as_str(), queued.job.as_deref(), queued.index, queued.attempt),
        ("q", Some("job-1"), None, None)
    );
    assert!(queued.shape.judged);
    assert_eq!(queued.shape.requests, record.requests);
}

#[test]
fn a_bound_pod_lacks_its_label_until_it_has_it() {
    let unlabelled = |node: Option<&str>, annotation: Option<&str>, label: Option<&str>| {
        record(|object| {
            object["spec"]["nodeName"] = json!(node);
            // `null` in an annotation is none, and keeps the helper from adding one.
            object["metadata"]["annotations"] = json!({keys::NODE_UID: annotation});
            if let Some(label) = label {
                object["metadata"]["labels"][keys::NODE_UID] = json!(label);
            }
        })
        .unlabelled
    };
    assert_eq!(unlabelled(Some("n"), Some("u"), None).as_deref(), Some("u"));
    assert_eq!(unlabelled(Some("n"), Some("u"), Some("u")), None);
    assert_eq!(unlabelled(None, Some("u"), None), None, "not bound yet");
    assert_eq!(unlabelled(Some("n"), None, None), None, "bound by somebody else");
}

#[test]
fn the_place_of_a_pod_follows_from_node_scheduler_and_gates() {
    let held =
        |nodes: &[&str], refused| Some(Place::Held { nodes: nodes.iter().map(ToString::to_string).collect(), refused });
    let bound = |running| Some(Place::Bound { node: "n1".to_owned(), running });
    let unschedulable = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]);
    let gated = json!([{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]);
    for (scheduler, gates, hold, node, conditions, expected) in [
        ("bulkhead", json!([]), None, None, json!([]), Some(Place::Waiting)),
        ("bulkhead", json!([{"name": "other/gate"}]), None, None, json!([]), None),
        ("bulkhead-scheduler", json!([{"name": keys::GATE}]), None, None, gated, Some(Place::Waiting)),
        ("bulkhead-scheduler", json!([{"name": keys::GATE}, {"name": "x/y"}]), None, None, json!([]), None),
        ("bulkhead-scheduler", json!([]), Some("n1,n2"), None, json!([]), held(&["n1", "n2"], false)),
        ("bulkhead-scheduler", json!([]), Some(" n1 ,"), None, unschedulable, held(&["n1"], true)),
        ("bulkhead-scheduler", json!([]), None, None, json!([]), held(&[], false)),
        ("default-scheduler", json!([]), None, None, json!([]), None),
        ("bulkhead", json!([]), None, Some("n1"), json!([]), bound(false)),
        ("default-scheduler", json!([]), None, Some("n1"), json!([]), bound(false)),
    ] {
        let text = format!("{scheduler} {gates} {hold:?} {node:?} {conditions}");
        let found = queued(|pod| {
            pod["spec"]["schedulerName"] = json!(scheduler);
            pod["spec"]["schedulingGates"] = gates;
            pod["spec"]["nodeName"] = json!(node);
            pod["metadata"]["annotations"] = hold.map_or(json!({}), |hold| json!({keys::HOLD: hold}));
            pod["status"]["conditions"] = conditions;
        });
        assert_eq!(found.place, expected, "{text}");
        assert_eq!(found.shape.judged, scheduler == "bulkhead", "{text}");
    }
}

#[test]
fn a_pod_that_does_not_start_says_why() {
    let stuck = |node: Option<&str>, gates: Value, containers: Value| {
        queued(|pod| {
            pod["spec"]["nodeName"] = json!(node);
            pod["spec"]["schedulingGates"] = gates;
            pod["metadata"]["annotations"] = json!({keys::NODE_UID: "u"});
            pod["status"]["containerStatuses"] = containers;
        })
        .stuck
    };
    let container = |state: Value| json!([{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state}]);
    let waiting = |reason: &str, message: &str| container(json!({"waiting": {"reason": reason, "message": message}}));
    for (node, gates, containers, expected) in [
        (None, json!([{"name": keys::GATE}]), json!([]), None),
        (
            None,
            json!([{"name": keys::GATE}, {"name": "x/y"}, {"name": "z"}]),
            json!([]),
            Some("it waits for the scheduling gate x/y, z"),
        ),
        (Some("n"), json!([]), json!([]), None),
        (Some("n"), json!([]), waiting("ContainerCreating", ""), None),
        (
            Some("n"),
            json!([]),
            waiting("ErrImagePull", "no such image"),
            Some("CannotPullContainerError: no such image"),
        ),
        (
            Some("n"),
            json!([]),
            waiting("ImagePullBackOff", "Back-off pulling image \"i\": ErrImagePull: no such image"),
            Some("CannotPullContainerError: no such image"),
        ),
        (
            Some("n"),
            json!([]),
            waiting("CreateContainerConfigError", "secret \"s\" not found"),
            Some("CreateContainerConfigError: secret \"s\" not found"),
        ),
        (Some("n"), json!([]), container(json!({"running": {}})), None),
    ] {
        let text = format!("{node:?} {gates} {containers}");
        assert_eq!(stuck(node, gates, containers).as_deref(), expected, "{text}");
    }
}

#[test]
fn of_a_long_list_of_gates_only_a_part_is_kept() {
    let gates: Vec<Value> = (0..4000).map(|number| json!({"name": format!("example.com/gate-{number}")})).collect();
    let stuck = queued(|pod| pod["spec"]["schedulingGates"] = json!(gates)).stuck.unwrap();
    assert!(
        stuck.len() <= 1024 && stuck.starts_with("it waits for the scheduling gate example.com/gate-0, "),
        "{}",
        stuck.len()
    );
}

#[test]
fn a_node_on_which_kube_scheduler_cannot_put_a_pod_counts_as_refused() {
    let queued = |scheduler: &str, reason: &str| {
        queued(|pod| {
            pod["spec"]["schedulerName"] = json!(scheduler);
            pod["metadata"]["annotations"] = json!({keys::HOLD: "n1"});
            pod["status"]["conditions"] =
                json!([{"type": "PodScheduled", "status": "False", "reason": reason, "message": "no binding here"}]);
        })
    };
    let misbound = queued(keys::SCHEDULER_EXTENDED, "SchedulerError");
    assert_eq!(misbound.place, Some(Place::Held { nodes: vec!["n1".to_owned()], refused: true }));
    assert_eq!(misbound.misbound.as_deref(), Some("no binding here"));
    assert_eq!(queued(keys::SCHEDULER_EXTENDED, "Unschedulable").misbound, None);
    assert_eq!(queued(keys::SCHEDULER_DIRECT, "SchedulerError").misbound, None, "kube-scheduler does not have it");
}

#[test]
fn what_a_leader_has_said_on_a_pod_reads_back() {
    let said = |reason: &str, message: Value| {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": reason, "message": message});
        queued(|pod| pod["status"]["conditions"] = json!([condition.clone()])).said
    };
    let found = said(keys::QUEUED_REASON, json!("LIMIT:MAX_VCPUS: m is at its limit: 4 of 4")).unwrap();
    assert_eq!((found.code.as_str(), found.message.as_str()), ("LIMIT:MAX_VCPUS", "m is at its limit: 4 of 4"));
    for (reason, message) in [
        ("Unschedulable", json!("LIMIT:MAX_VCPUS: text")),
        (keys::QUEUED_REASON, json!("LIMIT:UNHEARD_OF: text")),
        (keys::QUEUED_REASON, json!("text")),
        (keys::QUEUED_REASON, Value::Null),
    ] {
        assert_eq!(said(reason, message.clone()), None, "{reason} {message}");
    }
}

#[test]
fn a_pod_that_is_being_deleted_is_not_dispatched_but_keeps_its_node() {
    let deleting = |pod: &mut Value| pod["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:06Z");
    assert_eq!(queued(deleting).place, None);
    let bound = record(|pod| {
        deleting(pod);
        pod["spec"]["nodeName"] = json!("n1");
    });
    assert!(bound.terminating);
    assert_eq!(bound.queued.unwrap().place, Some(Place::Bound { node: "n1".to_owned(), running: false }));
}

#[test]
fn a_pod_runs_once_any_of_its_containers_has_started() {
    let running = json!({"running": {}});
    let waiting = json!({"waiting": {"reason": "PodInitializing"}});
    let ended = json!({"terminated": {"exitCode": 0}});
    for (main, init, expected) in [
        (waiting.clone(), waiting.clone(), false),
        (running.clone(), waiting.clone(), true),
        (waiting.clone(), running, true),
        (waiting.clone(), ended.clone(), true),
        (ended, waiting, true),
    ] {
        let found = queued(|pod| {
            pod["spec"]["nodeName"] = json!("n1");
            pod["status"]["containerStatuses"] = status(main);
            pod["status"]["initContainerStatuses"] = status(init);
        });
        assert_eq!(found.place, Some(Place::Bound { node: "n1".to_owned(), running: expected }));
    }
    let restarted = queued(|pod| {
        pod["spec"]["nodeName"] = json!("n1");
        pod["status"]["containerStatuses"] = status(json!({"waiting": {"reason": "CrashLoopBackOff"}}));
        pod["status"]["containerStatuses"][0]["lastState"] = json!({"terminated": {"exitCode": 1}});
    });
    assert_eq!(restarted.place, Some(Place::Bound { node: "n1".to_owned(), running: true }));
}

#[test]
fn attempt_failures_and_index_are_what_the_pod_says() {
    let index = keys::K8S_COMPLETION_INDEX;
    let failures = keys::K8S_INDEX_FAILURE_COUNT;
    for (annotations, expected) in [
        (json!({}), (None, None, None)),
        (json!({index: "3"}), (None, None, Some(3))),
        (json!({index: "3", failures: "2"}), (None, Some(2), Some(3))),
        (json!({index: "x", failures: "2", keys::ATTEMPT: "7"}), (Some(7), Some(2), None)),
        (json!({keys::ATTEMPT: "0"}), (None, None, None)),
    ] {
        let found = queued(|pod| pod["metadata"]["annotations"] = annotations);
        assert_eq!((found.attempt, found.failures, found.index), expected);
    }
}

#[test]
fn only_the_label_of_a_queue_makes_a_pod_queued() {
    for (labels, is_queued) in [
        (json!({"bulkhead.dev/queue": "none", "batch.amazonaws.com/job-id": "j"}), false),
        (json!({"batch.amazonaws.com/job-id": "j"}), false),
        (json!({"bulkhead.dev/queue": ""}), false),
        (json!({"bulkhead.dev/queue": "q"}), true),
        (json!({}), false),
    ] {
        let record = record(|pod| pod["metadata"]["labels"] = labels);
        assert_eq!((record.queued.is_some(), record.origin), (is_queued, Origin::Foreign));
    }
}

#[test]
fn only_what_the_dispatch_wrote_makes_a_pod_dispatched() {
    let id = "2d044787-c663-4ce6-a6fe-f2baf7e51b04";
    let name = model::names::pod_name(id.parse().unwrap(), 1, 0);
    let queue = json!({"bulkhead.dev/queue": "q"});
    let label = json!({"batch.amazonaws.com/job-id": id});
    let to = json!({keys::NODE_UID: "u"});
    let made = json!({keys::NODE_UID: "u", keys::JOB_ID_RAW: id, keys::ATTEMPT: "1", keys::PLACEMENT: "0"});
    let mirror = json!({keys::NODE_UID: "u", keys::K8S_MIRROR: "x"});
    for (what, labels, annotations, name, expected) in [
        ("in a queue", &queue, &to, "p", Some("u")),
        ("in a queue, not dispatched", &queue, &json!({}), "p", None),
        ("in a queue, no UID", &queue, &json!({keys::NODE_UID: ""}), "p", None),
        ("a static pod", &queue, &mirror, "p", None),
        ("a label alone", &label, &to, "p", None),
        ("for the API", &label, &made, name.as_str(), Some("u")),
        ("for the API, by another name", &label, &made, "p", None),
    ] {
        let found = record(|pod| {
            pod["metadata"]["labels"] = labels.clone();
            pod["metadata"]["annotations"] = annotations.clone();
            pod["metadata"]["name"] = json!(name);
        });
        assert_eq!(found.dispatched.as_deref(), expected, "{what}");
    }
}

#[test]
fn pods_of_daemon_sets_and_static_pods_are_told_apart() {
    let daemon = record(|pod| {
        pod["metadata"]["labels"] = json!({});
        pod["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "d", "controller": true}]);
    });
    assert_eq!(daemon.origin, Origin::DaemonSet);
    let mirror = record(|pod| {
        pod["metadata"]["labels"] = json!({});
        pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    });
    assert_eq!(mirror.origin, Origin::Static);
}

#[test]
fn a_pod_that_ended_says_how() {
    for (phase, expected) in
        [("Succeeded", Some(Ending::Succeeded)), ("Failed", Some(Ending::Failed)), ("Running", None), ("Unknown", None)]
    {
        assert_eq!(record(|pod| pod["status"]["phase"] = json!(phase)).ended, expected);
    }
}
