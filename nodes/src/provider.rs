//! Where machines come from, whatever the provider: offers, launch, list, terminate.
//!
//! Invariant: launch and terminate may be repeated with the same token and never make or miss a second machine. Every failure
//! says who was asked and what to do. A further provider is one more arm here. Does not decide what to launch.

use std::collections::HashMap;

use api::provider::LaunchRequest;
use cluster::lease::Tenure;
use model::snapshot::Offer;
use planning::machine::books::Listed;
use planning::machine::ending::Answer;

use crate::external::External;

/// A node provider, ready to be asked.
#[derive(Clone, Debug)]
pub enum Provider {
    /// An HTTP service.
    External(External),
}

/// What is said about a machine that was launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// The provider's own id; without one, the token.
    pub id: String,
}

/// What a list says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// By token.
    pub machines: HashMap<String, Listed>,
    /// What could not be understood in it.
    pub problems: Vec<String>,
}

/// Why a provider did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The environment names no provider that this version knows.
    #[error("no node provider is named: set spec.provider, for example {{external: {{url: \"http://…\"}}}}")]
    Missing,
    /// The configured URL is not one.
    #[error("{url:?} is not the URL of a node provider: {problem}; correct spec.provider.external.url")]
    Url {
        /// What is configured.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The HTTP client cannot be built.
    #[error("the HTTP client for node providers cannot be built")]
    Client(#[source] reqwest::Error),
    /// This offer cannot be had now; another may.
    #[error("the node provider at {url} has no capacity: {message}")]
    InsufficientCapacity {
        /// Who was asked.
        url: String,
        /// The provider's words.
        message: String,
    },
    /// The request can never succeed.
    #[error("the node provider at {url} refuses the request: {message}")]
    InvalidRequest {
        /// Who was asked.
        url: String,
        /// The provider's words.
        message: String,
    },
    /// The same request may succeed later.
    #[error("the node provider at {url} asks to try later: {message}")]
    TryLater {
        /// Who was asked.
        url: String,
        /// The provider's words.
        message: String,
    },
    /// No answer, or not a whole one.
    #[error(
        "the node provider at {url} cannot be reached; check that it runs and that spec.provider.external.url is right"
    )]
    Unreachable {
        /// Who was asked.
        url: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// An answer that the interface does not know.
    #[error("the node provider at {url} answered with HTTP status {status}: {text}")]
    Unexpected {
        /// Who was asked.
        url: String,
        /// HTTP status.
        status: u16,
        /// The beginning of the body, or what is wrong with it.
        text: String,
    },
}

impl ProviderError {
    /// Whether another offer, or another environment, may do better.
    pub fn is_capacity(&self) -> bool {
        matches!(self, Self::InsufficientCapacity { .. })
    }

    /// Whether it is certain that a launch which failed like this made no machine, and will make none.
    pub fn is_certain(&self) -> bool {
        match self {
            // Without a connection nobody was asked.
            Self::Unreachable { source, .. } => source.is_connect(),
            Self::Unexpected { .. } => false,
            _refused_or_not_asked => true,
        }
    }

    /// Whether repeating the very same request is pointless.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Missing | Self::Url { .. } | Self::InvalidRequest { .. })
    }
}

impl Provider {
    /// The provider that an environment or a machine names. `http` comes from [`http_client`](crate::external::http_client)
    /// and is shared, so that connections are used again.
    pub fn new(spec: &api::crd::Provider, http: &reqwest::Client) -> Result<Self, ProviderError> {
        let api::crd::Provider { external } = spec;
        match external {
            Some(external) => Ok(Self::External(External::new(&external.url, http.clone())?)),
            None => Err(ProviderError::Missing),
        }
    }

    /// What can be launched. Offers that cannot be understood are left out, with a message in the log.
    pub async fn offers(&self) -> Result<Vec<Offer>, ProviderError> {
        match self {
            Self::External(external) => external.offers().await,
        }
    }

    /// Launches a machine, or returns the one that this token has launched before. Whoever leads no more sends nothing.
    pub async fn launch(
        &self,
        token: &str,
        request: &LaunchRequest,
        tenure: &Tenure,
    ) -> Result<Launched, ProviderError> {
        match self {
            Self::External(external) => external.launch(token, request, tenure).await,
        }
    }

    /// Every machine that is not gone.
    pub async fn instances(&self) -> Result<List, ProviderError> {
        match self {
            Self::External(external) => external.instances().await,
        }
    }

    /// Takes a machine down. Repeat until it is gone.
    pub async fn terminate(&self, token: &str) -> Result<Answer, ProviderError> {
        match self {
            Self::External(external) => external.terminate(token).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_without_a_known_provider_is_refused_with_an_example() {
        let http = crate::external::http_client().unwrap();
        let error = Provider::new(&api::crd::Provider { external: None }, &http).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"no node provider is named: set spec.provider, for example {external: {url: "http://…"}}"#
        );
        assert!(error.is_final());
    }
}
