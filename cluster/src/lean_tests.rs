//! Objects of all sizes, through the real decoding of lists and watches.

#![allow(clippy::needless_pass_by_value, reason = "JSON reads better by value")]
#![allow(clippy::result_large_err, reason = "as kube has it")]

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::core::{ObjectList, WatchEvent};
use serde_json::json;

use super::*;

fn read<K: DeserializeOwned + Resource>(object: &Value) -> Result<K, InvalidObject> {
    serde_json::from_str::<Lean<K>>(&object.to_string()).unwrap().object.0
}

fn job(spec: Value) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "j", "namespace": "n", "uid": "u", "labels": {keys::QUEUE: "q"}, "managedFields": [{"manager": "m"}],
            "annotations": {keys::STATUS: "s", "kubectl.kubernetes.io/last-applied-configuration": "x".repeat(1000)}},
        "spec": {"template": {"spec": spec}},
    })
}

fn pod_of(job: &Job) -> &k8s_openapi::api::core::v1::PodSpec {
    job.spec.as_ref().unwrap().template.spec.as_ref().unwrap()
}

#[test]
fn a_usual_job_is_read_as_it_is_but_for_what_nobody_looks_at() {
    let spec = json!({
        "containers": [{"name": "c", "image": "i", "args": ["a", "b"], "command": ["x"], "env": [{"name": "A", "value": "1"}],
            "ports": [{"containerPort": 80}], "resources": {"requests": {"cpu": "1"}}}],
        "nodeSelector": {"a": "b"}, "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
        "tolerations": [{"operator": "Exists"}],
    });
    let found: Job = read(&job(spec.clone())).unwrap();
    let mut expected: Job = serde_json::from_value(job(spec)).unwrap();
    expected.metadata.managed_fields = None;
    expected.metadata.annotations = Some([(keys::STATUS.to_owned(), "s".to_owned())].into());
    assert_eq!(found, expected);
}

/// A kubelet reports all images with `nodeStatusMaxImages: -1`; 50 of them otherwise.
#[test]
fn a_node_with_thousands_of_images_and_volumes_is_read() {
    let names = |number: usize| {
        [format!("registry.example.com/{number}@sha256:{number:064}"), format!("registry.example.com/{number}:1")]
    };
    let images: Vec<Value> = (0..5000).map(|number| json!({"names": names(number), "sizeBytes": 1})).collect();
    let volumes: Vec<Value> =
        (0..5000).map(|number| json!({"name": format!("csi^{number:064}"), "devicePath": ""})).collect();
    let found: Node = read(&json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {},
        "status": {"images": images, "volumesAttached": volumes, "volumesInUse": vec!["x".repeat(64); 5000],
            "conditions": [{"type": "Ready", "status": "True"}]},
    }))
    .unwrap();
    let status = found.status.unwrap();
    assert_eq!((status.images, status.volumes_attached, status.volumes_in_use), (None, None, None));
    assert_eq!(status.conditions.unwrap()[0].type_, "Ready");
}

#[test]
fn users_choose_the_keys_of_some_maps() {
    let odd = ["labels", "annotations", "args", "managedFields", "env", "ports"];
    let selector: Map<String, Value> = odd.iter().map(|key| ((*key).to_owned(), json!("x"))).collect();
    let found: Job = read(&job(json!({"containers": [], "nodeSelector": selector}))).unwrap();
    assert_eq!(pod_of(&found).node_selector.as_ref().unwrap().len(), odd.len());
    // Nor does anything in an unexpected place break a list.
    for odd in [json!(["a"]), json!({"a": ["b"]}), json!(1), json!(true), json!(null), json!(1.5), json!(-1)] {
        let mut object = job(json!({"containers": []}));
        object["metadata"]["labels"] = odd;
        let _either = read::<Job>(&object);
    }
}

/// The worst of each kind that an API server takes, 1.5 MB long.
fn hostile() -> Vec<(&'static str, Value)> {
    let many = |one: Value, length: usize| Value::Array(vec![one; 1_500_000 / length]);
    let container = |member: &str, value: Value| json!({"containers": [{"name": "c", "image": "i", member: value}]});
    vec![
        ("args", container("args", many(json!("a"), 4))),
        ("empty args", container("args", many(json!(""), 3))),
        ("env", container("env", many(json!({"name": "a"}), 13))),
        ("ports", container("ports", many(json!({"containerPort": 1}), 20))),
        ("one argument", container("args", json!(["a".repeat(1_500_000)]))),
        ("volumes", json!({"containers": [], "volumes": many(json!({"name": "aaaa"}), 16)})),
        ("tolerations", json!({"containers": [], "tolerations": many(json!({"operator": "Exists"}), 22)})),
        ("containers", json!({"containers": many(json!({"name": "aaaa", "image": "i"}), 28)})),
    ]
}

#[test]
fn nothing_that_anybody_writes_is_read_beyond_the_budget() {
    for (name, spec) in hostile() {
        let mut budget = Budget::of(BUDGET);
        let text = job(spec.clone()).to_string();
        let value = Within::whole(&mut budget).deserialize(&mut serde_json::Deserializer::from_str(&text)).unwrap();
        let (length, size) = (text.len(), size(&value));
        assert!(length > 1_000_000, "{name}: {length}");
        assert!(size <= BUDGET * 2, "{name}: {size} bytes of {length}");
        let found = read::<Job>(&job(spec));
        let meta = found.as_ref().map_or_else(|error| &error.metadata, |job| &job.metadata);
        assert_eq!((meta.name.as_deref(), meta.uid.as_deref()), (Some("j"), Some("u")), "{name}");
        let whole = found.is_ok();
        assert_eq!(whole, !["volumes", "tolerations", "containers"].contains(&name), "{name}");
    }
}

/// What a value takes, at least.
fn size(value: &Value) -> usize {
    let own = std::mem::size_of::<Value>();
    own + match value {
        Value::String(text) => text.len(),
        Value::Array(all) => all.iter().map(size).sum(),
        Value::Object(all) => MAP + all.iter().map(|(key, value)| key.len() + 24 + size(value)).sum::<usize>(),
        _ => 0,
    }
}

#[test]
fn labels_of_others_do_not_crowd_ours_out() {
    let mut object = job(json!({"containers": []}));
    for index in 0..60_000 {
        object["metadata"]["labels"][format!("a{index}")] = json!("x");
        object["metadata"]["annotations"][format!("a{index}")] = json!("x");
    }
    let found: Job = read(&object).unwrap();
    let labels = found.metadata.labels.unwrap();
    assert_eq!(labels.get(keys::QUEUE).map(String::as_str), Some("q"));
    assert!(labels.len() < 1000, "{}", labels.len());
    assert_eq!(found.metadata.annotations.unwrap().len(), 1);
}

/// Policies know our keys one by one: anybody may write another one under our prefixes, and it sorts before `node-uid`.
#[test]
fn unknown_keys_under_our_prefixes_and_long_values_do_not_crowd_ours_out() {
    let long = "x".repeat(TEXT);
    let mut object = job(json!({"containers": []}));
    let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
    for number in 0..20 {
        annotations.insert(format!("batch.amazonaws.com/a{number}"), json!(long));
        annotations.insert(format!("bulkhead.dev/a{number}"), json!(long));
    }
    let theirs = [keys::K8S_JOB_NAME, keys::K8S_COMPLETION_INDEX, keys::K8S_INDEX_FAILURE_COUNT, keys::K8S_MIRROR];
    for key in keys::USER_ANNOTATIONS.iter().chain(&theirs) {
        annotations.insert((*key).to_owned(), json!(long));
    }
    for key in keys::RESERVED {
        annotations.insert(key.to_owned(), json!("ours"));
    }
    let found: Job = read(&object).unwrap();
    let found = found.metadata.annotations.unwrap();
    for key in keys::RESERVED {
        assert_eq!(found.get(key).map(String::as_str), Some("ours"), "{key}");
    }
    assert_eq!(found.len(), keys::RESERVED.len() + keys::USER_ANNOTATIONS.len() + theirs.len());
}

/// Kubernetes lets whoever may patch a pod add tolerations, finalizers and owners.
#[test]
fn what_a_pod_is_known_by_is_read_whatever_was_added_to_it() {
    let pod = json!({
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {keys::QUEUE: "q"}, "annotations": {keys::NODE_UID: "m"}},
        "spec": {"containers": [{"name": "c"}], "tolerations": [], "nodeName": "node"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "phase": "Failed"},
    });
    let many = |one: Value| Value::from(vec![one; 60_000]);
    let owner = json!({"apiVersion": "v1", "kind": "k", "name": "n", "uid": "u"});
    for (part, list, value) in [
        ("spec", "tolerations", many(json!({"operator": "Exists"}))),
        // Read before what the pod is known by: keys are in alphabetical order here.
        ("spec", "containers", many(json!({"name": "c"}))),
        ("metadata", "finalizers", Value::from(vec!["a.b/c"; 100_000])),
        ("metadata", "ownerReferences", many(owner)),
        ("status", "conditions", many(json!({"type": "a", "status": "b"}))),
        ("spec", "tolerations", json!([{"operator": 1}])),
    ] {
        let mut pod = pod.clone();
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        pod[part][list] = value;
        let lean: Lean<Pod> = serde_json::from_str(&pod.to_string()).unwrap();
        assert!(lean.object.0.is_err(), "{list}");
        let remains = lean.remains.unwrap();
        let meta = &remains.metadata;
        assert_eq!(meta.labels.as_ref().unwrap()[keys::QUEUE], "q", "{list}");
        assert_eq!(meta.annotations.as_ref().unwrap()[keys::NODE_UID], "m", "{list}");
        assert!(meta.deletion_timestamp.is_some() && meta.uid.as_deref() == Some("u"), "{list}");
        let known = (remains.spec.unwrap().node_name, remains.status.unwrap().phase);
        assert_eq!(known, (Some("node".to_owned()), Some("Failed".to_owned())), "{list}");
    }
}

#[test]
fn lists_and_watches_are_read_like_single_objects() {
    let good = job(json!({"containers": [{"name": "c"}]}));
    let mut bad = good.clone();
    bad["spec"]["parallelism"] = json!("many");
    let list = json!({"kind": "JobList", "apiVersion": "batch/v1", "metadata": {"resourceVersion": "1"}, "items": [good, bad]});
    let list: ObjectList<Lean<Job>> = serde_json::from_str(&list.to_string()).unwrap();
    assert_eq!(list.items.iter().map(|one| one.object.0.is_ok()).collect::<Vec<_>>(), [true, false]);
    assert_eq!(list.items[1].meta().name.as_deref(), Some("j"));
    let event = json!({"type": "MODIFIED", "object": good}).to_string();
    let WatchEvent::Modified(one) = serde_json::from_str::<WatchEvent<Lean<Job>>>(&event).unwrap() else {
        panic!("another event");
    };
    assert!(one.object.0.is_ok());
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}, "status": {"phase": "Running"}});
    assert_eq!(read::<Pod>(&pod).unwrap(), serde_json::from_value::<Pod>(pod).unwrap());
}
