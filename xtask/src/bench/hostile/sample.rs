//! What a hostile namespace makes. Decides only.
//!
//! Invariant: each Job is of the largest kind that is kept, right below each threshold; that it is, a test asks of what judges it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Of the namespace, its queue and the environment of that, which has no node.
pub(super) const NAME: &str = "bench-hostile";
/// Another namespace with the same queue.
pub(super) const HONEST: &str = "bench-honest";

/// What there is on the cluster.
pub(super) fn objects() -> String {
    let namespace = |name: &str| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{bulkhead.dev/queue: {NAME}}}}}\n")
    };
    let queue = format!(
        "apiVersion: bulkhead.dev/v1alpha1
kind: ComputeEnvironment
metadata: {{name: {NAME}}}
spec: {{type: UNMANAGED, namespace: {NAME}}}
---
apiVersion: bulkhead.dev/v1alpha1
kind: JobQueue
metadata: {{name: {NAME}}}
spec: {{computeEnvironments: [{NAME}]}}
"
    );
    [namespace(NAME), namespace(HONEST), queue].join("---\n")
}

/// Gives containers other requests, so that what each job needs of a node is made anew.
pub(super) fn limit_range() -> String {
    let limits = json!([{"type": "Container", "defaultRequest": {"ephemeral-storage": "1Mi"}}]);
    let metadata = json!({"name": "other", "namespace": NAME});
    json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": {"limits": limits}}).to_string()
}

/// A small Job.
pub(super) fn honest() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "honest"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}},
    })
}

/// A Job of which as much is kept as of any.
pub(super) fn job(number: usize) -> Value {
    let selector: BTreeMap<String, String> =
        (0..SELECTORS).map(|entry| (format!("{}com/k{entry}", "example.".repeat(6)), format!("{entry:063}"))).collect();
    let containers: Vec<Value> = (0..CONTAINERS).map(container).collect();
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": format!("job-{number}"), "annotations": {"example.com/text": "x".repeat(4_000)}},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "nodeSelector": selector, "containers": containers}}},
    })
}

const SELECTORS: usize = 30;
const CONTAINERS: usize = 8;

fn container(number: usize) -> Value {
    let mut container = json!({
        "name": format!("c{number}"),
        "image": "i",
        "args": vec!["x".repeat(20); 18],
        "resources": {"requests": {"cpu": "1", "memory": "1Mi"}},
    });
    if number == 0 {
        // Read, and not kept.
        container["env"] = json!([{"name": "E", "value": "x".repeat(7_000)}]);
    }
    container
}

/// A Job nearly as large as etcd takes: half of it labels, half of it who wrote them.
pub(super) fn large(number: usize) -> Value {
    let labels: BTreeMap<String, String> =
        (0..18_500).map(|entry| (format!("example.com/l{entry:06}"), format!("{entry:020}"))).collect();
    let mut job = honest();
    job["metadata"] = json!({"name": format!("large-{number}"), "labels": labels});
    job
}

/// Children of an array job.
pub(super) const CHILDREN: usize = 10_000;

/// What `RegisterJobDefinition` is sent.
pub(super) fn definition() -> Value {
    let container = json!({"image": "i", "resources": {"requests": {"cpu": "0.25", "memory": "16Mi"}}});
    json!({
        "jobDefinitionName": NAME, "type": "container", "eksProperties": {"podProperties": {"containers": [container]}},
    })
}

/// An array job; each of its children waits twenty times for one of another.
pub(super) fn array(after: Option<&str>) -> Value {
    let mut body =
        json!({"jobName": "array", "jobQueue": NAME, "jobDefinition": NAME, "arrayProperties": {"size": CHILDREN}});
    if let Some(after) = after {
        body["dependsOn"] = json!(vec![json!({"jobId": after, "type": "N_TO_N"}); 20]);
    }
    body
}

/// A job that shares nothing with others.
pub(super) fn unlike(number: usize) -> Value {
    let condition = |entry: usize| {
        let (word, digits) = (format!("{number:0256}{entry:0256}"), format!("{number:0512}"));
        json!({"onStatusReason": word, "onReason": word, "onExitCode": digits, "action": "RETRY"})
    };
    let conditions: Vec<Value> = (0..6).map(condition).collect();
    json!({
        "jobName": "unlike", "jobQueue": NAME, "jobDefinition": NAME,
        "retryStrategy": {"attempts": 10, "evaluateOnExit": conditions},
    })
}

#[cfg(test)]
mod tests {
    use api::convert::job;
    use model::keys;

    use super::*;

    #[test]
    fn a_job_is_kept_and_no_larger_one_would_be() {
        let mut object = super::job(7);
        object["metadata"]["labels"] = json!({keys::QUEUE: NAME, keys::JOB_ID: "2d044787-c663-4ce6-a6fe-f2baf7e51b04"});
        let record = job::job(&serde_json::from_value(object.clone()).unwrap(), &mut Vec::new()).unwrap();
        assert_eq!(record.job.barred, None);
        let asked = record.asked.unwrap().pod.len();
        assert!(record.size > 7_500 && (3_700..=4_096).contains(&asked), "{} and {asked} bytes", record.size);
        object["spec"]["template"]["spec"]["nodeSelector"]["one-more"] = json!("x".repeat(8_192 - record.size));
        let record = job::job(&serde_json::from_value(object).unwrap(), &mut Vec::new()).unwrap();
        assert!(record.job.barred.is_some());
    }

    #[test]
    fn a_large_job_is_nearly_as_large_as_it_may_be() {
        let labels = large(1)["metadata"]["labels"].as_object().unwrap().clone();
        // Each is in the managed fields once more.
        let bytes: usize = labels.iter().map(|(key, value)| 2 * key.len() + value.as_str().unwrap().len() + 14).sum();
        assert!((1_300_000..1_450_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn submissions_are_as_large_as_the_api_takes_and_differ() {
        assert!(unlike(1).to_string().len() < 30 << 10);
        assert_ne!(unlike(1), unlike(2));
        assert_eq!(array(Some("x"))["dependsOn"].as_array().unwrap().len(), 20);
    }
}
