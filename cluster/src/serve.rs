//! HTTP/1.1 serving that a slow or hostile client cannot hold up: TLS with certificates that change while it runs, time limits on everything that a client does, a bound on
//! connections and requests, and an end within a cap.
//!
//! Invariant: a certificate is served only if its key matches; a pair that cannot be used leaves the old one in place. Who opens a connection gets one: where there are too
//! many, one that waits for its client goes ([`crowd`]). HTTP/2 is not spoken: API servers, kubelets and the clients of AWS do not need it.
//!
//! It does not know where certificates come from nor what the routes do.

mod body;
mod crowd;
mod pace;
mod run;
mod watched;
pub mod weight;

pub use body::{Unread, decline, read};
pub use run::{Addressed, Limits, LocalAddress, Source, run, run_within};

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Why serving could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be bound.
    #[error("cannot listen on {addr}")]
    Bind {
        /// The address that was asked for.
        addr: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The TLS configuration was refused.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

/// Why a certificate was not taken; the one before keeps serving.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The certificate chain is not PEM, or holds no certificate.
    #[error("the certificate chain cannot be read")]
    Chain(#[source] pem::Error),
    /// There is no certificate in the chain.
    #[error("the certificate chain is empty")]
    Empty,
    /// The key is not PEM, or holds no private key.
    #[error("the private key cannot be read")]
    Key(#[source] pem::Error),
    /// Key and certificate do not belong together, or one of them is of an unusable kind.
    #[error("the certificate and the private key cannot be used together")]
    Mismatch(#[source] rustls::Error),
}

/// The certificate that new connections get. Empty until the first [`load`](Self::load); until then handshakes fail.
#[derive(Default)]
pub struct ServingCert {
    current: RwLock<Option<Arc<CertifiedKey>>>,
}

impl fmt::Debug for ServingCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServingCert").field("loaded", &self.is_loaded()).finish_non_exhaustive()
    }
}

impl ServingCert {
    /// No certificate yet.
    pub fn empty() -> Arc<Self> {
        Arc::default()
    }

    /// Takes a new pair for all handshakes from now on. On an error the pair before keeps serving.
    pub fn load(&self, chain_pem: &[u8], key_pem: &[u8]) -> Result<(), LoadError> {
        let chain =
            CertificateDer::pem_slice_iter(chain_pem).collect::<Result<Vec<_>, _>>().map_err(LoadError::Chain)?;
        if chain.is_empty() {
            return Err(LoadError::Empty);
        }
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(LoadError::Key)?;
        let pair = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(LoadError::Mismatch)?;
        // `from_der` lets a key pass whose public half it cannot tell; here that is an error.
        pair.keys_match().map_err(LoadError::Mismatch)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(pair));
        Ok(())
    }

    /// Whether there is a certificate to serve.
    pub fn is_loaded(&self) -> bool {
        self.current().is_some()
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for ServingCert {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

/// A bound address whose connections begin with a TLS handshake.
pub struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
    addr: SocketAddr,
}

impl fmt::Debug for TlsListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl TlsListener {
    /// Binds `addr`; each handshake gets what `cert` holds at that moment.
    pub async fn bind(addr: SocketAddr, cert: Arc<ServingCert>) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Bind { addr, source };
        let tls = TlsAcceptor::from(Arc::new(server_config(cert)?));
        let tcp = TcpListener::bind(addr).await.map_err(failed)?;
        let addr = tcp.local_addr().map_err(failed)?;
        Ok(Self { tcp, tls, addr })
    }

    /// Where it listens; differs from what was asked for when the port was 0.
    pub fn address(&self) -> SocketAddr {
        self.addr
    }
}

impl Source for TlsListener {
    type Io = TlsStream<TcpStream>;

    fn tcp(&self) -> &TcpListener {
        &self.tcp
    }

    fn open(&self, tcp: TcpStream) -> impl Future<Output = io::Result<Self::Io>> + Send + use<> {
        let tls = self.tls.clone();
        async move { tls.accept(tcp).await }
    }
}

fn server_config(cert: Arc<ServingCert>) -> Result<ServerConfig, ServeError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(ServeError::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(cert);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Answers 503 at once when `max` requests are under way in all routes of `router` together, so that an overloaded server
/// says so instead of letting callers run into their timeouts.
pub fn limit_concurrency(router: Router, max: usize) -> Router {
    router.layer(middleware::from_fn_with_state(Arc::new(Semaphore::new(max)), admit_or_shed))
}

async fn admit_or_shed(State(slots): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(_slot) = slots.try_acquire() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many requests at once\n").into_response();
    };
    next.run(request).await
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
