//! What counts as usable, with real certificates, spoiled in every way that has a name.

use super::*;
use crate::{config::Config, issue};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

const LIFE: Duration = Duration::from_hours(24);

fn names() -> Vec<String> {
    Config::default().names
}

/// A Secret as it should be, the leaf signed by the second CA.
fn good() -> Data {
    let cas = [issue::ca(now(), LIFE).unwrap(), issue::ca(now(), LIFE).unwrap()];
    let leaf = issue::leaf(&cas[1], now() + LIFE, &names(), now(), LIFE / 2).unwrap();
    Data { cas, leaf }
}

/// Spoils a good Secret and expects: the first CA's flaw or whether it can sign, the leaf's flaw or its signer.
fn check(spoil: impl FnOnce(&mut Data), ca: Result<bool, Flaw>, leaf: Result<usize, Flaw>) {
    let mut data = good();
    spoil(&mut data);
    let stored = examine(&data, &names());
    let [first, _] = stored.cas;
    assert_eq!((first.map(|ca| ca.can_sign), stored.leaf.map(|leaf| leaf.signer)), (ca, leaf));
}

#[test]
fn a_secret_as_it_should_be_has_no_flaw() {
    check(|_| {}, Ok(true), Ok(1));
    let data = good();
    let leaf = examine(&data, &names()).leaf.unwrap().certificate;
    assert!(leaf.is_valid(now()) && !leaf.is_due(now()));
    assert_eq!(leaf.not_after, now() + LIFE / 2);
    assert!(leaf.is_due(now() + LIFE / 3 + Duration::from_secs(1)));
    assert!(!leaf.is_valid(leaf.not_after));
}

#[test]
fn a_ca_without_its_key_can_still_be_trusted() {
    check(|data| data.cas[0].key.0.clear(), Ok(false), Ok(1));
    check(|data| data.cas[0].key = data.cas[1].key.clone(), Ok(false), Ok(1));
    check(|data| "garbage".clone_into(&mut data.cas[0].key.0), Ok(false), Ok(1));
}

#[test]
fn what_is_no_ca_is_named() {
    check(|data| data.cas[0].certificate.clear(), Err(Flaw::Missing), Ok(1));
    check(|data| data.cas[0].certificate.truncate(100), Err(Flaw::NotOneCertificate), Ok(1));
    check(|data| "hello".clone_into(&mut data.cas[0].certificate), Err(Flaw::NotOneCertificate), Ok(1));
    check(|data| data.cas[0] = data.leaf.clone(), Err(Flaw::NotACa), Ok(1));
    let not_der = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    check(|data| not_der.clone_into(&mut data.cas[0].certificate), Err(Flaw::Unreadable), Ok(1));
}

#[test]
fn a_certificate_with_a_private_key_beside_it_is_refused_because_bundles_are_public() {
    let leak = |data: &mut Data| data.cas[0].certificate = format!("{}{}", data.cas[0].certificate, data.cas[0].key.0);
    check(leak, Err(Flaw::NotOneCertificate), Ok(1));
}

#[test]
fn a_leaf_that_nobody_would_accept_is_named() {
    check(|data| data.leaf.certificate.clear(), Ok(true), Err(Flaw::Missing));
    check(|data| data.leaf.key = data.cas[0].key.clone(), Ok(true), Err(Flaw::KeyMismatch));
    check(|data| data.leaf.key.0.clear(), Ok(true), Err(Flaw::KeyMismatch));
    check(|data| data.leaf = good().leaf, Ok(true), Err(Flaw::NotOurs));
    check(|data| data.leaf = data.cas[0].clone(), Ok(true), Err(Flaw::NotOurs));
    let other_name = |data: &mut Data| {
        data.leaf = issue::leaf(&data.cas[0], now() + LIFE, &["other".to_owned()], now(), LIFE).unwrap();
    };
    check(other_name, Ok(true), Err(Flaw::NotOurs));
}

#[test]
fn the_bundle_holds_every_ca_that_can_be_trusted_and_no_key() {
    let mut data = good();
    data.cas[0].key.0.clear();
    let bundle = examine(&data, &names()).bundle();
    assert_eq!(bundle, format!("{}{}", data.cas[0].certificate, data.cas[1].certificate));
    assert!(!bundle.contains("PRIVATE"));
}

#[test]
fn a_leaf_never_outlives_its_ca() {
    let data = good();
    let leaf = issue::leaf(&data.cas[0], now() + LIFE, &names(), now() + LIFE / 2, LIFE).unwrap();
    let stored = examine(&Data { leaf, ..data }, &names());
    assert_eq!(stored.leaf.unwrap().certificate.not_after, now() + LIFE);
}

#[test]
fn two_cas_of_the_same_second_have_different_names() {
    let subjects = good().cas.map(|ca| {
        let certificate = Certificate::read(&ca.certificate).unwrap();
        X509Certificate::from_der(&certificate.der).unwrap().1.subject().to_string()
    });
    assert!(subjects[0].starts_with("CN=Bulkhead CA 2027-01-15T08:00:00Z "), "{subjects:?}");
    assert_ne!(subjects[0], subjects[1]);
}
