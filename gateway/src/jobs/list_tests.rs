//! Tests of what `ListJobs` asks for.

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
        (json!({"jobQueue": "Q"}), (Some(JobState::Running), None, 100)),
        (json!({"jobQueue": "Q", "jobStatus": "FAILED", "maxResults": 1000}), (Some(JobState::Failed), None, 1000)),
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
        json!({"jobQueue": "Q", "maxResults": 101, "filters": [{"name": "JOB_NAME", "values": ["a"]}]}),
    ] {
        assert!(scope(wrong.clone()).is_err(), "{wrong}");
    }
}
