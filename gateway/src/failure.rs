//! Why a request has no result, and how AWS's clients are told.
//!
//! Invariant: decisions know only [`Invalid`], a sentence; this is the one place that makes a status code, an error type and a
//! message of it. What went wrong inside is logged and never sent.

use axum::http::StatusCode;
use cluster::serve::Unread;
use records::{Counted, Exceeded, Measure};
use uuid::Uuid;

use crate::objects::ObjectError;

/// A request that is understood and refused: AWS's words where they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invalid(pub(crate) String);

impl Invalid {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// For `return refuse(…)` in functions that check.
    pub(crate) fn err<T>(message: impl Into<String>) -> Result<T, Self> {
        Err(Self(message.into()))
    }
}

/// Why a request has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It breaks a rule.
    Refused(Invalid),
    /// It cannot be understood.
    Malformed(String),
    /// There is no such operation.
    UnknownOperation(String),
    /// The operation has another method.
    Method(String),
    /// It does not say, in a way that can be understood, under which name it came.
    NoHost,
    /// The API is not served under this name.
    Host(String),
    /// It is a web page's, as this header says.
    Page(String),
    /// Its body has another form.
    ContentType(String),
    /// It takes no answer that there is.
    NotAcceptable(String),
    /// What it names is not there.
    NotFound(String),
    /// Its body is longer than any that has a meaning.
    TooLarge(usize),
    /// Its body does not come.
    BodyLate,
    /// Too many requests at once.
    Busy,
    /// Too many jobs that have not ended. Clients of AWS try it again, as some may end.
    Exceeded(Exceeded),
    /// It took too long.
    Late,
    /// The caller is nobody that is known, or may not do that.
    Denied {
        /// AWS's name for it.
        kind: &'static str,
        /// For the caller.
        message: String,
    },
    /// Something that it needs does not answer.
    Unavailable {
        /// For the caller.
        message: String,
        /// For the log.
        cause: String,
    },
    /// A defect.
    Crashed,
}

impl Failure {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Refused(_) | Self::Malformed(_) | Self::NoHost | Self::NotFound(_) => StatusCode::BAD_REQUEST,
            Self::Host(_) | Self::Page(_) | Self::Denied { .. } => StatusCode::FORBIDDEN,
            Self::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::UnknownOperation(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyLate => StatusCode::REQUEST_TIMEOUT,
            Self::Busy | Self::Exceeded(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Late | Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Crashed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Header `x-amzn-errortype`. The model of AWS Batch has only the first and the last; clients retry `TooManyRequestsException`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) | Self::NoHost => "ClientException",
            Self::Host(_) | Self::Page(_) => "AccessDeniedException",
            Self::Denied { kind, .. } => kind,
            Self::NotFound(_) => "ResourceNotFoundException",
            Self::ContentType(_) => "UnsupportedMediaTypeException",
            Self::NotAcceptable(_) => "NotAcceptableException",
            Self::Malformed(_) => "SerializationException",
            Self::UnknownOperation(_) | Self::Method(_) => "UnknownOperationException",
            Self::TooLarge(_) => "RequestEntityTooLargeException",
            Self::BodyLate => "RequestTimeoutException",
            Self::Busy | Self::Exceeded(_) => "TooManyRequestsException",
            Self::Late | Self::Unavailable { .. } | Self::Crashed => "ServerException",
        }
    }

    /// `message` of the body. What breaks a rule comes in AWS's envelope.
    pub(crate) fn message(&self, request: Uuid) -> String {
        match self {
            Self::Refused(Invalid(message)) => {
                format!("Error executing request, Exception : {message}, RequestId: {request}")
            }
            Self::UnknownOperation(path) => format!("AWS Batch has no operation at {path}"),
            Self::Method(path) => format!("{path} is called with another method"),
            Self::NoHost => "The request says no host name, or none that can be read".to_owned(),
            Self::Host(name) => format!(
                "This API is not served as {name}; if it is meant to be, add --served-host={name} to the controller's arguments"
            ),
            Self::Page(header) => format!("Web pages may not call this API (header {header})"),
            Self::ContentType(given) => {
                format!("A body must be application/json or application/x-amz-json-1.1; this request has {given}")
            }
            Self::NotAcceptable(given) => format!("Answers are application/json, which is not among {given}"),
            Self::TooLarge(limit) => format!("Request size must be at most {} KiB", limit / 1024),
            Self::BodyLate => "The body of the request did not come in time".to_owned(),
            Self::Busy => "Too Many Requests".to_owned(),
            Self::Exceeded(exceeded) => format!(
                "Too Many Requests: {exceeded}. Try again when some have ended, end some with TerminateJob, or have an administrator \
                 raise {} of Bulkhead's controller",
                flag(exceeded)
            ),
            Self::Late => "The request took too long; try again".to_owned(),
            Self::Malformed(message)
            | Self::NotFound(message)
            | Self::Denied { message, .. }
            | Self::Unavailable { message, .. } => message.clone(),
            Self::Crashed => "Internal error; the log of Bulkhead's controller says where".to_owned(),
        }
    }

    /// What only the log says.
    pub(crate) fn cause(&self) -> Option<&str> {
        match self {
            Self::Unavailable { cause, .. } => Some(cause),
            _ => None,
        }
    }

    /// What only another service of AWS does: so that clients that ask one on the way go on without it.
    pub(crate) fn elsewhere() -> Self {
        let message = "Bulkhead serves AWS Batch here, of Amazon CloudWatch Logs what reads logs, and of AWS STS what gives keys; nothing else";
        Self::Denied { kind: "AccessDeniedException", message: message.to_owned() }
    }

    /// No record store is open.
    pub(crate) fn no_records() -> Self {
        Self::Unavailable {
            message: "The record store is not open, so there are no jobs and job definitions; try again".to_owned(),
            cause: "the record store is not open here: no --database is configured, another replica leads, or it cannot be opened (see \
                    the log)"
                .to_owned(),
        }
    }
}

/// The argument of the controller that says the limit.
fn flag(exceeded: &Exceeded) -> &'static str {
    match (&exceeded.of, exceeded.measure) {
        (Counted::Namespace(_), Measure::Jobs) => "--namespace-api-jobs",
        (Counted::Namespace(_), Measure::Bytes) => "--namespace-api-bytes",
        (Counted::All, Measure::Jobs) => "--api-jobs",
        (Counted::All, Measure::Bytes) => "--api-bytes",
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Self::Refused(invalid)
    }
}

/// Why the body of a request was not read.
impl From<Unread> for Failure {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLong(limit) => Self::TooLarge(limit),
            Unread::Late(_) => Self::BodyLate,
            Unread::NoRoom => Self::Busy,
            Unread::Broken(_) => Self::Malformed("The body cannot be read".to_owned()),
        }
    }
}

impl From<records::Error> for Failure {
    fn from(error: records::Error) -> Self {
        match error {
            records::Error::Invalid(message) => Self::Refused(Invalid(message)),
            // Clients would try it again for nothing.
            records::Error::Exceeded(it) if it.is_for_ever() => Self::Refused(Invalid(format!(
                "{it}, which never fits. Make it smaller, or have an administrator raise {} of Bulkhead's controller",
                flag(&it)
            ))),
            records::Error::Exceeded(it) => Self::Exceeded(it),
            _ => Self::Unavailable {
                message: "The record store does not answer; try again".to_owned(),
                cause: cluster::telemetry::chain(&error),
            },
        }
    }
}

impl From<ObjectError> for Failure {
    fn from(error: ObjectError) -> Self {
        match error {
            // The rules of the custom resource, with a sentence that says what to do.
            ObjectError::Invalid(message) => Self::Refused(Invalid(message)),
            ObjectError::Taken => Self::Refused(Invalid::new("Object already exists")),
            ObjectError::Changed | ObjectError::Gone => {
                Self::Refused(Invalid::new("Cannot update, resource is being modified"))
            }
            ObjectError::Unavailable(_) => Self::Unavailable {
                message: "The Kubernetes API does not answer; try again".to_owned(),
                cause: cluster::telemetry::chain(&error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_fit_later_is_tried_again_by_clients_and_what_never_fits_is_not() {
        let advice = "Try again when some have ended, end some with TerminateJob, or have an administrator raise";
        let never = "which never fits. Make it smaller, or have an administrator raise";
        let mine = || Counted::Namespace("a".to_owned());
        for (of, measure, (limit, used, asked), status, kind, said, flag) in [
            (mine(), Measure::Jobs, (100, 95, 11), 429, "TooManyRequestsException", advice, "--namespace-api-jobs"),
            (mine(), Measure::Bytes, (100, 95, 11), 429, "TooManyRequestsException", advice, "--namespace-api-bytes"),
            (Counted::All, Measure::Jobs, (100, 100, 1), 429, "TooManyRequestsException", advice, "--api-jobs"),
            (Counted::All, Measure::Bytes, (100, 100, 100), 429, "TooManyRequestsException", advice, "--api-bytes"),
            (mine(), Measure::Bytes, (100, 0, 101), 400, "ClientException", never, "--namespace-api-bytes"),
            (Counted::All, Measure::Jobs, (100, 100, 101), 400, "ClientException", never, "--api-jobs"),
        ] {
            let exceeded = Exceeded { of, measure, limit, used, asked };
            let text = exceeded.to_string();
            let failure = Failure::from(records::Error::Exceeded(exceeded));
            let message = failure.message(Uuid::nil());
            assert_eq!((failure.status().as_u16(), failure.kind()), (status, kind), "{message}");
            let whole = message.contains(&format!("{text}{} {said} {flag} of", if status == 429 { "." } else { "," }));
            assert!(whole, "{message}");
        }
    }
}
