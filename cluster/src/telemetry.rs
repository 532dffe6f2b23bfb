//! Logs and metrics of a process: JSON lines on stderr, one metrics registry.
//!
//! Invariant: every line is one event with the fields of all its spans; field names are those written at the call
//! (`pod`, `namespace`, `queue`, `uid`, `error`), never interpolated into the message.
//!
//! It does not know where logs and metrics go; the pod's stderr and `/metrics` are collected from outside.

use std::{fmt, io, str::FromStr};

use prometheus_client::{metrics::info::Info, registry::Registry};
use tracing_subscriber::{
    EnvFilter,
    filter::{FromEnvError, LevelFilter},
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line, for collectors.
    #[default]
    Json,
    /// For people at a terminal.
    Text,
}

impl FromStr for LogFormat {
    type Err = TelemetryError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        match given {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            other => Err(TelemetryError::Format(other.to_owned())),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Text => "text",
        })
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log format is not one of ours.
    #[error("unknown log format {0:?}: use \"json\" or \"text\"")]
    Format(String),
    /// `RUST_LOG` cannot be parsed.
    #[error("the environment variable RUST_LOG is not a log filter; write for example \"info\" or \"info,kube=debug\"")]
    Filter(#[source] FromEnvError),
    /// Something has set up logging before.
    #[error("logging is already set up")]
    Twice(#[source] TryInitError),
}

/// Sets up logging for the whole process: `RUST_LOG` selects (default `info`), stderr receives, panics are logged too.
pub fn init(format: LogFormat) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env()
        .map_err(TelemetryError::Filter)?;
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(true)
                .with_writer(io::stderr);
            registry.with(lines).try_init()
        }
        LogFormat::Text => {
            let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
            registry.with(lines).try_init()
        }
    }
    .map_err(TelemetryError::Twice)?;
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let location = panic.location().map(ToString::to_string);
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(panic = message, location, %backtrace, "a task panicked");
    }));
    Ok(())
}

/// The metrics registry of a process; modules register under `registry.sub_registry_with_prefix("module")`.
pub fn registry(component: &str) -> Registry {
    let mut registry = Registry::with_prefix("bulkhead");
    let build = Info::new(vec![
        ("component".to_owned(), component.to_owned()),
        ("version".to_owned(), crate::VERSION.to_owned()),
    ]);
    registry.register("build", "What runs here", build);
    registry
}

/// An error with everything that caused it, on one line, for log fields: `error = %telemetry::chain(&error)`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let said = source.to_string();
        // Some libraries repeat their source in their own message; once is enough.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_formats_read_back_what_they_print() {
        for format in [LogFormat::Json, LogFormat::Text] {
            assert_eq!(format.to_string().parse::<LogFormat>().unwrap(), format);
        }
        let error = "yaml".parse::<LogFormat>().unwrap_err().to_string();
        assert_eq!(error, "unknown log format \"yaml\": use \"json\" or \"text\"");
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot start")]
        struct Outer(#[source] Middle);
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read: gone")]
        struct Middle(#[source] io::Error);
        let error = Outer(Middle(io::Error::other("gone")));
        assert_eq!(chain(&error), "cannot start: cannot read: gone");
    }

    #[test]
    fn the_registry_says_what_runs() {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry("webhook")).unwrap();
        assert!(text.contains("bulkhead_build_info{component=\"webhook\""), "{text}");
    }
}
