//! What is sent: a job definition, submissions of jobs made of it, questions about jobs.
//!
//! Invariant: the body with a number is always the same, and no two submissions have the same name.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use model::job::JobId;
use serde_json::{Value, json};
use uuid::Uuid;

/// Environment, queue and definition have the same name.
pub(super) const NAME: &str = "bench";
/// Names of jobs that were submitted while it was measured begin so.
pub(super) const RUN: &str = "run-";
/// Jobs asked for at once: as many as `DescribeJobs` takes.
pub(super) const DESCRIBED: usize = 100;
/// The most children that an array job can have.
pub(super) const CHILDREN: u32 = 10_000;

/// When the first job was submitted of those that were there before: 2026-01-01T00:00:00Z.
const FILLED: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// What `RegisterJobDefinition` is sent.
pub(super) fn definition() -> Value {
    json!({
        "jobDefinitionName": NAME,
        "type": "container",
        "parameters": {"input": "s3://bucket/none"},
        "retryStrategy": {"attempts": 3, "evaluateOnExit": [{"onReason": "Evicted*", "action": "RETRY"}]},
        "timeout": {"attemptDurationSeconds": 3600},
        "eksProperties": {"podProperties": {
            "metadata": {"labels": {"team": "genomics", "stage": "alignment"}},
            "containers": [{
                "name": "main",
                "image": "registry.example.com/genomics/align:2.17.1",
                "command": ["/usr/bin/align", "--input", "Ref::input", "--reference", "/data/reference.fa"],
                "env": [{"name": "THREADS", "value": "4"}, {"name": "LOG_LEVEL", "value": "info"}],
                "resources": {
                    "limits": {"cpu": "4", "memory": "8192Mi"},
                    "requests": {"cpu": "4", "memory": "8192Mi"},
                },
            }],
        }},
    })
}

/// What `SubmitJob` is sent.
pub(super) fn submission(name: &str, children: Option<u32>) -> Vec<u8> {
    let mut body = json!({
        "jobName": name,
        "jobQueue": NAME,
        "jobDefinition": NAME,
        "parameters": {"input": format!("s3://bucket/samples/{name}.fastq")},
        "eksPropertiesOverride": {"podProperties": {"containers": [
            {"name": "main", "env": [{"name": "SAMPLE", "value": name}]},
        ]}},
        "tags": {"project": "P-1742"},
    });
    if let Some(size) = children {
        body["arrayProperties"] = json!({"size": size});
    }
    body.to_string().into_bytes()
}

/// The name of the submission of this number.
pub(super) fn name(number: usize) -> String {
    format!("{RUN}{number}")
}

/// The id of the job of this number that was there before: submitted some time ago, two in a millisecond.
pub(super) fn id(number: usize) -> JobId {
    let random = Uuid::new_v3(&Uuid::NAMESPACE_OID, format!("job {number}").as_bytes());
    let since = i64::try_from(number / 2).map_or(SignedDuration::ZERO, SignedDuration::from_millis);
    JobId::made(random, FILLED.checked_add(since).unwrap_or(FILLED))
}

/// The ids that the question of this number is about, out of those with numbers 1 to `count`, no two the same. `count` is at least
/// [`DESCRIBED`].
pub(super) fn drawn(question: usize, count: usize) -> Vec<JobId> {
    let mut drawn = BTreeSet::new();
    let mut number = 0;
    while drawn.len() < DESCRIBED.min(count) {
        let (high, _) =
            Uuid::new_v3(&Uuid::NAMESPACE_OID, format!("draw {question} {number}").as_bytes()).as_u64_pair();
        drawn.insert(1 + usize::try_from(high).unwrap_or_default() % count);
        number += 1;
    }
    drawn.into_iter().map(id).collect()
}

/// What `DescribeJobs` is sent.
pub(super) fn question(ids: &[JobId]) -> Vec<u8> {
    json!({"jobs": ids}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_question_is_about_jobs_that_are_there_and_about_each_once() {
        for count in [DESCRIBED, 150, 1_000_000] {
            let (first, second) = (drawn(1, count), drawn(2, count));
            assert_eq!(first.iter().collect::<HashSet<_>>().len(), DESCRIBED, "of {count}");
            assert_eq!((first == drawn(1, count), first == second), (true, count == DESCRIBED), "of {count}");
        }
        let there: HashSet<JobId> = (1..=150).map(id).collect();
        assert!(drawn(3, 150).iter().all(|id| there.contains(id)));
    }

    #[test]
    fn a_submission_is_about_as_long_as_users_write_them() {
        let length = submission(&name(12_345), Some(CHILDREN)).len();
        assert!((300..600).contains(&length), "{length} bytes");
    }
}
