//! What clients ask for beside AWS Batch, on the same address: keys, and who they are.
//!
//! Invariant: answers are in the form of the service that is asked, and hold secrets: nothing of them is logged.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use cluster::serve;
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use crate::auth::{self, CONTAINER_PATH, Refused, sts_error};
use crate::failure::Failure;
use crate::gateway::Config;
use crate::limits::TIME_LIMIT;

/// A form with a token of Kubernetes.
const BODY_LIMIT: usize = 32 << 10;
const BODY_PATIENCE: Duration = Duration::from_secs(5);

/// Whether a request is one of these.
pub(crate) fn is_here(parts: &Parts) -> bool {
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_form = kind.split(';').next().is_some_and(|kind| kind.trim() == "application/x-www-form-urlencoded");
    (parts.method == Method::POST && parts.uri.path() == "/" && is_form) || is_container(parts)
}

fn is_container(parts: &Parts) -> bool {
    parts.method == Method::GET && parts.uri.path() == CONTAINER_PATH
}

/// Answers one of these.
pub(crate) async fn answer(config: &Config, parts: &Parts, body: Body, id: Uuid, begun: Instant) -> Response {
    let operation = if is_container(parts) { "credentials" } else { "sts" };
    let answered = timeout(TIME_LIMIT, async {
        if is_container(parts) { container(config, parts).await } else { sts(config, parts, body, id).await }
    });
    let answer = answered.await.unwrap_or(Err(Failure::Late)).unwrap_or_else(|failure| {
        let (code, message, cause) = (failure.status().as_u16(), failure.message(id), failure.cause());
        tracing::warn!(operation, request = %id, code, message, cause, "refused");
        if is_container(parts) {
            let said = json!({"code": failure.kind(), "message": message});
            return (failure.status(), [(CONTENT_TYPE, "application/json")], said.to_string()).into_response();
        }
        let code = match failure.status() {
            StatusCode::TOO_MANY_REQUESTS => "Throttling",
            status if status.is_server_error() => "ServiceUnavailable",
            _ => "ValidationError",
        };
        xml(failure.status(), sts_error(&Refused::new(code, message), id))
    });
    config.metrics.answered(operation, answer.status().as_u16(), begun.elapsed());
    (
        [
            (CACHE_CONTROL, "no-store"),
            (axum::http::HeaderName::from_static("x-amzn-requestid"), id.to_string().as_str()),
        ],
        answer,
    )
        .into_response()
}

async fn sts(config: &Config, parts: &Parts, body: Body, id: Uuid) -> Result<Response, Failure> {
    let body = serve::read(body, BODY_LIMIT, BODY_PATIENCE, |_| true).await?;
    let account = &config.arn.account;
    let answer = match &config.guard {
        Some(guard) => guard.sts(parts, &body, account, id).await?,
        None => auth::sts_without_keys(&body, account, id),
    };
    Ok(match answer {
        Ok(text) => xml(StatusCode::OK, text),
        Err(refused) => {
            tracing::warn!(operation = "sts", request = %id, code = refused.code, message = refused.message, "refused");
            let status = if refused.is_forbidden() { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
            xml(status, sts_error(&refused, id))
        }
    })
}

async fn container(config: &Config, parts: &Parts) -> Result<Response, Failure> {
    let Some(guard) = &config.guard else { return Err(Failure::UnknownOperation(CONTAINER_PATH.to_owned())) };
    let keys = guard.container_keys(parts).await?;
    Ok(([(CONTENT_TYPE, "application/json")], keys.to_string()).into_response())
}

fn xml(status: StatusCode, text: String) -> Response {
    (status, [(CONTENT_TYPE, "text/xml")], text).into_response()
}
