//! The routes as kube-scheduler sees them.

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use k8s_openapi::api::core::v1::Node;
use model::keys;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::facts::NodeFacts;

pub(super) const NAMES: &str = include_str!("fixtures/filter-names.json");
pub(super) const NODES: &str = include_str!("fixtures/filter-nodes.json");

fn batch_node(name: &str, retiring: bool) -> Node {
    let taints = if retiring { json!([{"key": keys::RETIRING_TAINT, "effect": "NoSchedule"}]) } else { json!([]) };
    serde_json::from_value(json!({
        "metadata": {"name": name, "uid": format!("uid-of-{name}"), "labels": {keys::CE_UUID: "ce-uuid-1"}},
        "spec": {"taints": taints},
    }))
    .unwrap()
}

/// An extender that has seen two batch nodes, the first of them as given, and `pods`.
pub(super) fn extender(first_retires: bool, pods: Vec<(&'static str, WaitingPod)>) -> Extender {
    let nodes = [batch_node("batch-1", first_retires), batch_node("batch-2", false)];
    with_caches(Caches {
        nodes: nodes.iter().map(|node| (node.metadata.name.clone().unwrap(), NodeFacts::read(node))).collect(),
        pods: pods.into_iter().map(|(key, facts)| (key.to_owned(), facts)).collect(),
    })
}

fn with_caches(caches: Caches) -> Extender {
    cluster::client::install_crypto();
    // Nobody listens there: whatever reaches for the API server is refused at once.
    let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let clients = cluster::client::from_config(config).unwrap();
    let metrics = Metrics::new(&mut Registry::default());
    Extender { caches, binder: Binder { clients }, metrics }
}

async fn post(extender: Extender, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json").body(body.into()).unwrap();
    let response = router(extender).oneshot(request).await.unwrap();
    let status = response.status();
    assert!(response.headers().contains_key(header::CONTENT_LENGTH), "{path} is answered in one piece");
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test]
async fn held_nodes_pass_and_a_retiring_one_does_not() {
    let (_, answer) = post(extender(false, vec![]), "/filter", NAMES).await;
    assert_eq!((&answer["NodeNames"], &answer["Error"]), (&json!(["batch-1", "batch-2"]), &json!("")));
    let (_, answer) = post(extender(true, vec![]), "/filter", NAMES).await;
    assert_eq!(answer["NodeNames"], json!(["batch-2"]));
    assert_eq!(answer["FailedAndUnresolvableNodes"], json!({"batch-1": "Bulkhead is retiring this node"}));
    assert_eq!(answer["FailedNodes"], json!({}), "nothing is preempted for a queue");
}

#[tokio::test]
async fn whole_nodes_are_answered_with_whole_nodes() {
    let (_, answer) = post(extender(false, vec![]), "/filter", NODES).await;
    assert_eq!(answer["NodeNames"], Value::Null);
    assert_eq!(answer["Nodes"]["items"][0]["metadata"]["name"], "batch-2");
    assert_eq!(answer["Nodes"]["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        answer["FailedAndUnresolvableNodes"],
        json!({"batch-1": "Bulkhead holds no room for this pod on this node"})
    );
}

#[tokio::test]
async fn a_newer_hold_in_our_own_watch_counts() {
    let mut newer: WaitingPod = WaitingPod::read(&serde_json::from_str::<ExtenderArgs>(NAMES).unwrap().pod.metadata);
    newer.version = Some(4712);
    newer.hold = Some(vec!["batch-1".to_owned()]);
    let extender = extender(false, vec![("science/train-0-x7k2p", newer)]);
    let (_, answer) = post(extender, "/filter", NAMES).await;
    assert_eq!(answer["NodeNames"], json!(["batch-1"]));
}

#[tokio::test]
async fn scores_follow_the_hold() {
    let (_, answer) = post(extender(false, vec![]), "/prioritize", NAMES).await;
    assert_eq!(answer, json!([{"Host": "batch-1", "Score": 0}, {"Host": "batch-2", "Score": 10}]));
}

#[tokio::test]
async fn before_everything_was_seen_there_is_an_error_and_no_verdict() {
    let (status, answer) = post(with_caches(Caches::default()), "/filter", NAMES).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["Error"], "Bulkhead's extender has just started and has not seen all nodes yet");
    let (_, answer) = post(with_caches(Caches::default()), "/bind", ORDER).await;
    assert!(answer["Error"].as_str().unwrap().contains("has not seen all"), "{answer}");
}

const ORDER: &str = r#"{"PodName":"p","PodNamespace":"ns","PodUID":"u","Node":"batch-1"}"#;

/// An extender that has seen pod `ns/p` without a hold. The API server has it with `held`, and takes its binding.
fn behind(first_retires: bool, held: &str) -> Extender {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "ns", "uid": "u",
        "labels": {keys::CE_UUID: "ce-uuid-1"}, "annotations": {keys::HOLD: held}}});
    let server = tower::service_fn(move |request: Request<kube::client::Body>| {
        let answer = match request.method().as_str() {
            "GET" => pod.clone(),
            _ => json!({"apiVersion": "v1", "kind": "Status", "status": "Success"}),
        };
        async move { Ok::<_, std::convert::Infallible>(Response::new(Body::from(answer.to_string()))) }
    });
    let seen = WaitingPod { uid: "u".to_owned(), ..WaitingPod::default() };
    let extender = extender(first_retires, vec![("ns/p", seen)]);
    let client = kube::Client::new(server, "default");
    let clients = cluster::client::Clients { retrying: client.clone(), once: client };
    Extender { binder: Binder { clients }, ..extender }
}

#[tokio::test]
async fn a_hold_that_the_watch_does_not_show_yet_is_found_past_it() {
    let (_, answer) = post(behind(false, "batch-1"), "/bind", ORDER).await;
    assert_eq!(answer, json!({"Error": ""}));
}

#[tokio::test]
async fn a_binding_that_may_not_be_is_refused() {
    for (first_retires, held, why) in [
        (true, "batch-1", "Bulkhead is retiring this node"),
        (false, "batch-2", "Bulkhead holds no room for this pod on this node"),
    ] {
        let (status, answer) = post(behind(first_retires, held), "/bind", ORDER).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(answer, json!({"Error": format!("node batch-1: {why}")}));
    }
}

#[tokio::test]
async fn an_api_server_that_cannot_be_reached_is_an_error_in_the_answer() {
    let pod = WaitingPod { uid: "u".to_owned(), hold: Some(vec!["batch-1".to_owned()]), ..WaitingPod::default() };
    let extender = extender(false, vec![("ns/p", pod)]);
    let (status, answer) = post(extender, "/bind", ORDER).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!answer["Error"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_be_read_is_said_where_the_scheduler_reads_it() {
    let (status, answer) = post(extender(false, vec![]), "/filter", "{").await;
    assert_eq!(status, StatusCode::OK);
    assert!(answer["Error"].as_str().unwrap().starts_with("Bulkhead's extender cannot read the request"), "{answer}");
    let (status, _) = post(extender(false, vec![]), "/prioritize", "{").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_body_above_the_limit_is_not_read() {
    let (status, _) = post(extender(false, vec![]), "/filter", vec![b' '; BODY_LIMIT + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}
