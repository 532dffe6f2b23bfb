//! Makes CAs and leaves. Keys are ECDSA P-256: accepted everywhere and made in well under a millisecond.
//!
//! Invariant: a leaf never outlives its CA. Certificates begin a little in the past, for readers whose clock is behind.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::data::{Pair, PrivatePem};

/// Clocks of machines in one cluster differ by less.
const LONGEST_BACKDATE: Duration = Duration::from_hours(1);

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    #[error("a certificate could not be made")]
    Make(#[source] rcgen::Error),
    #[error("the end of the certificate's life cannot be expressed")]
    Time(#[source] jiff::Error),
}

/// A self-signed CA that ends `life` from now.
pub(crate) fn ca(now: Timestamp, life: Duration) -> Result<Pair, IssueError> {
    let key = KeyPair::generate().map_err(IssueError::Make)?;
    let mut params = params(now, life, Vec::new())?;
    // Different for every CA, also for two of the same second, so that nobody takes one for another.
    let tail = key.public_key_raw().iter().rev().take(4).map(|byte| format!("{byte:02x}"));
    params.distinguished_name = named(&format!("Bulkhead CA {now:.0} {}", tail.collect::<Vec<_>>().concat()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(IssueError::Make)?;
    Ok(Pair { certificate: certificate.pem(), key: PrivatePem(key.serialize_pem()) })
}

/// A leaf for `names` that ends `life` from now or with its CA.
pub(crate) fn leaf(
    ca: &Pair,
    ca_end: Timestamp,
    names: &[String],
    now: Timestamp,
    life: Duration,
) -> Result<Pair, IssueError> {
    let ca_key = KeyPair::from_pem(&ca.key.0).map_err(IssueError::Make)?;
    let issuer = Issuer::from_ca_cert_pem(&ca.certificate, ca_key).map_err(IssueError::Make)?;
    let left = Duration::try_from(ca_end.duration_since(now)).unwrap_or(Duration::ZERO);
    let key = KeyPair::generate().map_err(IssueError::Make)?;
    let mut params = params(now, life.min(left), names.to_vec())?;
    params.distinguished_name = named(names.first().map_or("bulkhead", String::as_str));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &issuer).map_err(IssueError::Make)?;
    Ok(Pair { certificate: certificate.pem(), key: PrivatePem(key.serialize_pem()) })
}

fn params(now: Timestamp, life: Duration, names: Vec<String>) -> Result<CertificateParams, IssueError> {
    let begin = now.checked_sub(LONGEST_BACKDATE.min(life / 8)).map_err(IssueError::Time)?;
    let end = now.checked_add(life).map_err(IssueError::Time)?;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let after_epoch = |time: Timestamp| Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0));
    let mut params = CertificateParams::new(names).map_err(IssueError::Make)?;
    params.not_before = epoch + after_epoch(begin);
    params.not_after = epoch + after_epoch(end);
    Ok(params)
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}
