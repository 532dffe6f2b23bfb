//! What hostile clients say: HTTP/1.1 that is whole, cut, announced and never sent, or none at all. Decides only.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A request that a door's own generators have made; it may mean anything to it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Path and query.
    pub path: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// As honest clients send it. One that is the `last` wants the connection to end with it.
    pub(crate) fn written(&self, last: bool) -> Vec<u8> {
        let close = if last { "connection: close\r\n" } else { "" };
        framed(&self.path, &format!("{close}content-length: {}\r\n", self.body.len()), &self.body)
    }
}

fn framed(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

/// Everything, given an honest request and the door's own hostile ones.
pub(crate) fn words(honest: &Request, own: BoxedStrategy<Request>) -> impl Strategy<Value = Vec<u8>> + use<> {
    prop_oneof![
        10 => (own, any::<bool>()).prop_map(|(request, last)| request.written(last)),
        1 => Just(Vec::new()),
        3 => cut(honest),
        3 => announced(honest),
        3 => chunked(honest),
        2 => contradictory(honest),
        2 => headers(honest),
        1 => pipelined(honest),
        1 => other_protocols(),
        2 => vec(any::<u8>(), 0..256),
    ]
}

fn cut(honest: &Request) -> impl Strategy<Value = Vec<u8>> + use<> {
    let whole = honest.written(false);
    any::<Index>().prop_map(move |end| whole[..end.index(whole.len())].to_vec())
}

/// More is announced than comes, or it is waited for.
fn announced(honest: &Request) -> impl Strategy<Value = Vec<u8>> + use<> {
    let Request { path, body } = honest.clone();
    let expect = select(&["", "expect: 100-continue\r\n", "expect: 42-nonsense\r\n"][..]);
    (1_usize..1 << 40, any::<Index>(), expect).prop_map(move |(more, end, expect)| {
        let headers = format!("{expect}content-length: {}\r\n", body.len() + more);
        framed(&path, &headers, &body[..end.index(body.len() + 1)])
    })
}

/// Chunks whose sizes are out of all proportion or none, with extensions and trailers, or right ones.
fn chunked(honest: &Request) -> impl Strategy<Value = Vec<u8>> + use<> {
    let Request { path, body } = honest.clone();
    let size = prop_oneof![
        3 => Just(format!("{:x}", body.len())),
        1 => (0_usize..1 << 20).prop_map(|size| format!("{size:x}")),
        1 => "[0-9a-fA-F]{1,40}",
        1 => select(&["", "-1", "+5", "0x5", " 5", "5 ", "ffffffffffffffff", "10000000000000000", "g"][..]).prop_map(str::to_owned),
    ];
    let extension = prop_oneof![
        3 => Just(String::new()),
        1 => (1_usize..40_000).prop_map(|length| format!(";{}", "x".repeat(length))),
        1 => select(&[";a=b", ";a=\"\r\"", ";\u{e9}"][..]).prop_map(str::to_owned),
    ];
    let trailers = prop_oneof![
        3 => Just(String::new()),
        1 => (1_usize..2_000).prop_map(|count| "x-y: z\r\n".repeat(count)),
        1 => Just("content-length: 3\r\ntransfer-encoding: chunked\r\n".to_owned()),
    ];
    let tiny = any::<bool>();
    (size, extension, trailers, tiny).prop_map(move |(size, extension, trailers, tiny)| {
        let chunks = if tiny {
            body.iter()
                .flat_map(|byte| [format!("1{extension}\r\n").as_bytes(), &[*byte], b"\r\n"].concat())
                .take(1 << 20)
                .collect()
        } else {
            [format!("{size}{extension}\r\n").as_bytes(), &body, b"\r\n"].concat()
        };
        framed(&path, "transfer-encoding: chunked\r\n", &[&chunks, format!("0\r\n{trailers}\r\n").as_bytes()].concat())
    })
}

/// Headers that say several things at once, or that the body is something else than it is.
fn contradictory(honest: &Request) -> impl Strategy<Value = Vec<u8>> + use<> {
    let Request { path, body } = honest.clone();
    let length = body.len().to_string();
    let header = select(vec![
        format!("content-length: {length}"),
        "content-length: 0".to_owned(),
        "content-length: 1".to_owned(),
        "content-length: -1".to_owned(),
        format!("content-length: +{length}"),
        format!("content-length: {length}, {length}"),
        "content-length: 99999999999999999999999".to_owned(),
        "transfer-encoding: chunked".to_owned(),
        "transfer-encoding: chunked, chunked".to_owned(),
        "transfer-encoding: gzip, chunked".to_owned(),
        "transfer-encoding: identity".to_owned(),
        "transfer-encoding : chunked".to_owned(),
        "content-encoding: gzip".to_owned(),
        "content-encoding: br, gzip, gzip".to_owned(),
        "content-type: text/plain".to_owned(),
        "content-type: application/json; charset=utf-16".to_owned(),
        "connection: upgrade\r\nupgrade: websocket".to_owned(),
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__".to_owned(),
        "host: another\r\nhost: third".to_owned(),
        " folded: line".to_owned(),
        "x\u{0}y: z".to_owned(),
        "x-y: \u{e9}".to_owned(),
    ]);
    vec(header, 1..5).prop_map(move |headers| framed(&path, &(headers.join("\r\n") + "\r\n"), &body))
}

/// Many headers, or long ones, with or without an end.
fn headers(honest: &Request) -> impl Strategy<Value = Vec<u8>> + use<> {
    let Request { path, body } = honest.clone();
    (1_usize..4_000, 0_usize..4_000, any::<bool>()).prop_map(move |(count, length, ends)| {
        let header = format!("x-y: {}\r\n", "z".repeat(length));
        let many = header.repeat(count.min((1 << 20) / header.len()));
        if ends { framed(&path, &many, &body) } else { framed(&path, &many, b"").split_off(2) }
    })
}

/// Many requests at once, the last perhaps cut.
fn pipelined(honest: &Request) -> impl Strategy<Value = Vec<u8>> + use<> {
    let whole = honest.written(false);
    (2_usize..20, any::<Index>()).prop_map(move |(count, end)| {
        let mut many = whole.repeat(count);
        many.extend_from_slice(&whole[..end.index(whole.len())]);
        many
    })
}

/// HTTP/2: its preface, and settings and continuations without an end; TLS where there is none, or once more.
fn other_protocols() -> impl Strategy<Value = Vec<u8>> {
    let http2 = (1_usize..200).prop_map(|count| {
        let frames = b"\0\0\x01\x09\0\0\0\0\x01x".repeat(count);
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".as_slice(), &frames].concat()
    });
    prop_oneof![http2, Just(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec())]
}
