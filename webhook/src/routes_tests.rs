//! The routes as the API server uses them; look-ups get canned answers.

use super::*;
use crate::look_up::Facts;
use axum::body::to_bytes;
use kube::Client;
use kube::client::Body as KubeBody;
use model::keys;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::task::Poll;
use tower::{ServiceExt as _, service_fn};

const UUID: &str = "8d8f3f6c-6f5b-3ad5-8e5a-3a2b1c0d9e8f";

/// Objects by request path; everything else is not found.
pub(super) fn stored() -> HashMap<&'static str, Value> {
    let namespace = |name: &str, labels: Value| json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": name, "labels": labels}});
    let environment = json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "ComputeEnvironment", "metadata": {"name": "ce"},
        "spec": {"type": "UNMANAGED"}, "status": {"uuid": UUID}});
    HashMap::from([
        ("/api/v1/namespaces/batch", namespace("batch", json!({keys::QUEUE: "fast"}))),
        (
            "/api/v1/namespaces/strict",
            namespace("strict", json!({keys::QUEUE: "fast", keys::POD_SECURITY[1]: "baseline"})),
        ),
        ("/api/v1/namespaces/plain", namespace("plain", json!({}))),
        (
            "/apis/bulkhead.dev/v1alpha1/jobqueues/fast",
            json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "JobQueue", "metadata": {"name": "fast"},
                "spec": {"name": "Fast", "computeEnvironments": ["ce"]}}),
        ),
        (
            "/apis/bulkhead.dev/v1alpha1/computeenvironments",
            json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "ComputeEnvironmentList", "metadata": {}, "items": [environment]}),
        ),
        (
            "/apis/batch/v1/namespaces/batch/jobs/missed",
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "missed", "uid": "job-uid"}, "spec": {}}),
        ),
        (
            "/apis/batch/v1/namespaces/batch/jobs/out",
            json!({"apiVersion": "batch/v1", "kind": "Job",
                "metadata": {"name": "out", "uid": "job-uid", "labels": {keys::QUEUE: "none"}}, "spec": {}}),
        ),
    ])
}

pub(super) fn client_answering(objects: HashMap<&'static str, Value>) -> Client {
    let service = service_fn(move |request: axum::http::Request<KubeBody>| {
        let path = request.uri().path();
        let (code, body) = match objects.get(path) {
            Some(object) => (200, object.clone()),
            None if path.contains("/broken") => (500, review::status(500, "etcd is down")),
            None => (404, review::status(404, "not found")),
        };
        let response = axum::http::Response::builder().status(code).body(KubeBody::from(body.to_string().into_bytes()));
        async { Ok::<_, Infallible>(response.expect("the parts are valid")) }
    });
    Client::new(service, "default")
}

async fn post_body(path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let look_up = LookUp::new(Facts::fixed(&[], &[]).unwrap(), client_answering(stored()));
    let router = router(Webhook::new(look_up, Metrics::new(&mut Registry::default())));
    let request = Request::post(path).header("content-type", "application/json").body(body.into()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let code = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (code, serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body))))
}

fn review_of(operation: &str, namespace: &str, object: &Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1", "kind": {"kind": "X"}, "operation": operation, "namespace": namespace,
        "userInfo": {"username": keys::JOB_CONTROLLER_USERS[0]}, "object": object}})
}

/// Sends a CREATE and returns the answer's `response` and the object as patched.
async fn create(route: &str, namespace: &str, object: &Value) -> (Value, Value) {
    let (code, body) = post_body(route, review_of("CREATE", namespace, object).to_string()).await;
    assert_eq!(code, StatusCode::OK, "{body}");
    assert_eq!(body["response"]["uid"], "u-1");
    let mut patched = object.clone();
    if let Some(patch) = body["response"].get("patch") {
        let encoded: k8s_openapi::ByteString = serde_json::from_value(patch.clone()).unwrap();
        json_patch::patch(&mut patched, &serde_json::from_slice::<json_patch::Patch>(&encoded.0).unwrap()).unwrap();
    }
    (body["response"].clone(), patched)
}

fn pod(labels: &Value, job: Option<&str>) -> Value {
    let owner =
        |name| json!([{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": "job-uid", "controller": true}]);
    json!({"metadata": {"labels": labels, "ownerReferences": job.map(owner)},
        "spec": {"containers": [{"name": "main", "resources": {}}], "dnsPolicy": "ClusterFirst"}})
}

#[tokio::test]
async fn a_job_of_a_queue_namespace_is_identified_and_held_back() {
    let (response, job) = create("/jobs", "batch", &json!({"metadata": {"name": "j"}, "spec": {"template": {}}})).await;
    assert_eq!((&response["allowed"], &response["patchType"]), (&json!(true), &json!("JSONPatch")));
    assert_eq!(response["auditAnnotations"]["outcome"], "queued");
    assert_eq!((&job["spec"]["suspend"], &job["metadata"]["labels"][keys::QUEUE]), (&json!(true), &json!("fast")));
    let id = job["metadata"]["labels"][keys::JOB_ID].as_str().unwrap();
    assert!(uuid::Uuid::parse_str(id).is_ok());
}

#[tokio::test]
async fn a_missing_queue_is_a_warning() {
    let job = json!({"metadata": {"name": "j", "labels": {keys::QUEUE: "nowhere"}}, "spec": {"template": {}}});
    let (response, job) = create("/jobs", "plain", &job).await;
    assert!(response["warnings"][0].as_str().unwrap().contains("\"nowhere\" does not exist"), "{response}");
    assert_eq!(job["spec"]["suspend"], true);
}

#[tokio::test]
async fn a_pod_gets_the_contract_with_its_queues_facts() {
    let labels = json!({keys::QUEUE: "fast", keys::JOB_ID: "id"});
    let (_, seen) = create("/pods", "batch", &pod(&labels, Some("any"))).await;
    let container = &seen["spec"]["containers"][0];
    assert_eq!(container["env"][1], json!({"name": "AWS_BATCH_JQ_NAME", "value": "Fast"}));
    assert_eq!(container["resources"]["requests"], json!({"cpu": "250m", "memory": "256Mi"}));
    assert_eq!(seen["spec"]["hostNetwork"], true);
    let (_, seen) = create("/pods", "strict", &pod(&labels, Some("any"))).await;
    assert!(seen["spec"].get("hostNetwork").is_none());
}

#[tokio::test]
async fn pods_of_a_missed_job_are_caught_and_those_that_opted_out_are_not() {
    let (response, seen) = create("/pods", "batch", &pod(&json!({}), Some("missed"))).await;
    assert_eq!(response["auditAnnotations"]["outcome"], "queued");
    assert_eq!(seen["metadata"]["labels"][keys::JOB_ID], planning::admission::identity::derived_job_id("job-uid"));
    let (response, seen) = create("/pods", "batch", &pod(&json!({}), Some("out"))).await;
    assert_eq!((&response["auditAnnotations"]["outcome"], &seen), (&json!("opted_out"), &pod(&json!({}), Some("out"))));
    let (response, _) = create("/pods", "batch", &pod(&json!({}), Some("gone"))).await;
    assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(409)));
}

#[tokio::test]
async fn what_others_have_made_of_a_pod_is_looked_at_again() {
    let labels = json!({keys::QUEUE: "fast", keys::JOB_ID: "id"});
    let (_, first) = create("/pods", "batch", &pod(&labels, Some("any"))).await;
    let (_, unchanged) = create("/pods", "batch", &first).await;
    assert_eq!(unchanged, first);
    let mut changed = first.clone();
    changed["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80}]);
    changed["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "sidecar"}));
    changed["spec"]["schedulerName"] = json!("volcano");
    changed["spec"]["nodeName"] = json!("n1");
    changed["spec"]["hostNetwork"] = json!(false);
    let (_, seen) = create("/pods", "batch", &changed).await;
    assert_eq!((&seen["spec"]["schedulerName"], seen["spec"].get("nodeName")), (&json!("bulkhead-scheduler"), None));
    assert_eq!(seen["spec"]["schedulingGates"], json!([{"name": keys::GATE}]));
    assert_eq!(seen["spec"]["containers"][1]["env"], seen["spec"]["containers"][0]["env"]);
    assert_eq!(seen["spec"]["hostNetwork"], false, "decided in the first pass");
}

#[tokio::test]
async fn a_pod_whose_queue_others_name_keeps_its_network_and_is_placed_by_kube_scheduler() {
    let (response, seen) = create("/late-pods", "plain", &pod(&json!({keys::QUEUE: "fast"}), None)).await;
    assert_eq!(response["auditAnnotations"]["outcome"], "queued");
    assert_eq!((seen["spec"].get("hostNetwork"), &seen["spec"]["schedulerName"]), (None, &json!("bulkhead-scheduler")));
    assert!(seen["metadata"]["labels"][keys::JOB_ID].is_string());
}

#[tokio::test]
async fn whoever_says_that_a_pod_was_seen_gains_no_id_and_no_room() {
    let mut bare = pod(&json!({keys::QUEUE: "fast", keys::JOB_ID: "another"}), None);
    bare["metadata"]["annotations"] = json!({keys::JOB_ID_RAW: "another"});
    let (response, seen) = create("/pods", "plain", &bare).await;
    assert_eq!(response["auditAnnotations"]["outcome"], "queued");
    assert_ne!(seen["metadata"]["labels"][keys::JOB_ID], "another");
    assert_eq!(seen["metadata"]["labels"][keys::JOB_ID], seen["metadata"]["annotations"][keys::JOB_ID_RAW]);
    bare["spec"]["containers"][0]["args"] = json!(["x".repeat(70_000)]);
    let mut review = review_of("CREATE", "plain", &bare);
    review["request"]["userInfo"]["username"] = json!("alice");
    let (_, answer) = post_body("/pods", review.to_string()).await;
    assert_eq!(answer["response"]["status"]["code"], 422, "{answer}");
}

#[tokio::test]
async fn a_job_that_names_a_queue_only_now_is_taken() {
    let job = json!({"metadata": {"name": "j", "labels": {keys::QUEUE: "fast"}}, "spec": {"template": {}}});
    let (response, seen) = create("/late-jobs", "plain", &job).await;
    assert_eq!(response["auditAnnotations"]["outcome"], "queued");
    assert_eq!((&seen["spec"]["suspend"], seen["metadata"]["labels"][keys::JOB_ID].is_string()), (&json!(true), true));
}

#[tokio::test]
async fn large_templates_and_bare_pods_are_refused_and_pods_of_taken_jobs_never() {
    let args = json!(["x".repeat(70_000)]);
    let job = json!({"metadata": {"name": "j"}, "spec": {"template": {"spec": {"containers": [{"args": args}]}}}});
    let (response, _) = create("/jobs", "batch", &job).await;
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("bulkhead: spec.template has 70") && message.contains("ConfigMap"), "{message}");
    let mut large = pod(&json!({keys::QUEUE: "fast", keys::JOB_ID: "id"}), Some("any"));
    large["spec"]["containers"][0]["args"] = args;
    let asked = |user: &str, pod: &Value| {
        let mut review = review_of("CREATE", "batch", pod);
        review["request"]["userInfo"]["username"] = json!(user);
        review.to_string()
    };
    let mut bare = large.clone();
    bare["metadata"]["ownerReferences"] = json!(null);
    // Nor may its owner be named to be measured in its place.
    let mut owned = pod(&json!({keys::QUEUE: "fast"}), Some("missed"));
    owned["spec"]["containers"] = large["spec"]["containers"].clone();
    for pod in [&bare, &owned] {
        let (_, answer) = post_body("/pods", asked("alice", pod)).await;
        assert_eq!(answer["response"]["status"]["code"], 422, "{answer}");
    }
    let (_, answer) = post_body("/pods", asked(keys::JOB_CONTROLLER_USERS[0], &large)).await;
    assert_eq!(answer["response"]["allowed"], true, "its Job was taken");
}

#[tokio::test]
async fn a_node_gets_the_taints_of_its_environment() {
    let node = |uuid: &str| json!({"metadata": {"name": "n", "labels": {keys::CE_UUID: uuid}}, "spec": {}});
    for uuid in [UUID, "another"] {
        let (_, seen) = create("/nodes", "", &node(uuid)).await;
        let taint = json!({"key": keys::BATCH_TAINT, "value": "true", "effect": "NoSchedule"});
        assert_eq!(seen["spec"]["taints"], json!([taint]));
    }
}

#[tokio::test]
async fn an_update_without_its_old_object_is_refused() {
    let (code, body) = post_body("/jobs", review_of("UPDATE", "batch", &json!({})).to_string()).await;
    assert_eq!((code, &body["response"]["status"]["code"]), (StatusCode::OK, &json!(400)));
}

#[tokio::test]
async fn garbage_gets_a_well_formed_refusal() {
    for body in ["", "{", "[]", "{\"request\":{}}", "\u{0}"] {
        let (code, answer) = post_body("/pods", body).await;
        assert_eq!((code, &answer["kind"], &answer["code"]), (StatusCode::BAD_REQUEST, &json!("Status"), &json!(400)));
    }
    let (code, answer) = post_body("/pods", review_of("CREATE", "batch", &json!([])).to_string()).await;
    assert_eq!((code, &answer["response"]["uid"]), (StatusCode::OK, &json!("u-1")));
}

#[tokio::test]
async fn a_look_up_that_fails_leaves_the_decision_to_the_failure_policy() {
    let (code, answer) =
        post_body("/pods", review_of("CREATE", "broken", &pod(&json!({}), Some("j"))).to_string()).await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer["message"].as_str().unwrap().contains("namespace broken cannot be read"), "{answer}");
}

#[tokio::test]
async fn a_body_up_to_the_limit_is_read_and_a_larger_one_refused() {
    let mut large = pod(&json!({keys::QUEUE: "fast"}), None);
    large["metadata"]["annotations"] = json!({"large": "x".repeat(5 << 20)});
    let (response, _) = create("/pods", "batch", &large).await;
    assert_eq!(response["allowed"], true);
    let (code, answer) = post_body("/pods", vec![b' '; BODY_LIMIT + 1]).await;
    assert!(code.is_client_error(), "{answer}");
}

#[tokio::test]
async fn a_body_that_announces_more_than_the_limit_is_refused_before_it_is_read() {
    let never_read =
        Body::from_stream(futures::stream::poll_fn(|_| -> Poll<Option<Result<Vec<u8>, std::io::Error>>> {
            panic!("the body is read");
        }));
    let look_up = LookUp::new(Facts::fixed(&[], &[]).unwrap(), client_answering(stored()));
    let router = router(Webhook::new(look_up, Metrics::new(&mut Registry::default())));
    let request = Request::post("/pods").header(CONTENT_LENGTH, BODY_LIMIT + 1).body(never_read).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let answer: Value = serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap();
    assert_eq!((&answer["kind"], &answer["code"]), (&json!("Status"), &json!(413)));
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_takes_too_long_is_answered_before_the_caller_gives_up() {
    let silent = service_fn(|_: axum::http::Request<KubeBody>| {
        std::future::pending::<Result<axum::http::Response<KubeBody>, Infallible>>()
    });
    let look_up = LookUp::new(Facts::fixed(&[], &[]).unwrap(), Client::new(silent, "default"));
    let router = router(Webhook::new(look_up, Metrics::new(&mut Registry::default())));
    let begun = tokio::time::Instant::now();
    let review = review_of("CREATE", "batch", &pod(&json!({}), Some("j")));
    let request = Request::post("/pods?timeout=3s").body(Body::from(review.to_string())).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(begun.elapsed() < Duration::from_secs(3));
}

/// A body of which this comes, and then nothing, or an end before its end.
fn half(text: impl Into<Vec<u8>>, end: Option<std::io::Error>) -> Body {
    use futures::StreamExt as _;
    let some = futures::stream::iter([Ok(text.into())]);
    match end {
        Some(end) => Body::from_stream(some.chain(futures::stream::iter([Err(end)]))),
        None => Body::from_stream(some.chain(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>())),
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up_however_long_the_caller_would_wait() {
    for (path, some) in [("/jobs?timeout=30s", ""), ("/pods?timeout=30s", "{\"request\":"), ("/nodes", "x")] {
        let begun = tokio::time::Instant::now();
        let (code, answer) = post_body(path, half(some, None)).await;
        assert_eq!((code, &answer["reason"]), (StatusCode::REQUEST_TIMEOUT, &json!("Timeout")), "{path}");
        assert!(begun.elapsed() <= BODY_PATIENCE, "{path}");
    }
    let (code, _) = post_body("/jobs", half("{", Some(std::io::Error::other("cut")))).await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
}

/// The webhook, and so many requests under way that announce this many bytes, of which so many have come.
async fn besieged(requests: usize, announced: usize, come: usize) -> (Webhook, tokio::task::JoinSet<StatusCode>) {
    let look_up = LookUp::new(Facts::fixed(&[], &[]).unwrap(), client_answering(stored()));
    let webhook = Webhook::new(look_up, Metrics::new(&mut Registry::default()));
    let mut under_way = tokio::task::JoinSet::new();
    for _ in 0..requests {
        let request = Request::post("/pods?timeout=30s").header(CONTENT_LENGTH, announced);
        let request = request.body(half(vec![b' '; come], None)).unwrap();
        let answer = router(webhook.clone()).oneshot(request);
        under_way.spawn(async move { answer.await.unwrap().status() });
    }
    // They are all at the point where they wait for more.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    (webhook, under_way)
}

async fn reviewed(webhook: &Webhook, annotation: usize) -> StatusCode {
    let mut pod = pod(&json!({keys::QUEUE: "fast"}), None);
    pod["metadata"]["annotations"] = json!({"large": "x".repeat(annotation)});
    let body = review_of("CREATE", "batch", &pod).to_string();
    let request = Request::post("/pods?timeout=3s").header(CONTENT_LENGTH, body.len()).body(Body::from(body)).unwrap();
    router(webhook.clone()).oneshot(request).await.unwrap().status()
}

#[tokio::test(start_paused = true)]
async fn what_is_only_announced_takes_no_room_from_others() {
    let (webhook, mut under_way) = besieged(CONCURRENCY - 1, BODY_LIMIT, 1).await;
    assert_eq!(reviewed(&webhook, 0).await, StatusCode::OK);
    assert_eq!(reviewed(&webhook, 5 << 20).await, StatusCode::OK);
    while let Some(code) = under_way.join_next().await {
        assert_eq!(code.unwrap(), StatusCode::REQUEST_TIMEOUT);
    }
    assert_eq!(webhook.bodies.available_permits(), BODIES_LIMIT_KIB);
}

#[tokio::test(start_paused = true)]
async fn small_reviews_have_room_when_large_ones_have_taken_all_there_is() {
    let (webhook, mut under_way) = besieged(100, BODY_LIMIT, 1 << 20).await;
    assert!(webhook.bodies.available_permits() < 1 << 10);
    assert_eq!(reviewed(&webhook, 5 << 20).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reviewed(&webhook, 0).await, StatusCode::OK);
    let _taken = webhook.reviews.clone().try_acquire_many_owned(u32::try_from(REVIEWS_LIMIT_KIB).unwrap()).unwrap();
    assert_eq!(reviewed(&webhook, 0).await, StatusCode::OK);
    under_way.shutdown().await;
    assert_eq!(webhook.bodies.available_permits(), BODIES_LIMIT_KIB, "what is given up gives its room back");
}

#[tokio::test]
async fn a_review_that_would_take_more_memory_than_there_is_is_refused_before_it_is_parsed() {
    let (code, answer) = post_body("/pods", format!("[{}0]", "{\"\":0},".repeat(1 << 17))).await;
    assert_eq!((code, &answer["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!(413)), "{answer}");
    let (code, _) = post_body("/pods", format!("[{}0]", "{\"\":0},".repeat(1 << 16))).await;
    assert_eq!(code, StatusCode::BAD_REQUEST, "half as many are read, and are no review");
}

#[tokio::test]
async fn a_review_that_is_too_heavy_is_answered_so_that_it_does_not_count_as_missed() {
    let heavy = json!({"metadata": {"name": "j", "annotations": {"a": "{".repeat(100_000)}}, "spec": {"template": {}}});
    let (response, _) = create("/jobs", "batch", &heavy).await;
    assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(413)), "{response}");
    // What is being deleted is let go.
    let mut going = heavy;
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let (code, answer) = post_body("/jobs", review_of("UPDATE", "batch", &going).to_string()).await;
    assert_eq!((code, &answer["response"]["allowed"]), (StatusCode::OK, &json!(true)), "{answer}");
}

#[test]
fn the_time_for_an_answer_comes_from_the_caller() {
    let check = |uri: &str, expected: f64| {
        let found = budget(&uri.parse().unwrap()).as_secs_f64();
        assert!((found - expected).abs() < 1e-9, "{uri}: {found}");
    };
    check("/jobs?timeout=3s", 2.7);
    check("/jobs?a=b&timeout=500ms", 0.45);
    check("/jobs", 9.0);
    check("/jobs?timeout=nonsense", 9.0);
    check("/jobs?timeout=0s", 9.0);
    check("/jobs?timeout=900h", 27.0);
}
