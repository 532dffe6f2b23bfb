//! One connection to the server, as the API server holds it: TLS, HTTP/1.1, kept open, one request at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Request, StatusCode};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::load::{Caller, Failure};
use super::process::Hello;
use super::sample::{self, Around};

/// The hooks' `timeoutSeconds`: after that the API server goes on without an answer.
const DEADLINE: Duration = Duration::from_secs(3);
/// Far above any answer.
const ANSWER_LIMIT: usize = 1 << 20;

/// A connection, made when it is needed.
pub(super) struct Connection {
    tls: TlsConnector,
    address: SocketAddr,
    open: Option<SendRequest<Body>>,
}

impl Connection {
    /// To a server, trusting its certificate and no other.
    pub(super) fn new(hello: &Hello) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(hello.certificate.as_bytes())?)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), address: hello.address, open: None })
    }

    /// Sends a body and reads the answer.
    pub(super) async fn post(&mut self, path: &str, body: Vec<u8>) -> Result<(StatusCode, Bytes)> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.connect().await?,
        };
        let request = Request::post(path)
            .header("host", "localhost")
            .header("user-agent", "kube-apiserver-admission")
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
        let stream = self.tls.connect(ServerName::try_from("localhost")?, tcp).await.context("no TLS")?;
        let (open, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the connection; what went wrong, the request says.
        tokio::spawn(driver);
        Ok(open)
    }
}

/// A path, and what it has to answer.
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) review: Around,
    pub(super) right: Right,
}

/// The right answer.
pub(super) enum Right {
    /// To each review its own.
    Review(Around),
    /// Always the same.
    Constant(Bytes),
}

impl Right {
    fn is(&self, answer: &[u8], uid: &str) -> bool {
        match self {
            Self::Review(around) => around.is(answer, uid),
            Self::Constant(constant) => constant == answer,
        }
    }
}

/// A connection that asks a route.
pub(super) struct Reviewer<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) route: &'a Route,
}

impl Caller for Reviewer<'_> {
    async fn call(&mut self, number: usize) -> Result<(), Failure> {
        let uid = sample::uid(number);
        let body = self.route.review.with(&uid);
        match timeout(DEADLINE, self.connection.post(self.route.path, body)).await {
            Err(_) => Err(Failure::Late),
            Ok(Err(error)) => Err(Failure::Failed(format!("{error:#}"))),
            Ok(Ok((StatusCode::OK, answer))) if self.route.right.is(&answer, &uid) => Ok(()),
            Ok(Ok((StatusCode::OK, answer))) => Err(Failure::Wrong(String::from_utf8_lossy(&answer).into_owned())),
            Ok(Ok((code, answer))) => Err(Failure::Failed(format!("{code}: {}", String::from_utf8_lossy(&answer)))),
        }
    }
}
