//! The webhook's HTTP: one route per hook, within limits of time, number and memory.
//!
//! Invariant: every request gets a well-formed answer, whatever it holds. Overload is refused at once; that, a deadline and a failed look-up are HTTP errors, which leave
//! the decision to the hook's failure policy. A request takes the memory of what has come of it, not of what it announces, and small ones, which most are, have
//! room of their own.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header::CONTENT_LENGTH};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use cluster::serve::{self, Unread, weight};
use cluster::telemetry::chain;
use futures::FutureExt as _;
use planning::admission::{Admit, Outcome, Refusal};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::hooks::{Hook, decide};
use crate::look_up::LookUp;
use crate::metrics::Metrics;
use crate::review::{self, Undecodable};

/// A review may hold two objects, each as large as the API server takes (3 MiB), and managed fields.
const BODY_LIMIT: usize = 16 << 20;
/// What every body may have, KiB: together 16 MiB.
const SMALL_BODY_KIB: usize = 32;
/// What all bodies under way together have beyond that, in KiB.
const BODIES_LIMIT_KIB: usize = 24 << 10;
/// All reviews being decided together, in KiB; the container has 256 MiB.
const REVIEWS_LIMIT_KIB: usize = 112 << 10;
/// Reviews of at most so many KiB, as usual ones are, have other room beside: of that, so many.
const SMALL_REVIEW_KIB: usize = 512;
const SMALL_REVIEWS_LIMIT_KIB: usize = 32 << 10;
/// Requests under way; there are no more connections.
const CONCURRENCY: usize = 512;
/// The API server sends a body at once.
const BODY_PATIENCE: Duration = Duration::from_secs(2);
/// Of the time that the caller waits, the part that is ours; the rest is for the way back.
const SHARE_OF_TIMEOUT: f64 = 0.9;
/// The API server's default, for callers that do not say how long they wait.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the routes need. Cheap to clone.
#[derive(Clone)]
pub struct Webhook {
    look_up: LookUp,
    metrics: Metrics,
    bodies: Arc<Semaphore>,
    reviews: Arc<Semaphore>,
    small_reviews: Arc<Semaphore>,
}

impl Webhook {
    /// Decides with what `look_up` knows.
    pub fn new(look_up: LookUp, metrics: Metrics) -> Self {
        let limits = [BODIES_LIMIT_KIB, REVIEWS_LIMIT_KIB, SMALL_REVIEWS_LIMIT_KIB];
        let [bodies, reviews, small_reviews] = limits.map(|limit| Arc::new(Semaphore::new(limit)));
        Self { look_up, metrics, bodies, reviews, small_reviews }
    }
}

/// The routes `/jobs`, `/pods` and `/nodes`, and those that look at what came after them.
pub fn router(webhook: Webhook) -> Router {
    let hook = |hook| post(move |State(webhook): State<Webhook>, request: Request| serve(webhook, hook, request));
    let routes = Router::new()
        .route("/jobs", hook(Hook::Jobs))
        .route("/pods", hook(Hook::Pods))
        .route("/late-jobs", hook(Hook::LateJobs))
        .route("/late-pods", hook(Hook::LatePods))
        .route("/nodes", hook(Hook::Nodes))
        .with_state(webhook);
    cluster::serve::limit_concurrency(routes, CONCURRENCY)
}

/// Why there is no review to answer with.
struct Failure {
    code: StatusCode,
    outcome: &'static str,
    message: String,
}

impl Failure {
    fn new(code: StatusCode, outcome: &'static str, message: impl Into<String>) -> Self {
        Self { code, outcome, message: message.into() }
    }
}

/// What a request is about, for its log line. Nothing of the object but its name: a Job may hold secrets.
#[derive(Default)]
struct Subject {
    uid: String,
    kind: String,
    namespace: String,
    object: String,
    dry_run: bool,
}

impl Subject {
    /// Its texts in their order, as far as they say something.
    fn texts(&self) -> [Option<&str>; 4] {
        let Self { uid, kind, namespace, object, dry_run: _ } = self;
        [uid, kind, namespace, object].map(|text| Some(text.as_str()).filter(|text| !text.is_empty()))
    }
}

/// An answer, and what its log line says about it.
struct Answered {
    outcome: &'static str,
    operations: Option<usize>,
    refused: Option<Refusal>,
    answer: review::Answer,
}

/// One request: one log line, one count. All of the line's fields are written at once: a span would write what it knows again
/// with each that is added.
async fn serve(webhook: Webhook, hook: Hook, request: Request) -> Response {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let (budget, mut subject) = (budget(&parts.uri), None);
    let work = AssertUnwindSafe(answer(&webhook, hook, &parts.headers, body, &mut subject)).catch_unwind();
    let answered = match tokio::time::timeout(budget, work).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(_panic)) => {
            Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "crashed", "the decision crashed; the log says where"))
        }
        Err(_) => Err(Failure::new(StatusCode::GATEWAY_TIMEOUT, "late", format!("no decision within {budget:?}"))),
    };
    let (took, subject, hook_name) = (begun.elapsed(), subject.unwrap_or_default(), hook.as_str());
    let ([uid, kind, namespace, object], dry_run) = (subject.texts(), subject.dry_run);
    match answered {
        Ok(Answered { outcome, operations, refused, answer }) => {
            webhook.metrics.answered(hook, outcome, took);
            let (allowed, code) = (refused.is_none(), refused.as_ref().map(|it| it.code));
            let reason = refused.map(|it| it.message);
            tracing::info!(
                hook = hook_name,
                uid,
                kind,
                namespace,
                object,
                dry_run,
                allowed,
                operations,
                code,
                reason,
                outcome,
                ?took,
                "answered"
            );
            Json(answer).into_response()
        }
        Err(Failure { code, outcome, message }) => {
            webhook.metrics.answered(hook, outcome, took);
            tracing::warn!(
                hook = hook_name,
                uid,
                kind,
                namespace,
                object,
                dry_run,
                code = code.as_u16(),
                reason = message,
                outcome,
                ?took,
                "not answered"
            );
            (code, Json(review::status(code.as_u16(), &message))).into_response()
        }
    }
}

/// Decode → decide → answer. What the request is about is told as soon as it is known.
async fn answer(
    webhook: &Webhook,
    hook: Hook,
    headers: &HeaderMap,
    body: Body,
    subject: &mut Option<Subject>,
) -> Result<Answered, Failure> {
    let mut room = None;
    let body = received(webhook, headers, body, &mut room).await?;
    let weight = weight::kib(&body);
    if weight > REVIEWS_LIMIT_KIB {
        return too_heavy(&body, weight, subject);
    }
    let _memory = memory(webhook, weight)?;
    let (uid, admit) = match review::decode(&body) {
        Ok(mut request) => {
            *subject = Some(about(&request));
            let decided = decide(hook, &mut request, &webhook.look_up).await;
            let admit = decided
                .map_err(|error| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "look_up_failed", chain(&error)))?;
            (request.uid, admit)
        }
        Err(Undecodable::Request { uid, message }) => {
            *subject = Some(Subject { uid: uid.clone(), ..Subject::default() });
            (uid, Admit::refused(400, message))
        }
        Err(Undecodable::Garbage(message)) => return Err(Failure::new(StatusCode::BAD_REQUEST, "garbage", message)),
    };
    answered(uid, admit)
}

/// Refuses what cannot be read, by an answer: an error would count as our absence, in which Jobs are let in. What is being deleted is
/// let go.
fn too_heavy(body: &[u8], weight: usize, subject: &mut Option<Subject>) -> Result<Answered, Failure> {
    let message = format!(
        "the review takes up to {weight} KiB of memory, more than {REVIEWS_LIMIT_KIB}: the object has too many small parts (labels, \
         annotations, variables, or braces and brackets in their texts)"
    );
    let Some(outline) = review::outline(body) else {
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "garbage", message));
    };
    *subject = Some(Subject { uid: outline.uid.clone(), ..Subject::default() });
    let admit = if outline.is_ending { Admit::unchanged(Outcome::LeftAlone) } else { Admit::refused(413, message) };
    answered(outline.uid, admit)
}

fn answered(uid: String, admit: Admit) -> Result<Answered, Failure> {
    let (outcome, operations, refused) = match &admit {
        Admit::Allowed(allowed) => (allowed.outcome.as_str(), Some(allowed.patch.len()), None),
        Admit::Refused(refusal) => ("refused", None, Some(refusal.clone())),
    };
    let answer = review::answer(uid, admit)
        .map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "crashed", chain(&error)))?;
    Ok(Answered { outcome, operations, refused, answer })
}

/// The body. `room` is what it takes beyond what every body has.
async fn received<'a>(
    webhook: &'a Webhook,
    headers: &HeaderMap,
    body: Body,
    room: &mut Option<SemaphorePermit<'a>>,
) -> Result<Bytes, Failure> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let too_long = |length| {
        let message = format!("the body has {length} bytes, more than {BODY_LIMIT}");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "garbage", message)
    };
    if let Some(length) = announced.filter(|length| *length > BODY_LIMIT) {
        return Err(too_long(length.to_string()));
    }
    let pay = |length: usize| {
        let held = room.as_ref().map_or(0, SemaphorePermit::num_permits);
        let more = length.div_ceil(1024).saturating_sub(SMALL_BODY_KIB + held);
        let Ok(more) = webhook.bodies.try_acquire_many(u32::try_from(more).unwrap_or(u32::MAX)) else { return false };
        match room {
            Some(room) => room.merge(more),
            None => *room = Some(more),
        }
        true
    };
    serve::read(body, announced.unwrap_or(BODY_LIMIT), BODY_PATIENCE, pay).await.map_err(|unread| {
        let message = format!("the body cannot be read: {}", chain(&unread));
        match unread {
            Unread::TooLong(_) if announced.is_none() => too_long("too many".to_owned()),
            Unread::TooLong(_) | Unread::Broken(_) => Failure::new(StatusCode::BAD_REQUEST, "garbage", message),
            Unread::Late(_) => Failure::new(StatusCode::REQUEST_TIMEOUT, "late", message),
            Unread::NoRoom => shed(),
        }
    })
}

/// Memory for a review of so many KiB, until it is dropped.
fn memory(webhook: &Webhook, kib: usize) -> Result<SemaphorePermit<'_>, Failure> {
    let count = u32::try_from(kib).unwrap_or(u32::MAX);
    let small = (kib <= SMALL_REVIEW_KIB).then(|| webhook.small_reviews.try_acquire_many(count).ok()).flatten();
    small.map_or_else(|| webhook.reviews.try_acquire_many(count).map_err(|_| shed()), Ok)
}

fn shed() -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "shed", "too many large requests at once")
}

fn about(request: &review::Request) -> Subject {
    Subject {
        uid: request.uid.clone(),
        kind: request.kind.clone(),
        namespace: request.namespace.clone(),
        object: request.name.clone(),
        dry_run: request.dry_run,
    }
}

/// Time for one answer, from `?timeout=3s`.
fn budget(uri: &Uri) -> Duration {
    let timeout = uri
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|pair| pair.strip_prefix("timeout="))
        .and_then(api::convert::duration)
        .and_then(|timeout| Duration::try_from(timeout).ok())
        .filter(|timeout| !timeout.is_zero());
    timeout.unwrap_or(DEFAULT_TIMEOUT).min(DEFAULT_TIMEOUT * 3).mul_f64(SHARE_OF_TIMEOUT)
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
