//! The extender's HTTP: three verbs, each decode → decide → answer.
//!
//! Invariant: what the scheduler should tell the user arrives in the answer's `Error` with status 200: it does not read the
//! body of any other status. Whole bodies are sent (`Content-Length`), so the scheduler can use its connection again.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use cluster::client::Clients;
use k8s_openapi::api::core::v1::Node;
use serde::de::DeserializeOwned;

use crate::bind::Binder;
use crate::decide;
use crate::facts::{NodeFacts, WaitingPod};
use crate::metrics::Metrics;
use crate::watch::{Caches, pod_key};
use crate::wire::{BindingArgs, BindingResult, ExtenderArgs, FilterResult, Pod};

/// A pod of at most 3 MiB and the names of tens of thousands of nodes.
const BODY_LIMIT: usize = 8 << 20;

/// What the verbs need.
#[derive(Clone)]
pub(crate) struct Extender {
    /// What is known about the cluster.
    pub(crate) caches: Caches,
    /// Who binds.
    pub(crate) binder: Binder,
    /// What is counted.
    pub(crate) metrics: Metrics,
}

/// The routes with nodes that nothing changes and without any pod of its own, for whoever measures them.
pub fn fixed(nodes: &[Node], clients: Clients) -> Router {
    let facts = |node: &Node| (node.metadata.name.clone().unwrap_or_default(), NodeFacts::read(node));
    let caches = Caches { nodes: nodes.iter().map(facts).collect(), pods: std::iter::empty().collect() };
    let metrics = Metrics::new(&mut cluster::telemetry::registry("extender"));
    router(Extender { caches, binder: Binder { clients }, metrics })
}

/// The routes.
pub(crate) fn router(extender: Extender) -> Router {
    Router::new()
        .route("/filter", post(filter))
        .route("/prioritize", post(prioritize))
        .route("/bind", post(bind))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(Arc::new(extender))
}

async fn filter(State(extender): State<Arc<Extender>>, body: Bytes) -> Response {
    let begun = Instant::now();
    let result = decode::<ExtenderArgs>(&body).and_then(|args| extender.filter(args));
    let outcome = if result.is_ok() { "answered" } else { "error" };
    extender.metrics.answered("filter", outcome, begun.elapsed());
    Json(result.unwrap_or_else(FilterResult::error)).into_response()
}

async fn prioritize(State(extender): State<Arc<Extender>>, body: Bytes) -> Response {
    let begun = Instant::now();
    let answer = decode::<ExtenderArgs>(&body).map(|mut args| {
        let pod = extender.known(&args.pod);
        decide::prioritize(&pod, args.candidates())
    });
    let outcome = if answer.is_ok() { "answered" } else { "error" };
    extender.metrics.answered("prioritize", outcome, begun.elapsed());
    match answer {
        Ok(scores) => Json(scores).into_response(),
        // This answer is a bare list: there is no place for an error.
        Err(error) => (StatusCode::BAD_REQUEST, error).into_response(),
    }
}

async fn bind(State(extender): State<Arc<Extender>>, body: Bytes) -> Response {
    let begun = Instant::now();
    let result = match decode::<BindingArgs>(&body) {
        Ok(order) => extender.bind(&order).await,
        Err(error) => Err(error),
    };
    let outcome = if result.is_ok() { "bound" } else { "error" };
    extender.metrics.answered("bind", outcome, begun.elapsed());
    Json(BindingResult { error: result.err().unwrap_or_default() }).into_response()
}

impl Extender {
    fn filter(&self, mut args: ExtenderArgs) -> Result<FilterResult, String> {
        self.ready()?;
        let pod = self.known(&args.pod);
        let candidates = args.candidates();
        let filtered = self.caches.nodes.with(|nodes| decide::filter(&pod, candidates, |name| nodes.get(name)));
        self.metrics.refused(filtered.refused.iter().map(|(_, refusal)| refusal.as_str()));
        let refused = filtered.refused.into_iter().map(|(name, refusal)| (name, refusal.sentence())).collect();
        Ok(FilterResult::new(args, filtered.admitted, refused))
    }

    async fn bind(&self, order: &BindingArgs) -> Result<(), String> {
        self.ready()?;
        self.binder.bind(order, &self.caches).await.inspect_err(|error| {
            tracing::warn!(
                pod = order.pod_name,
                namespace = order.pod_namespace,
                node = order.node,
                error,
                "not bound"
            );
        })
    }

    fn ready(&self) -> Result<(), String> {
        match self.caches.missing() {
            None => Ok(()),
            Some(kind) => Err(format!("Bulkhead's extender has just started and has not seen all {kind} yet")),
        }
    }

    /// The pod as the request shows it, or as our own watch does if that is newer.
    fn known(&self, pod: &Pod) -> WaitingPod {
        let metadata = &pod.metadata;
        let key =
            pod_key(metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
        WaitingPod::read(metadata).newer(self.caches.pods.get(&key))
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("Bulkhead's extender cannot read the request: {error}"))
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
