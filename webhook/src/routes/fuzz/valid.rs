//! Reviews that are as they should be, and objects with everything in them that any decision looks at.

use model::keys;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A hook and a review for it, or for another one.
pub(super) fn valid() -> impl Strategy<Value = (&'static str, Value)> {
    let hooks = prop::sample::select(&["jobs", "pods", "nodes"][..]);
    (prop::sample::select(reviews()), hooks, prop::bool::weighted(0.1))
        .prop_map(|((hook, review), other, mixed_up)| (if mixed_up { other } else { hook }, review))
}

/// What the API server asks most often.
pub(super) fn ordinary() -> Value {
    review("Pod", "CREATE", &pod(), &Value::Null)
}

fn reviews() -> Vec<(&'static str, Value)> {
    let mut stored = job();
    stored["metadata"]["labels"][keys::JOB_ID] = json!("8d8f3f6c");
    stored["spec"]["template"]["metadata"]["labels"] = json!({keys::JOB_ID: "8d8f3f6c", keys::QUEUE: "fast"});
    let mut unlabelled = pod();
    unlabelled["metadata"]["labels"] = json!({});
    let mut bare = pod();
    bare["metadata"]["ownerReferences"] = json!([]);
    let create = |kind: &str, object: &Value| review(kind, "CREATE", object, &Value::Null);
    vec![
        ("pods", create("Pod", &pod())),
        ("pods", create("Pod", &unlabelled)),
        ("pods", create("Pod", &bare)),
        ("jobs", create("Job", &job())),
        ("jobs", create("Job", &stored)),
        ("jobs", review("Job", "UPDATE", &job(), &stored)),
        ("jobs", review("Job", "UPDATE", &stored, &job())),
        ("nodes", create("Node", &node())),
    ]
}

fn review(kind: &str, operation: &str, object: &Value, old: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": kind},
            "resource": {"group": "", "version": "v1", "resource": "any"},
            "subResource": "",
            "requestKind": {"group": "", "version": "v1", "kind": kind},
            "name": "a",
            "namespace": "batch",
            "operation": operation,
            "userInfo": {"username": "alice", "uid": "1", "groups": ["system:authenticated"], "extra": {"some": ["x"]}},
            "object": object,
            "oldObject": old,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "UpdateOptions"},
            "dryRun": false,
        }
    })
}

fn metadata() -> Value {
    json!({
        "name": "a",
        "generateName": "a-",
        "namespace": "batch",
        "uid": "job-uid",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {keys::QUEUE: "fast", keys::K8S_COMPLETION_INDEX: "3", keys::KUEUE_QUEUE: "", "app": "x"},
        "annotations": {
            keys::SUSPEND: "true",
            keys::RELEASED: "true",
            keys::HOST_NETWORK: "maybe",
            keys::ARRAY_SIZE: "4",
            "kubectl.kubernetes.io/last-applied-configuration": "{\"spec\":{\"hostNetwork\":false}}",
        },
        "managedFields": [{
            "manager": "kubectl", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:hostNetwork": {}}, "f:metadata": {"f:labels": {"f:bulkhead.dev/queue": {}}}},
        }],
        "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": "missed", "uid": "job-uid", "controller": true},
        ],
    })
}

fn pod_spec() -> Value {
    let reference = format!("metadata.annotations['{}']", keys::K8S_COMPLETION_INDEX);
    let container = json!({
        "name": "main",
        "image": "busybox",
        "env": [
            {"name": "AWS_BATCH_JOB_ID", "value": "mine"},
            {"name": "A", "value": "$(JOB_COMPLETION_INDEX)"},
            {"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": reference}}},
        ],
        "ports": [{"containerPort": 80, "hostPort": 0, "protocol": "TCP"}],
        "resources": {"requests": {}, "limits": {}},
    });
    json!({
        "initContainers": [container],
        "containers": [container, {"name": "side", "resources": {"requests": {"cpu": "1"}}}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "affinity": {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]},
            ]}},
            "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{}]},
        },
        "tolerations": [{"key": keys::BATCH_TAINT, "operator": "Exists"}, {"key": "other"}],
        "schedulingGates": [{"name": keys::GATE}, {"name": "other"}],
        "schedulerName": "default-scheduler",
        "nodeName": "",
        "hostNetwork": false,
        "hostUsers": true,
        "hostnameOverride": "",
        "runtimeClassName": "",
        "os": {"name": "linux"},
        "dnsPolicy": "ClusterFirst",
        "securityContext": {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "0"}]},
        "resources": {"requests": {}},
        "topologySpreadConstraints": [],
        "resourceClaims": [],
        "schedulingGroup": {},
    })
}

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata(), "spec": pod_spec(), "status": {}})
}

fn job() -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(),
        "spec": {
            "suspend": false,
            "completions": 4,
            "completionMode": "Indexed",
            "managedBy": "kubernetes.io/job-controller",
            "selector": {"matchLabels": {"app": "x"}},
            "template": {"metadata": metadata(), "spec": pod_spec()},
        },
        "status": {"startTime": null, "conditions": [{"type": "Complete", "status": "False"}]},
    })
}

fn node() -> Value {
    let mut metadata = metadata();
    metadata["labels"][keys::CE_UUID] = json!("8d8f3f6c-6f5b-3ad5-8e5a-3a2b1c0d9e8f");
    let taints = json!([{"key": keys::BATCH_TAINT, "value": "true", "effect": "NoExecute"}, {"key": "other"}]);
    json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": taints}})
}
