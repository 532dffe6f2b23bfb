//! HTTP serving: TLS with certificates that change while it runs, a bound on concurrent requests, and an end within a cap.
//!
//! Invariant: a certificate is served only if its key matches; a pair that cannot be used leaves the old one in place. A
//! slow or hostile client holds up nobody else: handshakes run beside each other, each with a time limit.
//!
//! It does not know where certificates come from nor what the routes do.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    serve::Listener,
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
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::shutdown::{Shutdown, capped};

/// A client on the same network completes a handshake in milliseconds; one that needs longer only holds memory.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Handshakes under way at once. Further connections wait in the kernel's queue.
const CONCURRENT_HANDSHAKES: usize = 512;
/// Finished handshakes that wait for the HTTP server to take them.
const READY_STREAMS: usize = 64;
/// After a failed accept (usually: no file descriptors left) wait this long, doubled each time up to the maximum.
const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

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

/// A TLS listener for `axum::serve`: gives out only connections whose handshake is done.
#[derive(Debug)]
pub struct TlsListener {
    addr: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    acceptor: JoinHandle<()>,
}

impl TlsListener {
    /// Binds `addr` and starts to accept; each handshake gets what `cert` holds at that moment.
    pub async fn bind(addr: SocketAddr, cert: Arc<ServingCert>) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Bind { addr, source };
        let tls = TlsAcceptor::from(Arc::new(server_config(cert)?));
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let (ready, streams) = mpsc::channel(READY_STREAMS);
        Ok(Self { addr, ready: streams, acceptor: tokio::spawn(accept(listener, tls, ready)) })
    }

    /// Where it listens; differs from what was asked for when the port was 0.
    pub fn address(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The accepting task only ends when this listener is dropped.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}

fn server_config(cert: Arc<ServingCert>) -> Result<ServerConfig, ServeError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(ServeError::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(cert);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    let slots = Arc::new(Semaphore::new(CONCURRENT_HANDSHAKES));
    let (first, longest) = ACCEPT_BACKOFF;
    let mut backoff = first;
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let (tcp, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, ?backoff, "cannot accept connections");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(longest);
                continue;
            }
        };
        backoff = first;
        let (tls, ready) = (tls.clone(), ready.clone());
        tokio::spawn(async move {
            let _slot = slot;
            let _still_works = tcp.set_nodelay(true);
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(tcp)).await {
                // An error means that the server is gone.
                Ok(Ok(stream)) => drop(ready.send((stream, peer)).await),
                Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            }
        });
    }
}

/// Serves until `shutdown` stops, then lets open requests finish for at most `cap`.
pub async fn run<L>(listener: L, router: Router, shutdown: &Shutdown, cap: Duration)
where
    L: Listener,
    L::Addr: fmt::Debug,
{
    let serving = axum::serve(listener, router).with_graceful_shutdown(shutdown.stopped());
    match capped(serving.into_future(), shutdown, cap).await {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::error!(%error, "serving ended"),
        None => tracing::warn!(?cap, "open connections did not end in time and are cut"),
    }
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
