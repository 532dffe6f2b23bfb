//! How a process reaches the Kubernetes API: from a kubeconfig file, or from inside a pod.
//!
//! Invariant: one crypto provider (ring) for the whole process, and every connection has timeouts, so a silent API server
//! is noticed.
//!
//! It does not know what is asked.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use axum::http::{HeaderName, HeaderValue, header::USER_AGENT};
use kube::{
    Client, Config,
    config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use crate::lease::Tenure;

/// In whose name a request is made.
const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");
/// Above the 290 s after which the API server ends an idle watch by itself, so that only dead connections are cut.
const WATCH_READ_TIMEOUT: Duration = Duration::from_mins(5);
/// No single answer takes longer than a minute: the API server's own limit for requests that are not watches.
const REQUEST_READ_TIMEOUT: Duration = Duration::from_mins(1);
/// An API server that does not complete a handshake in this time is as good as gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig file named by the user cannot be used.
    #[error("cannot use the kubeconfig file {path}", path = path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KubeconfigError,
    },
    /// Neither a kubeconfig nor a pod's service account was found.
    #[error(
        "found no way to a Kubernetes cluster: name a kubeconfig file, set KUBECONFIG, or run in a pod with a service account"
    )]
    Infer(#[source] InferConfigError),
    /// The configuration was read and is not usable.
    #[error("the Kubernetes client cannot be built from its configuration")]
    Build(#[source] Box<kube::Error>),
}

/// Two clients with the same identity.
#[derive(Clone)]
pub struct Clients {
    /// For reads, watches and idempotent writes: answers 429, 503 and 504 are tried again by the client itself.
    pub retrying: Client,
    /// For evictions, bindings and the Lease: every answer comes back at once. An eviction refused because of a
    /// `PodDisruptionBudget` is a 429 that the caller wants to see, not one to wait for.
    pub once: Client,
}

impl Clients {
    /// The same clients, but that they write nothing when the time of this leader is over.
    #[must_use]
    pub fn guarded(&self, tenure: &Tenure) -> Self {
        Self { retrying: tenure.guard(&self.retrying), once: tenure.guard(&self.once) }
    }
}

/// Makes ring the crypto provider of this process. The first line of every `main`; harmless to repeat.
pub fn install_crypto() {
    // An error only says that a provider is installed already, and ring is the only one compiled in.
    let _already = rustls::crypto::ring::default_provider().install_default();
}

/// Reads the configuration (`kubeconfig` if given, else `KUBECONFIG`, `~/.kube/config`, the pod's service account, in this
/// order) and builds the clients. Does not talk to the API server yet.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Clients, ConnectError> {
    install_crypto();
    from_config(load(kubeconfig).await?)
}

/// A client as [`Clients::once`], in somebody else's name: the API server checks that we may, and then what they may
/// (<https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/>).
pub async fn connect_as(kubeconfig: Option<&Path>, user: &'static str) -> Result<Client, ConnectError> {
    install_crypto();
    let mut config = load(kubeconfig).await?;
    config.headers.push((IMPERSONATE_USER, HeaderValue::from_static(user)));
    Ok(from_config(config)?.once)
}

/// Builds the clients from a configuration that the caller has.
pub fn from_config(mut config: Config) -> Result<Clients, ConnectError> {
    let agent =
        HeaderValue::from_str(&format!("bulkhead/{}", crate::VERSION)).expect("a crate version is visible ASCII");
    config.headers.push((USER_AGENT, agent));
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.write_timeout = Some(REQUEST_READ_TIMEOUT);
    // Counted from the last write, so that a pooled connection's idle time does not eat the next request's time.
    config.reset_reader_on_write = true;
    let mut once = config.clone();
    once.read_timeout = Some(REQUEST_READ_TIMEOUT);
    once.default_retry = false;
    let mut retrying = config;
    retrying.read_timeout = Some(WATCH_READ_TIMEOUT);
    let build = |config| Client::try_from(config).map_err(|error| ConnectError::Build(Box::new(error)));
    Ok(Clients { retrying: build(retrying)?, once: build(once)? })
}

async fn load(kubeconfig: Option<&Path>) -> Result<Config, ConnectError> {
    let Some(path) = kubeconfig else {
        return Config::infer().await.map_err(ConnectError::Infer);
    };
    let failed = |source| ConnectError::Kubeconfig { path: path.to_owned(), source };
    let file = Kubeconfig::read_from(path).map_err(failed)?;
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_kubeconfig_is_named() {
        let path = Path::new("/nonexistent/kubeconfig");
        let error = connect(Some(path)).await.err().unwrap();
        assert_eq!(error.to_string(), "cannot use the kubeconfig file /nonexistent/kubeconfig");
    }

    #[tokio::test]
    async fn clients_are_built_without_talking_to_the_api_server() {
        install_crypto();
        install_crypto();
        let config = Config::new("https://127.0.0.1:1".parse().unwrap());
        from_config(config).unwrap();
    }
}
