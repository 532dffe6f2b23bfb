//! Whom Kubernetes knows, and what he may do: asked by `TokenReview` and `SubjectAccessReview`, because only the API server knows all that gives
//! rights.
//!
//! Invariant: nothing is allowed that the API server has not allowed within the last minute, and no answer is a failure, never a permission.
//! Does not know what is asked for.

use cluster::access::{self, Unanswered, answered};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use model::identity::Identity;
use planning::access::Ask;

/// Tokens of service accounts are taken that were made for this audience, and no others: what is meant for the API server is not to be sent
/// anywhere else.
pub const AUDIENCE: &str = "batch.bulkhead.dev";

/// Who answers.
pub trait Judge: Send + Sync + 'static {
    /// Whose token this is; `None`: nobody's.
    fn who(&self, token: String) -> BoxFuture<'_, Result<Option<Identity>, Unanswered>>;

    /// Whether a service account is still the one that it was.
    fn is_there(&self, identity: Identity) -> BoxFuture<'_, Result<bool, Unanswered>>;

    /// Whether he may.
    fn may(&self, identity: Identity, ask: Ask) -> BoxFuture<'_, Result<bool, Unanswered>>;
}

/// A cluster.
#[derive(Clone)]
pub struct KubeJudge {
    client: Client,
}

impl KubeJudge {
    /// Through this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Judge for KubeJudge {
    fn who(&self, token: String) -> BoxFuture<'_, Result<Option<Identity>, Unanswered>> {
        let spec = TokenReviewSpec { audiences: Some(vec![AUDIENCE.to_owned()]), token };
        let review = TokenReview { spec, ..TokenReview::default() };
        async move {
            let reviews: Api<TokenReview> = Api::all(self.client.clone());
            let status = answered(reviews.create(&PostParams::default(), &review)).await?.status.unwrap_or_default();
            // Who does not know audiences does not name any.
            let for_us = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
            let user = status.user.filter(|_| status.authenticated == Some(true) && for_us);
            Ok(user.and_then(|user| {
                let name = user.username.filter(|name| !name.is_empty())?;
                Some(Identity { user: name, uid: user.uid, groups: user.groups.unwrap_or_default() })
            }))
        }
        .boxed()
    }

    fn is_there(&self, identity: Identity) -> BoxFuture<'_, Result<bool, Unanswered>> {
        let client = self.client.clone();
        async move { access::is_there(client, &identity).await }.boxed()
    }

    fn may(&self, identity: Identity, ask: Ask) -> BoxFuture<'_, Result<bool, Unanswered>> {
        access::may(self.client.clone(), identity, ask).boxed()
    }
}
