//! Tests of jobs over the API.

#![allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]

use std::time::Duration;

use jiff::Timestamp;
use model::job::{Change, JobId, JobRecord, StopKind};
use model::status::JobState;
use records::{Amount, Filter, Kept, Quotas, Scope, Submission, Term};
use uuid::Uuid;

use super::*;
use crate::cache::AGE;
use crate::gateway::Gateway;
use crate::queues::end_late_jobs;

impl World {
    /// The first job of the queue `Q`.
    async fn first(&self) -> Kept {
        let filter = Filter { scope: Scope::Queue("Q".to_owned()), state: None, by: None };
        self.records().list(&filter, None, 1).await.unwrap().items.remove(0)
    }

    /// A job starts to run, as far as the leader knows.
    async fn runs(&self, id: &str) {
        let leading = self.records().lead(&Term { lease: "l".to_owned(), turn: 1 }).await.unwrap();
        let before = leading.jobs(&[id.parse().unwrap()]).await.unwrap().remove(0).record;
        let record = JobRecord { state: JobState::Running, version: before.version + 1, ..before };
        leading.write(&[Change { record, at: Timestamp::now(), attempt: None }], &[]).await.unwrap();
    }
}

fn submission(change: Value) -> Value {
    let mut body = json!({"jobName": "J", "jobQueue": "Q", "jobDefinition": "D"});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn a_job_is_stored_with_its_overrides_and_shown() {
    let world = World::ready().await;
    let overrides = json!({"containers": [{"command": ["/bin/sh"], "args": ["-c", "echo Ref::word"]}]});
    let change = json!({"eksPropertiesOverride": {"podProperties": overrides}, "parameters": {"word": "hi"},
        "retryStrategy": {"attempts": 2}, "timeout": {"attemptDurationSeconds": 90}, "containerOverrides": {}});
    let answer = world.ok("SubmitJob", submission(change)).await;
    let (id, arn) = (answer["jobId"].as_str().unwrap(), ArnBase::default());
    assert_eq!(answer["jobName"], "J");
    assert_eq!(answer["jobArn"], format!("arn:aws:batch:us-east-1:123456789012:job/{id}"));
    let shown = world.ok("DescribeJobs", json!({"jobs": [id, "unknown"]})).await;
    let created = world.first().await.record.created.as_millisecond();
    let expected = json!({"jobs": [{"jobArn": answer["jobArn"], "jobName": "J", "jobId": id, "jobQueue": arn.job_queue("Q"),
        "jobDefinition": arn.job_definition("D", 1), "status": "SUBMITTED", "createdAt": created, "attempts": [],
        "retryStrategy": {"attempts": 2, "evaluateOnExit": []}, "dependsOn": [], "parameters": {"word": "hi"},
        "timeout": {"attemptDurationSeconds": 90}, "tags": {}, "platformCapabilities": [], "eksAttempts": [],
        "eksProperties": {"podProperties": {"hostNetwork": true, "volumes": [], "metadata": {"labels": {"environment": "test"}},
            "containers": [{"image": "amazonlinux:2", "command": ["/bin/sh"], "args": ["-c", "echo hi"], "env": [],
                "volumeMounts": [], "resources": {"limits": {"cpu": "1", "memory": "1024Mi"}}}]}}}]});
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_job_of_one_container_is_shown_as_amazon_ecs_has_it() {
    let world = World::ready().await;
    let container = json!({"image": "i", "command": ["echo", "Ref::word"], "environment": [{"name": "A", "value": "$1"}],
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}]});
    let definition = json!({"jobDefinitionName": "C", "type": "container", "containerProperties": container,
        "platformCapabilities": ["EC2"], "propagateTags": true});
    world.ok("RegisterJobDefinition", definition).await;
    let shown = world.ok("DescribeJobDefinitions", json!({"jobDefinitionName": "C"})).await;
    let one = &shown["jobDefinitions"][0];
    assert_eq!((&one["containerOrchestrationType"], one.get("eksProperties")), (&json!("ECS"), None));
    assert_eq!(one["containerProperties"]["command"], container["command"]);
    let overrides = json!({"environment": [{"name": "B", "value": "2"}]});
    let change = json!({"jobDefinition": "C", "parameters": {"word": "hi"}, "containerOverrides": overrides});
    let answer = world.ok("SubmitJob", submission(change)).await;
    let shown = world.ok("DescribeJobs", json!({"jobs": [answer["jobId"]]})).await;
    let job = &shown["jobs"][0];
    let environment = json!([{"name": "A", "value": "$1"}, {"name": "B", "value": "2"}]);
    let container = json!({"image": "i", "command": ["echo", "hi"], "environment": environment, "volumes": [], "mountPoints": [],
        "ulimits": [], "secrets": [], "networkInterfaces": [], "resourceRequirements": container["resourceRequirements"]});
    assert_eq!(job["container"], container);
    assert_eq!((&job["attempts"], &job["eksAttempts"], job.get("eksProperties")), (&json!([]), &json!([]), None));
    assert_eq!((&job["platformCapabilities"], &job["propagateTags"]), (&json!(["EC2"]), &json!(true)));
}

#[tokio::test]
async fn a_disk_on_fargate_is_kept_and_shown_and_nothing_is_asked_of_nodes_for_it() {
    let world = World::ready().await;
    let container = json!({"image": "i", "vcpus": 1, "memory": 64, "ephemeralStorage": {"sizeInGiB": 50}, "networkConfiguration": {}});
    let definition = json!({"jobDefinitionName": "C", "type": "container", "containerProperties": container,
        "platformCapabilities": ["FARGATE"]});
    world.ok("RegisterJobDefinition", definition).await;
    let shown = world.ok("DescribeJobDefinitions", json!({"jobDefinitionName": "C"})).await;
    let answer = world.ok("SubmitJob", submission(json!({"jobDefinition": "C"}))).await;
    let job = world.ok("DescribeJobs", json!({"jobs": [answer["jobId"]]})).await;
    for shown in [&shown["jobDefinitions"][0]["containerProperties"], &job["jobs"][0]["container"]] {
        assert_eq!(shown["ephemeralStorage"], json!({"sizeInGiB": 50}));
    }
    let pod = &world.first().await.spec.pod;
    assert_eq!(pod["containers"][0]["resources"]["requests"], json!({"cpu": "1", "memory": "64Mi"}));
}

#[tokio::test]
async fn the_jobs_of_a_queue_end_when_it_is_deleted() {
    let world = World::ready().await;
    world.ok("SubmitJob", submission(json!({}))).await;
    let refused = world.call("DeleteJobQueue", json!({"jobQueue": "Q"})).await;
    assert!(refused.is_err() && world.first().await.requested.is_none(), "it is ENABLED");
    delete_queue(&world).await;
    let asked = world.first().await.requested.unwrap();
    assert_eq!((asked.kind, asked.reason.as_str()), (StopKind::Terminate, "JobQueue Q was deleted"));
}

/// A job that found the queue `Q` before it went.
async fn late_job(world: &World) -> JobId {
    let spec = world.first().await.spec;
    let record = JobRecord::submitted(JobId::new(Uuid::new_v4()), Timestamp::UNIX_EPOCH);
    let id = record.id;
    world.records().submit(Submission { record, spec, namespace: "n".to_owned() }).await.unwrap();
    id
}

async fn is_told_to_end(world: &World, id: JobId) -> bool {
    world.records().jobs(&[id]).await.unwrap()[0].requested.is_some()
}

async fn delete_queue(world: &World) {
    world.ok("UpdateJobQueue", json!({"jobQueue": "Q", "state": "DISABLED"})).await;
    world.ok("DeleteJobQueue", json!({"jobQueue": "Q"})).await;
}

#[tokio::test(start_paused = true)]
async fn jobs_that_come_late_into_a_deleted_queue_end_too() {
    let _clock = hold_clock();
    let world = World::ready().await;
    world.ok("SubmitJob", submission(json!({}))).await;
    delete_queue(&world).await;
    let late = late_job(&world).await;
    assert!(!is_told_to_end(&world, late).await);
    tokio::time::advance(AGE).await;
    let mut looks = 0;
    while !is_told_to_end(&world, late).await {
        looks += 1;
        assert!(looks < 1_000, "it goes on in a queue that is gone");
    }
}

#[tokio::test]
async fn jobs_of_another_queue_of_the_same_name_do_not_end() {
    for (again, ends) in [(false, true), (true, false)] {
        let world = World::ready().await;
        world.ok("SubmitJob", submission(json!({}))).await;
        delete_queue(&world).await;
        if again {
            world.create_queue("Q").await;
        }
        let late = late_job(&world).await;
        let gateway = Gateway::new(world.stores.subscribe(), world.fronts.subscribe(), world.objects.clone(), config());
        end_late_jobs(Arc::new(gateway), "Q".to_owned(), [Duration::ZERO; 2]).await;
        assert_eq!(is_told_to_end(&world, late).await, ends, "a queue of this name was made again: {again}");
    }
}

#[tokio::test]
async fn what_a_job_needs_must_be_there() {
    let world = World::ready().await;
    let arn = "arn:aws:batch:eu-west-1:1:job-definition/X:1";
    for (change, message) in [
        (json!({"jobQueue": "X"}), "JobQueue X not found.".to_owned()),
        (json!({"jobDefinition": "X"}), "JobDefinition name X does not exist or is not in ACTIVE status".to_owned()),
        (json!({"jobDefinition": arn}), format!("JobDefinition {arn} is not in ACTIVE status")),
        (
            json!({"dependsOn": [{"jobId": "2d044787-c663-4ce6-a6fe-f2baf7e51b04"}]}),
            "dependsOn: job 2d044787-c663-4ce6-a6fe-f2baf7e51b04 does not exist".to_owned(),
        ),
    ] {
        assert_eq!(world.call("SubmitJob", submission(change)).await, Err(message));
    }
    world
        .ok("SubmitJob", submission(json!({"jobQueue": ArnBase::default().job_queue("Q"), "jobDefinition": "D:1"})))
        .await;
    world.ok("UpdateJobQueue", json!({"jobQueue": "Q", "state": "DISABLED"})).await;
    let refused = world.call("SubmitJob", submission(json!({}))).await;
    assert_eq!(refused, Err("JobQueue Q is DISABLED and takes no new jobs.".to_owned()));
}

#[tokio::test]
async fn arrays_have_children_and_lists_narrow() {
    let world = World::ready().await;
    let parent = world.ok("SubmitJob", submission(json!({"arrayProperties": {"size": 3}}))).await;
    let parent = parent["jobId"].as_str().unwrap().to_owned();
    let next = json!({"arrayProperties": {"size": 3},
        "dependsOn": [{"jobId": parent, "type": "N_TO_N"}, {"type": "SEQUENTIAL"}]});
    world.ok("SubmitJob", submission(next)).await;
    let list = |body: Value| world.ok("ListJobs", body);
    let count = |answer: Value| answer["jobSummaryList"].as_array().unwrap().len();
    assert_eq!(count(list(json!({"jobQueue": "Q"})).await), 0, "none runs");
    assert_eq!(count(list(json!({"jobQueue": "Q", "jobStatus": "SUBMITTED"})).await), 2);
    let by_name = json!({"jobQueue": "Q", "filters": [{"name": "JOB_NAME", "values": ["J"]}]});
    assert_eq!(count(list(by_name).await), 2);
    let token = json!({"jobQueue": "Q", "nextToken": "x"});
    assert!(world.call("ListJobs", token).await.unwrap_err().contains("no token of a page"));
    let children = json!({"arrayJobId": parent, "jobStatus": "SUBMITTED", "maxResults": 2});
    let page = list(children.clone()).await;
    assert_eq!(page["jobSummaryList"][1]["arrayProperties"], json!({"index": 1}));
    let mut rest = children;
    rest["nextToken"] = page["nextToken"].clone();
    assert_eq!((count(page), count(list(rest).await)), (2, 1));
    let shown = world.ok("DescribeJobs", json!({"jobs": [format!("{parent}:1"), parent]})).await;
    assert_eq!(shown["jobs"][1]["arrayProperties"], json!({"statusSummary": {}, "index": 1}));
    let summary = &shown["jobs"][0]["arrayProperties"];
    assert_eq!((&summary["size"], summary["statusSummary"].as_object().unwrap().len()), (&json!(3), 7));
}

#[tokio::test]
async fn an_end_is_asked_for_while_there_is_something_to_end() {
    let world = World::ready().await;
    let id = world.ok("SubmitJob", submission(json!({}))).await["jobId"].as_str().unwrap().to_owned();
    let asked = async || world.first().await.requested.map(|stop| (stop.kind, stop.reason));
    let stop = |reason: &str| json!({"jobId": id, "reason": reason});
    world.runs(&id).await;
    assert_eq!(world.ok("CancelJob", stop("no")).await, json!({}));
    assert_eq!(asked().await, None);
    world.ok("TerminateJob", stop("why")).await;
    assert_eq!(asked().await, Some((StopKind::Terminate, "why".to_owned())));
    assert_eq!(world.ok("DescribeJobs", json!({"jobs": [id]})).await["jobs"][0]["isTerminated"], true);
    for unknown in ["nonsense", "2d044787-c663-4ce6-a6fe-f2baf7e51b04"] {
        assert_eq!(world.ok("TerminateJob", json!({"jobId": unknown, "reason": "x"})).await, json!({}));
    }
    let second = world.ok("SubmitJob", submission(json!({}))).await["jobId"].as_str().unwrap().to_owned();
    let jobs = json!([second, id, "nonsense", second]);
    for operation in ["CancelJobs", "TerminateJobs"] {
        let answer = world.ok(operation, json!({"jobs": jobs, "reason": "all"})).await;
        assert_eq!(answer, json!({"successful": jobs, "errors": []}), "{operation}");
    }
    let kept = world.records().jobs(&[second.parse().unwrap()]).await.unwrap().remove(0);
    assert_eq!(kept.requested.map(|stop| stop.reason).as_deref(), Some("all"));
    let many: Vec<String> = (0..101).map(|it| it.to_string()).collect();
    let refused = world.call("DescribeJobs", json!({"jobs": many})).await;
    assert_eq!(refused, Err("Maximum number of jobs supported is  100 .".to_owned()));
}

#[tokio::test]
async fn what_reaches_the_nodes_is_for_environments_in_which_an_admin_allows_it() {
    let world = World::ready().await;
    let with = |change: Value| {
        let mut body = definition("P");
        let pod = body["eksProperties"]["podProperties"].as_object_mut().unwrap();
        pod.extend(change.as_object().unwrap().clone());
        body
    };
    let privileged = json!([{"image": "i", "resources": {"limits": {"cpu": "1", "memory": "8Mi"}}, "securityContext": {"privileged": true}}]);
    let asks = [
        (json!({"containers": privileged}), "containers[0].securityContext.privileged: true"),
        (json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}), "volumes[0].hostPath"),
        (json!({"hostPID": true}), "hostPID: true"),
        (json!({"hostIPC": true}), "hostIPC: true"),
    ];
    for (ask, said) in &asks {
        let refused = world.call("RegisterJobDefinition", with(ask.clone())).await.unwrap_err();
        assert!(refused.contains(said) && refused.contains("spec.allowPrivileged: true"), "{refused}");
    }
    let container = |change: Value| {
        let mut properties = json!({"image": "i", "vcpus": 1, "memory": 8});
        properties.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"jobDefinitionName": "P", "type": "container", "containerProperties": properties})
    };
    let of_container = [
        (json!({"privileged": true}), "containerProperties ask for more"),
        (
            json!({"volumes": [{"name": "v", "host": {"sourcePath": "/"}}]}),
            "(containerProperties.volumes[0].host.sourcePath)",
        ),
    ];
    for (ask, said) in &of_container {
        let refused = world.call("RegisterJobDefinition", container(ask.clone())).await.unwrap_err();
        assert!(refused.contains(said) && refused.contains("spec.allowPrivileged: true"), "{refused}");
    }
    world.ok("CreateComputeEnvironment", environment("Other")).await;
    world.objects.allow_privileged(&model::names::object_name("Other"));
    for (ask, _) in of_container {
        world.ok("RegisterJobDefinition", container(ask)).await;
        let refused = world.call("SubmitJob", submission(json!({"jobDefinition": "P"}))).await.unwrap_err();
        assert!(refused.contains("of job queue Q does not allow that"), "{refused}");
    }
    for (ask, _) in &asks[..2] {
        world.ok("RegisterJobDefinition", with(ask.clone())).await;
        let refused = world.call("SubmitJob", submission(json!({"jobDefinition": "P"}))).await.unwrap_err();
        assert!(refused.contains("of job queue Q does not allow that"), "{refused}");
    }
    world.objects.allow_privileged(&model::names::object_name("CE"));
    world.ok("SubmitJob", submission(json!({"jobDefinition": "P"}))).await;
    // It is no member of the API: nobody allows himself anything.
    let update = json!({"computeEnvironment": "Other", "allowPrivileged": true, "computeResources": {"maxvCpus": 1}});
    world.ok("UpdateComputeEnvironment", update).await;
    let created = environment("Third")
        .as_object()
        .unwrap()
        .clone()
        .into_iter()
        .chain([("allowPrivileged".to_owned(), json!(true))]);
    world.ok("CreateComputeEnvironment", created.collect()).await;
    let third = world.objects.get("ComputeEnvironment", &model::names::object_name("Third"));
    assert_eq!(third["spec"].get("allowPrivileged"), None);
}

#[tokio::test]
async fn nothing_is_sent_into_the_namespaces_of_the_system() {
    let world = World::ready().await;
    for namespace in ["kube-system", "kube-public", "kube-node-lease", "kube-x", "bulkhead-system"] {
        let mut body = definition("D");
        body["eksProperties"]["podProperties"]["metadata"]["namespace"] = json!(namespace);
        assert!(world.call("RegisterJobDefinition", body).await.is_err(), "{namespace}");
        let metadata = json!({"podProperties": {"metadata": {"namespace": namespace}}});
        let overridden = world.call("SubmitJob", submission(json!({"eksPropertiesOverride": metadata}))).await;
        assert!(overridden.is_err(), "{namespace}");
        let mut body = environment("E");
        body["eksConfiguration"]["kubernetesNamespace"] = json!(namespace);
        assert!(world.call("CreateComputeEnvironment", body).await.is_err(), "{namespace}");
    }
}

#[tokio::test]
async fn a_job_counts_for_the_namespace_that_its_pods_go_to() {
    let few = Amount { jobs: 4, bytes: u64::MAX };
    let world = World::ready_with(Quotas { namespace: few, all: Amount::MOST }).await;
    let array = json!({"arrayProperties": {"size": 2}});
    let own = json!({"eksPropertiesOverride": {"podProperties": {"metadata": {"namespace": "own"}}}});
    let status = async |body: &Value| {
        let response = world.send("POST", "/v1/submitjob", submission(body.clone()).to_string()).await;
        let status = response.status().as_u16();
        (status, inner(read(response).await["message"].as_str().unwrap_or_default()))
    };
    assert_eq!(status(&array).await, (200, String::new()));
    let said = "Too Many Requests: Namespace my-aws-batch-namespace has 3 of at most 4 jobs";
    let (code, message) = status(&array).await;
    assert!(code == 429 && message.starts_with(said), "{code}: {message}");
    for _ in 0..4 {
        assert_eq!(status(&own).await.0, 200);
    }
    let (code, message) = status(&own).await;
    assert!(code == 429 && message.contains("Namespace own has 4 of at most 4 jobs"), "{code}: {message}");
    let (code, message) = status(&json!({"arrayProperties": {"size": 4}})).await;
    assert!(code == 400 && message.contains("would add 5, which never fits"), "{code}: {message}");
    assert_eq!(status(&json!({})).await.0, 200, "what fits is taken");
}
