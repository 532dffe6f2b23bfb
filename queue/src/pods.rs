//! What is done to pods: bind them, or hand them to kube-scheduler with room held.
//!
//! Invariant: node UID, environment and attempt are on the pod when a kubelet first sees it, because one write puts them there
//! together with the node's name (`pods/binding` merges annotations, and from Kubernetes 1.35 labels, KEP-4742).

use cluster::clock;
use cluster::fault::{self, Point};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use model::keys;
use model::plan::{Dispatch, Hold};
use model::snapshot::{ObjectKey, Write};
use planning::refusal::Answer;
use serde_json::{Value, json};

use crate::context::Context;
use crate::write::{self, Clogged, Outcome, patient};

/// Requests under way at the same time.
const IN_FLIGHT: usize = 32;

/// Runs all, a bounded number at the same time.
pub(crate) async fn together<T>(all: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    stream::iter(all).buffer_unordered(IN_FLIGHT).collect().await
}

/// Binds all; returns those that are bound.
pub(crate) async fn bind_all<'a>(context: &Context, dispatches: &'a [Dispatch]) -> Vec<&'a Dispatch> {
    let clogged = &Clogged::default();
    let bind =
        |dispatch: &'a Dispatch| async move { bind(context, dispatch, clogged).await.then_some(dispatch) }.boxed();
    together(dispatches.iter().map(bind).collect()).await.into_iter().flatten().collect()
}

async fn bind(context: &Context, dispatch: &Dispatch, clogged: &Clogged) -> bool {
    let namespace = &dispatch.unit.namespace;
    if let Some(answer) = clogged.why(namespace) {
        write::note(context, &dispatch.uid, dispatch.job.as_deref(), Write::Bind, &answer);
        return false;
    }
    // Before the request: the watch may show the pod bound before the answer is here.
    context.index.assume_bound(&dispatch.uid, &dispatch.node, clock::now());
    let answer = patient(send_binding(context.clone(), dispatch.clone())).await.unwrap_or_else(|| {
        // It may be bound at any moment: its room stays taken.
        let slow = write::slow();
        write::note(context, &dispatch.uid, dispatch.job.as_deref(), Write::Bind, &slow);
        Some(slow)
    });
    if let Some(answer) = &answer {
        clogged.learn(namespace, answer);
    }
    answer.is_none()
}

/// Binds a pod and takes in the answer, however late. `None`: it is bound.
async fn send_binding(context: Context, dispatch: Dispatch) -> Option<Answer> {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &dispatch.unit.namespace);
    let body = binding(&dispatch);
    fault::reach(Point::BindingDecided);
    let answer =
        pods.create_subresource::<Value, Value>("binding", &dispatch.unit.name, &PostParams::default(), &body).await;
    if answer.is_ok() {
        fault::reach(Point::Bound);
    }
    match write::outcome(&pods, &dispatch.unit.name, Some(&dispatch.uid), answer).await {
        Outcome::Written => context.index.accepted(&dispatch.uid, Write::Bind),
        Outcome::Gone => {
            context.index.forget(&dispatch.uid);
            return Some(Answer::Refused("the pod is gone".to_owned()));
        }
        Outcome::Not(answer) => {
            // Whatever was answered: an earlier Binding may have gone through, and its room is taken.
            if look(&context, &dispatch.unit, &dispatch.uid).await.as_ref() == Some(&dispatch.node) {
                context.index.accepted(&dispatch.uid, Write::Bind);
                return None;
            }
            write::note(&context, &dispatch.uid, dispatch.job.as_deref(), Write::Bind, &answer);
            return Some(answer);
        }
    }
    None
}

/// Looks up the pods of which the watch has not shown for long where they are: their room is kept until that is known.
pub(crate) async fn look_all(context: &Context) {
    let look = |(pod, uid): (ObjectKey, String)| {
        let context = context.clone();
        patient(async move { look(&context, &pod, &uid).await }).boxed()
    };
    together(context.index.unseen(clock::now()).into_iter().map(look).collect()).await;
}

/// Asks the API server where a pod is; returns its node. Without an answer what was assumed of it stays.
async fn look(context: &Context, pod: &ObjectKey, uid: &str) -> Option<String> {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &pod.namespace);
    let found = pods.get_opt(&pod.name).await.ok()?;
    context.index.found(uid, found.as_ref(), clock::now())
}

pub(crate) fn labels(node: &str, environment: &str) -> Value {
    json!({keys::NODE_UID: node, keys::CE_UUID: environment})
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
            "labels": labels(&dispatch.node_uid, &dispatch.environment_uuid),
            "annotations": {
                keys::NODE_UID: dispatch.node_uid,
                keys::COMPUTE_ENVIRONMENT: dispatch.environment,
                keys::ATTEMPT: dispatch.attempt.to_string(),
            },
        },
        "target": {"apiVersion": "v1", "kind": "Node", "name": dispatch.node},
    })
}

/// Hands all to kube-scheduler.
pub(crate) async fn hold_all(context: &Context, holds: &[Hold]) {
    let clogged = Clogged::default();
    together(holds.iter().map(|one| hold(context, one, &clogged).boxed()).collect()).await;
}

async fn hold(context: &Context, hold: &Hold, clogged: &Clogged) {
    let namespace = &hold.unit.namespace;
    let note = |answer: &Answer| write::note(context, &hold.uid, hold.job.as_deref(), Write::Hold, answer);
    if let Some(answer) = clogged.why(namespace) {
        return note(&answer);
    }
    context.index.assume_held(&hold.uid, &hold.nodes, clock::now());
    match patient(send_hold(context.clone(), hold.clone())).await {
        Some(None) => {}
        Some(Some(answer)) => clogged.learn(namespace, &answer),
        None => {
            clogged.learn(namespace, &write::slow());
            note(&write::slow());
        }
    }
}

/// Hands a pod over and takes in the answer, however late. `None`: it went through, or the pod is gone.
async fn send_hold(context: Context, hold: Hold) -> Option<Answer> {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &hold.unit.namespace);
    let patch = Patch::Strategic(holding(&hold));
    let answer = pods.patch(&hold.unit.name, &PatchParams::default(), &patch).await;
    match write::outcome(&pods, &hold.unit.name, Some(&hold.uid), answer).await {
        Outcome::Written => context.index.accepted(&hold.uid, Write::Hold),
        Outcome::Gone => context.index.forget(&hold.uid),
        Outcome::Not(answer) => {
            look(&context, &hold.unit, &hold.uid).await;
            write::note(&context, &hold.uid, hold.job.as_deref(), Write::Hold, &answer);
            return Some(answer);
        }
    }
    None
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
