//! Who calls: AWS's signatures with keys that Bulkhead gives to those whom Kubernetes knows, and tokens of Kubernetes' own.
//!
//! Invariant: nobody is believed whose signature does not hold over the request as it came, and nobody who is not there any more. What he may
//! do is asked elsewhere ([`crate::rights`]).

mod judge;
mod keys;
mod masters;
mod signature;
mod sts;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use cluster::access::{Answers, Unanswered};
use jiff::{SignedDuration, Timestamp};
use model::identity::Identity;
use planning::access::Ask;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use uuid::Uuid;

use crate::failure::Failure;
pub use judge::{AUDIENCE, Judge, KubeJudge};
use keys::Unknown;
pub use keys::{Generation, MASTER, Masters, NoRandomness};
pub use masters::keep as keep_masters;
use signature::{Claim, Sent, Wrong};
#[cfg(test)]
pub(crate) use signature::{Sent as SentRequest, sign};
pub(crate) use sts::{Refused, error as sts_error};

/// How long keys live that are given for `AWS_CONTAINER_CREDENTIALS_FULL_URI`: SDKs ask again by themselves.
const CONTAINER_KEYS: SignedDuration = SignedDuration::from_hours(1);
/// Where these are.
pub(crate) const CONTAINER_PATH: &str = "/credentials";
/// Tokens of Kubernetes that are looked at at a time, and how long one waits for its turn.
const REVIEWS: usize = 8;
const REVIEWS_WAIT: Duration = Duration::from_secs(2);
/// The longest token of Kubernetes that is looked at.
const LONGEST_TOKEN: usize = 16 << 10;
/// Purpose of what is sealed.
const PAGE: &str = "page";
const SECURITY_TOKEN: &str = "x-amz-security-token";

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Whoever reaches an address that is served without keys.
    Anybody,
    /// Somebody whom Kubernetes knows.
    Known(Identity),
}

impl Caller {
    /// How logs and answers call him.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Anybody => "anybody",
            Self::Known(identity) => &identity.user,
        }
    }

    /// How he is called in an ARN.
    pub(crate) fn arn(&self, account: &str) -> String {
        match self {
            Self::Anybody => format!("arn:aws:iam::{account}:user/anybody"),
            Self::Known(identity) => sts::arn(account, identity),
        }
    }
}

/// Lets in whom Kubernetes knows. Clones share it.
#[derive(Clone)]
pub struct Guard(Arc<Shared>);

struct Shared {
    judge: Box<dyn Judge>,
    masters: watch::Receiver<Masters>,
    /// Whoever has no key yet can have the API server asked, but not more of it at a time than this.
    reviews: Semaphore,
    there: Answers<Identity>,
    may: Answers<(Identity, Ask)>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

/// Why somebody is not let in, for AWS's clients.
#[derive(Debug)]
pub(crate) enum Denied {
    /// His signature or key is not good.
    Wrong(Wrong),
    /// Nobody has this key.
    Unknown(Unknown),
    /// Kubernetes does not know the token.
    Token,
    /// Too many tokens are being looked at.
    Busy,
    /// It could not be asked.
    Judge(Unanswered),
}

impl From<Wrong> for Denied {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

impl From<Unknown> for Denied {
    fn from(unknown: Unknown) -> Self {
        Self::Unknown(unknown)
    }
}

impl From<Unanswered> for Denied {
    fn from(error: Unanswered) -> Self {
        Self::Judge(error)
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        let (kind, message) = match denied {
            Denied::Judge(error) => return error.into(),
            Denied::Busy => return Self::Busy,
            Denied::Wrong(wrong) => {
                let kind = match wrong {
                    Wrong::Missing => "MissingAuthenticationTokenException",
                    Wrong::Incomplete(_) => "IncompleteSignatureException",
                    Wrong::Skew { .. } | Wrong::Scope(_) | Wrong::Mismatch => "InvalidSignatureException",
                };
                (kind, wrong.to_string())
            }
            Denied::Unknown(Unknown::Expired) => ("ExpiredTokenException", EXPIRED.to_owned()),
            Denied::Unknown(Unknown::NotOurs) | Denied::Token => ("UnrecognizedClientException", INVALID.to_owned()),
        };
        Self::Denied { kind, message }
    }
}

impl From<Unanswered> for Failure {
    fn from(error: Unanswered) -> Self {
        Self::Unavailable {
            message: "The Kubernetes API does not answer who you are and what you may do; try again".to_owned(),
            cause: cluster::telemetry::chain(&error),
        }
    }
}

const INVALID: &str = "The security token included in the request is invalid.";
const EXPIRED: &str = "The security token included in the request is expired";

/// The same in the words of STS; an error: it could not be asked.
pub(crate) fn in_words_of_sts(denied: Denied) -> Result<Refused, Failure> {
    Ok(match denied {
        Denied::Judge(error) => return Err(error.into()),
        Denied::Busy => return Err(Failure::Busy),
        Denied::Wrong(wrong) => {
            let code = match wrong {
                Wrong::Missing => "MissingAuthenticationToken",
                Wrong::Incomplete(_) => "IncompleteSignature",
                Wrong::Skew { .. } | Wrong::Scope(_) | Wrong::Mismatch => "SignatureDoesNotMatch",
            };
            Refused::new(code, wrong.to_string())
        }
        Denied::Unknown(Unknown::Expired) => Refused::new("ExpiredToken", EXPIRED),
        Denied::Unknown(Unknown::NotOurs) => Refused::new("InvalidClientTokenId", INVALID),
        Denied::Token => Refused::new(
            "InvalidIdentityToken",
            format!(
                "The token is of no service account that this cluster knows, has expired, or is not for audience {AUDIENCE}"
            ),
        ),
    })
}

impl Guard {
    /// Asks `judge`, and reads keys with `masters`.
    pub fn new(judge: impl Judge, masters: watch::Receiver<Masters>) -> Self {
        Self::with(judge, masters, Answers::default())
    }

    fn with(judge: impl Judge, masters: watch::Receiver<Masters>, may: Answers<(Identity, Ask)>) -> Self {
        let there = Answers::default();
        let reviews = Semaphore::new(REVIEWS);
        Self(Arc::new(Shared { judge: Box::new(judge), masters, reviews, there, may }))
    }

    /// The same, but that a right counts as soon as it is given.
    #[cfg(test)]
    pub(crate) fn forgetful(judge: impl Judge, masters: watch::Receiver<Masters>) -> Self {
        Self::with(judge, masters, Answers::denying_for(std::time::Duration::ZERO))
    }

    /// Who sends a request, signed for one of `services` or with a token of Kubernetes.
    pub(crate) async fn caller(&self, parts: &Parts, body: &[u8], services: &[&str]) -> Result<Caller, Denied> {
        let now = Timestamp::now();
        if let Some(token) = bearer(parts) {
            return Ok(Caller::Known(self.who(token).await?));
        }
        let claim = Claim::read(&parts.headers, services, now)?;
        let path = parts.uri.path();
        if !signature::is_plain(path) {
            return Err(Wrong::Mismatch.into());
        }
        if self.0.masters.borrow().is_empty() {
            return Err(no_master().into());
        }
        let token = parts.headers.get(SECURITY_TOKEN).and_then(|token| token.to_str().ok()).ok_or(Unknown::NotOurs)?;
        let opened = self.0.masters.borrow().open(claim.key, token, now);
        let (identity, secret) = opened?;
        let (method, query) = (parts.method.as_str(), parts.uri.query());
        claim.holds(&Sent { method, path, query, headers: &parts.headers, body }, &secret)?;
        // A service account of the same name that was made later is somebody else.
        if !self.is_there(&identity).await? {
            return Err(Unknown::NotOurs.into());
        }
        Ok(Caller::Known(identity))
    }

    /// A page's token for somebody: what it holds is of what he may not see.
    pub(crate) fn seal_page(&self, identity: &Identity, text: &str) -> Option<String> {
        self.0.masters.borrow().seal(PAGE, &identity.user, text.as_bytes(), Timestamp::now())
    }

    /// What a page's token holds, if it was made for him.
    pub(crate) fn open_page(&self, identity: &Identity, token: &str) -> Option<String> {
        let (text, _) = self.0.masters.borrow().unseal(PAGE, &identity.user, token)?;
        String::from_utf8(text).ok()
    }

    /// Whose token of Kubernetes this is.
    async fn who(&self, token: &str) -> Result<Identity, Denied> {
        let token = Some(token).filter(|token| token.len() <= LONGEST_TOKEN).ok_or(Denied::Token)?;
        let slot = timeout(REVIEWS_WAIT, self.0.reviews.acquire()).await;
        let Ok(Ok(_slot)) = slot else { return Err(Denied::Busy) };
        self.0.judge.who(token.to_owned()).await?.ok_or(Denied::Token)
    }

    async fn is_there(&self, identity: &Identity) -> Result<bool, Unanswered> {
        let asked = Instant::now();
        if let Some(known) = self.0.there.get(identity, asked) {
            return Ok(known);
        }
        let is_there = self.0.judge.is_there(identity.clone()).await?;
        self.0.there.put(identity.clone(), asked, is_there);
        Ok(is_there)
    }

    /// Whether somebody may.
    pub(crate) async fn may(&self, identity: &Identity, ask: &Ask) -> Result<bool, Unanswered> {
        if !ask.is_possible() {
            return Ok(false);
        }
        let (asked, key) = (Instant::now(), (identity.clone(), ask.clone()));
        if let Some(known) = self.0.may.get(&key, asked) {
            return Ok(known);
        }
        let may = self.0.judge.may(identity.clone(), ask.clone()).await?;
        self.0.may.put(key, asked, may);
        Ok(may)
    }

    /// Keys for whoever has this token of Kubernetes.
    async fn keys(&self, token: &str, life: SignedDuration) -> Result<(Identity, keys::Credentials), Denied> {
        let identity = self.who(token).await?;
        if identity.service_account().is_none() {
            return Err(Denied::Token);
        }
        let now = Timestamp::now();
        let until = now.saturating_add(life).unwrap_or(now);
        let issued = self.0.masters.borrow().issue(&identity, until, now);
        match issued {
            Ok(Some(key)) => {
                tracing::info!(caller = identity.user, key = key.id, until = %key.until, "a key was given");
                Ok((identity, key))
            }
            Ok(None) => Err(no_master().into()),
            Err(error) => Err(Unanswered::Failed(Box::new(error)).into()),
        }
    }

    /// What STS answers: a body of XML, of an error or not.
    pub(crate) async fn sts(
        &self,
        parts: &Parts,
        body: &[u8],
        account: &str,
        request: Uuid,
    ) -> Result<Result<String, Refused>, Failure> {
        let action = match sts::action(body) {
            Ok(action) => action,
            Err(refused) => return Ok(Err(refused)),
        };
        let answer = match action {
            sts::Action::WhoAmI => self.caller(parts, body, &["sts"]).await.map(|caller| match caller {
                Caller::Known(identity) => sts::who(account, &identity, request),
                Caller::Anybody => String::new(),
            }),
            sts::Action::Assume { token, session, seconds } => {
                let keys = self.keys(&token, SignedDuration::from_secs(seconds.into())).await;
                keys.map(|(identity, key)| sts::assumed(account, &identity, &session, &key, request))
            }
        };
        match answer {
            Ok(answer) => Ok(Ok(answer)),
            Err(denied) => in_words_of_sts(denied).map(Err),
        }
    }

    /// Keys for SDKs that get them as in a container of AWS: they send the token as it is
    /// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>).
    pub(crate) async fn container_keys(&self, parts: &Parts) -> Result<Value, Denied> {
        let token = bearer(parts).or_else(|| parts.headers.get(AUTHORIZATION)?.to_str().ok());
        let (_, key) = self.keys(token.ok_or(Wrong::Missing)?, CONTAINER_KEYS).await?;
        let until = key.until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Ok(json!({"AccessKeyId": key.id, "SecretAccessKey": key.secret, "Token": key.token, "Expiration": until}))
    }
}

fn no_master() -> Unanswered {
    Unanswered::Failed("there is no master key of access keys yet".into())
}

/// What STS answers where no keys are asked for: who one is, because many clients ask that first.
pub(crate) fn sts_without_keys(body: &[u8], account: &str, request: Uuid) -> Result<String, Refused> {
    let anybody = Identity { user: Caller::Anybody.name().to_owned(), uid: None, groups: Vec::new() };
    match sts::action(body)? {
        sts::Action::WhoAmI => Ok(sts::who(account, &anybody, request)),
        sts::Action::Assume { .. } => {
            Err(Refused::new("InvalidAction", "No keys are given out here, and none are asked for"))
        }
    }
}

/// A token of Kubernetes in place of a signature.
fn bearer(parts: &Parts) -> Option<&str> {
    let text = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
