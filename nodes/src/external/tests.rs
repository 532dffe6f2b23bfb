//! The client against a server on loopback, and its URLs.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, put};
use serde_json::{Value, json};

use super::*;
use planning::machine::books::Listed;

async fn served(router: Router) -> External {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/batch/", listener.local_addr().unwrap());
    let router = Router::new().nest("/batch", router);
    tokio::spawn(async move { axum::serve(listener, router).await });
    External::new(&url, http_client().unwrap()).unwrap()
}

fn request() -> LaunchRequest {
    LaunchRequest {
        offer: "m5.large".to_owned(),
        labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        taints: Vec::new(),
        compute_environment: "My-CE".to_owned(),
    }
}

#[tokio::test]
async fn every_call_reaches_its_path_below_the_base_url() {
    let instance =
        |token: &str| json!({"token": token, "id": "i-1", "state": "running", "nodeName": token, "offer": "o"});
    let launch = async move |Path(token): Path<String>, axum::Json(body): axum::Json<Value>| {
        assert_eq!(body["computeEnvironment"], "My-CE");
        axum::Json(instance(&token))
    };
    let terminate = async move |Path(token): Path<String>| {
        if token == "gone" { Err(StatusCode::NOT_FOUND) } else { Ok(axum::Json(instance(&token))) }
    };
    let provider = served(
        Router::new()
            .route("/offers", get(async || r#"{"offers": [{"name": "o", "cpu": "1", "memory": "1Gi"}]}"#))
            .route("/instances", get(async move || axum::Json(json!({"instances": [instance("t")]}))))
            .route("/instances/{token}", put(launch).delete(terminate)),
    )
    .await;
    assert_eq!(provider.offers().await.unwrap()[0].name, "o");
    assert_eq!(provider.instances().await.unwrap().machines["t"], Listed::Alive);
    assert_eq!(provider.launch("t-1", &request(), &Tenure::for_ever()).await.unwrap().id, "i-1");
    assert_eq!(provider.terminate("gone").await.unwrap(), Ended::Unknown);
    assert_eq!(provider.terminate("t-1").await.unwrap(), Ended::Ending);
}

/// The connection is made, and what is sent over it waits until the tenure is over.
#[tokio::test]
async fn a_launch_is_not_sent_when_its_time_is_over() {
    let bodies = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&bodies);
    let launch = async move |body: String| {
        seen.lock().unwrap().push(body);
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let provider = served(Router::new().route("/instances/{token}", put(launch))).await;
    let error = provider.launch("t", &request(), &Tenure::over()).await.unwrap_err();
    assert!(cluster::telemetry::chain(&error).contains("may not lead any more"), "{error:?}");
    provider.launch("t", &request(), &Tenure::for_ever()).await.unwrap_err();
    assert_eq!(*bodies.lock().unwrap(), [serde_json::to_string(&request()).unwrap()]);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let provider = served(Router::new().route("/offers", get(async || vec![b' '; BODY_LIMIT + 1]))).await;
    let error = provider.offers().await.unwrap_err().to_string();
    assert!(error.ends_with("the answer is larger than 1048576 bytes"), "{error}");
}

#[tokio::test]
async fn a_launch_that_was_sent_may_have_made_a_machine_whatever_became_of_the_answer() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let cut = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 16];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut request).await.unwrap();
    });
    let provider = External::new(&url, http_client().unwrap()).unwrap();
    let error = provider.launch("t", &request(), &Tenure::for_ever()).await.unwrap_err();
    cut.await.unwrap();
    assert!(matches!(error, ProviderError::Unreachable { .. }) && !error.is_certain(), "{error}");
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let provider = External::new(&url, http_client().unwrap()).unwrap();
    let error = provider.terminate("t").await.unwrap_err();
    assert!(matches!(error, ProviderError::Unreachable { .. }));
    assert!(error.is_certain(), "nobody was asked");
    assert!(error.to_string().starts_with(&format!("the node provider at {url}/instances/t cannot be reached")));
}

#[test]
fn a_token_is_one_path_segment_whatever_is_in_it() {
    let provider = External::new("http://p:81/base", http_client().unwrap()).unwrap();
    assert_eq!(provider.url(&["offers"]).as_str(), "http://p:81/base/offers");
    assert_eq!(provider.url(&["instances", "a/b?c"]).as_str(), "http://p:81/base/instances/a%2Fb%3Fc");
}

#[test]
fn what_is_no_plain_http_url_is_refused_with_the_field_to_correct() {
    for url in ["https://p", "provider:8080", "", "http://"] {
        let error = External::new(url, http_client().unwrap()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{url:?}")) && error.ends_with("correct spec.provider.external.url"),
            "{error}"
        );
    }
}
