//! Tests of what `ListJobs` asks for.

use std::sync::Arc;

use model::job::{Attempt, ContainerEnd, JobId, JobRecord};
use serde_json::json;

use super::*;

fn read(body: Value) -> Result<(Option<JobState>, Option<By>, u32), String> {
    let (filter, size) = filter(&serde_json::from_value(body).unwrap()).map_err(|it| it.0)?;
    Ok((filter.state, filter.by, size))
}

#[test]
fn a_filter_sets_the_status_aside() {
    let by = |name: &str, value: &str| json!([{"name": name, "values": [value]}]);
    let time = Timestamp::from_millisecond(5).unwrap();
    for (body, expected) in [
        (json!({"jobQueue": "Q"}), (Some(JobState::Running), None, 1000)),
        (json!({"jobQueue": "Q", "jobStatus": "FAILED"}), (Some(JobState::Failed), None, 1000)),
        (json!({"jobQueue": "Q", "jobStatus": "FAILED", "maxResults": 7}), (Some(JobState::Failed), None, 7)),
        (
            json!({"jobQueue": "Q", "jobStatus": "FAILED", "filters": by("JOB_NAME", "a*")}),
            (None, Some(By::Name(Pattern::Prefix("a".to_owned()))), 100),
        ),
        (
            json!({"jobQueue": "Q", "filters": by("JOB_DEFINITION", "d")}),
            (None, Some(By::Definition(Pattern::Exact("d".to_owned()))), 100),
        ),
        (json!({"jobQueue": "Q", "filters": by("BEFORE_CREATED_AT", "5")}), (None, Some(By::CreatedBefore(time)), 100)),
        (json!({"jobQueue": "Q", "filters": by("AFTER_CREATED_AT", "5")}), (None, Some(By::CreatedAfter(time)), 100)),
    ] {
        assert_eq!(read(body.clone()), Ok(expected), "{body}");
    }
}

#[test]
fn a_list_is_of_one_thing() {
    let id = Uuid::from_u128(9);
    let scope = |body: Value| filter(&serde_json::from_value(body).unwrap()).map(|(filter, _)| filter.scope);
    let queue = Ok(Scope::Queue("Q".to_owned()));
    assert_eq!(scope(json!({"jobQueue": "arn:aws:batch:eu-west-1:1:job-queue/Q", "arrayJobId": ""})), queue);
    assert_eq!(scope(json!({"arrayJobId": id.to_string()})), Ok(Scope::Children(id)));
    let both = json!([{"name": "JOB_NAME", "values": ["a"]}, {"name": "JOB_NAME", "values": ["b"]}]);
    for wrong in [
        json!({}),
        json!({"jobQueue": "Q", "arrayJobId": id.to_string()}),
        json!({"multiNodeJobId": id.to_string()}),
        json!({"jobQueue": "Q", "jobStatus": "DONE"}),
        json!({"jobQueue": "Q", "filters": both}),
        json!({"jobQueue": "Q", "filters": [{"name": "SHARE_IDENTIFIER", "values": ["a"]}]}),
        json!({"jobQueue": "Q", "filters": [{"name": "X", "values": ["a"]}]}),
        json!({"jobQueue": "Q", "filters": [{"name": "BEFORE_CREATED_AT", "values": ["soon"]}]}),
        json!({"jobQueue": "Q", "maxResults": 1001}),
        json!({"jobQueue": "Q", "maxResults": 101, "filters": [{"name": "JOB_NAME", "values": ["a"]}]}),
    ] {
        assert!(scope(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn a_job_that_has_ended_says_how_its_last_attempt_did() {
    let end = ContainerEnd { name: "default".into(), exit_code: Some(3), ..ContainerEnd::default() };
    let attempt = Attempt {
        number: 2,
        containers: vec![ContainerEnd { reason: Some("Error".into()), ..end }],
        init_containers: vec![],
        pod_name: "p".into(),
        namespace: "ns".into(),
        node: "n".into(),
        started: None,
        stopped: Timestamp::UNIX_EPOCH,
        reason: None,
    };
    let spec = json!({"name": "n", "door": "api", "queue": "Q", "definition": "d", "pod": {}});
    let mut job = Kept {
        record: JobRecord::submitted(JobId::new(Uuid::nil()), Timestamp::UNIX_EPOCH),
        spec: Arc::new(serde_json::from_value(spec).unwrap()),
        attempts: vec![attempt],
        children: None,
        requested: None,
    };
    let shown = |job: &Kept| {
        summary(job, &ArnBase::default(), &Known { now: Timestamp::UNIX_EPOCH, fronts: None }).get("container").cloned()
    };
    assert_eq!(shown(&job), None, "it is tried again");
    job.record.stopped = Some(Timestamp::UNIX_EPOCH);
    assert_eq!(shown(&job), Some(json!({"exitCode": 3, "reason": "Error"})));
    job.attempts.clear();
    assert_eq!(shown(&job), None, "it never ran");
}
