//! The gateway's HTTP: one way for all requests, within limits of time, number and memory.
//!
//! Invariant: every request gets an answer in AWS's form, whatever it holds, and one log line. Nothing of a request but its
//! operation is logged: jobs may hold secrets.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use cluster::serve::{self, LocalAddress, weight};
use futures::FutureExt as _;
use model::front::Fronts;
use records::Store;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use uuid::Uuid;

use crate::aside;
use crate::auth::Caller;
use crate::caller;
use crate::decode;
use crate::dispatch::perform;
use crate::failure::{Failure, Invalid};
use crate::gateway::{Config, Gateway};
use crate::limits::TIME_LIMIT;
use crate::logs;
use crate::objects::Objects;
use crate::operation::{Operation, Route, route};
use crate::session::Session;
use crate::tagging;

/// The longest request that has a meaning: a definition has at most 24 KiB, a list at most 100 ARNs.
const BODY_LIMIT: usize = 128 << 10;
/// <https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html>
const JOB_LIMIT: usize = 30 << 10;
/// From the same page.
const DEFINITION_LIMIT: usize = 24 << 10;
/// Requests being answered.
const CONCURRENCY: usize = 256;
/// All requests being answered together, in KiB; those of at most `SMALL_KIB`, as usual ones are, have other room: 64 MiB.
const MEMORY_KIB: usize = 96 << 10;
const SMALL_KIB: u32 = 256;
/// Pages of what jobs printed that are made at a time, each of some MiB with its answer; and how long one waits for its turn.
const OUTPUTS: usize = 8;
const OUTPUT_WAIT: Duration = Duration::from_secs(3);
/// Requests about output being answered, or waiting for their turn: who reads keeps nobody from submitting.
const READERS: usize = 64;
/// No client needs longer to send a body of at most 128 KiB.
const BODY_PATIENCE: Duration = Duration::from_secs(5);

/// How much there is for requests, at all addresses together. Clones share it.
#[derive(Clone, Debug)]
pub struct Room(Arc<Limits>);

#[derive(Debug)]
struct Limits {
    slots: Semaphore,
    memory: Semaphore,
    readers: Semaphore,
    outputs: Semaphore,
}

impl Default for Room {
    fn default() -> Self {
        let [slots, memory, readers, outputs] = [CONCURRENCY, MEMORY_KIB, READERS, OUTPUTS].map(Semaphore::new);
        Self(Arc::new(Limits { slots, memory, readers, outputs }))
    }
}

impl Room {
    /// Room for one page of output.
    async fn for_output(&self) -> Result<SemaphorePermit<'_>, Failure> {
        match tokio::time::timeout(OUTPUT_WAIT, self.0.outputs.acquire()).await {
            Ok(Ok(room)) => Ok(room),
            _ => Err(Failure::Busy),
        }
    }
}

/// The API. Until a store is open every operation on jobs and job definitions answers 503. `fronts`: what the last plan left waiting, if
/// this process plans.
pub fn router(
    stores: watch::Receiver<Option<Store>>,
    fronts: watch::Receiver<Option<Arc<Fronts>>>,
    objects: impl Objects,
    config: Config,
) -> Router {
    Router::new().fallback(serve).with_state(Arc::new(Gateway::new(stores, fronts, objects, config)))
}

async fn serve<O: Objects>(State(gateway): State<Arc<Gateway<O>>>, request: Request) -> Response {
    let config = &gateway.config;
    let (begun, id) = (Instant::now(), Uuid::new_v4());
    let (parts, body) = request.into_parts();
    let at = parts.extensions.get::<LocalAddress>().map(|address| address.0.ip());
    let let_in = caller::check(&parts.uri, &parts.headers, &config.served, at);
    if let_in.is_ok() && aside::is_here(&parts) {
        return aside::answer(config, &parts, body, id, begun).await;
    }
    let mut by = None;
    let (operation, call) = called(&parts);
    let result = match let_in.and(call) {
        Ok(call) => limited(&gateway, (call, operation), &parts, body, &mut by).await,
        Err(failure) => Err(failure),
    };
    let took = begun.elapsed();
    let code = result.as_ref().map_or_else(Failure::status, |_| StatusCode::OK);
    config.metrics.answered(operation, code.as_u16(), took);
    let request = id.to_string();
    let caller = by.as_ref().map(Caller::name);
    match &result {
        Ok(_) => tracing::info!(operation, caller, request, ?took, "answered"),
        Err(failure) => {
            let (code, kind, message, cause) = (code.as_u16(), failure.kind(), failure.message(id), failure.cause());
            tracing::warn!(operation, caller, request, code, kind, message, cause, ?took, "refused");
        }
    }
    respond(id, Form::of(&parts), result)
}

/// What is called.
#[derive(Clone, Copy)]
enum Call {
    Batch(Operation),
    Logs(logs::Operation),
}

impl Call {
    /// For which service a request has to be signed.
    fn service(self) -> &'static str {
        match self {
            Self::Batch(_) => "batch",
            Self::Logs(_) => "logs",
        }
    }
}

/// Name of what a request calls, for logs, and what it is.
fn called(parts: &Parts) -> (&'static str, Result<Call, Failure>) {
    let path = parts.uri.path();
    match (logs::route(parts), route(parts.method.as_str(), path)) {
        (Some((Some(operation), name)), _) => (name, Ok(Call::Logs(operation))),
        (Some((None, name)), _) => (name, Err(Failure::elsewhere())),
        (None, Route::Built(operation, name)) => (name, Ok(Call::Batch(operation))),
        (None, Route::NotBuilt(name)) => {
            (name, Err(Failure::Refused(Invalid(format!("{name} is not supported by Bulkhead yet")))))
        }
        (None, Route::Method) => ("unknown", Err(Failure::Method(path.to_owned()))),
        (None, Route::Unknown) => ("unknown", Err(Failure::UnknownOperation(path.to_owned()))),
    }
}

/// Decode → decide → act, within limits.
async fn limited<O: Objects>(
    gateway: &Arc<Gateway<O>>,
    (call, name): (Call, &'static str),
    parts: &Parts,
    body: Body,
    by: &mut Option<Caller>,
) -> Result<Value, Failure> {
    let headers = &parts.headers;
    caller::media(headers, !body.is_end_stream())?;
    // Who is slow to send it keeps nobody from being answered.
    let body = read(call, headers, body).await?;
    let slots = match call {
        Call::Batch(_) => &gateway.config.room.0.slots,
        Call::Logs(_) => &gateway.config.room.0.readers,
    };
    let _slot = slots.try_acquire().map_err(|_| Failure::Busy)?;
    let large = u32::try_from(weight::kib(&body)).ok().filter(|kib| *kib > SMALL_KIB);
    let _memory = gateway.config.room.0.memory.try_acquire_many(large.unwrap_or(0)).map_err(|_| Failure::Busy)?;
    let work = AssertUnwindSafe(async {
        let caller = match &gateway.config.guard {
            None => Caller::Anybody,
            Some(guard) => guard.caller(parts, &body, &[call.service()]).await?,
        };
        *by = Some(caller.clone());
        let session = Session { gateway: gateway.clone(), caller, service: call.service(), operation: name };
        let mut members = decode::body(&body)?;
        drop(body);
        members.extend(tagging::in_uri(&parts.uri)?);
        match call {
            Call::Batch(operation) => perform(&session, operation, &members).await,
            Call::Logs(operation) => {
                let _room = match operation {
                    logs::Operation::DescribeLogGroups => None,
                    _ => Some(gateway.config.room.for_output().await?),
                };
                logs::perform(&session, operation, &members).await
            }
        }
    });
    match tokio::time::timeout(TIME_LIMIT, work.catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err(Failure::Crashed),
        Err(_) => Err(Failure::Late),
    }
}

async fn read(call: Call, headers: &HeaderMap, body: Body) -> Result<axum::body::Bytes, Failure> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if let Some(failure) = declared.and_then(|length| fits(call, length).err()) {
        serve::decline(body).await;
        return Err(failure);
    }
    // Every connection may have one body on its way: together at most 64 MiB.
    let body = serve::read(body, BODY_LIMIT, BODY_PATIENCE, |_| true).await?;
    fits(call, body.len())?;
    Ok(body)
}

fn fits(call: Call, length: usize) -> Result<(), Failure> {
    let got = length.div_ceil(1024);
    match call {
        Call::Batch(Operation::SubmitJob) if length > JOB_LIMIT => {
            Err(Failure::Refused(Invalid(format!("Job size must be less than 30 KiB, got {got} KiB"))))
        }
        Call::Batch(Operation::RegisterJobDefinition) if length > DEFINITION_LIMIT => {
            Err(Failure::Refused(Invalid(format!("Job definition size must be less than 24 KiB, got {got} KiB"))))
        }
        _ if length > BODY_LIMIT => Err(Failure::TooLarge(BODY_LIMIT)),
        _ => Ok(()),
    }
}

/// In which of AWS's protocols an answer is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `restJson1`, as AWS Batch has it.
    Rest,
    /// `awsJson1_1` (<https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>).
    Json,
}

impl Form {
    fn of(parts: &Parts) -> Self {
        if parts.headers.contains_key(logs::TARGET) { Self::Json } else { Self::Rest }
    }
}

fn respond(id: Uuid, form: Form, result: Result<Value, Failure>) -> Response {
    let request = ("x-amzn-requestid", id.to_string());
    if form == Form::Json {
        let (status, body) = match result {
            Ok(answer) => (StatusCode::OK, answer),
            Err(failure) => logs::error(&failure, id),
        };
        return (status, [request], [(CONTENT_TYPE, "application/x-amz-json-1.1")], body.to_string()).into_response();
    }
    let json = (CONTENT_TYPE, "application/json");
    match result {
        Ok(answer) => ([request], [json], answer.to_string()).into_response(),
        Err(failure) => {
            let kind = ("x-amzn-errortype", failure.kind().to_owned());
            let body = json!({"message": failure.message(id)}).to_string();
            (failure.status(), [request, kind], [json], body).into_response()
        }
    }
}
