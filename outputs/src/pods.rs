//! What containers printed, as their kubelets have it.
//!
//! Invariant: what a kubelet says in place of a log is no log. Of a container that was restarted in its pod only the last run is there, and of one
//! whose log was rotated only its last file.

use std::fmt;

use futures::future::BoxFuture;
use futures::{AsyncBufReadExt as _, FutureExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, Client};

use crate::output::{Extent, Lines, NoOutput, Outputs, Whose};

/// What a kubelet prints in place of a log that it does not have any more.
const NOT_THERE: [&str; 2] = ["unable to retrieve container logs for ", "failed to try resolving symlinks in path "];

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
                follow: extent.follow,
                timestamps: true,
                ..LogParams::default()
            };
            let lines: Lines = Box::pin(pods.log_stream(&whose.pod, &params).await.map_err(why_not)?);
            // Nothing may come for long of what is followed.
            if extent.follow { Ok(lines) } else { unless_gone(lines).await }
        }
        .boxed()
    }
}

/// Output, unless it is a kubelet's words that there is none. They have no time, and so are told from lines.
async fn unless_gone(mut lines: Lines) -> Result<Lines, NoOutput> {
    let first = lines.fill_buf().await.map_err(|error| NoOutput::Unavailable(Box::new(error)))?;
    let is_gone = NOT_THERE.iter().any(|words| first.starts_with(words.as_bytes()));
    if is_gone { Err(NoOutput::Gone) } else { Ok(lines) }
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

#[cfg(test)]
mod tests {
    use futures::AsyncReadExt as _;
    use futures::io::{BufReader, Cursor};

    use super::*;

    #[tokio::test]
    async fn what_a_kubelet_says_in_place_of_a_log_is_none() {
        let open = |text: &str| unless_gone(Box::pin(BufReader::new(Cursor::new(text.as_bytes().to_vec()))));
        let said = open("unable to retrieve container logs for containerd://0123").await;
        assert!(matches!(said, Err(NoOutput::Gone)));
        let printed = "2026-11-30T21:00:00Z unable to retrieve container logs for x\n";
        for text in [printed, ""] {
            let mut all = String::new();
            open(text).await.unwrap().read_to_string(&mut all).await.unwrap();
            assert_eq!(all, text);
        }
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
