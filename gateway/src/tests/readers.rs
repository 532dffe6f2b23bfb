//! Tests of who may read what a job prints: with keys, over HTTP requests.

use jiff::Timestamp;

use super::keys::{Guarded, signed_for};
use super::*;

#[tokio::test]
async fn what_a_job_prints_is_read_by_whoever_may_see_it_and_read_it() {
    let guarded = Guarded::new().await;
    let key = guarded.key("red").await;
    let id = super::logs::job(&guarded.world, "D", 1, false).await;
    let stream = format!("D/default/{id}-1");
    let body = json!({"logGroupName": "/aws/batch/job", "logStreamName": stream}).to_string();
    let asked = |service: &str, operation: &str, body: &str| {
        let target = format!("Logs_20140328.{operation}");
        let request = signed_for((service, Some(&target)), &key, "POST", "/", body, Timestamp::now());
        let guarded = &guarded;
        async move {
            let (status, _, said) = guarded.send(request).await;
            let said: Value = serde_json::from_str(&said).unwrap();
            (status, said["__type"].as_str().unwrap_or_default().to_owned(), said.to_string())
        }
    };
    let (_, kind, _) = asked("batch", "GetLogEvents", &body).await;
    assert_eq!(kind, "InvalidSignatureException", "it is signed for another service");
    // A job that he may not see is not there.
    let (_, kind, _) = asked("logs", "GetLogEvents", &body).await;
    assert_eq!(kind, "ResourceNotFoundException");
    guarded.says.give("red", "get batchjobs.bulkhead.dev in all namespaces");
    let (status, kind, said) = asked("logs", "GetLogEvents", &body).await;
    let right = "get batchjobs.bulkhead.dev/log in namespace ns";
    assert!((status, kind.as_str()) == (400, "AccessDeniedException") && said.contains(right), "{said}");
    let elsewhere = json!({"logGroupName": "/other", "logStreamName": stream}).to_string();
    assert_eq!(asked("logs", "GetLogEvents", &elsewhere).await.1, kind, "the right comes before the group");
    assert!(said.contains("perform: logs:GetLogEvents on resource: arn:aws:logs:"), "{said}");
    let filter = json!({"logGroupName": "/aws/batch/job", "logStreamNames": [stream]}).to_string();
    assert_eq!(asked("logs", "FilterLogEvents", &filter).await.1, "AccessDeniedException");
    let all = json!({"logGroupName": "/aws/batch/job"}).to_string();
    assert!(!asked("logs", "DescribeLogStreams", &all).await.2.contains(&stream), "a list leaves it out");
    guarded.says.give("red", right);
    let (_, _, said) = asked("logs", "GetLogEvents", &body).await;
    assert!(said.contains("its pod is gone"), "there is no pod in this test: {said}");
    assert_eq!(asked("logs", "FilterLogEvents", &filter).await.0, 200);
    assert!(asked("logs", "DescribeLogStreams", &all).await.2.contains(&stream));
}

#[tokio::test]
async fn whoever_mounts_a_claim_needs_the_right_to_it_whichever_way_he_names_it() {
    let mut pod = definition("by-name");
    pod["eksProperties"]["podProperties"]["volumes"] =
        json!([{"name": "v", "persistentVolumeClaim": {"claimName": "fs-1"}}]);
    let volumes = json!([{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "rootDirectory": "/a"}}]);
    let container = json!({"image": "i", "vcpus": 1, "memory": 8, "volumes": volumes});
    let container = json!({"jobDefinitionName": "by-id", "type": "container", "containerProperties": container});
    for (name, definition) in [("by-name", pod), ("by-id", container)] {
        let guarded = Guarded::new().await;
        let key = guarded.key("red").await;
        guarded.world.ok("RegisterJobDefinition", definition).await;
        let job = json!({"jobName": "a", "jobQueue": "Q", "jobDefinition": name});
        let missing = guarded.missing(&key, "SubmitJob", &job).await;
        let right = "get persistentvolumeclaims fs-1 in namespace my-aws-batch-namespace";
        assert!(missing.contains(&right.to_owned()), "{name}: {missing:?}");
    }
}
