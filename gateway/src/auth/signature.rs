//! Signature Version 4 of a request
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>): what it claims, and whether that holds.
//!
//! Invariant: pure, and judged is what came, byte for byte: the libraries that sign put right what they are given, which whoever checks must
//! not. Header form alone; the hash of the body is always made here. Does not know whose key it is.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use axum::http::{HeaderMap, HeaderName};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use ring::{digest, hmac};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far the clocks of clients may be from ours.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// What is not encoded (RFC 3986, 2.3).
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ENCODED_IN_PATHS: AsciiSet = ENCODED.remove(b'/');
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const BODY_HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");
/// The longest that has a meaning: a name of a region or service is far shorter.
const LONGEST_PART: usize = 128;

/// Why a request is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    /// There is no signature.
    #[error("Missing Authentication Token")]
    Missing,
    /// There is half a one.
    #[error("{0}")]
    Incomplete(String),
    /// It is too old, or of the future.
    #[error("Signature expired: {at} is more than 5 minutes from {now}, the time here")]
    Skew {
        /// When it was signed.
        at: Timestamp,
        /// When it came.
        now: Timestamp,
    },
    /// It is for something else.
    #[error("{0}")]
    Scope(String),
    /// It is of another request, or made with another secret.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method."
    )]
    Mismatch,
}

impl Wrong {
    fn incomplete<T>(message: impl Into<String>) -> Result<T, Self> {
        Err(Self::Incomplete(message.into()))
    }
}

/// A request as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// What a request says of its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim<'a> {
    /// Id of the access key.
    pub(crate) key: &'a str,
    /// `20150830`, region, service.
    scope: [&'a str; 3],
    /// Names of the headers that are signed.
    signed: Vec<&'a str>,
    signature: Vec<u8>,
    /// `20150830T123600Z`.
    date: &'a str,
}

impl<'a> Claim<'a> {
    /// What a request claims that came `now`, for one of `services`.
    pub(crate) fn read(headers: &'a HeaderMap, services: &[&str], now: Timestamp) -> Result<Self, Wrong> {
        let text = sole(headers, &axum::http::header::AUTHORIZATION)?.ok_or(Wrong::Missing)?;
        let Some(rest) = text.strip_prefix(ALGORITHM).filter(|rest| rest.starts_with([' ', '\t'])) else {
            return Err(Wrong::Missing);
        };
        let [mut credential, mut signed, mut signature] = [None; 3];
        for part in rest.split(',') {
            let Some((name, value)) = part.trim().split_once('=') else {
                return Wrong::incomplete("Authorization header holds a part that is no name=value");
            };
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return Wrong::incomplete("Authorization header holds an unknown part"),
            };
            if slot.replace(value).is_some() {
                return Wrong::incomplete(format!("Authorization header holds {name} twice"));
            }
        }
        let missing = |name: &str| Wrong::Incomplete(format!("Authorization header requires '{name}' parameter"));
        let (key, scope) = credential_scope(credential.ok_or_else(|| missing("Credential"))?)?;
        let signed = signed_headers(headers, signed.ok_or_else(|| missing("SignedHeaders"))?)?;
        let signature = signature.and_then(from_hex).filter(|bytes| bytes.len() == 32);
        let signature = signature.ok_or_else(|| missing("Signature"))?;
        let date = sole(headers, &DATE)?.ok_or_else(|| Wrong::Incomplete("X-Amz-Date is missing".to_owned()))?;
        let at = time(date).ok_or_else(|| Wrong::Incomplete("X-Amz-Date must be as 20150830T123600Z".to_owned()))?;
        if at.duration_since(now).abs() > SKEW {
            return Err(Wrong::Skew { at, now });
        }
        if !date.starts_with(scope[0]) {
            return Err(Wrong::Scope(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP".to_owned(),
            ));
        }
        if !services.contains(&scope[2]) {
            return Err(Wrong::Scope(format!(
                "Credential should be scoped to correct service: '{}'.",
                services.join("' or '")
            )));
        }
        Ok(Self { key, scope, signed, signature, date })
    }

    /// Whether the request is the one that was signed, with this secret.
    pub(crate) fn holds(&self, sent: &Sent<'_>, secret: &str) -> Result<(), Wrong> {
        let said = sole(sent.headers, &BODY_HASH)?;
        let body = hex(digest::digest(&digest::SHA256, sent.body).as_ref());
        if said.is_some_and(|said| said != body) {
            return Err(Wrong::Mismatch);
        }
        let canonical = canonical(sent, &self.signed, &body)?;
        let text = self.to_sign(&canonical);
        hmac::verify(&self.signing_key(secret), text.as_bytes(), &self.signature).map_err(|_| Wrong::Mismatch)
    }

    fn to_sign(&self, canonical: &str) -> String {
        let [day, region, service] = self.scope;
        let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        format!("{ALGORITHM}\n{}\n{day}/{region}/{service}/aws4_request\n{hash}", self.date)
    }

    fn signing_key(&self, secret: &str) -> hmac::Key {
        let key = |bytes: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let parts = self.scope.into_iter().chain(["aws4_request"]);
        parts.fold(key(format!("AWS4{secret}").as_bytes()), |with, part| {
            key(hmac::sign(&with, part.as_bytes()).as_ref())
        })
    }
}

/// The only value of a header.
fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Wrong> {
    let mut all = headers.get_all(name).iter();
    let Some(value) = all.next() else { return Ok(None) };
    match (value.to_str(), all.next()) {
        (Ok(text), None) => Ok(Some(text.trim())),
        _ => Wrong::incomplete(format!("Header {name} must be there once, in ASCII")),
    }
}

/// `KEY/20150830/us-east-1/batch/aws4_request`.
fn credential_scope(text: &str) -> Result<(&str, [&str; 3]), Wrong> {
    let parts: Vec<&str> = text.split('/').collect();
    match parts[..] {
        [key, day, region, service, "aws4_request"]
            if parts.iter().all(|part| !part.is_empty() && part.len() <= LONGEST_PART) =>
        {
            Ok((key, [day, region, service]))
        }
        _ => Wrong::incomplete(
            "Credential must have 5 slash-delimited elements, e.g. keyid/date/region/service/aws4_request",
        ),
    }
}

/// In order and each once; at least those by which a request could become another one.
fn signed_headers<'a>(headers: &HeaderMap, text: &'a str) -> Result<Vec<&'a str>, Wrong> {
    let names: Vec<&str> = text.split(';').collect();
    let sound = |name: &&str| !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase());
    if !names.iter().all(sound) || !names.is_sorted_by(|a, b| a < b) {
        return Wrong::incomplete("SignedHeaders must be names in lower case, in order, each once");
    }
    let known: BTreeSet<&str> = names.iter().copied().collect();
    let there = headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("x-amz-"));
    match ["host"].into_iter().chain(there).find(|name| !known.contains(name)) {
        Some(name) => Wrong::incomplete(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")),
        None => Ok(names),
    }
}

fn time(text: &str) -> Option<Timestamp> {
    let parsed = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok().filter(|_| text.len() == 16)?;
    parsed.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn canonical(sent: &Sent<'_>, signed: &[&str], body: &str) -> Result<String, Wrong> {
    let mut text = format!("{}\n{}\n{}\n", sent.method, path(sent.path), query(sent.query.unwrap_or_default()));
    for name in signed {
        let values: Vec<String> = sent.headers.get_all(*name).iter().filter_map(|it| trimmed(it.as_bytes())).collect();
        if values.is_empty() || values.len() < sent.headers.get_all(*name).iter().count() {
            return Err(Wrong::Mismatch);
        }
        let _infallible = writeln!(text, "{name}:{}", values.join(","));
    }
    let _infallible = write!(text, "\n{}\n{body}", signed.join(";"));
    Ok(text)
}

/// Without spaces around it, and with one where there are several.
fn trimmed(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    Some(text.split([' ', '\t']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
}

/// A path without empty and relative steps, encoded once more. Every service but S3 wants it so.
fn path(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    let end = if path.ends_with('/') && !steps.is_empty() { "/" } else { "" };
    percent_encode(format!("/{}{end}", steps.join("/")).as_bytes(), &ENCODED_IN_PATHS).to_string()
}

/// Whether a path is the one that is signed for it: no other one has its signature.
pub(crate) fn is_plain(path: &str) -> bool {
    path == "/" || path.split('/').skip(1).all(|step| !matches!(step, "" | "." | ".."))
}

fn query(query: &str) -> String {
    let encode = |part: &str| percent_encode(&percent_decode_str(part).collect::<Vec<u8>>(), &ENCODED).to_string();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut pairs: Vec<(String, String)> = pairs.map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// The `Authorization` of a request, as a client makes it: all of these headers are signed, in order.
#[cfg(test)]
pub(crate) fn sign(sent: &Sent<'_>, key: &str, secret: &str, service: &str, names: &str) -> String {
    let date = sent.headers.get(DATE).and_then(|date| date.to_str().ok()).unwrap_or_default();
    let scope = [&date[..8], "us-east-1", service];
    let claim = Claim { key, scope, signed: names.split(';').collect(), signature: Vec::new(), date };
    let body = hex(digest::digest(&digest::SHA256, sent.body).as_ref());
    let text = claim.to_sign(&canonical(sent, &claim.signed, &body).unwrap());
    let signature = hex(hmac::sign(&claim.signing_key(secret), text.as_bytes()).as_ref());
    let scope = scope.join("/");
    format!("{ALGORITHM} Credential={key}/{scope}/aws4_request, SignedHeaders={names}, Signature={signature}")
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
