//! Checks [`super`] against AWS's published vectors (its Signature Version 4 test suite, as botocore 1.44.8 has it in
//! `tests/unit/auth/aws4_testsuite`; one with a folded header is left out, because HTTP has those no more), and by altering requests.

use axum::http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

#[derive(Deserialize)]
struct Vector {
    name: String,
    method: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    body: String,
    signed: String,
    signature: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("signature_vectors.json")).unwrap()
}

fn now() -> Timestamp {
    "2015-08-30T12:36:00Z".parse().unwrap()
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn authorization(signed: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={signed}, Signature={signature}"
    )
}

fn check(headers: &HeaderMap, sent: &Sent<'_>, secret: &str, now: Timestamp) -> Result<(), Wrong> {
    Claim::read(headers, &["service"], now)?.holds(sent, secret)
}

#[test]
fn the_published_vectors_hold() {
    let all = vectors();
    assert_eq!(all.len(), 33);
    for Vector { name, method, path, query, headers: more, body, signed, signature } in &all {
        let authorization = authorization(signed, signature);
        let mut pairs = vec![
            ("host", "example.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
            ("authorization", authorization.as_str()),
        ];
        pairs.extend(more.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let headers = headers(&pairs);
        let sent = Sent { method, path, query: query.as_deref(), headers: &headers, body: body.as_bytes() };
        assert_eq!(check(&headers, &sent, SECRET, now()), Ok(()), "{name}");
        assert_eq!(check(&headers, &sent, "other", now()), Err(Wrong::Mismatch), "{name}");
        let other = Sent { body: b"other", ..sent };
        assert_eq!(check(&headers, &other, SECRET, now()), Err(Wrong::Mismatch), "{name}");
    }
}

/// A request that was signed for `POST /v1/submitjob`, as clients of AWS Batch do, and whatever is wrong about it.
struct Signed {
    method: &'static str,
    path: &'static str,
    query: Option<&'static str>,
    headers: Vec<(&'static str, String)>,
    body: &'static [u8],
}

impl Signed {
    fn new() -> Self {
        let mut signed = Self {
            method: "POST",
            path: "/v1/tags/arn%3Aaws%3Abatch%2Fq",
            query: Some("tagKeys=a%20b&tagKeys=%C3%A9"),
            headers: vec![
                ("host", "localhost:8443".to_owned()),
                ("content-type", "application/json".to_owned()),
                ("x-amz-date", "20150830T123600Z".to_owned()),
                ("x-amz-security-token", "token".to_owned()),
            ],
            body: br#"{"jobName":"a"}"#,
        };
        let map = signed.map();
        let names = "content-type;host;x-amz-date;x-amz-security-token";
        let authorization = sign(&signed.sent(&map), "AKIDEXAMPLE", SECRET, "service", names);
        signed.headers.push(("authorization", authorization));
        signed
    }

    fn signature(&self) -> String {
        let (_, text) = self.headers.iter().find(|(name, _)| *name == "authorization").unwrap();
        text.rsplit('=').next().unwrap().to_owned()
    }

    fn map(&self) -> HeaderMap {
        headers(&self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
    }

    fn sent<'a>(&'a self, headers: &'a HeaderMap) -> Sent<'a> {
        Sent { method: self.method, path: self.path, query: self.query, headers, body: self.body }
    }

    fn check(&self) -> Result<(), Wrong> {
        let map = self.map();
        check(&map, &self.sent(&map), SECRET, now())
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.headers.iter_mut().find(|(it, _)| *it == name).unwrap().1 = value.to_owned();
        self
    }

    fn replaced(self, from: &str, to: &str) -> Self {
        let value = self.headers.iter().find(|(it, _)| *it == "authorization").unwrap().1.replace(from, to);
        self.set("authorization", &value)
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(it, _)| *it != name);
        self
    }
}

#[test]
fn an_altered_request_does_not_hold() {
    assert_eq!(Signed::new().check(), Ok(()));
    let new = Signed::new;
    for (what, request) in [
        ("method", Signed { method: "DELETE", ..new() }),
        ("path", Signed { path: "/v1/tags/arn%3Aaws%3Abatch%2Fr", ..new() }),
        ("path decoded", Signed { path: "/v1/tags/arn:aws:batch/q", ..new() }),
        ("query", Signed { query: Some("tagKeys=a%20b"), ..new() }),
        ("no query", Signed { query: None, ..new() }),
        ("body", Signed { body: b"{}", ..new() }),
        ("host", new().set("host", "localhost:8444")),
        ("token", new().set("x-amz-security-token", "other")),
        ("type", new().set("content-type", "application/x-amz-json-1.1")),
        ("region", new().replaced("us-east-1", "eu-west-1")),
        ("signature", new().replaced(&new().signature(), &"0".repeat(64))),
        ("another host", new().with("host", "evil")),
        ("signed header gone", new().without("content-type")),
        ("hash of another body", new().with("x-amz-content-sha256", "UNSIGNED-PAYLOAD")),
    ] {
        let got = request.check();
        assert!(matches!(got, Err(Wrong::Mismatch | Wrong::Incomplete(_))), "{what}: {got:?}");
    }
}

#[test]
fn half_a_signature_is_none() {
    let new = Signed::new;
    for (request, said) in [
        (new().without("x-amz-date"), "X-Amz-Date is missing"),
        (new().set("x-amz-date", "2015-08-30T12:36:00Z"), "X-Amz-Date must be"),
        (new().with("x-amz-date", "20150830T123600Z"), "must be there once"),
        (new().with("authorization", "x"), "must be there once"),
        (new().with("x-amz-target", "a"), "'x-amz-target' must be a 'SignedHeader'"),
        (new().replaced("content-type;host", "content-type"), "'host' must be a 'SignedHeader'"),
        (new().replaced("content-type;host", "host;content-type"), "in order"),
        (new().replaced("content-type;host", "host;host"), "in order"),
        (new().replaced("content-type;host", "Content-Type;host"), "lower case"),
        (new().replaced("SignedHeaders", "Signed"), "an unknown part"),
        (new().replaced("Signature=", "Credential="), "holds Credential twice"),
        (new().replaced("aws4_request", "aws4"), "5 slash-delimited"),
        (new().replaced("AKIDEXAMPLE/", "/"), "5 slash-delimited"),
        (new().replaced("Signature=", "Signature=zz"), "requires 'Signature'"),
        (new().replaced("20150830/", "20150831/"), "Date in Credential scope"),
        (new().replaced("/service/", "/s3/"), "correct service"),
    ] {
        let got = request.check().map_err(|wrong| wrong.to_string());
        assert!(got.as_ref().is_err_and(|message| message.contains(said)), "{said}: {got:?}");
    }
    assert_eq!(new().without("authorization").check(), Err(Wrong::Missing));
    assert_eq!(new().set("authorization", "Bearer x").check(), Err(Wrong::Missing));
    assert_eq!(new().replaced("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256x").check(), Err(Wrong::Missing));
}

#[test]
fn a_signature_lives_five_minutes_in_both_directions() {
    let request = Signed::new();
    let map = request.map();
    for (seconds, lives) in [(-301, false), (-300, true), (0, true), (300, true), (301, false), (86_400, false)] {
        let now = now() + SignedDuration::from_secs(seconds);
        let got = check(&map, &request.sent(&map), SECRET, now);
        assert_eq!(got.is_ok(), lives, "{seconds}: {got:?}");
    }
}

#[test]
fn paths_with_empty_or_relative_steps_are_nobodys_own() {
    for (path, plain) in [
        ("/", true),
        ("/v1/submitjob", true),
        ("/v1//a", false),
        ("/v1/./a", false),
        ("/v1/../a", false),
        ("/a/", false),
    ] {
        assert_eq!(is_plain(path), plain, "{path}");
    }
}

proptest! {
    /// Whatever stands in the headers: an answer, and never yes.
    #[test]
    fn nothing_made_up_is_believed(text in "(AWS4-HMAC-SHA256 )?[ -~]{0,200}", date in "[0-9TZ]{0,20}") {
        let headers = headers(&[("host", "h"), ("authorization", &text), ("x-amz-date", &date)]);
        let sent = Sent { method: "GET", path: "/", query: None, headers: &headers, body: b"" };
        prop_assert!(check(&headers, &sent, SECRET, now()).is_err());
    }
}

#[test]
fn what_a_request_says_of_its_body_has_to_be_so() {
    let right = hex(digest::digest(&digest::SHA256, Signed::new().body).as_ref());
    for (said, expect) in
        [(right.as_str(), Ok(())), ("UNSIGNED-PAYLOAD", Err(Wrong::Mismatch)), (&"0".repeat(64), Err(Wrong::Mismatch))]
    {
        let mut request = Signed::new().without("authorization").with("x-amz-content-sha256", said);
        let map = request.map();
        let names = "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token";
        let authorization = sign(&request.sent(&map), "AKIDEXAMPLE", SECRET, "service", names);
        request.headers.push(("authorization", authorization));
        assert_eq!(request.check(), expect, "{said}");
    }
}
