//! The webhook as it runs in production, but for its facts: they are fixed, and there is no Kubernetes API behind it.
//!
//! Invariant: what the caches do not answer fails, because the client leads nowhere.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use api::JobQueue;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use axum::routing::post;
use cluster::serve::{self, ServingCert, TlsListener};
use cluster::shutdown::Shutdown;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use model::keys;
use serde_json::json;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;
use webhook::{Facts, LookUp, Metrics, Webhook};

use super::super::process;
use super::process::Hello;
use super::sample;

/// Nobody listens there.
const NOWHERE: &str = "https://127.0.0.1:1";
/// The client has closed its connections by then.
const DRAIN_CAP: Duration = Duration::from_secs(1);
/// Far above any answer.
const ANSWER_LIMIT: usize = 1 << 20;

/// The routes, with one namespace and one queue. Needs a runtime.
pub(super) fn webhook() -> Result<Router> {
    let labels = json!({keys::QUEUE: sample::NAMESPACE, "kubernetes.io/metadata.name": sample::NAMESPACE});
    let namespace: PartialObjectMeta<Namespace> =
        serde_json::from_value(json!({"metadata": {"name": sample::NAMESPACE, "labels": labels}}))?;
    let queue: JobQueue = serde_json::from_value(json!({
        "apiVersion": "bulkhead.dev/v1alpha1",
        "kind": "JobQueue",
        "metadata": {"name": sample::NAMESPACE},
        "spec": {"computeEnvironments": [sample::NAMESPACE]},
    }))?;
    let client = cluster::client::from_config(kube::Config::new(NOWHERE.parse()?))?.once;
    let look_up = LookUp::new(Facts::fixed(&[namespace], &[queue])?, client);
    let metrics = Metrics::new(&mut cluster::telemetry::registry("webhook"));
    Ok(webhook::router(Webhook::new(look_up, metrics)))
}

/// Sends a review to the routes, without a socket.
pub(super) async fn ask(router: &Router, review: Vec<u8>) -> Result<Bytes> {
    let request = Request::post("/pods?timeout=3s")
        .header("content-type", "application/json")
        .header("content-length", review.len())
        .body(Body::from(review))?;
    let response = router.clone().oneshot(request).await?;
    let code = response.status();
    let answer = to_bytes(response.into_body(), ANSWER_LIMIT).await?;
    ensure!(code == StatusCode::OK, "{code}: {}", String::from_utf8_lossy(&answer));
    Ok(answer)
}

/// Serves until standard input ends, which it does when the parent does. Beside the webhook is `/empty`, which reads the body
/// and sends an answer made before: what is left is TLS and HTTP.
pub(super) fn serve() -> Result<()> {
    let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
    runtime.block_on(async {
        let webhook = webhook()?;
        let constant = ask(&webhook, sample::review()?.with(&sample::uid(0))).await?;
        let empty = move |_: Bytes| std::future::ready(([(CONTENT_TYPE, "application/json")], constant.clone()));
        let router = webhook.route("/empty", post(empty));

        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = ServingCert::empty();
        certificate.load(pair.cert.pem().as_bytes(), pair.signing_key.serialize_pem().as_bytes())?;
        let listener = TlsListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), certificate).await?;
        let hello = Hello { address: listener.address(), certificate: pair.cert.pem() };
        println!("{}", serde_json::to_string(&hello)?);

        let shutdown = Shutdown::new();
        let stop = shutdown.clone();
        std::thread::spawn(move || {
            process::until_the_end_of_input();
            stop.stop();
        });
        serve::run(listener, router, &shutdown, DRAIN_CAP).await;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_caches_answer_everything_and_the_pod_becomes_one_of_the_queue() {
        cluster::client::install_crypto();
        let (router, review) = (webhook().unwrap(), sample::review().unwrap());
        let first = ask(&router, review.with(&sample::uid(1))).await.unwrap();
        let right = sample::right_answer(&first, &sample::uid(1)).unwrap();
        let second = ask(&router, review.with(&sample::uid(2))).await.unwrap();
        assert!(right.is(&second, &sample::uid(2)));
    }
}
