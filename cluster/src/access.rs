//! Asks the API server what somebody may do, because only it knows all that gives rights.
//!
//! Invariant: no answer is an error, never a permission; nothing counts as allowed that was not within the last minute.

use std::collections::HashMap;
use std::error::Error;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};
use model::identity::Identity;
use planning::access::Ask;
use tokio::time::timeout;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// The API server has not answered.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Or with an error.
    #[error("the Kubernetes API failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
    /// In time.
    #[error("the Kubernetes API has not answered for {} s", PATIENCE.as_secs())]
    Late,
}

/// Whether he may.
pub async fn may(client: Client, identity: Identity, ask: Ask) -> Result<bool, Unanswered> {
    let (resource, subresource) = ask.parts();
    let resource = ResourceAttributes {
        verb: Some(ask.verb.to_owned()),
        group: Some(ask.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: subresource.map(str::to_owned),
        namespace: ask.namespace,
        name: ask.name,
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(identity.user),
        uid: identity.uid,
        groups: Some(identity.groups),
        resource_attributes: Some(resource),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews: Api<SubjectAccessReview> = Api::all(client);
    let answer = answered(reviews.create(&PostParams::default(), &review)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
}

/// Whether a service account is still the one that it was; of others nobody knows, and they are.
pub async fn is_there(client: Client, identity: &Identity) -> Result<bool, Unanswered> {
    let Some((namespace, name)) = identity.service_account() else { return Ok(true) };
    let accounts: Api<ServiceAccount> = Api::namespaced(client, namespace);
    let found = answered(accounts.get_metadata_opt(name)).await?;
    Ok(found.is_some_and(|account| account.metadata.uid.is_some() && account.metadata.uid == identity.uid))
}

/// The same, remembering answers. Clones share them.
#[derive(Clone)]
pub struct Access {
    client: Client,
    there: Arc<Answers<Identity>>,
    known: Arc<Answers<(Identity, Ask)>>,
}

impl Access {
    /// Nothing is known.
    pub fn new(client: Client) -> Self {
        Self { client, there: Arc::default(), known: Arc::default() }
    }

    /// Whether he [is there](is_there) still.
    pub async fn is_there(&self, identity: &Identity) -> Result<bool, Unanswered> {
        let asked = Instant::now();
        if let Some(known) = self.there.get(identity, asked) {
            return Ok(known);
        }
        let is_there = is_there(self.client.clone(), identity).await?;
        self.there.put(identity.clone(), asked, is_there);
        Ok(is_there)
    }

    /// The first of these that he may not.
    pub async fn lacks(&self, identity: &Identity, asks: Vec<Ask>) -> Result<Option<Ask>, Unanswered> {
        for ask in asks {
            if !ask.is_possible() {
                return Ok(Some(ask));
            }
            let (asked, key) = (Instant::now(), (identity.clone(), ask.clone()));
            let allowed = if let Some(known) = self.known.get(&key, asked) {
                known
            } else {
                let allowed = may(self.client.clone(), identity.clone(), ask.clone()).await?;
                self.known.put(key, asked, allowed);
                allowed
            };
            if !allowed {
                return Ok(Some(ask));
            }
        }
        Ok(None)
    }
}

/// The answer, if it comes in time.
pub async fn answered<T>(asked: impl Future<Output = kube::Result<T>>) -> Result<T, Unanswered> {
    match timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| Unanswered::Failed(Box::new(error))),
        Err(_) => Err(Unanswered::Late),
    }
}

/// A yes is believed for a minute.
const YES_FOR: Duration = Duration::from_mins(1);
/// A no for seconds, so that whoever is given a right waits no longer.
const NO_FOR: Duration = Duration::from_secs(2);
/// Answers kept at most; all are forgotten when there would be more.
const MOST: usize = 10_000;

/// Answers that are believed for a while.
#[derive(Debug)]
pub struct Answers<K> {
    known: Mutex<HashMap<K, (Instant, bool)>>,
    no_for: Duration,
}

impl<K> Default for Answers<K> {
    fn default() -> Self {
        Self::denying_for(NO_FOR)
    }
}

impl<K> Answers<K> {
    /// A no is believed for this long.
    pub fn denying_for(no_for: Duration) -> Self {
        Self { known: Mutex::default(), no_for }
    }
}

impl<K: Eq + Hash> Answers<K> {
    /// What is known of it.
    pub fn get(&self, key: &K, now: Instant) -> Option<bool> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, yes) = *known.get(key)?;
        (now.duration_since(at) < if yes { YES_FOR } else { self.no_for }).then_some(yes)
    }

    /// An answer to what was asked then.
    pub fn put(&self, key: K, asked: Instant, yes: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST && !known.contains_key(&key) {
            known
                .retain(|_, (at, yes)| asked.saturating_duration_since(*at) < if *yes { YES_FOR } else { self.no_for });
            if known.len() >= MOST {
                known.clear();
            }
        }
        known.insert(key, (asked, yes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_yes_is_believed_for_a_minute_and_a_no_for_seconds() {
        let (answers, now) = (Answers::default(), Instant::now());
        assert_eq!(answers.get(&"a", now), None);
        answers.put("a", now, true);
        answers.put("b", now, false);
        for (seconds, a, b) in [
            (0, Some(true), Some(false)),
            (1, Some(true), Some(false)),
            (2, Some(true), None),
            (59, Some(true), None),
            (60, None, None),
        ] {
            let later = now + Duration::from_secs(seconds);
            assert_eq!((answers.get(&"a", later), answers.get(&"b", later)), (a, b), "{seconds}");
        }
    }

    #[test]
    fn there_are_never_more_answers_than_are_kept() {
        let (answers, now) = (Answers::default(), Instant::now());
        for key in 0..=MOST {
            answers.put(key, now, true);
        }
        assert_eq!((answers.get(&0, now), answers.get(&MOST, now)), (None, Some(true)));
    }
}
