//! Tests of compute environments, queues and definitions over the API.

use super::*;

#[tokio::test]
async fn an_environment_is_an_object_and_is_shown_with_all_that_was_sent() {
    let world = World::new();
    let arn = "arn:aws:batch:us-east-1:123456789012:compute-environment/My-Eks-CE1";
    let named = json!({"computeEnvironmentName": "My-Eks-CE1", "computeEnvironmentArn": arn});
    assert_eq!(world.ok("CreateComputeEnvironment", environment("My-Eks-CE1")).await, named);
    let object = world.objects.get("ComputeEnvironment", &model::names::object_name("My-Eks-CE1"));
    let (spec, aws) = (&object["spec"], &object["spec"]["aws"]);
    assert_eq!(spec["name"], "My-Eks-CE1");
    assert_eq!((&spec["namespace"], &spec["maxvCpus"]), (&json!("my-aws-batch-namespace"), &json!(128)));
    assert_eq!(spec["provider"], json!({"external": {"url": "http://provider"}}));
    assert_eq!(aws["computeResources"]["subnets"], json!(["s"]));
    assert_eq!((aws.get("serviceRole"), &aws["computeResources"]["launchTemplate"]), (None, &json!({"version": "1"})));

    let describe = || world.ok("DescribeComputeEnvironments", json!({"computeEnvironments": [arn, "unknown"]}));
    let shown = describe().await["computeEnvironments"][0].take();
    assert_eq!((&shown["status"], &shown["state"]), (&json!("CREATING"), &json!("ENABLED")));
    assert_eq!(shown["uuid"], ArnBase::default().compute_environment_uuid("My-Eks-CE1"));
    assert_eq!((&shown["containerOrchestrationType"], &shown["tags"]), (&json!("EKS"), &json!({})));
    let eks = json!({"eksClusterArn": "arn:aws:eks:eu-west-1:123456789012:cluster/c",
        "kubernetesNamespace": "my-aws-batch-namespace", "accessEntry": {"status": "INACTIVE"}});
    assert_eq!(shown["eksConfiguration"], eks);
    let resources = json!({"type": "EC2", "allocationStrategy": "BEST_FIT_PROGRESSIVE", "minvCpus": 0, "maxvCpus": 128,
        "desiredvCpus": 0, "instanceTypes": ["m5"], "subnets": ["s"], "securityGroupIds": ["g"], "instanceRole": "r",
        "launchTemplate": {"version": "1"}, "tags": {}});
    assert_eq!(shown["computeResources"], resources);

    world.objects.validate();
    let shown = describe().await["computeEnvironments"][0].take();
    assert_eq!((&shown["status"], &shown["statusReason"]), (&json!("VALID"), &json!("Healthy")));
    let again = world.call("CreateComputeEnvironment", environment("My-Eks-CE1")).await.unwrap_err();
    assert!(again.starts_with("Object already exists"), "{again}");
}

#[tokio::test]
async fn an_environment_for_amazon_ecs_is_shown_as_one_and_so_is_its_queue() {
    let world = World::new();
    let surroundings = json!({"subnets": ["s"], "securityGroupIds": ["g"], "maxvCpus": 4});
    let with = |more: Value| {
        let mut all = surroundings.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let fargate = with(json!({"type": "FARGATE"}));
    let ec2 = with(json!({"type": "EC2", "minvCpus": 0, "instanceTypes": ["optimal"], "instanceRole": "r"}));
    for (name, resources) in [("F", &fargate), ("E", &ec2)] {
        let body = json!({"computeEnvironmentName": name, "type": "MANAGED", "computeResources": resources});
        world.ok("CreateComputeEnvironment", body).await;
    }
    world.objects.validate();
    for (environments, kind) in [(&["F"][..], "ECS_FARGATE"), (&["E"], "ECS")] {
        let order: Vec<Value> =
            (1..).zip(environments).map(|(at, it)| json!({"order": at, "computeEnvironment": it})).collect();
        let name = format!("Q-{kind}");
        world
            .ok("CreateJobQueue", json!({"jobQueueName": name, "priority": 1, "computeEnvironmentOrder": &order}))
            .await;
        let shown = world.ok("DescribeJobQueues", json!({"jobQueues": [name]})).await;
        assert_eq!(shown["jobQueues"][0]["jobQueueType"], kind);
        // It can be made again as it was described.
        let again = |kind: &str| json!({"jobQueueName": format!("{name}-again"), "priority": 1, "computeEnvironmentOrder": order, "jobQueueType": kind});
        world.ok("CreateJobQueue", again(kind)).await;
        let other = world.call("CreateJobQueue", again("EKS")).await.unwrap_err();
        assert!(other.contains(&format!("with which it is {kind}")), "{other}");
    }
    let shown = world.ok("DescribeComputeEnvironments", json!({})).await["computeEnvironments"].take();
    for (one, resources, more) in
        [(&shown[0], &ec2, json!({"desiredvCpus": 0, "tags": {}})), (&shown[1], &fargate, json!({"tags": {}}))]
    {
        assert_eq!((&one["containerOrchestrationType"], one.get("eksConfiguration")), (&json!("ECS"), None));
        assert!(one["ecsClusterArn"].as_str().unwrap().contains(":cluster/AWSBatch-"), "{one}");
        let mut expect = resources.clone();
        expect.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(one["computeResources"], expect);
    }
}

#[tokio::test]
async fn what_is_updated_changes_and_the_rest_stays() {
    let world = World::ready().await;
    let update = json!({"computeEnvironment": "CE", "state": "DISABLED",
        "computeResources": {"maxvCpus": 256, "scalingPolicy": {"minScaleDownDelayMinutes": 30}, "launchTemplate": {"launchTemplateId": ""}}});
    world.ok("UpdateComputeEnvironment", update).await;
    let shown = world.ok("DescribeComputeEnvironments", json!({})).await["computeEnvironments"][0].take();
    let resources = &shown["computeResources"];
    assert_eq!((&shown["state"], &resources["maxvCpus"]), (&json!("DISABLED"), &json!(256)));
    assert_eq!((&resources["subnets"], resources.get("launchTemplate")), (&json!(["s"]), None));
    assert_eq!(resources["scalingPolicy"], json!({"minScaleDownDelayMinutes": 30}));
    let missing = world.call("UpdateComputeEnvironment", json!({"computeEnvironment": "X"})).await.unwrap_err();
    assert!(missing.contains("does not exist"), "{missing}");
}

#[tokio::test]
async fn things_go_in_order_and_what_is_gone_is_deleted() {
    let world = World::ready().await;
    let ce = || json!({"computeEnvironment": "CE"});
    let queue = || json!({"jobQueue": "Q"});
    let refused = world.call("DeleteComputeEnvironment", ce()).await;
    assert_eq!(refused, Err("Cannot delete, found existing JobQueue relationship.".to_owned()));
    let refused = world.call("DeleteJobQueue", queue()).await;
    assert_eq!(refused, Err("Cannot delete, job queue must be DISABLED first.".to_owned()));
    world.ok("UpdateJobQueue", json!({"jobQueue": "Q", "state": "DISABLED"})).await;
    assert_eq!(world.ok("DeleteJobQueue", queue()).await, json!({}));
    let refused = world.call("DeleteComputeEnvironment", ce()).await;
    assert_eq!(refused, Err("Cannot delete, compute environment must be DISABLED first.".to_owned()));
    world.ok("UpdateComputeEnvironment", json!({"computeEnvironment": "CE", "state": "DISABLED"})).await;
    for _ in 0..2 {
        assert_eq!(world.ok("DeleteComputeEnvironment", ce()).await, json!({}));
        assert_eq!(world.ok("DeleteJobQueue", queue()).await, json!({}));
    }
    assert_eq!(world.ok("DescribeJobQueues", json!({"jobQueues": ["Q"]})).await, json!({"jobQueues": []}));
}

#[tokio::test]
async fn a_queue_needs_valid_environments_and_shows_their_order() {
    let world = World::new();
    world.ok("CreateComputeEnvironment", environment("A")).await;
    world.ok("CreateComputeEnvironment", environment("B")).await;
    let create = || {
        json!({"jobQueueName": "Q", "priority": 7, "tags": {"a": "b"}, "schedulingPolicyArn": "", "computeEnvironmentOrder":
            [{"order": 5, "computeEnvironment": "A"}, {"order": 2, "computeEnvironment": "arn:aws:batch:x:1:compute-environment/B"}]})
    };
    let refused = world.call("CreateJobQueue", create()).await.unwrap_err();
    assert_eq!(refused, "Compute Environments must be created and valid before attaching them to a job queue");
    world.objects.validate();
    world.ok("CreateJobQueue", create()).await;
    assert_eq!(world.call("CreateJobQueue", create()).await, Err("Job queue Q already exists".to_owned()));
    let arn = |name| ArnBase::default().compute_environment(name);
    let expected = json!({"jobQueues": [{"jobQueueName": "Q", "jobQueueArn": ArnBase::default().job_queue("Q"),
        "state": "ENABLED", "status": "CREATING", "priority": 7, "jobQueueType": "EKS", "tags": {"a": "b"},
        "jobStateTimeLimitActions": [], "computeEnvironmentOrder": [
            {"order": 2, "computeEnvironment": arn("B")}, {"order": 5, "computeEnvironment": arn("A")}]}]});
    assert_eq!(world.ok("DescribeJobQueues", json!({})).await, expected);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::new();
    for name in ["c", "a", "b"] {
        world.ok("CreateComputeEnvironment", environment(name)).await;
    }
    let (mut seen, mut token) = (Vec::new(), Value::Null);
    loop {
        let answer = world.ok("DescribeComputeEnvironments", json!({"maxResults": 2, "nextToken": token})).await;
        let page = answer["computeEnvironments"].as_array().unwrap();
        seen.extend(page.iter().map(|it| it["computeEnvironmentName"].as_str().unwrap().to_owned()));
        token = answer["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["a", "b", "c"]);
    assert!(world.call("DescribeComputeEnvironments", json!({"maxResults": 101})).await.is_err());
}

#[tokio::test]
async fn definitions_get_revisions_and_are_shown_as_registered() {
    let world = World::with_records(records::Quotas::NONE).await;
    let mut body = definition("D");
    body["retryStrategy"] = json!({"attempts": 3, "evaluateOnExit": [{"onExitCode": "1*", "action": "RETRY"}]});
    body["timeout"] = json!({"attemptDurationSeconds": 60});
    for revision in 1..=2 {
        let answer = world.ok("RegisterJobDefinition", body.clone()).await;
        assert_eq!(answer["revision"], revision);
        assert_eq!(answer["jobDefinitionArn"], ArnBase::default().job_definition("D", revision));
    }
    world.ok("DeregisterJobDefinition", json!({"jobDefinition": "D:1"})).await;
    let shown = world.ok("DescribeJobDefinitions", json!({"status": "ACTIVE"})).await;
    let expected = json!({"jobDefinitions": [{"jobDefinitionName": "D", "revision": 2, "status": "ACTIVE",
        "jobDefinitionArn": ArnBase::default().job_definition("D", 2), "type": "container",
        "containerOrchestrationType": "EKS", "parameters": {}, "tags": {}, "timeout": {"attemptDurationSeconds": 60},
        "retryStrategy": {"attempts": 3, "evaluateOnExit": [{"onExitCode": "1*", "action": "retry"}]},
        "eksProperties": body["eksProperties"]}]});
    assert_eq!(shown, expected);
    let shown = world.ok("DescribeJobDefinitions", json!({"jobDefinitions": ["D:1"]})).await;
    assert_eq!(shown["jobDefinitions"][0]["status"], "INACTIVE");
    assert!(world.call("DeregisterJobDefinition", json!({"jobDefinition": "D"})).await.is_err());
}

#[tokio::test]
async fn nobody_fills_the_cluster_with_queues_and_environments() {
    let world = World::ready().await;
    let order = json!([{"order": 1, "computeEnvironment": "CE"}]);
    let queue = |name: &str| json!({"jobQueueName": name, "priority": 1, "computeEnvironmentOrder": order});
    for number in 1..100 {
        world.ok("CreateJobQueue", queue(&format!("Q{number}"))).await;
        world.ok("CreateComputeEnvironment", environment(&format!("CE{number}"))).await;
    }
    let refused = world.call("CreateJobQueue", queue("More")).await.unwrap_err();
    assert!(refused.starts_with("There are 100 job queues, and at most 100"), "{refused}");
    let refused = world.call("CreateComputeEnvironment", environment("More")).await.unwrap_err();
    assert!(refused.starts_with("There are 100 compute environments"), "{refused}");
}
