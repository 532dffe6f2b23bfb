//! Tests of what is kept of a Job.

#![allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]

use super::*;
use model::status::{Code, Reason, Status};
use serde_json::{Value, json};

fn kept(change: impl FnOnce(&mut Value)) -> Option<WatchedJob> {
    let mut object = json!({
        "metadata": {
            "namespace": "n", "name": "j", "uid": "job-1", "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"bulkhead.dev/queue": "q", "batch.amazonaws.com/job-id": "id"}, "annotations": {},
        },
        "spec": {"completions": 1, "parallelism": 1, "template": {"spec": {"containers": [{"name": "c"}]}}},
        "status": {},
    });
    change(&mut object);
    job(&serde_json::from_value(object).unwrap(), &mut Problems::new())
}

fn record(change: impl FnOnce(&mut Value)) -> WatchedJob {
    kept(change).unwrap()
}

#[test]
fn a_job_is_in_a_queue_with_both_labels() {
    assert!(kept(|_| ()).is_some());
    assert!(kept(|job| job["metadata"]["labels"]["bulkhead.dev/queue"] = json!("none")).is_none());
    assert!(kept(|job| job["metadata"]["labels"] = json!({"bulkhead.dev/queue": "q"})).is_none());
    assert!(kept(|job| job["metadata"]["labels"] = json!({"batch.amazonaws.com/job-id": "id"})).is_none());
}

#[test]
fn the_pods_still_to_succeed_follow_from_spec_and_status() {
    for (completions, status, expected) in [
        (json!(5), json!({}), Some(5)),
        (json!(5), json!({"succeeded": 2}), Some(3)),
        (json!(5), json!({"succeeded": 9}), Some(0)),
        (json!(9), json!({"succeeded": 2, "failedIndexes": "1,3-5"}), Some(3)),
        (json!(9), json!({"failedIndexes": "x,5-3"}), Some(9)),
        (json!(null), json!({}), None),
        (json!(null), json!({"succeeded": 1}), Some(0)),
    ] {
        let found = record(|job| {
            job["spec"]["completions"] = completions;
            job["status"] = status;
        });
        assert_eq!(found.job.remaining, expected);
    }
}

#[test]
fn what_users_and_we_wrote_is_read() {
    let plain = record(|_| ()).job;
    assert_eq!((plain.held, plain.released, plain.has_deadline, plain.started), (false, false, false, None));
    assert_eq!((plain.parallelism, plain.status), (1, None));
    let job = record(|job| {
        job["spec"]["activeDeadlineSeconds"] = json!(60);
        job["spec"]["parallelism"] = json!(4);
        job["status"]["startTime"] = json!("2026-01-02T03:05:00Z");
        job["metadata"]["annotations"] = json!({
            keys::SUSPEND: "true",
            keys::RELEASED: "true",
            keys::STATUS: r#"{"state":"PENDING","code":"HELD","message":"m"}"#,
        });
    })
    .job;
    assert_eq!((job.held, job.released, job.has_deadline, job.parallelism), (true, true, true, 4));
    assert_eq!(job.started, Some("2026-01-02T03:05:00Z".parse().unwrap()));
    let reason = Some(Reason { code: Code::Held, message: "m".to_owned() });
    assert_eq!(job.status, Some(Status { state: JobState::Pending, reason }));
    let broken = record(|job| job["metadata"]["annotations"] = json!({keys::STATUS: "{", keys::SUSPEND: "yes"}));
    assert_eq!((broken.job.status, broken.job.held), (None, false));
}

#[test]
fn a_job_has_ended_when_its_condition_says_so() {
    for (kind, status, expected) in [
        ("Complete", "True", Some(JobState::Succeeded)),
        ("Failed", "True", Some(JobState::Failed)),
        ("Failed", "False", None),
        ("Suspended", "True", None),
        ("FailureTarget", "True", None),
    ] {
        let found = record(|job| job["status"]["conditions"] = json!([{"type": kind, "status": status}]));
        assert_eq!(found.ended, expected, "{kind} {status}");
    }
}

#[test]
fn the_shape_is_that_of_the_pods_to_come() {
    let mut record = record(|_| ());
    assert!(record.job.shape.judged);
    assert_eq!(record.job.shape.requests, Resources::default().with("pods", 1));
    let added = Additions { once: Resources::new(250, 1024), ..Additions::default() };
    record.size(record.requests(&added), None);
    assert_eq!(record.job.shape.requests, Resources::new(250, 1024).with("pods", 1));
    let spread = kept(|job| {
        job["spec"]["template"]["spec"]["topologySpreadConstraints"] =
            json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]);
    });
    assert!(!spread.unwrap().job.shape.judged);
}
