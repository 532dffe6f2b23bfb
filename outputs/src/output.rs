//! Where output is found: while a pod is there, at its kubelet; of an attempt that is over, where it was kept.
//!
//! Invariant: asks the kubelet of an attempt that is over only if nothing was kept: its node may be gone.

use std::pin::Pin;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::io::AsyncBufRead;
use jiff::Timestamp;
use object_store::path::Path;

use crate::Kept;

/// Whose output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Whose {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the container.
    pub container: String,
    /// The attempt is over.
    pub is_over: bool,
}

impl Whose {
    /// Where it is kept: a file for each container in a directory for each namespace. Names of containers have no dots, and pods of the API are
    /// called by job, attempt and placement, so no two have the same; who makes a pod elsewhere by such a name has no part in it.
    pub(crate) fn path(&self) -> Path {
        [self.namespace.clone(), format!("{}.{}", self.pod, self.container)].into_iter().collect()
    }
}

/// How much of it, at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// What was printed from then on.
    pub since: Option<Timestamp>,
    /// So many lines at the end.
    pub tail: Option<u32>,
    /// What is still to come, too, until the container has ended.
    pub follow: bool,
}

/// Output as it is read: lines, each with its time, as the kubelet writes them.
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
    /// The cluster did not answer, or with an error; or where it was kept.
    #[error("the cluster does not show it")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where output is found.
pub trait Outputs: Send + Sync + 'static {
    /// Lines, each with its time, as the kubelet writes them.
    fn open(&self, whose: Whose, extent: Extent) -> BoxFuture<'_, Result<Lines, NoOutput>>;
}

/// What was kept, and pods.
#[derive(Clone)]
pub struct Both<P> {
    /// What was kept.
    pub kept: Kept,
    /// Pods.
    pub pods: Arc<P>,
}

impl<P: Outputs> Outputs for Both<P> {
    fn open(&self, whose: Whose, extent: Extent) -> BoxFuture<'_, Result<Lines, NoOutput>> {
        async move {
            let unavailable = |error: crate::Error| NoOutput::Unavailable(Box::new(error));
            if !whose.is_over {
                return match self.pods.open(whose.clone(), extent).await {
                    // It has ended meanwhile.
                    Err(NoOutput::Gone) => self.kept.read(&whose).await.map_err(unavailable)?.ok_or(NoOutput::Gone),
                    answer => answer,
                };
            }
            match self.kept.read(&whose).await {
                Ok(Some(lines)) => Ok(lines),
                Ok(None) => self.pods.open(whose, extent).await,
                Err(error) => match self.pods.open(whose, extent).await {
                    // It may have been kept.
                    Err(NoOutput::Gone) => Err(unavailable(error)),
                    answer => answer,
                },
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{Keep, Limits};
    use futures::AsyncReadExt as _;
    use futures::io::{BufReader, Cursor};

    /// Pods that say this.
    struct Pods(fn() -> Result<&'static str, NoOutput>, Mutex<u32>);

    impl Outputs for Pods {
        fn open(&self, _: Whose, _: Extent) -> BoxFuture<'_, Result<Lines, NoOutput>> {
            *self.1.lock().unwrap() += 1;
            let said = self.0();
            async { Ok(Box::pin(BufReader::new(Cursor::new(said?.as_bytes()))) as Lines) }.boxed()
        }
    }

    #[test]
    fn each_container_of_each_pod_has_a_place_of_its_own() {
        for (namespace, pod, container, expect) in [
            ("ns", "aws-batch.1", "main", "ns/aws-batch.1.main"),
            // Nobody leaves the directory, nor reaches another's.
            ("..", "p", "c", "%2E%2E/p.c"),
            ("ns", "a/b", "c", "ns/a%2Fb.c"),
        ] {
            let (namespace, pod, container) = (namespace.to_owned(), pod.to_owned(), container.to_owned());
            assert_eq!(Whose { namespace, pod, container, is_over: true }.path().to_string(), expect);
        }
    }

    #[tokio::test]
    async fn output_of_an_attempt_that_is_over_is_what_was_kept_and_else_what_its_kubelet_has() {
        let gone: fn() -> Result<&'static str, NoOutput> = || Err(NoOutput::Gone);
        let there: fn() -> Result<&'static str, NoOutput> = || Ok("pod\n");
        let refused: fn() -> Result<&'static str, NoOutput> = || Err(NoOutput::Forbidden("no".to_owned()));
        for (is_over, is_kept, said, expect, asked) in [
            (true, true, there, Some("kept\n"), 0),
            (true, true, refused, Some("kept\n"), 0),
            (true, false, there, Some("pod\n"), 1),
            (true, false, gone, None, 1),
            (false, false, there, Some("pod\n"), 1),
            // A container before it in the same pod, or the end was not stored yet.
            (false, true, there, Some("pod\n"), 1),
            (false, true, gone, Some("kept\n"), 1),
            (false, false, gone, None, 1),
            (false, true, refused, None, 1),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let kept = Kept::in_directory(directory.path(), Limits { bytes: 1 << 20 }).unwrap();
            let whose =
                Whose { namespace: "ns".to_owned(), pod: "p".to_owned(), container: "main".to_owned(), is_over };
            if is_kept {
                let lines = Box::pin(BufReader::new(Cursor::new(&b"kept\n"[..])));
                kept.keep(&whose, lines, Keep::All).await.unwrap();
            }
            let both = Both { kept, pods: Arc::new(Pods(said, Mutex::default())) };
            let found = match both.open(whose, Extent::default()).await {
                Ok(mut lines) => {
                    let mut text = String::new();
                    lines.read_to_string(&mut text).await.unwrap();
                    Some(text)
                }
                Err(_) => None,
            };
            assert_eq!(found.as_deref(), expect, "over {is_over}, kept {is_kept}");
            assert_eq!(*both.pods.1.lock().unwrap(), asked, "over {is_over}, kept {is_kept}");
        }
    }
}
