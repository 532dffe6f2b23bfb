//! Hostile requests at the extender's port: whoever shares the pod's network reaches it. Every test here is a target.
//!
//! Invariant: whatever comes in, nothing panics; what cannot be read is said where kube-scheduler reads it, and it is answered all the same.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use siege::json::hostile;
use tokio::runtime::Builder;
use tower::ServiceExt as _;

use super::tests::{NAMES, NODES, extender};
use super::*;

/// Cases unless `PROPTEST_CASES` says otherwise.
const FEW: u32 = 64;

fn junk() -> impl Strategy<Value = Value> + Clone {
    let text = prop_oneof![Just("batch-1".to_owned()), Just(String::new()), any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

/// A verb, and a request for it or for another one, spoiled.
fn requests() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let order = json!({"PodName": "p", "PodNamespace": "ns", "PodUID": "u", "Node": "batch-1"});
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let good = select(vec![parsed(NAMES), parsed(NODES), order]);
    (select(&["/filter", "/prioritize", "/bind"][..]), hostile(good, junk()))
}

fn judge(verb: &str, code: StatusCode, answer: &[u8]) -> Result<(), String> {
    let parsed = serde_json::from_slice::<Value>(answer).unwrap_or_default();
    let well_formed = match (verb, code) {
        ("/filter", StatusCode::OK) => parsed["Error"].is_string() && parsed["FailedNodes"].is_object(),
        ("/bind", StatusCode::OK) => parsed["Error"].is_string(),
        ("/prioritize", StatusCode::OK) => parsed.is_array(),
        ("/prioritize", StatusCode::BAD_REQUEST) => answer.starts_with(b"Bulkhead's extender cannot read"),
        _ => false,
    };
    if well_formed { Ok(()) } else { Err(format!("{verb}: {code}: {}", answer.escape_ascii())) }
}

#[test]
fn spoiled_requests() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let router = {
        let _entered = runtime.enter();
        router(extender(false, vec![]))
    };
    siege::check(FEW, &requests(), |(verb, body)| {
        let request = Request::post(verb).body(Body::from(body)).unwrap();
        runtime.block_on(async {
            let response = router.clone().oneshot(request).await.unwrap();
            let code = response.status();
            judge(verb, code, &to_bytes(response.into_body(), usize::MAX).await.unwrap())
        })
    });
}

/// Over real connections.
#[test]
fn hostile_connections() {
    let honest = siege::Request { path: "/filter".to_owned(), body: NAMES.into() };
    let hostile = requests().prop_map(|(verb, body)| siege::Request { path: verb.to_owned(), body }).boxed();
    siege::lay(&siege::Door { tls: false, honest, hostile }, || router(extender(false, vec![])));
}
