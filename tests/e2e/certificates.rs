//! Certificates: a Secret that is replaced is served at the next handshake, by the same pod.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt as _};
use model::keys;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tests::{Fixture, eventually, job};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "a replaced Secret is served at the next handshake by the same webhook pods",
        short: "cert",
        company: Company::Nobody,
        local_only: true,
        run: |fixture| Box::pin(replaced(fixture)),
    }]
}

async fn replaced(fixture: &Fixture) -> Result<()> {
    let before = webhook_pods(fixture).await?;
    let old = handshakes(&before).await?;
    ensure!(old.len() == 1, "all replicas serve one certificate, found {}", old.len());
    let secrets: Api<Secret> = Api::namespaced(fixture.world.client.clone(), keys::NAMESPACE);
    secrets.delete("bulkhead-certs", &DeleteParams::default()).await?;
    eventually("every replica serves another certificate", || async {
        let new = handshakes(&before).await?;
        Ok(if new.is_disjoint(&old) && new.len() == 1 { Ok(()) } else { Err("the old certificate".to_owned()) })
    })
    .await?;
    let identities = |pods: &[Pod]| pods.iter().map(|pod| (pod.uid(), restarts(pod))).collect::<BTreeSet<_>>();
    let after = webhook_pods(fixture).await?;
    ensure!(identities(&before) == identities(&after), "the webhook's pods have changed or restarted");
    // The API server trusts it: a Job is still mutated.
    let namespace = fixture.namespace("ns", Some("nowhere")).await?;
    eventually("the API server calls the webhook with the new certificate", || async {
        let manifest = job("probe", 1, "100m", "16Mi", "true");
        let args = ["create", "-n", &namespace, "--dry-run=server", "-o", "jsonpath={.spec.suspend}", "-f", "-"];
        let suspend = fixture.world.kubectl_with(&args, &manifest).await?;
        Ok(if suspend == "true" { Ok(()) } else { Err(format!("suspend is {suspend:?}")) })
    })
    .await
}

/// Waits until every replica serves this certificate (PEM).
pub(crate) async fn serve(fixture: &Fixture, certificate: &str) -> Result<()> {
    let pods = webhook_pods(fixture).await?;
    let wanted = BTreeSet::from([CertificateDer::from_pem_slice(certificate.as_bytes())?.to_vec()]);
    eventually("every replica serves the certificate", || async {
        let seen = handshakes(&pods).await?;
        Ok(if seen == wanted { Ok(()) } else { Err(format!("{} others", seen.len())) })
    })
    .await
}

async fn webhook_pods(fixture: &Fixture) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(fixture.world.client.clone(), keys::NAMESPACE);
    let webhook = ListParams::default().labels("app.kubernetes.io/component=webhook");
    let running = |pod: &Pod| pod.metadata.deletion_timestamp.is_none();
    let found: Vec<Pod> = pods.list(&webhook).await?.items.into_iter().filter(running).collect();
    ensure!(found.len() == 2, "two webhook pods, found {}", found.len());
    Ok(found)
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.into_iter().map(|status| status.restart_count).sum()
}

/// The leaf certificates that the pods serve.
async fn handshakes(pods: &[Pod]) -> Result<BTreeSet<Vec<u8>>> {
    let mut leaves = BTreeSet::new();
    for pod in pods {
        let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone()).context("a pod without address")?;
        leaves.insert(leaf(&format!("{ip}:9443")).await?);
    }
    Ok(leaves)
}

async fn leaf(address: &str) -> Result<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
    let name = ServerName::try_from("bulkhead-webhook.bulkhead-system.svc")?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let chain = stream.get_ref().1.peer_certificates().context("no certificate was served")?;
    Ok(chain.first().context("an empty chain was served")?.to_vec())
}

/// Accepts any certificate: this looks at what is served; whether it is trusted is asked of the API server.
#[derive(Debug)]
struct Anything;

impl rustls::client::danger::ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
