//! Real handshakes over loopback sockets: what is served, when it changes, and who waits for whom.

use std::time::Duration;

use axum::{
    Extension,
    body::Body,
    routing::{get, post},
};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tower::ServiceExt;

use super::*;
use crate::shutdown::Shutdown;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

struct Pair {
    chain: String,
    key: String,
    der: CertificateDer<'static>,
}

fn pair(name: &str) -> Pair {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    Pair { chain: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().clone() }
}

fn load(cert: &ServingCert, pair: &Pair) -> Result<(), LoadError> {
    cert.load(pair.chain.as_bytes(), pair.key.as_bytes())
}

/// Connects, trusting `trusted` alone, and returns the stream with the certificate the server showed.
async fn connect(
    addr: SocketAddr,
    name: &'static str,
    trusted: &Pair,
) -> io::Result<(tokio_rustls::client::TlsStream<TcpStream>, Vec<u8>)> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tcp = TcpStream::connect(addr).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name).unwrap(), tcp).await?;
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    Ok((stream, shown))
}

async fn start(cert: &Arc<ServingCert>) -> (SocketAddr, Shutdown, JoinHandle<()>) {
    let listener = TlsListener::bind(LOOPBACK, cert.clone()).await.unwrap();
    let addr = listener.address();
    let shutdown = Shutdown::new();
    let router = Router::new().route("/", get(|| async { "hello" }));
    let stop = shutdown.clone();
    let server = tokio::spawn(async move { run(listener, router, &stop, Duration::from_secs(5)).await });
    (addr, shutdown, server)
}

#[tokio::test]
async fn a_new_certificate_is_shown_at_the_next_handshake() {
    let cert = ServingCert::empty();
    let (first, second) = (pair("a.test"), pair("a.test"));
    load(&cert, &first).unwrap();
    let (addr, _shutdown, _server) = start(&cert).await;
    let (mut old_stream, shown) = connect(addr, "a.test", &first).await.unwrap();
    assert_eq!(shown, first.der.to_vec());

    load(&cert, &second).unwrap();
    let (_, shown) = connect(addr, "a.test", &second).await.unwrap();
    assert_eq!(shown, second.der.to_vec());
    assert!(connect(addr, "a.test", &first).await.is_err());

    // The connection from before goes on with what it has.
    old_stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    old_stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn a_pair_that_does_not_match_is_refused_and_the_old_one_keeps_serving() {
    let cert = ServingCert::empty();
    let (served, other) = (pair("a.test"), pair("a.test"));
    load(&cert, &served).unwrap();
    let (addr, _shutdown, _server) = start(&cert).await;

    let mixed = cert.load(other.chain.as_bytes(), served.key.as_bytes());
    assert!(matches!(mixed, Err(LoadError::Mismatch(_))), "{mixed:?}");
    assert!(matches!(cert.load(b"", served.key.as_bytes()), Err(LoadError::Empty)));
    assert!(matches!(cert.load(served.chain.as_bytes(), b"nonsense"), Err(LoadError::Key(_))));
    let half = &served.chain.as_bytes()[..served.chain.len() / 2];
    assert!(cert.load(half, served.key.as_bytes()).is_err());

    let (_, shown) = connect(addr, "a.test", &served).await.unwrap();
    assert_eq!(shown, served.der.to_vec());
}

#[tokio::test]
async fn without_a_certificate_handshakes_fail_until_there_is_one() {
    let cert = ServingCert::empty();
    let (addr, _shutdown, _server) = start(&cert).await;
    let served = pair("a.test");
    assert!(connect(addr, "a.test", &served).await.is_err());
    load(&cert, &served).unwrap();
    connect(addr, "a.test", &served).await.unwrap();
}

#[tokio::test]
async fn clients_that_never_speak_hold_up_nobody() {
    let cert = ServingCert::empty();
    let served = pair("a.test");
    load(&cert, &served).unwrap();
    let (addr, _shutdown, _server) = start(&cert).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(addr).await.unwrap());
    }
    tokio::time::timeout(Limits::default().head / 2, connect(addr, "a.test", &served))
        .await
        .expect("a well-behaved client must not wait for the silent ones")
        .unwrap();
    drop(silent);
}

#[tokio::test]
async fn after_the_stop_nobody_gets_in_and_the_server_ends() {
    let cert = ServingCert::empty();
    let served = pair("a.test");
    load(&cert, &served).unwrap();
    let (addr, shutdown, running) = start(&cert).await;
    connect(addr, "a.test", &served).await.unwrap();
    shutdown.stop();
    running.await.unwrap();
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let first = TlsListener::bind(LOOPBACK, ServingCert::empty()).await.unwrap();
    let taken = first.address();
    let error = TlsListener::bind(taken, ServingCert::empty()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {taken}"));
}

#[tokio::test]
async fn a_full_server_answers_503_at_once_on_every_route() {
    let release = Arc::new(tokio::sync::Notify::new());
    let entered = Arc::new(tokio::sync::Notify::new());
    let (wait, tell) = (release.clone(), entered.clone());
    let router = Router::new()
        .route(
            "/slow",
            get(move || async move {
                tell.notify_one();
                wait.notified().await;
            }),
        )
        .route("/other", get(|| async {}));
    let router = limit_concurrency(router, 1);
    let ask = |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        router.clone().oneshot(request)
    };
    let slow = tokio::spawn(ask("/slow"));
    entered.notified().await;
    assert_eq!(ask("/other").await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    release.notify_one();
    assert_eq!(slow.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(ask("/other").await.unwrap().status(), StatusCode::OK);
}

#[test]
fn debug_output_holds_no_key() {
    let cert = ServingCert::empty();
    load(&cert, &pair("a.test")).unwrap();
    assert_eq!(format!("{cert:?}"), "ServingCert { loaded: true, .. }");
}

/// A server without TLS, and with short patience.
async fn hasty(connections: usize) -> (SocketAddr, Shutdown) {
    let patience = Duration::from_millis(300);
    let limits = Limits { connections, head: patience, body: patience, answer: patience, idle: patience * 2 };
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let (addr, shutdown) = (listener.local_addr().unwrap(), Shutdown::new());
    let read =
        |body: Body| async move { super::read(body, 1 << 20, Duration::MAX, |_| true).await.is_ok().to_string() };
    let large = || async { vec![b'x'; 64 << 20] };
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        "slowly"
    };
    let router = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/slow", get(slow))
        .route("/read", post(read))
        .route("/large", get(large));
    let stop = shutdown.clone();
    tokio::spawn(async move { run_within(limits, listener, router, &stop, Duration::from_secs(5)).await });
    (addr, shutdown)
}

#[tokio::test]
async fn requests_know_where_they_came_in_if_that_is_asked_for() {
    let router =
        Router::new().route("/", get(|local: Option<Extension<LocalAddress>>| async move { format!("{local:?}") }));
    let (plain, telling) = (TcpListener::bind(LOOPBACK).await.unwrap(), TcpListener::bind(LOOPBACK).await.unwrap());
    let addresses = [&plain, &telling].map(|listener| listener.local_addr().unwrap());
    let (shutdown, same) = (Shutdown::new(), router.clone());
    let stop = shutdown.clone();
    tokio::spawn(async move { run(plain, same, &stop, Duration::ZERO).await });
    tokio::spawn(async move { run(Addressed(telling), router, &shutdown, Duration::ZERO).await });
    for (address, expect) in addresses.into_iter().zip(["None".to_owned(), format!("{}", addresses[1])]) {
        let answer = ask(address).await;
        assert!(answer.contains(&expect), "{expect}: {answer}");
    }
}

async fn say(addr: SocketAddr, words: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(words.as_bytes()).await.unwrap();
    tcp
}

#[tokio::test]
async fn whoever_keeps_a_connection_is_told_to_close_it_before_the_server_does() {
    let (addr, shutdown) = hasty(8).await;
    let mut tcp = say(addr, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut first = [0; 512];
    let length = tcp.read(&mut first).await.unwrap();
    assert!(!String::from_utf8_lossy(&first[..length]).contains("connection: close"));
    shutdown.drain();
    tcp.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut rest = String::new();
    tcp.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 200 OK") && rest.contains("connection: close"), "{rest}");
    assert!(!shutdown.is_stopped());
}

#[tokio::test]
async fn a_server_that_stops_waits_for_nobody_who_asks_nothing() {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let (addr, shutdown) = (listener.local_addr().unwrap(), Shutdown::new());
    let (router, stop) = (Router::new().route("/", get(|| async { "hello" })), shutdown.clone());
    let serving = tokio::spawn(async move { run(listener, router, &stop, Duration::from_mins(1)).await });
    let mut tcp = say(addr, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut first = [0; 512];
    assert!(tcp.read(&mut first).await.unwrap() > 0);
    shutdown.stop();
    tokio::time::timeout(Duration::from_secs(10), serving).await.expect("it must not wait for the cap").unwrap();
}

/// What an ordinary client gets, which must not take longer than a second.
async fn ask(addr: SocketAddr) -> String {
    let asking = async {
        let mut tcp = say(addr, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.unwrap();
        answer
    };
    tokio::time::timeout(Duration::from_secs(1), asking).await.expect("an ordinary client must not wait")
}

/// What slow and hostile clients say before they fall silent.
const HALVES: [&str; 7] = [
    "",
    "GET / HT",
    "GET / HTTP/1.1\r\nhost: a\r\n",
    "POST /read HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n",
    "POST /read HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nabc",
    "POST /read HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc",
    "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
];

#[tokio::test]
async fn whoever_falls_silent_is_cut_off_wherever_that_is() {
    let (addr, _shutdown) = hasty(100).await;
    let mut all = Vec::new();
    for half in HALVES {
        all.push((half, say(addr, half).await));
    }
    for (half, mut tcp) in all {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), tcp.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "after {half:?} the connection stays open");
    }
}

#[tokio::test]
async fn a_head_that_trickles_is_cut_off_as_one_that_stops() {
    let (addr, _shutdown) = hasty(100).await;
    for first in ["", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"] {
        let mut tcp = say(addr, first).await;
        let trickle = async {
            while tcp.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(5), trickle).await.is_ok(), "after {first:?}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_given_up() {
    let (addr, _shutdown) = hasty(1).await;
    // It takes a little, and then nothing.
    let mut slow = say(addr, "GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut some = [0; 1000];
    slow.read_exact(&mut some).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut rest = Vec::new();
    let _cut = tokio::time::timeout(Duration::from_secs(5), slow.read_to_end(&mut rest)).await.expect("it ends");
    assert!(rest.len() < 64 << 20, "{} bytes", rest.len());
}

#[tokio::test]
async fn there_is_a_place_for_the_next_client_however_many_are_silent() {
    let (addr, _shutdown) = hasty(50).await;
    let mut held = Vec::new();
    for round in 0..200 {
        held.push(say(addr, HALVES[round % HALVES.len()]).await);
        if round % 20 == 0 {
            assert!(ask(addr).await.starts_with("HTTP/1.1 200"));
        }
    }
    assert!(ask(addr).await.ends_with("hello"));
}

#[tokio::test]
async fn whoever_asks_in_the_moment_in_which_he_has_to_go_is_answered_first() {
    let (addr, _shutdown) = hasty(1).await;
    let mut tcp = say(addr, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut first = [0; 512];
    assert!(tcp.read(&mut first).await.unwrap() > 0);
    // Both are there before the server is asked again: this thread is its own.
    let next = std::net::TcpStream::connect(addr).unwrap();
    assert_eq!(tcp.try_write(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").unwrap(), 31);
    let mut rest = String::new();
    tcp.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("slowly") && rest.contains("connection: close"), "{rest:?}");
    drop(next);
    assert!(ask(addr).await.ends_with("hello"));
}

#[tokio::test]
async fn who_has_asked_is_answered_however_many_come_before_the_server_looks() {
    let (addr, _shutdown) = hasty(2).await;
    // All are there before the server is asked: this thread is its own.
    let mut asking = std::net::TcpStream::connect(addr).unwrap();
    std::io::Write::write_all(&mut asking, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let silent: Vec<_> = (0..40).map(|_| std::net::TcpStream::connect(addr).unwrap()).collect();
    asking.set_nonblocking(true).unwrap();
    let mut answer = String::new();
    TcpStream::from_std(asking).unwrap().read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("hello"), "{answer:?}");
    drop(silent);
}

#[tokio::test]
async fn silent_handshakes_hold_up_nobody_however_many_there_are() {
    let cert = ServingCert::empty();
    let served = pair("a.test");
    load(&cert, &served).unwrap();
    let listener = TlsListener::bind(LOOPBACK, cert).await.unwrap();
    let (addr, shutdown) = (listener.address(), Shutdown::new());
    // Of few connections: a process may not have very many open files.
    let limits = Limits { connections: 100, ..Limits::default() };
    tokio::spawn(async move { run_within(limits, listener, Router::new(), &shutdown, Duration::ZERO).await });
    let mut silent = Vec::new();
    for _ in 0..2 * limits.connections {
        silent.push(TcpStream::connect(addr).await.unwrap());
    }
    let connecting = tokio::time::timeout(Duration::from_secs(1), connect(addr, "a.test", &served));
    connecting.await.expect("it must not wait for the silent ones").unwrap();
}

#[tokio::test]
async fn http2_is_not_spoken_and_too_many_headers_are_refused() {
    let (addr, _shutdown) = hasty(100).await;
    let many = "x: y\r\n".repeat(10_000);
    let long = format!("x: {}\r\n", "y".repeat(100_000));
    for words in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        &format!("GET / HTTP/1.1\r\n{many}\r\n"),
        &format!("GET / HTTP/1.1\r\n{long}\r\n"),
        "GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        let mut tcp = TcpStream::connect(addr).await.unwrap();
        let _cut_off_while_writing = tcp.write_all(words.as_bytes()).await;
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), tcp.read_to_end(&mut answer)).await;
        let start: String = words.chars().take(30).collect();
        assert!(ended.is_ok(), "{start:?}");
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{start:?}: {}", answer.escape_ascii());
    }
    assert!(ask(addr).await.ends_with("hello"));
}
