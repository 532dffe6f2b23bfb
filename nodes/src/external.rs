//! Client of provider `external`: JSON over plain HTTP.
//!
//! Invariant: every call ends within its time limit, and no answer takes more memory than its limit. What an answer means is
//! decided in [`answers`].

mod answers;
mod timely;

use std::time::Duration;

use api::provider::LaunchRequest;
use cluster::lease::Tenure;
use model::snapshot::Offer;
use planning::machine::ending::Answer as Ended;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Body, Client, Method, Url, redirect};

use crate::provider::{Launched, List, ProviderError};
use answers::Answer;
use timely::Timely;

/// A provider answers from its books; making the machine happens after the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Thousands of offers or instances; more is a mistake at the other end.
const BODY_LIMIT: usize = 1 << 20;

/// The HTTP client that providers share.
pub type HttpClient = Client;

/// One provider of kind `external`.
#[derive(Clone, Debug)]
pub struct External {
    base: Url,
    http: Client,
}

/// The HTTP client to share between providers. No proxy and no redirects: a provider is a service of the cluster's own
/// network, and a launch must reach exactly the URL that the admin wrote.
pub fn http_client() -> Result<HttpClient, ProviderError> {
    Client::builder()
        .timeout(TIMEOUT)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .user_agent(concat!("bulkhead/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(ProviderError::Client)
}

impl External {
    /// The provider at `url`; `/offers` and `/instances` are appended to it.
    pub fn new(url: &str, http: HttpClient) -> Result<Self, ProviderError> {
        let wrong = |problem: String| ProviderError::Url { url: url.to_owned(), problem };
        let base = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        match base.scheme() {
            "http" if base.host_str().is_some() => Ok(Self { base, http }),
            "http" => Err(wrong("it has no host".to_owned())),
            scheme => Err(wrong(format!("scheme {scheme} is not supported, only http"))),
        }
    }

    /// `GET /offers`.
    pub async fn offers(&self) -> Result<Vec<Offer>, ProviderError> {
        let answer = self.call(Method::GET, &["offers"], None).await?;
        let (offers, problems) = answers::offers(&answer)?;
        for problem in problems {
            tracing::warn!(provider = %self.base, problem, "an offer is left out");
        }
        Ok(offers)
    }

    /// `PUT /instances/{token}`, if `tenure` is not over when it is sent.
    pub async fn launch(
        &self,
        token: &str,
        request: &LaunchRequest,
        tenure: &Tenure,
    ) -> Result<Launched, ProviderError> {
        let body = serde_json::to_vec(request).expect("texts and lists of texts are JSON");
        let body = Body::wrap(Timely::new(body, tenure.clone()));
        let answer = self.call(Method::PUT, &["instances", token], Some(body)).await?;
        answers::launched(&answer, token)
    }

    /// `GET /instances`.
    pub async fn instances(&self) -> Result<List, ProviderError> {
        let answer = self.call(Method::GET, &["instances"], None).await?;
        answers::list(&answer)
    }

    /// `DELETE /instances/{token}`.
    pub async fn terminate(&self, token: &str) -> Result<Ended, ProviderError> {
        let answer = self.call(Method::DELETE, &["instances", token], None).await?;
        answers::ended(&answer, token)
    }

    async fn call(&self, method: Method, path: &[&str], body: Option<Body>) -> Result<Answer, ProviderError> {
        let url = self.url(path);
        let unreachable =
            |source: reqwest::Error| ProviderError::Unreachable { url: url.to_string(), source: source.without_url() };
        let mut request = self.http.request(method, url.clone());
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > BODY_LIMIT {
                let text = format!("the answer is larger than {BODY_LIMIT} bytes");
                return Err(ProviderError::Unexpected { url: url.to_string(), status, text });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { url: url.to_string(), status, body })
    }

    /// Each element of `path` becomes one segment, whatever is in it.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("an http URL with a host has a path").pop_if_empty().extend(path);
        url
    }
}

#[cfg(test)]
#[path = "external/tests.rs"]
mod tests;
