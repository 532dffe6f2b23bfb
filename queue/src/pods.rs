//! What is done to pods: bind them, or hand them to kube-scheduler with room held.
//!
//! Invariant: node UID, environment and attempt are on the pod when a kubelet first sees it, because one write puts them there
//! together with the node's name (`pods/binding` merges annotations, and from Kubernetes 1.35 labels, KEP-4742).

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use model::keys;
use model::plan::{Dispatch, Hold};
use serde_json::{Value, json};

use crate::cycle::Context;

/// Requests under way at the same time.
const IN_FLIGHT: usize = 32;

/// Runs all, a bounded number at the same time.
pub(crate) async fn together<T>(all: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    stream::iter(all).buffer_unordered(IN_FLIGHT).collect().await
}

/// Binds all; returns those that are bound.
pub(crate) async fn bind_all<'a>(context: &Context, dispatches: &'a [Dispatch]) -> Vec<&'a Dispatch> {
    let bind = |dispatch: &'a Dispatch| async move { bind(context, dispatch).await.then_some(dispatch) }.boxed();
    together(dispatches.iter().map(bind).collect()).await.into_iter().flatten().collect()
}

async fn bind(context: &Context, dispatch: &Dispatch) -> bool {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &dispatch.unit.namespace);
    // Before the request: the watch may show the pod bound before the answer is here.
    context.index.assume_bound(&dispatch.uid, &dispatch.node, Timestamp::now());
    let body = binding(dispatch);
    let answer =
        pods.create_subresource::<Value, Value>("binding", &dispatch.unit.name, &PostParams::default(), &body).await;
    if let Err(error) = answer {
        context.index.forget(&dispatch.uid);
        tracing::warn!(pod = %dispatch.unit, node = dispatch.node, error = cluster::telemetry::chain(&error), "cannot bind");
        return false;
    }
    if context.config.label_after_bind {
        let labels = json!({"metadata": {"uid": dispatch.uid, "labels": labels(dispatch)}});
        if let Err(error) = pods.patch(&dispatch.unit.name, &PatchParams::default(), &Patch::Merge(labels)).await {
            tracing::warn!(pod = %dispatch.unit, error = cluster::telemetry::chain(&error), "cannot label a bound pod");
        }
    }
    true
}

fn labels(dispatch: &Dispatch) -> Value {
    json!({keys::NODE_UID: dispatch.node_uid, keys::CE_UUID: dispatch.environment_uuid})
}

/// The Binding of a dispatch.
fn binding(dispatch: &Dispatch) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {
            "name": dispatch.unit.name,
            "namespace": dispatch.unit.namespace,
            "uid": dispatch.uid,
            "labels": labels(dispatch),
            "annotations": {
                keys::NODE_UID: dispatch.node_uid,
                keys::COMPUTE_ENVIRONMENT: dispatch.environment,
                keys::ATTEMPT: dispatch.attempt.to_string(),
            },
        },
        "target": {"apiVersion": "v1", "kind": "Node", "name": dispatch.node},
    })
}

/// Hands all to kube-scheduler; false if one failed.
pub(crate) async fn hold_all(context: &Context, holds: &[Hold]) -> bool {
    let done = together(holds.iter().map(|one| hold(context, one).boxed()).collect()).await;
    done.into_iter().all(|done| done)
}

async fn hold(context: &Context, hold: &Hold) -> bool {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &hold.unit.namespace);
    context.index.assume_held(&hold.uid, &hold.nodes, Timestamp::now());
    let patch = Patch::Strategic(holding(hold));
    if let Err(error) = pods.patch(&hold.unit.name, &PatchParams::default(), &patch).await {
        context.index.forget(&hold.uid);
        tracing::warn!(pod = %hold.unit, error = cluster::telemetry::chain(&error), "cannot hand to kube-scheduler");
        return false;
    }
    true
}

/// The patch that removes our gate and names the nodes with room; gates of others stay (strategic merge by name).
fn holding(hold: &Hold) -> Value {
    let mut patch = json!({
        "metadata": {
            "uid": hold.uid,
            "labels": {keys::CE_UUID: hold.environment_uuid},
            "annotations": {
                keys::HOLD: hold.nodes.join(","),
                keys::COMPUTE_ENVIRONMENT: hold.environment,
                keys::ATTEMPT: hold.attempt.to_string(),
            },
        },
    });
    if hold.first {
        patch["spec"] = json!({
            "schedulingGates": [{"$patch": "delete", "name": keys::GATE}],
            "nodeSelector": {keys::CE_UUID: hold.environment_uuid},
        });
    }
    patch
}

#[cfg(test)]
mod tests {
    use model::snapshot::ObjectKey;

    use super::*;

    #[test]
    fn a_binding_names_the_pod_by_uid_and_carries_the_contract() {
        let dispatch = Dispatch {
            unit: ObjectKey::new("ns", "pod"),
            uid: "pod-uid".into(),
            record: None,
            job: None,
            node: "node".into(),
            node_uid: "node-uid".into(),
            environment: "CE".into(),
            environment_uuid: "ce-uuid".into(),
            attempt: 2,
        };
        let binding = binding(&dispatch);
        assert_eq!(binding["metadata"]["uid"], "pod-uid");
        assert_eq!(binding["target"]["name"], "node");
        assert_eq!(binding["metadata"]["annotations"][keys::NODE_UID], "node-uid");
        assert_eq!(binding["metadata"]["annotations"][keys::COMPUTE_ENVIRONMENT], "CE");
        assert_eq!(binding["metadata"]["annotations"][keys::ATTEMPT], "2");
        assert_eq!(binding["metadata"]["labels"][keys::CE_UUID], "ce-uuid");
    }

    #[test]
    fn a_gate_is_removed_once_and_later_holds_only_name_nodes() {
        let hold = |first| Hold {
            unit: ObjectKey::new("ns", "pod"),
            uid: "pod-uid".into(),
            record: None,
            job: None,
            nodes: vec!["a".into(), "b".into()],
            environment: "CE".into(),
            environment_uuid: "ce-uuid".into(),
            attempt: 1,
            first,
        };
        assert_eq!(holding(&hold(true))["spec"]["schedulingGates"][0]["name"], keys::GATE);
        assert_eq!(holding(&hold(true))["metadata"]["annotations"][keys::HOLD], "a,b");
        assert!(holding(&hold(false)).get("spec").is_none());
    }
}
