//! One connection to a server: HTTP/1.1 over TCP or TLS, kept open, one request at a time.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Request, StatusCode};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Far above any answer.
const ANSWER_LIMIT: usize = 8 << 20;

/// A connection, made when it is needed.
pub(super) struct Connection {
    address: SocketAddr,
    tls: Option<TlsConnector>,
    /// Who it says it is.
    agent: &'static str,
    open: Option<SendRequest<Body>>,
}

impl Connection {
    /// Over plain TCP.
    pub(super) fn plain(address: SocketAddr, agent: &'static str) -> Self {
        Self { address, tls: None, agent, open: None }
    }

    /// Over TLS, trusting this certificate and no other.
    pub(super) fn tls(address: SocketAddr, certificate: &str, agent: &'static str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(certificate.as_bytes())?)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Some(TlsConnector::from(Arc::new(config))), ..Self::plain(address, agent) })
    }

    /// Sends a body and reads the answer.
    pub(super) async fn post(&mut self, path: &str, body: Vec<u8>) -> Result<(StatusCode, Bytes)> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.connect().await?,
        };
        let request = Request::post(path)
            .header("host", "localhost")
            .header("user-agent", self.agent)
            .header("accept", "application/json, */*")
            .header("content-type", "application/json")
            .body(Body::from(body))?;
        open.ready().await?;
        let response = open.send_request(request).await?;
        let code = response.status();
        let answer = to_bytes(Body::new(response.into_body()), ANSWER_LIMIT).await?;
        // Not after a failure: then the connection is done for.
        self.open = Some(open);
        Ok((code, answer))
    }

    async fn connect(&self) -> Result<SendRequest<Body>> {
        let tcp = TcpStream::connect(self.address).await.context("cannot connect")?;
        tcp.set_nodelay(true)?;
        match &self.tls {
            None => begin(tcp).await,
            Some(tls) => begin(tls.connect(ServerName::try_from("localhost")?, tcp).await.context("no TLS")?).await,
        }
    }
}

async fn begin(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<SendRequest<Body>> {
    let (open, driver) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the connection; what went wrong, the request says.
    tokio::spawn(driver);
    Ok(open)
}
