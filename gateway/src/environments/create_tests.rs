//! Tests of `CreateComputeEnvironment`: one row per rule.

#![allow(clippy::too_many_lines, reason = "a table has one row per rule")]

use api::crd::AllocationStrategy::{
    BestFitProgressive, BestFitProgressiveOrdered, SpotCapacityOptimized, SpotPriceCapacityOptimized,
};
use serde_json::json;

use super::*;
use crate::decode;

fn valid() -> Value {
    json!({"computeEnvironmentName": "CE", "type": "MANAGED",
        "eksConfiguration": {"eksClusterArn": "arn:aws:eks:us-east-1:1:cluster/c", "kubernetesNamespace": "jobs"},
        "computeResources": {"type": "EC2", "allocationStrategy": "BEST_FIT_PROGRESSIVE", "minvCpus": 1, "maxvCpus": 4,
            "instanceTypes": ["m5"], "subnets": ["s"], "securityGroupIds": ["g"], "instanceRole": "r"}})
}

/// What becomes of the valid request with these members (JSON pointers) changed; `null` removes.
fn changed(changes: &[(&str, Value)]) -> Result<ComputeEnvironment, String> {
    let mut body = valid();
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value.clone();
    }
    let body = decode::body(body.to_string().as_bytes()).unwrap();
    let config = Config { default_provider: None, ..crate::tests::config() };
    environment(&decode::members(&body).unwrap(), &body, &config).map_err(|it| it.0)
}

#[test]
fn every_rule_has_awss_words() {
    let mut wrong = Vec::new();
    for (pointer, value, message) in [
        ("/computeEnvironmentName", json!("a.b"), "Compute Environment name should match a valid pattern."),
        ("/state", json!("DISABLED"), "Compute Environment must be created in ENABLED state."),
        ("/type", json!("OTHER"), "type must be one of [MANAGED, UNMANAGED], got OTHER."),
        ("/computeResources", json!(null), "computeResources must be provided for a MANAGED compute environment"),
        ("/computeResources/maxvCpus", json!(0), "maxvCpus should be greater than or equal to minvCpus."),
        ("/computeResources/minvCpus", json!(-1), "minvCpus should be greater than or equal to 0."),
        ("/computeResources/minvCpus", json!(null), "Resource minvCpus is required."),
        ("/computeResources/maxvCpus", json!(null), "Resource maxvCpus is required."),
        ("/computeResources/desiredvCpus", json!(5), "desiredvCpus should be between minvCpus and maxvCpus."),
        ("/computeResources/instanceRole", json!(""), "Instance role is required."),
        ("/computeResources/instanceTypes", json!([]), "Resource instanceTypes are required."),
        ("/computeResources/securityGroupIds", json!([]), "Security group ids are required."),
        ("/computeResources/subnets", json!(null), "Subnets are required."),
        (
            "/computeResources/instanceTypes",
            json!(["m6g", "m5"]),
            "arm-based instance type cannot be used with other instance types.",
        ),
        (
            "/computeResources/instanceTypes",
            json!(["default_arm64"]),
            "instanceTypes default_arm64 is not supported by Bulkhead: name instance types or families that the node \
             provider offers.",
        ),
        ("/unmanagedvCpus", json!(1), "unmanagedvCpus is not applicable for managed Compute Environment."),
        (
            "/computeResources/allocationStrategy",
            json!(null),
            "allocationStrategy is required for EKS Compute Environments.",
        ),
        (
            "/computeResources/type",
            json!("FARGATE"),
            "Supported compute types for EKS compute environments are [EC2, SPOT].",
        ),
        ("/eksConfiguration/eksClusterArn", json!("c"), "eksClusterArn must be an EKS cluster ARN."),
        (
            "/eksConfiguration/eksClusterArn",
            json!("arn:aws:ecs:x:1:cluster/c"),
            "eksClusterArn must be an EKS cluster ARN.",
        ),
        (
            "/eksConfiguration/kubernetesNamespace",
            json!("A"),
            "kubernetesNamespace must be a valid Kubernetes namespace.",
        ),
        (
            "/eksConfiguration/kubernetesNamespace",
            json!("kube-x"),
            "kubernetesNamespace cannot be a reserved Kubernetes system namespace.",
        ),
        (
            "/eksConfiguration/accessEntry",
            json!({"desiredState": "X"}),
            "accessEntry.desiredState must be one of [ENABLED, DISABLED, INHERIT_FROM_CLUSTER], got X.",
        ),
        (
            "/computeResources/ec2Configuration",
            json!([{"imageType": "ECS_AL2"}]),
            "Invalid imageType in ComputeResources.ec2Configuration",
        ),
        (
            "/computeResources/ec2Configuration",
            json!([{"imageType": "EKS_AL2", "imageKubernetesVersion": "1.29"}]),
            "At least one imageKubernetesVersion in EC2Configuration is not supported.",
        ),
        (
            "/computeResources/launchTemplate",
            json!({"overrides": vec![json!({"targetInstanceTypes": ["a"]}); 11]}),
            "LaunchTemplate.overrides size cannot be greater than 10",
        ),
        (
            "/computeResources/launchTemplate",
            json!({"overrides": [{}]}),
            "LaunchTemplate.overrides.targetInstanceTypes[] is required",
        ),
        (
            "/computeResources/scalingPolicy",
            json!({"minScaleDownDelayMinutes": 19}),
            "minScaleDownDelayMinutes must be 0 or between 20 and 10080, got 19.",
        ),
    ] {
        let got = changed(&[(pointer, value)]).map(|_| ());
        if got != Err(message.to_owned()) {
            wrong.push(format!("{pointer}: {got:?}, not {message}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn strategies_go_with_spot_or_not() {
    let check = |kind: &str, strategy: &str, types: Value| {
        let changes = [
            ("/computeResources/type", json!(kind)),
            ("/computeResources/allocationStrategy", json!(strategy)),
            ("/computeResources/instanceTypes", types),
        ];
        changed(&changes).map(|it| it.spec.allocation_strategy)
    };
    let bundle = |strategy: &str| {
        Err(format!(
            "Instance type bundles (e.g. optimal, default_x86_64) are not allowed for {strategy} allocation strategy. \
             Specify instance families or types directly."
        ))
    };
    for (kind, strategy, types, expected) in [
        ("EC2", "BEST_FIT_PROGRESSIVE", json!(["optimal"]), Ok(BestFitProgressive)),
        ("EC2", "BEST_FIT_PROGRESSIVE", json!(["default_x86_64"]), Ok(BestFitProgressive)),
        ("EC2", "BEST_FIT_PROGRESSIVE_ORDERED", json!(["m5"]), Ok(BestFitProgressiveOrdered)),
        ("EC2", "BEST_FIT_PROGRESSIVE_ORDERED", json!(["optimal"]), bundle("BEST_FIT_PROGRESSIVE_ORDERED")),
        ("SPOT", "SPOT_CAPACITY_OPTIMIZED", json!(["m5"]), Ok(SpotCapacityOptimized)),
        ("SPOT", "BEST_FIT_PROGRESSIVE", json!(["m5"]), Ok(SpotPriceCapacityOptimized)),
        (
            "SPOT",
            "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED",
            json!(["default_x86_64"]),
            bundle("SPOT_CAPACITY_OPTIMIZED_PRIORITIZED"),
        ),
        (
            "SPOT",
            "BEST_FIT_PROGRESSIVE_ORDERED",
            json!(["m5"]),
            Err("Allocation strategy BEST_FIT_PROGRESSIVE_ORDERED requires compute resource type EC2.".to_owned()),
        ),
        ("SPOT", "BEST_FIT", json!(["m5"]), Err("compute resource spotIamFleetRole is required.".to_owned())),
        (
            "EC2",
            "SPOT_CAPACITY_OPTIMIZED",
            json!(["m5"]),
            Err("Allocation strategy SPOT_CAPACITY_OPTIMIZED requires compute resource type SPOT.".to_owned()),
        ),
    ] {
        assert_eq!(check(kind, strategy, types), expected, "{kind} {strategy}");
    }
}

#[test]
fn an_unmanaged_environment_has_no_resources_and_no_provider() {
    let unmanaged = |more: &[(&str, Value)]| {
        let changes = [("/type", json!("UNMANAGED")), ("/computeResources", json!(null))];
        changed(&[&changes, more].concat())
    };
    let made = unmanaged(&[("/unmanagedvCpus", json!(8))]).unwrap();
    assert_eq!((made.spec.type_, &made.spec.provider), (EnvironmentType::Unmanaged, &None));
    assert_eq!(made.spec.aws.unwrap()["unmanagedvCpus"], 8);
    let linked = json!("arn:aws:iam::1:role/aws-service-role/batch.amazonaws.com/X");
    let message = "Service Linked Role cannot be used with UNMANAGED Compute Environment.";
    assert_eq!(unmanaged(&[("/serviceRole", linked)]).map(|_| ()), Err(message.to_owned()));
    assert!(changed(&[("/type", json!("UNMANAGED"))]).is_err());
}

/// As clients of Amazon ECS ask for one: nothing is said of a cluster.
fn for_ecs(changes: &[(&str, Value)]) -> Result<ComputeEnvironment, String> {
    changed(&[&[("/eksConfiguration", json!(null))], changes].concat())
}

#[test]
fn an_environment_for_amazon_ecs_runs_on_this_cluster() {
    let plain = for_ecs(&[("/computeResources/allocationStrategy", json!(null))]).unwrap();
    assert_eq!(
        (plain.spec.namespace.as_deref(), plain.spec.allocation_strategy),
        (Some("default"), BestFitProgressive)
    );
    assert_eq!(plain.spec.aws.unwrap()["containerOrchestrationType"], "ECS");
    assert_eq!(changed(&[]).unwrap().spec.aws.unwrap().get("containerOrchestrationType"), None);
    let config = Config { default_namespace: Some("batch".to_owned()), ..crate::tests::config() };
    let mut body = valid();
    for expect in ["jobs", "batch"] {
        let body = body.as_object_mut().unwrap();
        let made = environment(&decode::members(body).unwrap(), body, &config).unwrap();
        assert_eq!(made.spec.namespace.as_deref(), Some(expect));
        body.remove("eksConfiguration");
    }
    let image = |kind: &str| for_ecs(&[("/computeResources/ec2Configuration", json!([{"imageType": kind}]))]).is_ok();
    assert_eq!((image("ECS_AL2023"), image("EKS_AL2023")), (true, false));
    let fargate = |kind: &str, more: &[(&str, Value)]| {
        let resources = json!({"type": kind, "maxvCpus": 4, "subnets": ["s"], "securityGroupIds": ["g"]});
        for_ecs(&[&[("/computeResources", resources)], more].concat())
    };
    for kind in ["FARGATE", "FARGATE_SPOT"] {
        let made = fargate(kind, &[]).unwrap().spec;
        assert_eq!((made.minv_cpus, made.maxv_cpus, made.instance_types.len()), (0, 4, 0), "{kind}");
        assert_eq!(made.allocation_strategy, BestFitProgressive, "{kind}");
    }
    for (made, message) in [
        (for_ecs(&[("/computeResources/instanceTypes", json!([]))]), "Resource instanceTypes are required."),
        (for_ecs(&[("/computeResources/instanceRole", json!(""))]), "Instance role is required."),
        (
            for_ecs(&[("/computeResources/type", json!("LAMBDA"))]),
            "computeResources.type must be one of [EC2, SPOT, FARGATE, FARGATE_SPOT].",
        ),
        (
            for_ecs(&[
                ("/computeResources/type", json!("SPOT")),
                ("/computeResources/allocationStrategy", json!(null)),
            ]),
            "compute resource spotIamFleetRole is required.",
        ),
        (
            fargate("FARGATE", &[("/computeResources/instanceTypes", json!(["m5"]))]),
            "computeResources instanceTypes is not applicable for Fargate.",
        ),
        (fargate("FARGATE", &[("/computeResources/subnets", json!([]))]), "Subnets are required."),
        (for_ecs(&[("/type", json!("UNMANAGED")), ("/computeResources", json!(null))]), "ServiceRole is required."),
    ] {
        assert_eq!(made.map(|_| ()), Err(message.to_owned()));
    }
}

#[test]
fn what_is_sent_reaches_the_object() {
    let changes = [
        ("/computeResources/scalingPolicy", json!({"minScaleDownDelayMinutes": 30})),
        ("/computeResources/bidPercentage", json!(50)),
        ("/computeResources/capacityTags", json!({"team": ""})),
        ("/computeResources/unknown", json!("x")),
        ("/tags", json!({"empty": ""})),
    ];
    let made = changed(&changes).unwrap();
    let (spec, aws) = (&made.spec, made.spec.aws.as_ref().unwrap());
    assert_eq!((spec.minv_cpus, spec.maxv_cpus, spec.scale_down_delay.as_str()), (1, 4, "30m"));
    assert_eq!((spec.namespace.as_deref(), made.metadata.name.as_deref()), (Some("jobs"), Some(&*object_name("CE"))));
    assert_eq!(aws["tags"], json!({"empty": ""}));
    let resources = aws["computeResources"].as_object().unwrap();
    assert_eq!((resources.get("bidPercentage"), resources.get("unknown")), (Some(&json!(50)), None));
    assert_eq!(resources.get("capacityTags"), Some(&json!({"team": ""})));
    assert_eq!(resources.get("maxvCpus"), None, "it has a field of its own");
}
