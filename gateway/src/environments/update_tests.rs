//! Tests of `UpdateComputeEnvironment`: what changes and what is refused.

use serde_json::json;

use super::*;
use crate::decode;

fn stored(change: Value) -> ComputeEnvironment {
    let mut object = json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "ComputeEnvironment", "metadata": {"name": "ce"},
        "spec": {"name": "CE", "type": "MANAGED", "maxvCpus": 8, "instanceTypes": ["m5"],
            "aws": {"computeResources": {"type": "EC2", "subnets": ["s"], "launchTemplate": {"launchTemplateId": "l"}}}},
        "status": {"desiredvCpus": 4}});
    merge_in(&mut object, change);
    serde_json::from_value(object).unwrap()
}

fn merge_in(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (name, value) in change {
                merge_in(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change,
    }
}

fn updated(object: &ComputeEnvironment, change: Value) -> Result<ComputeEnvironment, String> {
    let mut body = json!({"computeEnvironment": "CE"});
    merge_in(&mut body, change);
    let body = decode::body(body.to_string().as_bytes()).unwrap();
    environment(object, &decode::members(&body).unwrap(), &body).map_err(|it| it.0)
}

#[test]
fn what_breaks_a_rule_is_refused() {
    let managed = stored(json!({}));
    let unmanaged = stored(json!({"spec": {"type": "UNMANAGED"}}));
    for (object, change, message) in [
        (&managed, json!({"computeResources": {}}), "At least one compute-resources attribute must be specified"),
        (
            &managed,
            json!({"computeResources": {"desiredvCpus": 3}}),
            "Manually scaling down compute environment is not supported. Disconnecting job queues from compute environment \
             will cause it to scale-down to minvCpus",
        ),
        (
            &managed,
            json!({"computeResources": {"desiredvCpus": 5}}),
            "desiredvCpus cannot be set for EKS compute environments; raise minvCpus instead.",
        ),
        (
            &managed,
            json!({"computeResources": {"minvCpus": 9}}),
            "maxvCpus should be greater than or equal to minvCpus.",
        ),
        (&managed, json!({"unmanagedvCpus": 1}), "unmanagedvCpus is not applicable for managed Compute Environment."),
        (&managed, json!({"state": "OFF"}), "state must be one of [ENABLED, DISABLED], got OFF."),
        (
            &unmanaged,
            json!({"computeResources": {"maxvCpus": 1}}),
            "computeResources must not be provided for an UNMANAGED compute environment",
        ),
    ] {
        assert_eq!(updated(object, change.clone()).map(|_| ()), Err(message.to_owned()), "{change}");
    }
}

#[test]
fn only_what_is_sent_changes() {
    let before = stored(json!({}));
    assert_eq!(updated(&before, json!({"serviceRole": ""})).unwrap().spec, before.spec);
    let after = updated(&before, json!({"computeResources": {"minvCpus": 2, "instanceTypes": ["c5"]}})).unwrap();
    let expected = stored(json!({"spec": {"minvCpus": 2, "instanceTypes": ["c5"]}}));
    assert_eq!(after.spec, expected.spec);
    let change =
        json!({"computeResources": {"desiredvCpus": 4, "subnets": ["t"], "launchTemplate": {"launchTemplateId": ""}}});
    let aws = updated(&before, change).unwrap().spec.aws.unwrap();
    assert_eq!(Value::Object(aws), json!({"computeResources": {"type": "EC2", "subnets": ["t"]}}));
    let policy = json!({"updatePolicy": {"terminateJobsOnUpdate": true}, "unknown": 1});
    let aws = updated(&before, policy.clone()).unwrap().spec.aws.unwrap();
    assert_eq!((&aws["updatePolicy"], aws.get("unknown")), (&policy["updatePolicy"], None));
}

#[test]
fn an_environment_for_amazon_ecs_can_be_updated_and_stays_one() {
    let kept = |resources: Value| json!({"containerOrchestrationType": "ECS", "computeResources": resources});
    let ec2 = kept(json!({"type": "EC2", "subnets": ["s"], "launchTemplate": null}));
    let fargate = kept(json!({"type": "FARGATE", "subnets": ["s"], "launchTemplate": null}));
    for (aws, change, strategy) in [
        (&ec2, json!({"instanceTypes": ["c5"]}), "BEST_FIT"),
        (&ec2, json!({"allocationStrategy": "BEST_FIT_PROGRESSIVE"}), "BEST_FIT_PROGRESSIVE"),
        (&fargate, json!({"maxvCpus": 16}), "BEST_FIT"),
        (&fargate, json!({"type": "FARGATE_SPOT"}), "BEST_FIT"),
    ] {
        let before = stored(json!({"spec": {"aws": aws}}));
        let after = updated(&before, json!({"computeResources": change})).unwrap();
        assert_eq!(Orchestration::of_stored(&after.spec), Orchestration::Ecs, "{change}");
        assert_eq!(show::strategy(&after.spec), strategy, "{change}");
    }
    for (aws, change, message) in [
        (&fargate, json!({"minvCpus": 4}), "computeResources minvCpus is not applicable for Fargate."),
        (&fargate, json!({"instanceTypes": ["m5"]}), "computeResources instanceTypes is not applicable for Fargate."),
        (&fargate, json!({"type": "EC2"}), "computeResources.type cannot change between instances and Fargate."),
        (&ec2, json!({"type": "FARGATE"}), "computeResources.type cannot change between instances and Fargate."),
    ] {
        let before = stored(json!({"spec": {"aws": aws}}));
        let got = updated(&before, json!({"computeResources": change})).map(|_| ());
        assert_eq!(got, Err(message.to_owned()), "{change}");
    }
    let hint = updated(&stored(json!({"spec": {"aws": ec2}})), json!({"computeResources": {"desiredvCpus": 6}}));
    assert_eq!(hint.map(|after| after.spec.minv_cpus), Ok(0));
    let spot = kept(json!({"type": "SPOT", "spotIamFleetRole": "r", "subnets": ["s"], "launchTemplate": null}));
    let before = stored(json!({"spec": {"aws": spot, "allocationStrategy": "SPOT_PRICE_CAPACITY_OPTIMIZED"}}));
    let after = updated(&before, json!({"computeResources": {"instanceTypes": ["c5"]}})).unwrap();
    assert_eq!(after.spec.instance_types, ["c5"]);
}

#[test]
fn an_environment_that_aws_would_not_have_made_can_be_updated() {
    for spec in [
        json!({"aws": null, "instanceTypes": []}),
        json!({"aws": null, "instanceTypes": ["m5", "m6g"]}),
        json!({"aws": null, "instanceTypes": [], "allocationStrategy": "BEST_FIT_PROGRESSIVE_ORDERED"}),
        json!({"instanceTypes": ["default_arm64"]}),
    ] {
        let before = stored(json!({"spec": spec}));
        let after = updated(&before, json!({"computeResources": {"maxvCpus": 16}})).unwrap();
        let chooses = |it: &ComputeEnvironment| (it.spec.instance_types.clone(), it.spec.allocation_strategy);
        assert_eq!((after.spec.maxv_cpus, chooses(&after)), (16, chooses(&before)), "{spec}");
    }
    let any = stored(json!({"spec": {"instanceTypes": []}}));
    let spot = json!({"computeResources": {"type": "SPOT", "allocationStrategy": "SPOT_CAPACITY_OPTIMIZED"}});
    assert_eq!(updated(&any, spot).unwrap().spec.instance_types, Vec::<String>::new());
    let mixed = stored(json!({"spec": {"instanceTypes": ["m5", "m6g"]}}));
    for change in [json!({"allocationStrategy": "BEST_FIT_PROGRESSIVE"}), json!({"instanceTypes": ["m5", "c6g"]})] {
        assert!(updated(&mixed, json!({"computeResources": change})).is_err(), "{change}");
    }
}

#[test]
fn an_environment_goes_when_it_is_disabled_and_no_queue_names_it() {
    let queue = |named: &str| -> JobQueue {
        serde_json::from_value(
            json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "JobQueue", "metadata": {"name": "q"},
            "spec": {"computeEnvironments": [named]}}),
        )
        .unwrap()
    };
    let check = |state: &str, named: &str| {
        may_delete(&stored(json!({"spec": {"state": state}})), &[queue(named)]).map_err(|it| it.0)
    };
    assert_eq!(check("DISABLED", "other"), Ok(()));
    for named in ["ce", "CE"] {
        assert_eq!(check("DISABLED", named), Err("Cannot delete, found existing JobQueue relationship.".to_owned()));
    }
    assert!(check("ENABLED", "other").is_err());
}
