//! Tests of what admission adds to a pod, against what kube-apiserver does.

#![allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]

use super::super::requests::Requests;
use super::*;
use k8s_openapi::api::core::v1::PodSpec;
use model::resources::PODS;
use serde_json::{Value, json};

const GI: i64 = 1 << 30;

fn given(limits: Value) -> Option<Stated> {
    let object = serde_json::from_value(json!({"metadata": {"name": "l"}, "spec": {"limits": limits}})).unwrap();
    let mut problems = Problems::new();
    let given = limit_range(&object, &mut problems);
    assert_eq!(problems, Problems::new());
    given
}

fn of_containers(requests: Value) -> Value {
    json!([{"type": "Container", "defaultRequest": requests}])
}

#[track_caller]
fn check(spec: Value, limits: Value, expected: Resources) {
    let text = spec.to_string();
    let spec: PodSpec = serde_json::from_value(spec).unwrap();
    let once = Resources::new(250, 1 << 28);
    let added = Additions { each: given(limits), overhead: None, once };
    let found = Requests::of_template(&spec, &mut Problems::new()).effective(&added);
    assert_eq!(found, expected.with(PODS, 1), "{text}");
}

#[test]
fn containers_get_the_default_requests_that_they_do_not_state() {
    let cpu = of_containers(json!({"cpu": "600m"}));
    let bare = json!({"name": "a"});
    // What the queue has for pods that ask for nothing comes after it, and finds a pod that asks for something.
    check(json!({"containers": [bare]}), cpu.clone(), Resources::new(600, 0));
    check(json!({"containers": [bare, bare]}), cpu.clone(), Resources::new(1200, 0));
    let memory = json!({"name": "a", "resources": {"requests": {"memory": "1Gi"}}});
    check(json!({"containers": [memory, bare]}), cpu.clone(), Resources::new(1200, GI));
    // A limit has become a request before that, and zero is stated, too.
    let limited = json!({"name": "a", "resources": {"limits": {"cpu": "100m"}}});
    let zero = json!({"name": "b", "resources": {"requests": {"cpu": "0"}}});
    check(json!({"containers": [limited, zero]}), cpu.clone(), Resources::new(100, 0));
    let init = json!({"containers": [bare], "initContainers": [bare, {"name": "s", "restartPolicy": "Always"}]});
    check(init, cpu, Resources::new(1200, 0));
    let others = of_containers(json!({"ephemeral-storage": "1Ki", "memory": "1Gi"}));
    check(json!({"containers": [bare]}), others, Resources::new(0, GI).with("ephemeral-storage", 1024));
}

#[test]
fn limits_of_other_types_give_nothing() {
    let none = json!([{"type": "Pod", "max": {"cpu": "1"}}, {"type": "PersistentVolumeClaim", "min": {"storage": "1"}}, {"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}]);
    assert_eq!(given(none.clone()), None);
    check(json!({"containers": [{"name": "a"}]}), none, Resources::new(250, 1 << 28));
}

#[test]
fn requests_of_the_pod_as_a_whole_are_settled_before() {
    let all = of_containers(json!({"cpu": "600m", "memory": "1Gi"}));
    let with = |resources: Value, container: Value| json!({"containers": [container], "resources": resources});
    let bare = json!({"name": "a"});
    let asks = json!({"name": "a", "resources": {"requests": {"cpu": "100m", "memory": "2Gi"}}});
    check(with(json!({"requests": {"cpu": "3"}}), bare.clone()), all.clone(), Resources::new(3000, GI));
    check(with(json!({"limits": {"cpu": "3"}}), bare), all.clone(), Resources::new(3000, GI));
    // With limits of the pod, its requests are those that its containers state themselves.
    check(with(json!({"limits": {"cpu": "3"}}), asks), all, Resources::new(100, 2 * GI));
}

#[test]
fn of_several_limit_ranges_the_largest_counts() {
    let mut all = given(of_containers(json!({"cpu": "600m"}))).unwrap();
    all.max(&given(of_containers(json!({"cpu": "200m", "memory": "1Gi"}))).unwrap());
    assert_eq!(Some(all), given(of_containers(json!({"cpu": "600m", "memory": "1Gi"}))));
    // Inside of one, the last.
    let twice = json!([{"type": "Container", "defaultRequest": {"cpu": "2"}}, {"type": "Container", "defaultRequest": {"cpu": "1"}}]);
    assert_eq!(given(twice), given(of_containers(json!({"cpu": "1"}))));
}

#[test]
fn a_runtime_class_brings_overhead_and_a_place() {
    let class = runtime_class(
        &serde_json::from_value(json!({
            "metadata": {"name": "kata"}, "handler": "kata",
            "overhead": {"podFixed": {"cpu": "250m", "memory": "1Gi"}},
            "scheduling": {"nodeSelector": {"kata": "yes"}, "tolerations": [{"key": "kata", "operator": "Exists"}]},
        }))
        .unwrap(),
        &mut Problems::new(),
    );
    let job = json!({
        "metadata": {"name": "j", "labels": {"bulkhead.dev/queue": "q", "batch.amazonaws.com/job-id": "id"}},
        "spec": {"template": {"spec": {
            "containers": [{"name": "a", "resources": {"requests": {"cpu": "1"}}}],
            "runtimeClassName": "kata", "nodeSelector": {"zone": "a"},
        }}},
    });
    let mut record = super::super::job::job(&serde_json::from_value(job).unwrap(), &mut Problems::new()).unwrap();
    let plain = record.job.shape.clone();
    assert_eq!(record.runtime_class(), Some("kata"));
    let added = Additions { overhead: class.overhead.clone(), ..Additions::default() };
    record.size(record.requests(&added), Some(&class));
    assert_eq!(record.job.shape.requests, Resources::new(1250, GI).with(PODS, 1));
    assert_eq!(record.job.shape.node_selector.len(), 2);
    assert!(record.job.shape.tolerations.iter().any(|one| one.key.as_deref() == Some("kata")));
    // The class is gone.
    record.size(record.requests(&Additions::default()), None);
    assert_eq!(record.job.shape, plain);
}
