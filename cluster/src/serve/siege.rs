//! Hostile clients at a real socket, which fall silent, announce what never comes, or take no answers; and an ordinary one, which has to be answered all the same. The tests of each
//! door include this file.
//!
//! Invariant: hostile clients stay as long as the server lets them, up to [`HELD`] at once; the server has room for far fewer.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use axum::Router;
use cluster::serve::{Limits, run_within};
use cluster::shutdown::Shutdown;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestRunner, contextualize_config};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// Connections that the server has room for.
const ROOM: usize = 48;
/// Hostile clients that are there at once.
const HELD: usize = 200;
/// How long an ordinary client waits. A busy machine may stop everything for as long, so it asks three times.
const PATIENCE: Duration = Duration::from_secs(1);
/// Cases unless `PROPTEST_CASES` says otherwise.
const FEW: u32 = 64;

struct Siege {
    runtime: Runtime,
    addr: SocketAddr,
    held: VecDeque<TcpStream>,
}

/// Besieges a door, and asks after each hostile client whether an ordinary request to this path gets 200.
pub(crate) fn lay(router: impl FnOnce() -> Router, path: &'static str, body: &str) {
    let mut siege = Siege::start(router);
    let ordinary = request(path, body.len(), body.as_bytes());
    let config = contextualize_config(Config { cases: FEW, failure_persistence: None, ..Config::default() });
    let siege = std::cell::RefCell::new(&mut siege);
    let found = TestRunner::new(config).run(&hostile(path, body), |said| {
        let mut siege = siege.borrow_mut();
        siege.hostile(&said);
        siege.ordinary(&ordinary).map_err(TestCaseError::fail)
    });
    if let Err(finding) = found {
        panic!("{finding}");
    }
}

impl Siege {
    fn start(router: impl FnOnce() -> Router) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let addr = listener.local_addr().unwrap();
        let router = {
            let _entered = runtime.enter();
            router()
        };
        let limits = Limits { connections: ROOM, ..Limits::default() };
        runtime.spawn(async move { run_within(limits, listener, router, &Shutdown::new(), Duration::ZERO).await });
        Self { runtime, addr, held: VecDeque::new() }
    }

    fn hostile(&mut self, said: &[u8]) {
        let mut tcp = TcpStream::connect(self.addr).unwrap();
        tcp.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        // It may be cut off while it speaks.
        let _cut = tcp.write_all(said);
        self.held.push_back(tcp);
        if self.held.len() > HELD {
            self.held.pop_front();
        }
    }

    fn ordinary(&self, request: &[u8]) -> Result<(), String> {
        let ask = || -> std::io::Result<String> {
            let mut tcp = TcpStream::connect(self.addr)?;
            tcp.set_read_timeout(Some(PATIENCE))?;
            tcp.write_all(request)?;
            let mut answer = Vec::new();
            tcp.read_to_end(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        let answers: Vec<_> = (0..3).map(|_| ask()).take_while(|it| !good(it)).collect();
        if answers.len() < 3 { Ok(()) } else { Err(format!("an ordinary request got {answers:?}")) }
    }
}

fn good(answer: &std::io::Result<String>) -> bool {
    answer.as_ref().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

impl Drop for Siege {
    fn drop(&mut self) {
        self.held.clear();
        let empty = Builder::new_current_thread().build().unwrap();
        std::mem::replace(&mut self.runtime, empty).shutdown_background();
    }
}

fn request(path: &str, announced: usize, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {announced}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// What hostile clients say before they fall silent.
fn hostile(path: &'static str, body: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let good = request(path, body.len(), body.as_bytes());
    let (many, whole) = (good.clone(), body.as_bytes().to_vec());
    let cut = any::<Index>().prop_map(move |end| good[..end.index(good.len())].to_vec());
    let announced = (1_usize..1 << 40, any::<Index>())
        .prop_map(move |(more, end)| request(path, whole.len() + more, &whole[..end.index(whole.len() + 1)]));
    let chunked = (0_usize..1 << 20, vec(any::<u8>(), 0..64)).prop_map(move |(length, some)| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n"
        );
        [head.as_bytes(), &some].concat()
    });
    let expecting = Just(format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 9000\r\n\r\n"
    ));
    let headers = (1_usize..4_000, 0_usize..4_000).prop_map(move |(count, length)| {
        let header = format!("x-y: {}\r\n", "z".repeat(length));
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n");
        (head + &header.repeat(count.min((1 << 20) / header.len()))).into_bytes()
    });
    // Many requests, of which no answer is taken.
    let greedy = (2_usize..200).prop_map(move |count| {
        let kept = String::from_utf8_lossy(&many).replace("connection: close\r\n", "");
        kept.repeat(count).into_bytes()
    });
    // HTTP/2: its preface, and settings and continuations without an end.
    let http2 = (1_usize..200).prop_map(|count| {
        let frames = b"\0\0\x01\x09\0\0\0\0\x01x".repeat(count);
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".as_slice(), &frames].concat()
    });
    let tls = Just(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec());
    prop_oneof![
        1 => Just(Vec::new()),
        4 => cut,
        4 => announced,
        2 => chunked,
        1 => expecting.prop_map(String::into_bytes),
        1 => headers,
        2 => greedy,
        1 => http2,
        1 => tls,
        2 => vec(any::<u8>(), 0..256),
    ]
}
