//! Which callers are let in: one row per way to come.

use super::*;

const POD: &str = "10.1.2.3";

fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
    let bytes = |value: &str| HeaderValue::from_bytes(value.as_bytes()).unwrap();
    given.iter().map(|(name, value)| (HeaderName::from_static(name), bytes(value))).collect()
}

fn checked(uri: &str, given: &[(&'static str, &str)]) -> u16 {
    let served = Served::new("cluster.local", ["batch.example.com", "Other.Example.com:8443"]).unwrap();
    let answer = check(&uri.parse().unwrap(), &headers(given), &served, POD.parse().ok());
    answer.map_or_else(|failure| failure.status().as_u16(), |()| 200)
}

#[test]
fn only_names_that_are_served_are_answered() {
    let mut wrong = Vec::new();
    for (host, code) in [
        ("localhost", 200),
        ("localhost:8070", 200),
        ("LocalHost:1", 200),
        ("localhost.", 200),
        ("127.0.0.1:8070", 200),
        ("127.9.9.9", 200),
        ("[::1]:8070", 200),
        ("[::ffff:127.0.0.1]", 200),
        ("bulkhead-api", 200),
        ("bulkhead-api.bulkhead-system", 200),
        ("bulkhead-api.bulkhead-system.svc", 200),
        ("bulkhead-api.bulkhead-system.svc:443", 200),
        ("bulkhead-api.bulkhead-system.svc.cluster.local", 200),
        ("batch.example.com", 200),
        ("batch.example.com:1234", 200),
        ("other.example.com:8443", 200),
        (POD, 200),
        ("10.1.2.3:8070", 200),
        ("other.example.com", 403),
        ("other.example.com:8444", 403),
        ("10.1.2.4", 403),
        ("0.0.0.0", 403),
        ("[::]", 403),
        ("169.254.169.254", 403),
        ("evil.example", 403),
        ("evil.example:8070", 403),
        ("localhost.evil.example", 403),
        ("notlocalhost", 403),
        ("127.0.0.1.evil.example", 403),
        ("2130706433", 403),
        ("bulkhead-api.evil", 403),
        ("bulkhead-api.other.svc", 403),
        ("batch.us-east-1.amazonaws.com", 403),
        ("", 400),
        (":8070", 400),
        ("localhost:", 200),
        ("localhost:port", 400),
        ("localhost:99999", 400),
        ("user@localhost", 400),
        ("localhost/evil", 400),
        ("a b", 400),
        ("é", 400),
    ] {
        let got = checked("/v1/listjobs", &[("host", host)]);
        if got != code {
            wrong.push(format!("{host}: {got}, not {code}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert_eq!(checked("/v1/listjobs", &[]), 400);
    // Both count, where there are two.
    assert_eq!(checked("/", &[("host", "localhost"), ("host", "evil.example")]), 403);
    assert_eq!(checked("http://evil.example/v1/listjobs", &[("host", "localhost")]), 403);
    assert_eq!(checked("http://localhost/v1/listjobs", &[("host", "evil.example")]), 403);
    assert_eq!(checked("http://localhost:1/v1/listjobs", &[]), 200);
    assert!(Served::new("cluster.local", ["a b"]).is_err());
}

#[test]
fn nothing_of_a_web_page_is_answered() {
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", ""),
        ("origin", "http://localhost:8070"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("sec-fetch-mode", "no-cors"),
        ("sec-fetch-dest", "image"),
    ] {
        assert_eq!(checked("/v1/submitjob", &[("host", "localhost"), (name, value)]), 403, "{name}: {value}");
    }
    assert_eq!(checked("/v1/submitjob", &[("host", "localhost"), ("user-agent", "Boto3/1.40")]), 200);
}

#[test]
fn bodies_are_json_and_so_are_answers() {
    let check = |given: &[(&'static str, &str)], has_body: bool, code: u16| {
        let got = media(&headers(given), has_body).map_or_else(|failure| failure.status().as_u16(), |()| 200);
        assert_eq!(got, code, "{given:?}");
    };
    for (value, code) in [
        ("application/json", 200),
        ("Application/JSON", 200),
        ("application/json; charset=utf-8", 200),
        ("application/json;charset=\"UTF-8\"", 200),
        ("application/x-amz-json-1.0", 200),
        ("application/x-amz-json-1.1", 200),
        ("application/x-amz-json-1.2", 415),
        ("application/json; charset=utf-16", 415),
        ("text/plain", 415),
        ("text/plain;charset=UTF-8", 415),
        ("text/plain; application/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/jsonp", 415),
        ("application/json, text/plain", 415),
        ("text/json", 415),
        ("é", 415),
        ("", 415),
    ] {
        check(&[("content-type", value)], true, code);
        check(&[("content-type", value)], false, code);
    }
    check(&[], true, 415);
    check(&[], false, 200);
    check(&[("content-type", "application/json"), ("content-type", "text/plain")], true, 415);
    check(&[("content-type", "application/json"), ("content-encoding", "gzip")], true, 415);
    check(&[("content-type", "application/json"), ("content-encoding", "identity")], true, 200);
    for (value, code) in [
        ("", 200),
        ("*/*", 200),
        ("application/json, */*", 200),
        ("application/*;q=0.5", 200),
        ("text/html, application/json;q=0.1", 200),
        ("application/x-amz-json-1.1", 200),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 200),
        ("text/html", 406),
        ("application/xml", 406),
        ("*/*, application/json;q=0", 406),
        ("text/*, */*;q=0.0", 406),
        ("é", 406),
    ] {
        check(&[("accept", value)], false, code);
    }
}
