//! A connection to the API through the API server: a port-forward to the controller's pod.
//!
//! Invariant: nothing listens on this machine.

use anyhow::{Context as _, bail};
use axum::body::{Body, to_bytes};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::Value;

/// Where the controller serves the API, on its pod's loopback.
const PORT: u16 = 8070;
/// Above the longest answer: a hundred jobs with their definitions.
const ANSWER_LIMIT: usize = 64 << 20;

/// A connection to the API.
pub(super) struct Connection {
    sender: SendRequest<Body>,
}

impl Connection {
    /// Forwards a port to a controller that is ready.
    pub(super) async fn open(client: &Client, namespace: &str) -> anyhow::Result<Self> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let controllers =
            ListParams::default().labels("app.kubernetes.io/name=bulkhead,app.kubernetes.io/component=controller");
        let found =
            pods.list(&controllers).await.with_context(|| format!("cannot list pods in namespace {namespace}"))?;
        let Some(pod) = found.items.iter().find(|pod| is_ready(pod)).and_then(|pod| pod.metadata.name.clone()) else {
            bail!(
                "no controller of Bulkhead is ready in namespace {namespace} (--namespace names another): \
                 kubectl get pods --namespace {namespace}"
            );
        };
        let mut forward =
            pods.portforward(&pod, &[PORT]).await.with_context(|| format!("cannot forward a port to {pod}"))?;
        let stream = forward.take_stream(PORT).context("the port-forward has no stream")?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.context("the API does not answer")?;
        // It ends with the connection; what went wrong, the request says.
        tokio::spawn(driver);
        Ok(Self { sender })
    }

    /// Calls an operation of the API.
    pub(super) async fn call(&mut self, operation: &str, body: &Value) -> anyhow::Result<Value> {
        let request = Request::post(format!("/v1/{operation}"))
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))?;
        self.sender.ready().await.context("the API does not answer")?;
        let response = self.sender.send_request(request).await.context("the API does not answer")?;
        let status = response.status();
        let bytes = to_bytes(Body::new(response.into_body()), ANSWER_LIMIT).await?;
        let answer: Value = serde_json::from_slice(&bytes).context("the API answered something else than JSON")?;
        if !status.is_success() {
            bail!("{}", answer["message"].as_str().unwrap_or("the API answered an error without a message"));
        }
        Ok(answer)
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
