//! A job of one container as the API shows it: `container` and `attempts`
//! (<https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerDetail.html>).
//!
//! Invariant: pure. That memory ran out or an image cannot be pulled is told in the words of Amazon ECS, which clients and retry strategies look
//! for; other reasons are the cluster's.

use jiff::Timestamp;
use model::job::{Attempt, ContainerEnd};
use model::status::JobState;
use planning::lifecycle::texts;
use records::Kept;
use serde_json::{Map, Value, json};

use super::pod::{EXECUTION, written};
use super::properties::ContainerProperties;
use crate::jobs::Members;
use crate::logs;

/// `statusReason` of a job whose container has ended well; others have their own, and an array has no container.
pub(crate) fn went_well(job: &Kept) -> Option<&'static str> {
    let Kept { record, spec, .. } = job;
    let has_container = spec.container.is_some() && (spec.array_size.is_none() || record.id.child.is_some());
    (has_container && record.state == JobState::Succeeded).then_some(texts::CONTAINER_EXITED)
}

/// What of a container its pod does not say, for the job's record.
pub(crate) fn rest(properties: ContainerProperties) -> Option<Map<String, Value>> {
    let mut rest = serde_json::to_value(properties).ok()?;
    let members = rest.as_object_mut()?;
    members.remove("command");
    members.remove("environment");
    Some(std::mem::take(members))
}

/// `container`: what was asked for, and how the last attempt ended.
pub(crate) fn container(job: &Kept, rest: &Map<String, Value>) -> Value {
    let Kept { record, spec, attempts, .. } = job;
    let mut shown = Members(rest.clone());
    let pod = &spec.pod["containers"][0];
    shown.set("command", texts_of(&pod["args"]));
    shown.set("environment", environment(&pod["env"]));
    shown.set("networkInterfaces", json!([]));
    let last = attempts.last().filter(|_| record.stopped.is_some());
    if let Some(end) = last.and_then(|last| last.containers.first()) {
        shown.maybe("exitCode", end.exit_code);
        shown.maybe("reason", reason(end));
    }
    // Before a container has run there is no output.
    let attempt = record.placed.as_ref().map(|_| record.attempt).or(last.map(|last| last.number));
    shown.maybe("logStreamName", record.started.and(attempt).map(|attempt| logs::stream_of(job, attempt)));
    Value::Object(shown.0)
}

/// `attempts`.
pub(crate) fn attempts(job: &Kept) -> Value {
    job.attempts.iter().map(|one| attempt(one, job)).collect()
}

fn attempt(attempt: &Attempt, job: &Kept) -> Value {
    let mut container = Members::default();
    if let Some(end) = attempt.containers.first() {
        container.maybe("exitCode", end.exit_code);
        container.maybe("reason", reason(end));
    }
    container.maybe("logStreamName", attempt.started.map(|_| logs::stream_of(job, attempt.number)));
    container.set("networkInterfaces", json!([]));
    let mut shown = Members::default();
    shown.set("container", Value::Object(container.0));
    shown.maybe("startedAt", attempt.started.map(Timestamp::as_millisecond));
    shown.put("stoppedAt", attempt.stopped.as_millisecond());
    shown.put("statusReason", attempt.reason.as_deref().unwrap_or(texts::CONTAINER_EXITED));
    Value::Object(shown.0)
}

/// Why a container ended, if there is more to it than its exit code.
pub(crate) fn reason(end: &ContainerEnd) -> Option<&str> {
    match end.reason.as_deref() {
        Some("OOMKilled") => Some(texts::OUT_OF_MEMORY),
        Some("Completed" | "Error") => None,
        other => other,
    }
}

/// Texts as they were written.
fn texts_of(list: &Value) -> Value {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(written).collect()
}

fn environment(list: &Value) -> Value {
    let shown = |variable: &Value| {
        let value = variable["value"].as_str().map(written).unwrap_or_default();
        json!({"name": variable["name"], "value": value})
    };
    let (name, values) = EXECUTION;
    let is_own = |(at, variable): &(usize, &Value)| {
        *at == 0 && variable["name"] == name && values.iter().any(|value| variable["value"] == *value)
    };
    let all = list.as_array().into_iter().flatten().enumerate();
    all.filter(|one| !is_own(one)).map(|(_, variable)| shown(variable)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::job::{JobId, JobRecord};
    use uuid::Uuid;

    use super::*;

    fn time(seconds: i64) -> Option<Timestamp> {
        Timestamp::from_second(seconds).ok()
    }

    fn job(state: &str, ends: &[(Option<i32>, Option<&str>, Option<&str>)]) -> Kept {
        let spec = json!({"name": "n", "door": "api", "queue": "Q",
            "definition": "arn:aws:batch:r:1:job-definition/Def:3",
            "pod": {"containers": [{"image": "i", "args": ["echo", "$$(A)"], "env": [
                {"name": "AWS_EXECUTION_ENV", "value": "AWS_ECS_EC2"}, {"name": "B", "value": "$$"}]}]}});
        let id = JobId::new(Uuid::from_u128(1));
        let mut record = JobRecord::submitted(id, Timestamp::UNIX_EPOCH);
        record.state = serde_json::from_value(json!(state)).unwrap();
        let attempts: Vec<Attempt> = (1..)
            .zip(ends)
            .map(|(number, (exit_code, reason, status))| Attempt {
                number,
                containers: vec![ContainerEnd {
                    name: "default".into(),
                    container_id: None,
                    exit_code: *exit_code,
                    reason: reason.map(str::to_owned),
                }],
                init_containers: vec![],
                pod_name: format!("p{number}"),
                namespace: "ns".into(),
                node: "n".into(),
                started: time(1),
                stopped: time(2).unwrap(),
                reason: status.map(str::to_owned),
            })
            .collect();
        if !attempts.is_empty() {
            (record.started, record.stopped) = (time(1), time(2));
        }
        Kept {
            record,
            spec: Arc::new(serde_json::from_value(spec).unwrap()),
            attempts,
            children: None,
            requested: None,
        }
    }

    #[test]
    fn a_container_is_shown_as_it_was_written() {
        let read = json!({"image": "i", "vcpus": 1, "memory": 4, "command": ["x"], "environment": [{"name": "y"}], "user": "7"});
        let rest = rest(serde_json::from_value(read).unwrap()).unwrap();
        let shown = container(&job("RUNNABLE", &[]), &rest);
        let expect = json!({"image": "i", "vcpus": 1, "memory": 4, "user": "7", "command": ["echo", "$(A)"],
            "environment": [{"name": "B", "value": "$"}], "volumes": [], "mountPoints": [], "ulimits": [],
            "resourceRequirements": [], "secrets": [], "networkInterfaces": []});
        assert_eq!(shown, expect);
    }

    #[test]
    fn what_runs_has_a_log_and_what_starts_has_none_yet() {
        let mut running = job("RUNNING", &[(Some(3), Some("Error"), Some("s"))]);
        let placed = json!({"podName": "p9", "namespace": "ns", "node": "n", "nodeUid": "u", "environment": "e", "environmentUuid": "f"});
        running.record.placed = Some(serde_json::from_value(placed).unwrap());
        running.record.stopped = None;
        let shown = container(&running, &Map::new());
        assert_eq!(
            (&shown["logStreamName"], shown.get("exitCode")),
            (&json!("Def/default/00000000-0000-0000-0000-000000000001-1"), None)
        );
        running.record.started = None;
        assert_eq!(container(&running, &Map::new()).get("logStreamName"), None);
    }

    #[test]
    fn what_went_well_says_so_and_an_array_has_no_container() {
        let mut ended = job("SUCCEEDED", &[(Some(0), Some("Completed"), None)]);
        let mut with = |container: bool, size: Option<u32>, child: Option<u32>| {
            let spec = Arc::make_mut(&mut ended.spec);
            (spec.container, spec.array_size) = (container.then(Default::default), size);
            ended.record.id = JobId { child, ..ended.record.id };
            went_well(&ended).is_some()
        };
        assert_eq!((with(true, None, None), with(false, None, None)), (true, false));
        assert_eq!((with(true, Some(2), None), with(true, Some(2), Some(1))), (false, true));
    }

    #[test]
    fn ends_are_in_the_words_of_amazon_ecs() {
        let ended = job("FAILED", &[(Some(137), Some("OOMKilled"), Some("s")), (Some(0), Some("Completed"), None)]);
        let shown = container(&ended, &Map::new());
        assert_eq!((&shown["exitCode"], shown.get("reason")), (&json!(0), None));
        assert_eq!(shown["logStreamName"], "Def/default/00000000-0000-0000-0000-000000000001-2");
        let first = json!({"container": {"exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage",
            "logStreamName": "Def/default/00000000-0000-0000-0000-000000000001-1", "networkInterfaces": []}, "startedAt": 1000, "stoppedAt": 2000, "statusReason": "s"});
        let second = json!({"container": {"exitCode": 0, "logStreamName": "Def/default/00000000-0000-0000-0000-000000000001-2", "networkInterfaces": []},
            "startedAt": 1000, "stoppedAt": 2000, "statusReason": "Essential container in task exited"});
        assert_eq!(attempts(&ended), json!([first, second]));
        let error = job("FAILED", &[(Some(1), Some("Error"), Some("s"))]);
        assert_eq!(attempts(&error)[0]["container"].get("reason"), None, "its exit code says as much");
        let none = job("FAILED", &[(None, Some("CannotPullContainerError: no"), Some("s"))]);
        assert_eq!(attempts(&none)[0]["container"]["reason"], "CannotPullContainerError: no");
    }
}
