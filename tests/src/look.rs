//! Questions about objects that many tests ask.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, Node, Pod};
use kube::ResourceExt as _;
use model::keys;
use model::status::Status;

/// State and reason that Bulkhead has written on a Job.
pub type JobStatus = Status;

/// The value of a variable of a container, if it is a literal.
pub fn env_of<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    container.env.iter().flatten().find(|variable| variable.name == name)?.value.as_deref()
}

/// The completion index of a pod.
pub fn pod_index(pod: &Pod) -> Option<u32> {
    pod.annotations().get(keys::K8S_COMPLETION_INDEX)?.parse().ok()
}

/// Whether a node is Ready.
pub fn ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// State and reason that Bulkhead has written on a Job.
pub(crate) fn status_of(job: &Job) -> Option<JobStatus> {
    serde_json::from_str(job.annotations().get(keys::STATUS)?).ok()
}
