//! A connection to a controller through the API server: a port-forward to its pod.
//!
//! Invariant: nothing listens on this machine.

use std::fmt;

use anyhow::{Context as _, bail};
use axum::body::{Body, to_bytes};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::http::request::Builder;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

/// Where the controller serves the API, on its pod's loopback.
const PORT: u16 = 8070;
/// Above the longest answer of the API: a hundred jobs with their definitions.
const ANSWER_LIMIT: usize = 64 << 20;

/// What the API answers in place of what it was asked for.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    /// AWS's name for it, where the body has one.
    pub(crate) kind: String,
    pub(crate) message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

/// A connection to one port.
pub(crate) struct Connection {
    sender: SendRequest<Body>,
}

impl Connection {
    /// Forwards the port of the API of a controller that is ready.
    pub(crate) async fn open(client: &Client, namespace: &str) -> anyhow::Result<Self> {
        let ready = controllers(client, namespace).await?;
        Self::to(client, namespace, &ready[0], PORT).await
    }

    /// Forwards a port of a pod.
    pub(crate) async fn to(client: &Client, namespace: &str, pod: &str, port: u16) -> anyhow::Result<Self> {
        let stream = forward(client, namespace, pod, port).await?;
        let (sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.context("the controller does not answer")?;
        // It ends with the connection; what went wrong, the request says.
        tokio::spawn(driver);
        Ok(Self { sender })
    }

    /// Sends a request.
    pub(crate) async fn send(&mut self, request: Request<Body>) -> anyhow::Result<Response<Body>> {
        self.sender.ready().await.context("the controller does not answer")?;
        let response = self.sender.send_request(request).await.context("the controller does not answer")?;
        Ok(response.map(Body::new))
    }

    /// Calls an operation of the API.
    pub(crate) async fn call(&mut self, operation: &str, body: &Value) -> anyhow::Result<Value> {
        let request = Request::post(format!("/v1/{operation}")).header("content-type", "application/json");
        self.answer(request, body).await
    }

    /// Calls an operation of what shows logs.
    pub(crate) async fn call_logs(&mut self, operation: &str, body: &Value) -> anyhow::Result<Value> {
        let request = Request::post("/").header("content-type", "application/x-amz-json-1.1");
        self.answer(request.header("x-amz-target", format!("Logs_20140328.{operation}")), body).await
    }

    async fn answer(&mut self, request: Builder, body: &Value) -> anyhow::Result<Value> {
        let request = request.header("host", "localhost").body(Body::from(body.to_string()))?;
        let response = self.send(request).await?;
        let status = response.status();
        let bytes = to_bytes(response.into_body(), ANSWER_LIMIT).await?;
        let answer: Value = serde_json::from_slice(&bytes).context("the API answered something else than JSON")?;
        if !status.is_success() {
            let message =
                answer["message"].as_str().unwrap_or("the API answered an error without a message").to_owned();
            let kind = answer["__type"].as_str().unwrap_or_default().to_owned();
            return Err(Refused { status: status.as_u16(), kind, message }.into());
        }
        Ok(answer)
    }
}

/// A stream to a port of a pod.
pub(crate) async fn forward(
    client: &Client,
    namespace: &str,
    pod: &str,
    port: u16,
) -> anyhow::Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let forward = pods.portforward(pod, &[port]).await;
    let mut forward = forward.with_context(|| format!("cannot forward a port to {pod}"))?;
    forward.take_stream(port).context("the port-forward has no stream")
}

/// The controllers that are ready; there is one.
pub(crate) async fn controllers(client: &Client, namespace: &str) -> anyhow::Result<Vec<String>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let labels = "app.kubernetes.io/name=bulkhead,app.kubernetes.io/component=controller";
    let found = pods.list(&ListParams::default().labels(labels)).await;
    let found = found.with_context(|| format!("cannot list pods in namespace {namespace}"))?;
    let ready: Vec<String> = found.items.iter().filter(|pod| is_ready(pod)).map(ResourceExt::name_any).collect();
    if ready.is_empty() {
        bail!(
            "no controller of Bulkhead is ready in namespace {namespace} (--namespace names another): \
             kubectl get pods --namespace {namespace}"
        );
    }
    Ok(ready)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
