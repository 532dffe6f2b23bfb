//! The provider's HTTP side: routes, statuses, bodies. Invariant: every answer that is no success carries a
//! `ProviderError`. Decides nothing; `store` does.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use api::provider::{ErrorCode, InstanceList, LaunchRequest, OfferList, ProviderError};
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::faults::Faults;
use super::store::Store;
use crate::cluster::Cluster;
use crate::slot::PROVIDER_PORT;

type Shared = Arc<Store>;

/// Serves until SIGTERM.
pub(super) async fn serve(cluster: Cluster) -> Result<()> {
    let address = (cluster.slot().gateway(), PROVIDER_PORT);
    let listener =
        tokio::net::TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address:?}"))?;
    let store = Store::open(cluster)?;
    let mut terminate = signal(SignalKind::terminate())?;
    // No draining: a hanging answer would keep the process.
    tokio::select! {
        result = axum::serve(listener, router(store)) => result.context("serving ended"),
        _ = terminate.recv() => Ok(()),
    }
}

fn router(store: Shared) -> Router {
    let wire = Router::new()
        .route("/offers", get(offers))
        .route("/instances", get(list))
        .route("/instances/{token}", put(launch).delete(terminate))
        .fallback(nothing)
        .layer(middleware::from_fn_with_state(Arc::clone(&store), misbehave));
    let testing = Router::new()
        .route("/testing/faults", get(faults).put(set_faults))
        .route("/testing/vanish/{token}", post(vanish));
    testing.merge(wire).with_state(store)
}

/// An answer that is no success.
struct Refusal(StatusCode, ProviderError);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

impl From<ProviderError> for Refusal {
    fn from(error: ProviderError) -> Self {
        let status = match error.code {
            ErrorCode::InsufficientCapacity => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::InvalidRequest => StatusCode::BAD_REQUEST,
            ErrorCode::TryLater => StatusCode::TOO_MANY_REQUESTS,
        };
        Self(status, error)
    }
}

fn internal(error: &anyhow::Error) -> Refusal {
    Refusal(
        StatusCode::INTERNAL_SERVER_ERROR,
        ProviderError { code: ErrorCode::TryLater, message: format!("{error:#}") },
    )
}

fn missing(what: &str) -> Refusal {
    Refusal(
        StatusCode::NOT_FOUND,
        ProviderError { code: ErrorCode::InvalidRequest, message: format!("there is no {what}") },
    )
}

/// The code that goes with an HTTP status.
fn code(status: u16) -> ErrorCode {
    match status {
        400 => ErrorCode::InvalidRequest,
        503 => ErrorCode::InsufficientCapacity,
        _ => ErrorCode::TryLater,
    }
}

async fn misbehave(State(store): State<Shared>, request: Request, next: Next) -> Response {
    while store.faults().hang {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if let Some(fail) = store.faults().fail {
        let status = StatusCode::from_u16(fail.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return Refusal(status, ProviderError { code: code(fail.status), message: fail.message }).into_response();
    }
    next.run(request).await
}

/// Runs work that touches files and processes on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| internal(&error)),
        Err(error) => Err(internal(&error.into())),
    }
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("the request's body is not what is expected here: {error}");
        ProviderError { code: ErrorCode::InvalidRequest, message }.into()
    })
}

async fn offers(State(store): State<Shared>) -> Json<OfferList> {
    Json(OfferList { offers: store.offers() })
}

async fn list(State(store): State<Shared>) -> Result<Response, Refusal> {
    let Faults { empty_books, odd_entries, .. } = store.faults();
    let instances = if empty_books { Vec::new() } else { blocking(move || Ok(store.list())).await? };
    if !odd_entries {
        return Ok(Json(InstanceList { instances }).into_response());
    }
    let read = instances.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
    let mut all = read.map_err(|error| internal(&error.into()))?;
    all.extend([json!({"token": "another", "state": "Stopped"}), json!({"state": "running"}), json!(null)]);
    Ok(Json(json!({"instances": all})).into_response())
}

async fn launch(State(store): State<Shared>, Path(token): Path<String>, body: Bytes) -> Result<Response, Refusal> {
    let request: LaunchRequest = read(&body)?;
    // Before the delay, which plays a provider that carries out late what it has been asked for in time.
    let deleted = store.is_deleted(&token);
    let delay = Duration::from_millis(store.faults().launch_delay_ms);
    // Goes on when whoever asked has hung up.
    let launched = tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        blocking(move || store.launch(&token, request, deleted)).await
    });
    let instance = launched.await.map_err(|error| internal(&error.into()))???;
    Ok(Json(instance).into_response())
}

async fn terminate(State(store): State<Shared>, Path(token): Path<String>) -> Result<Response, Refusal> {
    let what = format!("instance `{token}`");
    let knows = !store.faults().empty_books;
    let instance = if knows { blocking(move || store.terminate(&token)).await? } else { None };
    instance.map(|instance| Json(instance).into_response()).ok_or_else(|| missing(&what))
}

async fn vanish(State(store): State<Shared>, Path(token): Path<String>) -> Result<Response, Refusal> {
    let what = format!("instance `{token}`");
    let instance = blocking(move || store.vanish(&token)).await?;
    instance.map(|instance| Json(instance).into_response()).ok_or_else(|| missing(&what))
}

async fn faults(State(store): State<Shared>) -> Json<Faults> {
    Json(store.faults())
}

async fn set_faults(State(store): State<Shared>, body: Bytes) -> Result<Response, Refusal> {
    let faults: Faults = read(&body)?;
    store.set_faults(faults.clone());
    Ok(Json(faults).into_response())
}

async fn nothing(request: Request) -> Refusal {
    missing(&format!("`{} {}`", request.method(), request.uri().path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_has_its_status() {
        let check = |code: ErrorCode, expect: u16| {
            let refusal = Refusal::from(ProviderError { code, message: String::new() });
            assert_eq!(refusal.0.as_u16(), expect);
            assert_eq!(super::code(expect), code);
        };
        check(ErrorCode::InsufficientCapacity, 503);
        check(ErrorCode::InvalidRequest, 400);
        check(ErrorCode::TryLater, 429);
        assert_eq!(super::code(500), ErrorCode::TryLater);
    }
}
