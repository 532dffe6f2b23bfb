//! The cluster's certificates: one authority for servers and clients, one key pair for service account tokens.
//! Invariant: every component proves a name of its own; nothing is shared but the authority. Knows nothing about who
//! uses a certificate.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};

use crate::files;
use crate::layout::Layout;

/// Who a certificate is for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subject<'a> {
    /// User name.
    pub(crate) name: &'a str,
    /// Group, if any.
    pub(crate) group: Option<&'a str>,
    /// Addresses it serves at; none for a pure client.
    pub(crate) addresses: Vec<IpAddr>,
    /// Host names it serves at.
    pub(crate) hosts: Vec<&'a str>,
}

/// Files of a certificate and its key.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    /// The certificate.
    pub(crate) cert: PathBuf,
    /// The key.
    pub(crate) key: PathBuf,
}

impl Pair {
    fn at(layout: &Layout, stem: &str) -> Self {
        Self { cert: layout.pki(&format!("{stem}.crt")), key: layout.pki(&format!("{stem}.key")) }
    }

    fn exists(&self) -> bool {
        self.cert.exists() && self.key.exists()
    }
}

/// The authority of a cluster.
pub(crate) struct Authority<'l> {
    layout: &'l Layout,
    issuer: Issuer<'static, KeyPair>,
}

impl<'l> Authority<'l> {
    /// Reads the authority's files, making them the first time.
    pub(crate) fn ensure(layout: &'l Layout) -> Result<Self> {
        let pair = Pair::at(layout, "ca");
        if !pair.exists() {
            let key = KeyPair::generate()?;
            let mut params = params("bulkhead-testbed-ca");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
            store(&pair, &params.self_signed(&key)?.pem(), &key)?;
        }
        let cert = fs::read_to_string(&pair.cert).with_context(|| format!("cannot read {}", pair.cert.display()))?;
        let key = fs::read_to_string(&pair.key).with_context(|| format!("cannot read {}", pair.key.display()))?;
        let issuer = Issuer::from_ca_cert_pem(&cert, KeyPair::from_pem(&key)?)?;
        Ok(Self { layout, issuer })
    }

    /// The certificate stored under this stem, made for the subject if it is missing.
    pub(crate) fn ensure_pair(&self, stem: &str, subject: &Subject<'_>) -> Result<Pair> {
        let pair = Pair::at(self.layout, stem);
        if !pair.exists() {
            let key = KeyPair::generate()?;
            store(&pair, &leaf(subject)?.signed_by(&key, &self.issuer)?.pem(), &key)?;
        }
        Ok(pair)
    }
}

/// Key pair that signs service account tokens: private key, public key.
pub(crate) fn ensure_token_keys(layout: &Layout) -> Result<(PathBuf, PathBuf)> {
    let (private, public) = (layout.pki("sa.key"), layout.pki("sa.pub"));
    if !private.exists() || !public.exists() {
        let key = KeyPair::generate()?;
        files::write(&public, &key.public_key_pem())?;
        files::write_secret(&private, &key.serialize_pem())?;
    }
    Ok((private, public))
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    // Fixed dates: the authority lives and dies with the cluster's directory.
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn leaf(subject: &Subject<'_>) -> Result<CertificateParams> {
    let mut params = params(subject.name);
    if let Some(group) = subject.group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if !subject.addresses.is_empty() || !subject.hosts.is_empty() {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    params.subject_alt_names = subject.addresses.iter().map(|address| SanType::IpAddress(*address)).collect();
    for host in &subject.hosts {
        params.subject_alt_names.push(SanType::DnsName((*host).try_into()?));
    }
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// The key first: a pair counts as made only once the certificate is there.
fn store(pair: &Pair, cert: &str, key: &KeyPair) -> Result<()> {
    files::write_secret(&pair.key, &key.serialize_pem())?;
    files::write(&pair.cert, cert)
}
