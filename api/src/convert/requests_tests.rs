//! Tests of what pods request, against the rules of kube-scheduler.

#![allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]

use super::*;
use serde_json::{Value, json};

const GI: i64 = 1 << 30;

fn container(name: &str, cpu: &str, memory: &str) -> Value {
    json!({"name": name, "resources": {"requests": {"cpu": cpu, "memory": memory}}})
}

fn sidecar(name: &str, cpu: &str, memory: &str) -> Value {
    let mut container = container(name, cpu, memory);
    container["restartPolicy"] = json!("Always");
    container
}

/// With what the queue gives to a pod that asks for nothing.
fn effective(spec: Value, defaults: &Resources) -> Resources {
    let mut problems = Problems::new();
    let spec: PodSpec = serde_json::from_value(spec).unwrap();
    let effective = Requests::of_template(&spec, &mut problems)
        .effective(&Additions { once: defaults.clone(), ..Additions::default() });
    assert_eq!(problems, Problems::new());
    effective
}

fn check(spec: Value, cpu: i64, memory: i64) {
    let text = spec.to_string();
    assert_eq!(effective(spec, &Resources::default()), Resources::new(cpu, memory).with(PODS, 1), "{text}");
}

#[test]
fn containers_add_up() {
    check(json!({"containers": []}), 0, 0);
    check(json!({"containers": [{"name": "a"}]}), 0, 0);
    check(json!({"containers": [container("a", "250m", "1Gi"), container("b", "1", "2Gi")]}), 1250, 3 * GI);
}

#[test]
fn a_limit_stands_in_for_a_request() {
    let resources = json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}});
    check(json!({"containers": [{"name": "a", "resources": resources}]}), 1000, GI);
}

#[test]
fn init_containers_count_where_they_are_larger() {
    let containers = [container("a", "1", "1Gi"), container("b", "1", "1Gi")];
    check(json!({"containers": containers, "initContainers": [container("i", "1500m", "4Gi")]}), 2000, 4 * GI);
    check(
        json!({"containers": containers, "initContainers": [container("i", "3", "1"), container("j", "1", "1")]}),
        3000,
        2 * GI,
    );
}

#[test]
fn sidecars_run_beside_everything_that_starts_after_them() {
    let containers = [container("a", "1", "1Gi")];
    for (init, cpu, memory) in [
        (json!([sidecar("s", "1", "1Gi")]), 2000, 2 * GI),
        (json!([sidecar("s", "1", "1Gi"), container("i", "3", "0")]), 4000, 2 * GI),
        (json!([container("i", "3", "0"), sidecar("s", "1", "1Gi")]), 3000, 2 * GI),
        (json!([sidecar("s", "1", "1Gi"), container("i", "2", "0"), sidecar("t", "2", "1Gi")]), 4000, 3 * GI),
    ] {
        check(json!({"containers": containers, "initContainers": init}), cpu, memory);
    }
}

#[test]
fn overhead_comes_on_top() {
    let spec = json!({"containers": [container("a", "1", "1Gi")], "overhead": {"cpu": "250m", "memory": "1Gi"}});
    check(spec, 1250, 2 * GI);
}

#[test]
fn requests_of_the_pod_as_a_whole_win() {
    let with = |resources: Value| json!({"containers": [container("a", "1", "1Gi")], "resources": resources, "overhead": {"cpu": "1"}});
    check(with(json!({"requests": {"cpu": "3"}})), 4000, GI);
    check(with(json!({"requests": {"cpu": "3", "memory": "2Gi"}, "limits": {"cpu": "4"}})), 4000, 2 * GI);
    check(with(json!({"limits": {"cpu": "4"}})), 2000, GI);
    let bare = json!({"containers": [{"name": "a"}], "resources": {"limits": {"cpu": "4"}}});
    check(bare, 4000, 0);
}

#[test]
fn other_resources_are_counted_in_whole_units() {
    let resources = json!({"limits": {"nvidia.com/gpu": "2"}, "requests": {"ephemeral-storage": "1Ki"}});
    let spec = json!({"containers": [{"name": "a", "resources": resources}]});
    let expected = Resources::default().with("nvidia.com/gpu", 2).with("ephemeral-storage", 1024).with(PODS, 1);
    assert_eq!(effective(spec, &Resources::default()), expected);
}

#[test]
fn defaults_are_for_a_pod_that_states_nothing_and_only_once() {
    let defaults = Resources::new(250, 256 << 20);
    let bare = json!({"name": "i", "resources": {"requests": {}}});
    let twelve = json!({"containers": vec![&bare; 12], "initContainers": [bare]});
    assert_eq!(effective(twelve, &defaults), Resources::new(250, 256 << 20).with(PODS, 1));
    let limited = json!({"name": "b", "resources": {"limits": {"cpu": "1"}}});
    let spec = json!({"containers": [bare, limited]});
    assert_eq!(effective(spec, &defaults), Resources::new(1000, 0).with(PODS, 1), "one of them states something");
    let whole = json!({"containers": [{"name": "a"}], "resources": {"requests": {"cpu": "2"}}});
    assert_eq!(effective(whole, &defaults), Resources::new(2000, 0).with(PODS, 1), "the pod states it for all");
}

#[test]
fn what_is_no_quantity_counts_as_zero_and_is_told() {
    let mut problems = Problems::new();
    let spec = serde_json::from_value(json!({"containers": [container("a", "many", "1Gi")]})).unwrap();
    let requests = Requests::of_template(&spec, &mut problems).effective(&Additions::default());
    assert_eq!(requests, Resources::new(0, GI).with(PODS, 1));
    assert_eq!(problems, [r#"container a: cpu: "many" is not a quantity such as 500m, 2 or 8Gi; counted as zero"#]);
}

#[test]
fn a_container_that_is_being_resized_counts_with_the_larger() {
    let status = |cpu: &str| {
        json!([{"name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 0,
        "allocatedResources": {"cpu": cpu}, "resources": {"requests": {"cpu": cpu}}}])
    };
    for (has, cpu) in [("500m", 1000), ("2", 2000)] {
        let pod = json!({"metadata": {}, "spec": {"containers": [container("a", "1", "0")]}, "status": {"containerStatuses": status(has)}});
        let pod = serde_json::from_value(pod).unwrap();
        let requests = Requests::of_pod(&pod, &mut Problems::new()).effective(&Additions::default());
        assert_eq!(requests, Resources::new(cpu, 0).with(PODS, 1));
    }
}
