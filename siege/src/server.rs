//! The besieged: a server as it runs in a cluster, but with few places.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use cluster::serve::{Limits, ServingCert, TlsListener, run_within};
use cluster::shutdown::Shutdown;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsConnector;

use crate::address::Address;

/// Connections that the server has room for.
const ROOM: usize = 48;
/// Threads that serve have this name, so that a panic on one of them can be told.
pub(crate) const THREAD: &str = "besieged";
/// Who the server is.
pub(crate) const NAME: &str = "besieged.test";

/// A running server; it ends when this is dropped.
pub(crate) struct Server {
    runtime: Option<Runtime>,
    pub(crate) address: Address,
}

impl Server {
    /// Serves what `router` makes, behind TLS or not.
    pub(crate) fn start(router: impl FnOnce() -> Router, tls: bool) -> Self {
        let runtime =
            Builder::new_multi_thread().worker_threads(2).thread_name(THREAD).enable_all().build().expect("a runtime");
        let router = {
            let _entered = runtime.enter();
            router()
        };
        let limits = Limits { connections: ROOM, ..Limits::default() };
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let address = if tls {
            let (certificate, connector) = certificate();
            let listener = runtime.block_on(TlsListener::bind(at, certificate)).expect("an address");
            let at = listener.address();
            runtime.spawn(async move { run_within(limits, listener, router, &Shutdown::new(), Duration::ZERO).await });
            Address { at, tls: Some(connector) }
        } else {
            let listener = runtime.block_on(TcpListener::bind(at)).expect("an address");
            let at = listener.local_addr().expect("it is bound");
            runtime.spawn(async move { run_within(limits, listener, router, &Shutdown::new(), Duration::ZERO).await });
            Address { at, tls: None }
        };
        Self { runtime: Some(runtime), address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A certificate, and how clients connect that trust it.
fn certificate() -> (Arc<ServingCert>, TlsConnector) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
    let serving = ServingCert::empty();
    serving.load(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes()).expect("a pair");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them all")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (serving, TlsConnector::from(Arc::new(config)))
}
