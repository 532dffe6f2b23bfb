//! A webhook that is not Bulkhead's: it accepts the API server's connections by TLS and then hangs, answers garbage, or changes or
//! denies what it is asked about.
//!
//! Invariant: it listens on the cluster's own bridge and ends when it is dropped. Certificates for tests are made here, too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use model::keys;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tests::Fixture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The controller, as policies and webhooks see it.
pub(crate) const CONTROLLER: &str = "system:serviceaccount:bulkhead-system:bulkhead-controller";

/// How it misbehaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// It says nothing for half a minute.
    Hangs,
    /// It answers something that is no review.
    Garbage,
    /// It answers with the JSON patch that this makes of the object.
    Patches(fn(&Value) -> Value),
    /// It denies what it is asked about, with this status code.
    Denies(u16),
}

/// A certificate authority of the test's own.
pub(crate) struct Authority {
    pub(crate) certificate: String,
    key: String,
}

/// A certificate with its key, in PEM.
pub(crate) struct Leaf {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        Ok(Self { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
    }

    /// A leaf for a host name or an address; one that is over has ended in the year 2001.
    pub(crate) fn issue(&self, name: &str, over: bool) -> Result<Leaf> {
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, KeyPair::from_pem(&self.key)?)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        if over {
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        Ok(Leaf { certificate: params.signed_by(&key, &issuer)?.pem(), key: key.serialize_pem() })
    }
}

/// A webhook that is not Bulkhead's.
pub(crate) struct Rogue {
    address: SocketAddr,
    authority: Authority,
    serving: JoinHandle<()>,
}

impl Rogue {
    /// Listens on the cluster's bridge.
    pub(crate) async fn start(fixture: &Fixture, manner: Manner) -> Result<Self> {
        let host = fixture.world.local()?.slot().gateway();
        let authority = Authority::new()?;
        let leaf = authority.issue(&host.to_string(), false)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificate = CertificateDer::from_pem_slice(leaf.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes())?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        let listener = TcpListener::bind((host, 0)).await.context("cannot listen on the cluster's bridge")?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), manner));
        Ok(Self { address, authority, serving })
    }

    /// Has it asked about what the controller does in one namespace, until the configuration of the returned name is deleted.
    pub(crate) async fn is_asked(&self, fixture: &Fixture, namespace: &str, rule: Value) -> Result<String> {
        let name = fixture.named("rogue");
        fixture.on_clean(&["delete", "validatingwebhookconfiguration", &name, "--ignore-not-found"], "");
        let ours = format!("request.userInfo.username in ['{CONTROLLER}', '{}']", keys::EXTENDER_USER);
        let hook = json!({"name": "somebody.example.com", "clientConfig": self.client(), "rules": [rule], "failurePolicy": "Fail",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}, "timeoutSeconds": 30,
            "matchConditions": [{"name": "ours", "expression": ours}],
            "sideEffects": "None", "admissionReviewVersions": ["v1"]});
        let all = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": name}, "webhooks": [hook]});
        fixture.world.apply(&all.to_string()).await?;
        Ok(name)
    }

    /// Where the API server finds it, for a hook's `clientConfig`.
    pub(crate) fn client(&self) -> Value {
        let bundle = k8s_openapi::ByteString(self.authority.certificate.clone().into_bytes());
        json!({"url": format!("https://{}/", self.address), "caBundle": bundle})
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, manner: Manner) {
    while let Ok((stream, _)) = listener.accept().await {
        let tls = tls.clone();
        // A client that gives up is the point of it.
        tokio::spawn(async move { answer(stream, tls, manner).await.unwrap_or_default() });
    }
}

async fn answer(stream: TcpStream, tls: TlsAcceptor, manner: Manner) -> Result<()> {
    let mut stream = tls.accept(stream).await?;
    let request = request(&mut stream).await?;
    match manner {
        Manner::Hangs => tokio::time::sleep(Duration::from_secs(30)).await,
        Manner::Garbage => {
            let garbage = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 21\r\nconnection: close\r\n\r\n{\"response\": \"garbage\"";
            stream.write_all(garbage).await?;
            stream.shutdown().await?;
        }
        Manner::Patches(patch) => {
            let review: Value = serde_json::from_slice(&request)?;
            let patch = k8s_openapi::ByteString(patch(&review["request"]["object"]).to_string().into_bytes());
            let allowed = json!({"allowed": true, "patchType": "JSONPatch", "patch": patch});
            respond(&mut stream, &review, allowed).await?;
        }
        Manner::Denies(code) => {
            let review: Value = serde_json::from_slice(&request)?;
            let denied = json!({"allowed": false, "status": {"code": code, "message": DENIAL}});
            respond(&mut stream, &review, denied).await?;
        }
    }
    Ok(())
}

/// What is said of a denial.
pub(crate) const DENIAL: &str = "nobody touches it";

async fn respond(stream: &mut TlsStream<TcpStream>, review: &Value, mut response: Value) -> Result<()> {
    response["uid"] = review["request"]["uid"].clone();
    let answer =
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}).to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{answer}", answer.len());
    stream.write_all(answer.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

/// The body of a request, as far as it comes.
async fn request(stream: &mut TlsStream<TcpStream>) -> Result<Vec<u8>> {
    let (mut read, mut some) = (Vec::new(), [0; 8192]);
    loop {
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Ok(body.as_bytes().to_vec());
            }
        }
        match stream.read(&mut some).await? {
            0 => return Ok(read),
            count => read.extend_from_slice(&some[..count]),
        }
    }
}
