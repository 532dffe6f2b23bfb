//! Why a request has no result, and how AWS's clients are told.
//!
//! Invariant: decisions know only [`Invalid`], a sentence; this is the one place that makes a status code, an error type and a
//! message of it. What went wrong inside is logged and never sent.

use axum::http::StatusCode;
use uuid::Uuid;

use crate::objects::ObjectError;
use crate::records::RecordsError;

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
    /// Its body is longer than any that has a meaning.
    TooLarge(usize),
    /// Too many requests at once.
    Busy,
    /// It took too long.
    Late,
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
            Self::Refused(_) | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::UnknownOperation(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::Late | Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Crashed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Header `x-amzn-errortype`. The model of AWS Batch has only the first and the last; clients retry `TooManyRequestsException`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "ClientException",
            Self::Malformed(_) => "SerializationException",
            Self::UnknownOperation(_) | Self::Method(_) => "UnknownOperationException",
            Self::TooLarge(_) => "RequestEntityTooLargeException",
            Self::Busy => "TooManyRequestsException",
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
            Self::TooLarge(limit) => format!("Request size must be at most {} KiB", limit / 1024),
            Self::Busy => "Too Many Requests".to_owned(),
            Self::Late => "The request took too long; try again".to_owned(),
            Self::Malformed(message) | Self::Unavailable { message, .. } => message.clone(),
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

    /// No record store is open.
    pub(crate) fn no_records() -> Self {
        Self::Unavailable {
            message: "The record store is not open, so there are no jobs and job definitions; try again".to_owned(),
            cause: "the gateway has no record store".to_owned(),
        }
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Self::Refused(invalid)
    }
}

impl From<RecordsError> for Failure {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::Invalid(message) => Self::Refused(Invalid(message)),
            RecordsError::Unavailable(_) => Self::Unavailable {
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
