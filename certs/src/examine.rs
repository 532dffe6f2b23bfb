//! What the Secret's content is worth: which CAs can sign, which can only be trusted, and whose leaf is served.
//!
//! Invariant: nothing here fails or panics, whatever the Secret holds; what cannot be used is a [`Flaw`] with its reason. The
//! time is not looked at: whether something is valid *now* is decided by others.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{PemObject, SectionKind},
    },
    sign::CertifiedKey,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::data::{Data, Pair};

/// Why a part of the Secret cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("it is missing")]
    Missing,
    #[error("it is not one single certificate in PEM")]
    NotOneCertificate,
    #[error("it is not a readable certificate")]
    Unreadable,
    #[error("it is not the certificate of a CA")]
    NotACa,
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    #[error("neither CA has signed it for all names it must be valid for")]
    NotOurs,
}

/// A certificate that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

impl Certificate {
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// Past two thirds of its life, the time to replace it while there is plenty left.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        let life = self.not_after.duration_since(self.not_before);
        now.duration_since(self.not_before) >= life / 3 * 2
    }

    fn read(pem: &str) -> Result<Self, Flaw> {
        if pem.trim().is_empty() {
            return Err(Flaw::Missing);
        }
        let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| Flaw::NotOneCertificate)?;
        // Anything more, a private key for example, would be published with the bundle.
        let [(SectionKind::Certificate, der)] = &sections[..] else {
            return Err(Flaw::NotOneCertificate);
        };
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| Flaw::Unreadable)?;
        let time = |seconds| Timestamp::from_second(seconds).map_err(|_| Flaw::Unreadable);
        Ok(Self {
            not_before: time(parsed.validity().not_before.timestamp())?,
            not_after: time(parsed.validity().not_after.timestamp())?,
            pem: pem.to_owned(),
            der: CertificateDer::from(der.clone()),
        })
    }
}

/// A CA that can be trusted, and perhaps sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ca {
    pub(crate) certificate: Certificate,
    /// Whether its private key is there and belongs to it.
    pub(crate) can_sign: bool,
}

/// A leaf that one of the CAs has signed for our names, with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) certificate: Certificate,
    /// Which CA has signed it: 0 or 1.
    pub(crate) signer: usize,
}

/// The Secret's content after examination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) cas: [Result<Ca, Flaw>; 2],
    pub(crate) leaf: Result<Leaf, Flaw>,
}

impl Stored {
    /// What has to stand in every `caBundle`.
    pub(crate) fn bundle(&self) -> String {
        self.cas.iter().flatten().map(|ca| with_newline(&ca.certificate.pem)).collect()
    }
}

/// Looks at everything the Secret holds.
pub(crate) fn examine(data: &Data, names: &[String]) -> Stored {
    let cas = [ca(&data.cas[0]), ca(&data.cas[1])];
    let leaf = leaf(&data.leaf, &cas, names);
    Stored { cas, leaf }
}

fn ca(pair: &Pair) -> Result<Ca, Flaw> {
    let certificate = Certificate::read(&pair.certificate)?;
    let (_, parsed) = X509Certificate::from_der(&certificate.der).map_err(|_| Flaw::Unreadable)?;
    let signs = match parsed.key_usage() {
        Ok(Some(usage)) => usage.value.key_cert_sign(),
        Ok(None) => true,
        Err(_) => return Err(Flaw::Unreadable),
    };
    let usable = trust(&certificate.der).is_ok();
    if !parsed.is_ca() || !signs || !usable {
        return Err(Flaw::NotACa);
    }
    let can_sign =
        KeyPair::from_pem(&pair.key.0).is_ok_and(|key| key.subject_public_key_info() == parsed.public_key().raw);
    Ok(Ca { certificate, can_sign })
}

fn leaf(pair: &Pair, cas: &[Result<Ca, Flaw>; 2], names: &[String]) -> Result<Leaf, Flaw> {
    let certificate = Certificate::read(&pair.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.0.as_bytes()).map_err(|_| Flaw::KeyMismatch)?;
    CertifiedKey::from_der(vec![certificate.der.clone()], key, &ring::default_provider())
        .and_then(|pair| pair.keys_match())
        .map_err(|_| Flaw::KeyMismatch)?;
    let has_signed = |ca: &Result<Ca, Flaw>| {
        ca.as_ref().is_ok_and(|ca| {
            let both_begun = certificate.not_before.max(ca.certificate.not_before);
            names.iter().all(|name| verifies(&certificate.der, &ca.certificate.der, name, both_begun))
        })
    };
    let signer = cas.iter().position(has_signed).ok_or(Flaw::NotOurs)?;
    Ok(Leaf { certificate, signer })
}

/// Whether a client that trusts `ca` alone accepts `leaf` for `name` at `time`: the API server's question.
pub(crate) fn verifies(leaf: &CertificateDer<'_>, ca: &CertificateDer<'_>, name: &str, time: Timestamp) -> bool {
    let Ok(verifier) = trust(ca) else {
        return false;
    };
    let Ok(name) = ServerName::try_from(name) else {
        return false;
    };
    let Ok(seconds) = u64::try_from(time.as_second()) else {
        return false;
    };
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    verifier.verify_server_cert(leaf, &[], &name, &[], time).is_ok()
}

fn trust(ca: &CertificateDer<'_>) -> Result<Arc<WebPkiServerVerifier>, Flaw> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone().into_owned()).map_err(|_| Flaw::Unreadable)?;
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
        .build()
        .map_err(|_| Flaw::Unreadable)
}

fn with_newline(pem: &str) -> String {
    format!("{}\n", pem.trim_end())
}

#[cfg(test)]
#[path = "examine_tests.rs"]
mod tests;
