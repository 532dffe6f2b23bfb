//! Whether Deployments and `StatefulSets` have rolled out and, if not, why: pure, from the objects as read.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// What is read of a Deployment or a `StatefulSet`.
struct Workload {
    name: String,
    wanted: i32,
    updated: i32,
    available: i32,
    /// Its numbers are of its current template, and no replica is missing.
    settled: bool,
    /// What its controller says.
    refused: Vec<String>,
    /// What its pods' names have after its own, in parts between hyphens.
    suffix: usize,
}

impl From<&Deployment> for Workload {
    fn from(deployment: &Deployment) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        let refused =
            status.conditions.iter().flatten().filter(|it| it.type_ == "ReplicaFailure" && it.status == "True");
        Self {
            name: deployment.metadata.name.clone().unwrap_or_default(),
            wanted: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
            updated: status.updated_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            settled: status.observed_generation >= deployment.metadata.generation
                && status.unavailable_replicas.unwrap_or(0) == 0,
            refused: refused.filter_map(|it| it.message.clone()).collect(),
            suffix: 2,
        }
    }
}

impl From<&StatefulSet> for Workload {
    fn from(set: &StatefulSet) -> Self {
        let status = set.status.clone().unwrap_or_default();
        // Once all are updated the field for the updated ones is left out, and the two revisions are the same.
        let same = status.current_revision == status.update_revision;
        Self {
            name: set.metadata.name.clone().unwrap_or_default(),
            wanted: set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
            updated: if same { status.replicas } else { status.updated_replicas.unwrap_or(0) },
            available: status.available_replicas.unwrap_or(0),
            settled: status.observed_generation >= set.metadata.generation && same,
            refused: Vec::new(),
            suffix: 1,
        }
    }
}

/// One line for everything that is not completely rolled out; empty means all is.
pub(super) fn missing(deployments: &[Deployment], sets: &[StatefulSet], pods: &[Pod]) -> Vec<String> {
    let workloads = deployments.iter().map(Workload::from).chain(sets.iter().map(Workload::from));
    workloads.filter_map(|workload| missing_of(&workload, pods)).collect()
}

fn missing_of(workload: &Workload, pods: &[Pod]) -> Option<String> {
    let Workload { name, wanted, updated, available, settled, refused, suffix } = workload;
    // Old replicas still there are not a reason to wait: they only end.
    if *settled && updated >= wanted && available >= wanted {
        return None;
    }
    let mut why = refused.clone();
    why.extend(pods.iter().filter(|pod| belongs(pod, name, *suffix)).filter_map(pod_problem));
    why.sort();
    why.dedup();
    let why = if why.is_empty() { "no pod says why yet".to_owned() } else { why.join("; ") };
    Some(format!("{name}: {updated}/{wanted} updated, {available}/{wanted} available: {why}"))
}

/// Pods are named `<deployment>-<replica set>-<pod>` and `<stateful set>-<number>`; those that end do not matter any more.
fn belongs(pod: &Pod, workload: &str, suffix: usize) -> bool {
    if pod.metadata.deletion_timestamp.is_some() {
        return false;
    }
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    name.rsplitn(suffix + 1, '-').last() == Some(workload)
}

fn pod_problem(pod: &Pod) -> Option<String> {
    let name = pod.metadata.name.as_deref().unwrap_or("?");
    let status = pod.status.as_ref()?;
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let unscheduled = conditions.iter().find(|it| it.type_ == "PodScheduled" && it.status == "False");
    if let Some(condition) = unscheduled {
        return Some(format!(
            "{name} is not scheduled ({})",
            condition.message.as_deref().unwrap_or("no reason given")
        ));
    }
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    containers.iter().find_map(container_problem).map(|(container, problem)| format!("{name}/{container} {problem}"))
}

fn container_problem(container: &ContainerStatus) -> Option<(String, String)> {
    if container.ready {
        return None;
    }
    let state = container.state.as_ref();
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let ended =
        [state, container.last_state.as_ref()].into_iter().flatten().find_map(|state| state.terminated.as_ref());
    let now = match waiting {
        Some(waiting) => {
            let message = waiting.message.as_deref().map(|message| format!(" ({message})")).unwrap_or_default();
            format!("waits: {}{message}", waiting.reason.as_deref().unwrap_or("no reason given"))
        }
        None => "runs but is not ready".to_owned(),
    };
    let before = ended.map(|ended| {
        let reason = ended.reason.as_deref().unwrap_or("no reason given");
        format!(", ended before with exit code {} ({reason})", ended.exit_code)
    });
    Some((container.name.clone(), now + &before.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(deployment_status: &Value, pod_status: &Value, expect: &[&str]) {
        let deployment = json!({
            "metadata": {"name": "bulkhead-webhook", "generation": 2},
            "spec": {"replicas": 2, "selector": {}, "template": {}},
            "status": deployment_status,
        });
        let pod = json!({"metadata": {"name": "bulkhead-webhook-5d4f-x7k2p"}, "status": pod_status});
        let other = json!({"metadata": {"name": "bulkhead-controller-5d4f-x7k2p"}, "status": {
            "containerStatuses": [{"name": "c", "ready": false, "image": "", "imageID": "", "restartCount": 0}]}});
        let read = |value| serde_json::from_value(value).unwrap();
        let pods = [read(pod), serde_json::from_value(other).unwrap()];
        assert_eq!(missing(&[serde_json::from_value(deployment).unwrap()], &[], &pods), expect);
    }

    fn container(more: &Value) -> Value {
        let mut status = json!({"name": "webhook", "ready": false, "image": "", "imageID": "", "restartCount": 0});
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"containerStatuses": [status]})
    }

    #[test]
    fn a_deployment_with_all_replicas_new_and_available_is_complete() {
        let status = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        check(&status, &json!({}), &[]);
    }

    #[test]
    fn an_old_generation_or_old_replicas_are_not_enough() {
        let status = json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        check(&status, &json!({}), &["bulkhead-webhook: 2/2 updated, 2/2 available: no pod says why yet"]);
        let status = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1, "availableReplicas": 2});
        check(&status, &json!({}), &["bulkhead-webhook: 1/2 updated, 2/2 available: no pod says why yet"]);
    }

    #[test]
    fn the_reason_comes_from_pods_and_conditions() {
        check(
            &json!({"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "quota"}]}),
            &json!({}),
            &["bulkhead-webhook: 0/2 updated, 0/2 available: quota"],
        );
        check(
            &json!({}),
            &json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]}),
            &["bulkhead-webhook: 0/2 updated, 0/2 available: \
               bulkhead-webhook-5d4f-x7k2p is not scheduled (0/1 nodes are available)"],
        );
        check(
            &json!({}),
            &container(&json!({"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}})),
            &["bulkhead-webhook: 0/2 updated, 0/2 available: \
               bulkhead-webhook-5d4f-x7k2p/webhook waits: ImagePullBackOff (not found)"],
        );
        check(
            &json!({}),
            &container(&json!({
                "state": {"running": {}},
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
            })),
            &["bulkhead-webhook: 0/2 updated, 0/2 available: \
               bulkhead-webhook-5d4f-x7k2p/webhook runs but is not ready, ended before with exit code 1 (Error)"],
        );
    }
}
