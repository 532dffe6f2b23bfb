//! What containers printed, as the cluster has it.
//!
//! Invariant: read as user `aws-batch`, so that a namespace's Role decides whether the API can show it. A stream that is opened is read no further
//! than a page needs.

use std::fmt;
use std::pin::Pin;

use futures::future::BoxFuture;
use futures::io::AsyncBufRead;
use futures::{AsyncBufReadExt as _, FutureExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, Client};

/// Bytes of a line; what is longer is shown as several.
const LONGEST_LINE: usize = 256 << 10;
/// What a kubelet prints in place of a log that it does not have any more.
const NOT_THERE: [&str; 2] = ["unable to retrieve container logs for ", "failed to try resolving symlinks in path "];

/// Whose output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the container.
    pub container: String,
}

/// How much of it, at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// What was printed from then on.
    pub since: Option<Timestamp>,
    /// So many lines at the end.
    pub tail: Option<u32>,
}

/// Output as it is read.
pub type Lines = Pin<Box<dyn AsyncBufRead + Send>>;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum NoOutput {
    /// The pod is gone, or what it printed.
    #[error("it is gone")]
    Gone,
    /// The container has not begun.
    #[error("the container has not begun")]
    NotYet,
    /// User `aws-batch` may not read it.
    #[error("it may not be read: {0}")]
    Forbidden(String),
    /// The cluster did not answer, or with an error.
    #[error("the cluster does not show it")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where output is found.
pub trait Outputs: Send + Sync + 'static {
    /// Lines, each with its time, as the kubelet writes them.
    fn open(&self, whose: Whose, extent: Extent) -> BoxFuture<'_, Result<Lines, NoOutput>>;
}

/// A cluster's pods.
#[derive(Clone)]
pub struct KubeOutputs(Client);

impl fmt::Debug for KubeOutputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KubeOutputs")
    }
}

impl KubeOutputs {
    /// Through a client of user `aws-batch`.
    pub fn new(client: Client) -> Self {
        Self(client)
    }
}

impl Outputs for KubeOutputs {
    fn open(&self, whose: Whose, extent: Extent) -> BoxFuture<'_, Result<Lines, NoOutput>> {
        let pods: Api<Pod> = Api::namespaced(self.0.clone(), &whose.namespace);
        async move {
            let params = LogParams {
                container: Some(whose.container),
                since_time: extent.since,
                tail_lines: extent.tail.map(i64::from),
                timestamps: true,
                ..LogParams::default()
            };
            let lines = pods.log_stream(&whose.pod, &params).await.map_err(why_not)?;
            Ok(Box::pin(lines) as Lines)
        }
        .boxed()
    }
}

fn why_not(error: kube::Error) -> NoOutput {
    let kube::Error::Api(status) = &error else { return NoOutput::Unavailable(Box::new(error)) };
    match status.code {
        404 => NoOutput::Gone,
        403 => NoOutput::Forbidden(status.message.clone()),
        // It is waiting to start, has no node yet, or never began.
        400 => NoOutput::NotYet,
        _ => NoOutput::Unavailable(Box::new(error)),
    }
}

/// Gives `take` each line until it has enough. Lines are cut where they are too long, and what is no text is shown as such.
pub(crate) async fn each(mut lines: Lines, mut take: impl FnMut(&str) -> bool + Send) -> Result<(), NoOutput> {
    let unavailable = |error: std::io::Error| NoOutput::Unavailable(Box::new(error));
    let (mut line, mut is_first, mut was_cut) = (Vec::new(), true, false);
    loop {
        let read = lines.fill_buf().await.map_err(unavailable)?;
        let is_end = read.is_empty();
        let newline = read.iter().position(|byte| *byte == b'\n');
        let room = LONGEST_LINE - line.len();
        let piece = newline.unwrap_or(read.len()).min(room);
        line.extend_from_slice(&read[..piece]);
        let is_whole = newline == Some(piece);
        let consumed = piece + usize::from(is_whole);
        lines.consume_unpin(consumed);
        // Of a line that was cut at its end nothing is left.
        let is_rest = std::mem::take(&mut was_cut) && line.is_empty();
        if (is_whole && !is_rest) || line.len() == LONGEST_LINE || (is_end && !line.is_empty()) {
            was_cut = !is_whole;
            let text = String::from_utf8_lossy(&line);
            if is_first && NOT_THERE.iter().any(|begins| text.starts_with(begins)) {
                return Err(NoOutput::Gone);
            }
            is_first = false;
            if !take(&text) {
                return Ok(());
            }
            line.clear();
        }
        if is_end {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::io::{BufReader, Cursor};

    use super::*;

    async fn read(text: &[u8], at_once: usize, most: usize) -> Result<Vec<String>, NoOutput> {
        let mut all = Vec::new();
        let lines = BufReader::with_capacity(at_once, Cursor::new(text.to_vec()));
        each(Box::pin(lines), |line| {
            all.push(line.to_owned());
            all.len() < most
        })
        .await?;
        Ok(all)
    }

    #[tokio::test]
    async fn lines_are_those_that_were_written_however_they_come() {
        let long = "x".repeat(LONGEST_LINE + 10);
        for (text, expect) in [
            (&b""[..], vec![]),
            (b"a\n\nb\n", vec!["a", "", "b"]),
            (b"a\nb", vec!["a", "b"]),
            ("é\n\u{20ac}\n".as_bytes(), vec!["é", "€"]),
            (b"\xff\n", vec!["\u{fffd}"]),
            (b"a\r\n", vec!["a\r"]),
            (long.as_bytes(), vec![&long[..LONGEST_LINE], &long[LONGEST_LINE..]]),
        ] {
            for at_once in [1, 3, 1 << 20] {
                assert_eq!(read(text, at_once, usize::MAX).await.unwrap(), expect, "{at_once} bytes at once");
            }
        }
        assert_eq!(read(b"a\nb\nc\n", 2, 2).await.unwrap(), ["a", "b"]);
        let exact = format!("{}\nb", &long[..LONGEST_LINE]);
        assert_eq!(read(exact.as_bytes(), 1000, 9).await.unwrap(), [&long[..LONGEST_LINE], "b"]);
    }

    #[tokio::test]
    async fn what_a_kubelet_says_in_place_of_a_log_is_none() {
        let said = b"unable to retrieve container logs for containerd://0123";
        assert!(matches!(read(said, 100, 9).await, Err(NoOutput::Gone)));
        let printed = b"2026-11-30T21:00:00Z unable to retrieve container logs for x\n";
        assert_eq!(read(printed, 100, 9).await.unwrap().len(), 1);
    }

    #[test]
    fn why_there_is_no_output_is_in_the_code() {
        let why = |code| {
            let status = kube::core::Status { code, message: "m".to_owned(), ..kube::core::Status::default() };
            why_not(kube::Error::Api(Box::new(status)))
        };
        assert!(matches!(why(404), NoOutput::Gone) && matches!(why(400), NoOutput::NotYet));
        assert!(matches!(why(403), NoOutput::Forbidden(said) if said == "m"));
        assert!(matches!(why(500), NoOutput::Unavailable(_)));
    }
}
