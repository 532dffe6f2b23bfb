//! Whether user `aws-batch`, in whose name pods of the API are made, may make pods in a namespace: the API server is asked, because only it
//! knows all that gives rights.
//!
//! Invariant: an answer is believed for a while, a refusal for seconds only; the loop waits for the first answer about a namespace and for no
//! other, and for that no longer than a second. Does not decide what it means.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cluster::index::Index;
use futures::FutureExt as _;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use model::keys;
use model::snapshot::Closed;
use planning::rights;
use planning::world::News;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::pods::together;

/// How long a permission is believed. A pod that is refused meanwhile says more.
const ALLOWED_FOR: Duration = Duration::from_mins(1);
/// How long a refusal is believed: whoever gives the right waits no longer than this.
pub(crate) const DENIED_FOR: Duration = Duration::from_secs(2);
/// The loop waits no longer than this for the first answers.
const FIRST: Duration = Duration::from_secs(1);
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known about namespaces. Clones share it.
#[derive(Clone)]
pub(crate) struct Rights {
    client: Client,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<Answers>,
    news: Notify,
}

impl Rights {
    /// Nothing is known.
    pub(crate) fn new(client: Client) -> Self {
        Self { client, shared: Arc::default() }
    }

    /// Waits until something else is known than before.
    pub(crate) async fn changed(&self) {
        self.shared.news.notified().await;
    }

    /// Adds to what is shown the namespaces in which no pod of the API can be made.
    pub(crate) async fn look(&self, index: &Index, news: &mut News) {
        let wanted = rights::namespaces(&news.environments, news.units.there());
        let (there, missing): (BTreeSet<_>, BTreeSet<_>) =
            wanted.into_iter().partition(|name| index.has_namespace(name));
        let due = self.answers().begin(&there, Instant::now());
        if !due.names.is_empty() {
            let asking = tokio::spawn(self.clone().ask_all(due.names));
            if due.first {
                // What is late comes with the next cycle.
                let _late = timeout(FIRST, asking).await;
            }
        }
        news.closed = self.answers().closed(&there);
        news.closed.extend(missing.into_iter().map(|name| (name, Closed::NotThere)));
    }

    /// A pod was refused: asks at once whether that is why.
    pub(crate) async fn ask_again(&self, namespace: &str) {
        self.clone().ask_all(vec![namespace.to_owned()]).await;
    }

    async fn ask_all(self, names: Vec<String>) {
        let ask = |name: &String| {
            let (client, name) = (self.client.clone(), name.clone());
            async move { (ask(client, &name).await, name) }.boxed()
        };
        for (answer, name) in together(names.iter().map(ask).collect()).await {
            if let Err(error) = &answer {
                tracing::warn!(namespace = name, error, user = keys::BATCH_USER, "cannot ask whether pods may be made");
            }
            if self.answers().take(&name, answer, Instant::now()) {
                self.shared.news.notify_one();
            }
        }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(client: Client, namespace: &str) -> Result<bool, String> {
    let resource = ResourceAttributes {
        namespace: Some(namespace.to_owned()),
        verb: Some("create".to_owned()),
        resource: Some("pods".to_owned()),
        version: Some("v1".to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(keys::BATCH_USER.to_owned()),
        // What the API server adds to whom the controller impersonates.
        groups: Some(vec!["system:authenticated".to_owned()]),
        resource_attributes: Some(resource),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews: Api<SubjectAccessReview> = Api::all(client);
    match timeout(PATIENCE, reviews.create(&PostParams::default(), &review)).await {
        Ok(Ok(answer)) => Ok(answer.status.is_some_and(|status| status.allowed)),
        Ok(Err(error)) => Err(cluster::telemetry::chain(&error)),
        Err(_) => Err(format!("the API server has not answered for {} s", PATIENCE.as_secs())),
    }
}

/// Answers by namespace, of those that were wanted last.
#[derive(Debug, Default)]
struct Answers(BTreeMap<String, Known>);

#[derive(Debug, Default)]
struct Known {
    /// The last answer; while there is none, why.
    answer: Option<Result<bool, String>>,
    /// When it came.
    at: Option<Instant>,
    asking: bool,
}

/// Namespaces to ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Due {
    names: Vec<String>,
    /// Nothing is known about one of them.
    first: bool,
}

impl Answers {
    /// What is to be asked now, which counts as asked; forgets all others.
    fn begin(&mut self, wanted: &BTreeSet<String>, now: Instant) -> Due {
        self.0.retain(|name, known| wanted.contains(name) || known.asking);
        let mut due = Due::default();
        for name in wanted {
            let known = self.0.entry(name.clone()).or_default();
            let life = if known.answer == Some(Ok(true)) { ALLOWED_FOR } else { DENIED_FOR };
            let is_old = known.at.is_none_or(|at| now.duration_since(at) >= life);
            if is_old && !known.asking {
                known.asking = true;
                due.first |= known.answer.is_none();
                due.names.push(name.clone());
            }
        }
        due
    }

    /// Takes an answer. True if it says something else than the last one. Where none came, the last one counts on.
    fn take(&mut self, name: &str, answer: Result<bool, String>, now: Instant) -> bool {
        let known = self.0.entry(name.to_owned()).or_default();
        (known.asking, known.at) = (false, Some(now));
        if answer.is_err() && matches!(known.answer, Some(Ok(_))) {
            return false;
        }
        let changed = known.answer.as_ref() != Some(&answer);
        known.answer = Some(answer);
        changed
    }

    fn closed(&self, wanted: &BTreeSet<String>) -> BTreeMap<String, Closed> {
        let why = |name: &String| match self.0.get(name).and_then(|known| known.answer.as_ref()) {
            Some(Ok(true)) => None,
            Some(Ok(false)) => Some(Closed::Forbidden),
            Some(Err(error)) => Some(Closed::Unclear(error.clone())),
            None => Some(Closed::Unclear("the API server has not answered yet".to_owned())),
        };
        wanted.iter().filter_map(|name| Some((name.clone(), why(name)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn due(answers: &mut Answers, names: &[&str], now: Instant) -> (Vec<String>, bool) {
        let Due { names, first } = answers.begin(&wanted(names), now);
        (names, first)
    }

    #[test]
    fn each_namespace_is_asked_for_once_and_again_when_its_answer_is_old() {
        let (mut answers, start) = (Answers::default(), Instant::now());
        assert_eq!(due(&mut answers, &["a", "b"], start), (vec!["a".into(), "b".into()], true));
        assert_eq!(due(&mut answers, &["a", "b"], start), (vec![], false), "both are being asked for");
        assert!(answers.take("a", Ok(true), start) && answers.take("b", Ok(false), start));
        assert_eq!(answers.closed(&wanted(&["a", "b"])), [("b".to_owned(), Closed::Forbidden)].into());
        let later = start + DENIED_FOR;
        assert_eq!(due(&mut answers, &["a", "b"], later), (vec!["b".into()], false));
        assert!(!answers.take("b", Ok(false), later), "it says the same");
        assert_eq!(due(&mut answers, &["a", "b"], later + DENIED_FOR), (vec!["b".into()], false));
        assert!(answers.take("b", Ok(true), later));
        assert_eq!(answers.closed(&wanted(&["a", "b"])), BTreeMap::new());
        assert_eq!(due(&mut answers, &["a"], start + ALLOWED_FOR), (vec!["a".into()], false));
        assert_eq!(answers.0.len(), 1, "what nobody wants is forgotten");
    }

    #[test]
    fn nothing_is_open_before_the_first_answer_and_none_is_lost_to_an_error() {
        let (mut answers, start) = (Answers::default(), Instant::now());
        due(&mut answers, &["a"], start);
        let closed = |answers: &Answers| answers.closed(&wanted(&["a"])).remove("a");
        assert!(matches!(closed(&answers), Some(Closed::Unclear(_))));
        assert!(answers.take("a", Err("down".into()), start));
        assert_eq!(closed(&answers), Some(Closed::Unclear("down".into())));
        assert_eq!(due(&mut answers, &["a"], start + DENIED_FOR), (vec!["a".into()], false), "the loop waits once");
        assert!(answers.take("a", Ok(true), start));
        assert!(!answers.take("a", Err("down".into()), start));
        assert_eq!(closed(&answers), None);
        assert!(answers.take("a", Ok(false), start), "a pod was refused");
        assert_eq!(closed(&answers), Some(Closed::Forbidden));
    }
}
