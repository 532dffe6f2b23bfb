//! What jobs printed, as Amazon CloudWatch Logs shows it
//! (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/Welcome.html>), on the same address as AWS Batch.
//!
//! Invariant: shows a caller nothing of a job that he may not see, and no output without the right to it. Reads, and bounds what it reads by a page.

mod describe;
mod events;
mod found;
mod latest;
mod lines;
mod pattern;
mod read;
mod request;
mod stream;

use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use records::Kept;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::stream::Stream;
use crate::decode;
use crate::failure::{Failure, Invalid};
use crate::objects::Objects;
use crate::session::Session;

/// The header that names an operation.
pub(crate) const TARGET: &str = "x-amz-target";
/// What it begins with for this service.
const SERVICE: &str = "Logs_20140328.";
/// The container of jobs of `containerProperties`, as AWS calls it in names of streams.
const DEFAULT: &str = "default";

/// An operation that is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    GetLogEvents,
    FilterLogEvents,
    DescribeLogStreams,
    DescribeLogGroups,
}

/// What a request wants that names its operation in a header, and how that is called; `None`: it is none of these. Requests for AWS Batch have no
/// such header.
pub(crate) fn route(parts: &Parts) -> Option<(Option<Operation>, &'static str)> {
    let target = parts.headers.get(TARGET)?.to_str().unwrap_or_default();
    let of_logs = target.strip_prefix(SERVICE).filter(|_| parts.method == Method::POST && parts.uri.path() == "/");
    Some(match of_logs {
        Some("GetLogEvents") => (Some(Operation::GetLogEvents), "GetLogEvents"),
        Some("FilterLogEvents") => (Some(Operation::FilterLogEvents), "FilterLogEvents"),
        Some("DescribeLogStreams") => (Some(Operation::DescribeLogStreams), "DescribeLogStreams"),
        Some("DescribeLogGroups") => (Some(Operation::DescribeLogGroups), "DescribeLogGroups"),
        _ => (None, "elsewhere"),
    })
}

pub(crate) async fn perform<O: Objects>(
    session: &Session<O>,
    operation: Operation,
    body: &Map<String, Value>,
) -> Result<Value, Failure> {
    match operation {
        Operation::GetLogEvents => read::get(session, decode::members(body)?).await,
        Operation::FilterLogEvents => read::filter(session, decode::members(body)?).await,
        Operation::DescribeLogStreams => describe::streams(session, &decode::members(body)?).await,
        Operation::DescribeLogGroups => describe::groups(session, &decode::members(body)?),
    }
}

/// Status and body of an error, as this service sends them.
pub(crate) fn error(failure: &Failure, request: Uuid) -> (StatusCode, Value) {
    let (kind, message) = match failure {
        Failure::Refused(Invalid(message)) => ("InvalidParameterException", message.clone()),
        Failure::Busy => ("ThrottlingException", "Rate exceeded".to_owned()),
        Failure::Late | Failure::Unavailable { .. } => ("ServiceUnavailableException", failure.message(request)),
        other => (other.kind(), other.message(request)),
    };
    let status = if failure.status().is_server_error() { failure.status() } else { StatusCode::BAD_REQUEST };
    (status, json!({"__type": kind, "message": message}))
}

/// The stream of a job of `containerProperties`.
pub(crate) fn stream_of(kept: &Kept, attempt: u32) -> String {
    Stream::of(&kept.spec, DEFAULT, kept.record.id, attempt).to_string()
}
