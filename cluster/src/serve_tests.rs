//! Real handshakes over loopback sockets: what is served, when it changes, and who waits for whom.

use axum::{body::Body, routing::get};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tower::ServiceExt;

use super::*;

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
    tokio::time::timeout(HANDSHAKE_TIMEOUT / 2, connect(addr, "a.test", &served))
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
