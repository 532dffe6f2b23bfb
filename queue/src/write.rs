//! How long the loop waits for a write, and what its answer means.
//!
//! Invariant: no write keeps the loop longer than [`PATIENCE`], and one namespace in which writes hang or fail costs that once in a cycle,
//! however many objects are in it. Does not know what is written.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cluster::{clock, gone};
use kube::Api;
use model::snapshot::Write;
use planning::refusal::Answer;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::report;

/// Far above what an API server takes that is well, far below the ten to thirty seconds for which it waits for somebody's webhook.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is written.
    Written,
    /// The object is not there any more; nothing is left to do.
    Gone,
    /// It did not go through.
    Not(Answer),
}

/// What came of a write to the object of this name and UID, as the API server's answer and, where that can mean several things, a look say.
pub(crate) async fn outcome<K, T>(api: &Api<K>, name: &str, uid: Option<&str>, answer: kube::Result<T>) -> Outcome
where
    K: Clone + Debug + DeserializeOwned,
{
    match gone::unless_gone(api, name, uid, answer).await {
        Ok(Some(_)) => Outcome::Written,
        Ok(None) => Outcome::Gone,
        Err(error) => Outcome::Not(cluster::answer::of(&error)),
    }
}

/// Runs a write. One that takes long goes on by itself: `None`.
pub(crate) async fn patient<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    tokio::time::timeout(PATIENCE, tokio::spawn(work)).await.ok()?.ok()
}

/// What is remembered of a write that takes long.
pub(crate) fn slow() -> Answer {
    Answer::Slow(format!("the API server has not answered for {} s", PATIENCE.as_secs()))
}

/// Remembers that a write did not go through; tells so once. `job` is the UID of the Job that it concerns.
pub(crate) fn note(context: &Context, uid: &str, job: Option<&str>, write: Write, answer: &Answer) {
    if context.index.refused(uid, write, answer, clock::moment()) {
        tracing::warn!(uid, ?write, ?answer, "a write did not go through");
        report::refused(context, job, write, answer);
    }
}

/// Namespaces in which a write of this cycle hung or failed, with what was answered.
#[derive(Debug, Default)]
pub(crate) struct Clogged(Mutex<HashMap<String, String>>);

impl Clogged {
    /// Why nothing more is tried in a namespace in this cycle.
    pub(crate) fn why(&self, namespace: &str) -> Option<Answer> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(namespace).map(|message| Answer::Unclear(message.clone()))
    }

    /// Takes in what came of a write.
    pub(crate) fn learn(&self, namespace: &str, answer: &Answer) {
        if !matches!(answer, Answer::Refused(_)) {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(namespace.to_owned()).or_insert_with(|| answer.message().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_hangs_is_tried_no_more_and_one_that_refuses_is() {
        let clogged = Clogged::default();
        clogged.learn("a", &Answer::Refused("policy".to_owned()));
        clogged.learn("b", &slow());
        clogged.learn("c", &Answer::Unclear("webhook".to_owned()));
        assert_eq!((clogged.why("a"), clogged.why("d")), (None, None));
        assert!(clogged.why("b").is_some());
        assert_eq!(clogged.why("c"), Some(Answer::Unclear("webhook".to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_hangs_is_left_to_itself() {
        assert_eq!(patient(async { 1 }).await, Some(1));
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let work = async move {
            tokio::time::sleep(PATIENCE * 3).await;
            sender.send(()).ok()
        };
        assert_eq!(patient(work).await, None);
        receiver.await.unwrap();
    }
}
