//! Tests of the custom resources as the planner sees them.

#![allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]

use super::*;
use serde_json::{Value, json};

fn environment_of(spec: Value, status: Value) -> Environment {
    let object = json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "ComputeEnvironment",
        "metadata": {"name": "ce"}, "spec": spec, "status": status});
    let object: ComputeEnvironment = serde_json::from_value(object).unwrap();
    let known = Known { offers: Ok(Vec::new()), unsettled_until: None, setbacks: Vec::new(), delivered: 0 };
    environment(&object, &ArnBase::default(), known, &mut Problems::new())
}

fn managed(change: Value) -> Scaling {
    let mut spec = json!({"type": "MANAGED", "provider": {"external": {"url": "http://p"}}});
    spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    environment_of(spec, json!({})).scaling.unwrap()
}

#[test]
fn an_unmanaged_environment_is_not_scaled() {
    let environment = environment_of(json!({"type": "UNMANAGED", "name": "My_CE"}), json!({}));
    assert_eq!(environment.scaling, None);
    assert_eq!((environment.name.as_str(), environment.aws_name.as_str(), environment.enabled), ("ce", "My_CE", true));
    assert_eq!(environment.uuid, ArnBase::default().compute_environment_uuid("My_CE"));
    let stored = environment_of(json!({"type": "UNMANAGED", "state": "DISABLED"}), json!({"uuid": "stored"}));
    assert_eq!((stored.uuid.as_str(), stored.enabled), ("stored", false));
}

#[test]
fn limits_and_choices_are_read() {
    let plain = managed(json!({}));
    assert_eq!((plain.min_milli, plain.max_milli, plain.spot), (0, 256_000, false));
    assert_eq!(plain.scale_down_delay, SignedDuration::from_mins(1));
    assert_eq!(plain.instance_types, Vec::<String>::new());
    let other =
        managed(json!({"minvCpus": 2, "maxvCpus": 4, "scaleDownDelay": "1h30m", "instanceTypes": ["m5", "c5.large"],
        "allocationStrategy": "SPOT_PRICE_CAPACITY_OPTIMIZED"}));
    assert_eq!((other.min_milli, other.max_milli, other.spot), (2000, 4000, true));
    assert_eq!(other.scale_down_delay, SignedDuration::from_mins(90));
    assert_eq!(other.instance_types, ["m5", "c5.large"]);
    for any in ["optimal", "default_x86_64"] {
        assert_eq!(managed(json!({"instanceTypes": [any]})).instance_types, Vec::<String>::new(), "{any}");
    }
    assert_eq!(managed(json!({"scaleDownDelay": "soon"})).scale_down_delay, SignedDuration::from_mins(1));
}

#[test]
fn without_a_provider_it_says_what_to_set() {
    let problem = environment_of(json!({"type": "MANAGED"}), json!({})).scaling.unwrap().offers.unwrap_err();
    assert!(problem.contains("spec.provider") && problem.contains("--default-provider"), "{problem}");
    assert_eq!(managed(json!({})).offers, Ok(Vec::new()));
}

#[test]
fn spot_strategies_choose_among_spot_offers() {
    for (strategy, spot) in [
        ("BEST_FIT_PROGRESSIVE", false),
        ("BEST_FIT_PROGRESSIVE_ORDERED", false),
        ("SPOT_CAPACITY_OPTIMIZED", true),
        ("SPOT_PRICE_CAPACITY_OPTIMIZED", true),
        ("SPOT_CAPACITY_OPTIMIZED_PRIORITIZED", true),
    ] {
        assert_eq!(managed(json!({"allocationStrategy": strategy})).spot, spot, "{strategy}");
    }
}

#[test]
fn a_queue_is_read() {
    let object = json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "JobQueue", "metadata": {"name": "q"},
        "spec": {"name": "Q", "priority": 7, "computeEnvironments": ["a", "b"], "strictFifo": true}});
    let object: JobQueue = serde_json::from_value(object).unwrap();
    let expected = Queue {
        name: "q".to_owned(),
        aws_name: "Q".to_owned(),
        priority: 7,
        enabled: true,
        environments: vec!["a".to_owned(), "b".to_owned()],
        strict_fifo: true,
    };
    assert_eq!(queue(&object), expected);
    assert_eq!(default_requests(&object, &mut Problems::new()), Resources::new(250, 256 << 20));
}

#[test]
fn the_stage_of_a_machine_follows_from_its_phase() {
    let stage = |phase: Value, deleting: Value| {
        let object = json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "BatchNode",
            "metadata": {"name": "m", "deletionTimestamp": deleting},
            "spec": {"computeEnvironment": "ce", "computeEnvironmentUuid": "u", "computeEnvironmentName": "CE", "offer": "m5.large",
                "milliVcpus": 2000, "allocatable": {"cpu": "1930m", "memory": "lots"}, "provider": {}},
            "status": phase});
        let mut problems = Problems::new();
        let machine = machine(&serde_json::from_value(object).unwrap(), &mut problems);
        assert_eq!((machine.allocatable, machine.milli_vcpus), (Resources::new(1930, 0), 2000));
        assert_eq!(problems.len(), 1);
        machine.stage
    };
    for (phase, expected) in [
        ("Pending", Stage::Coming),
        ("Launching", Stage::Coming),
        ("Ready", Stage::Serving),
        ("Retiring", Stage::Going),
        ("Terminating", Stage::Going),
    ] {
        assert_eq!(stage(json!({"phase": phase}), json!(null)), expected, "{phase}");
        assert_eq!(
            stage(json!({"phase": phase}), json!("2026-01-02T03:04:05Z")),
            Stage::Going,
            "{phase}, being deleted"
        );
    }
    assert_eq!(stage(json!(null), json!(null)), Stage::Coming, "stored a moment ago");
}
