//! The server: takes connections, and serves each until it ends, keeps us waiting for too long, or has to make room.
//!
//! Invariant: no client makes another wait: every connection has a task of its own, and there is a place for the next one unless all are being answered.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, header::CONNECTION},
    response::Response,
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use hyper::{body::Body as _, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, timeout},
};
use tower::ServiceExt as _;

use super::{
    crowd::{Crowd, Place, lock},
    watched::{Received, Stream},
};
use crate::shutdown::{Shutdown, capped};

/// After a failed accept (usually: no file descriptors left) wait this long, doubled each time up to the maximum.
const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Bytes of the head of a request, and of a body that are read ahead. Headers are as many as hyper takes, 100: to clear a list of another length costs
/// each request 1,400 instructions.
const BUFFER: usize = 32 << 10;

/// How many clients there may be, and how slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections; each takes up to 100 KiB.
    pub connections: usize,
    /// For a handshake, and for the head of a request from its first byte; of the first request from the handshake.
    pub head: Duration,
    /// For a body, if whoever reads it has no other limit.
    pub body: Duration,
    /// From when a client stops taking an answer until it has all of it.
    pub answer: Duration,
    /// Between two requests. Above Go's 90 seconds, so that the API server closes first and no request of its runs into a closed connection.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head: Duration::from_secs(5),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            idle: Duration::from_mins(2),
        }
    }
}

/// Address at which a request came in, among the extensions of each that came through [`Addressed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress(pub SocketAddr);

/// Where connections come from.
pub trait Source: Send + 'static {
    /// What requests are read from.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Whether requests know their [`LocalAddress`].
    const ADDRESSED: bool = false;

    /// What is listened on.
    fn tcp(&self) -> &TcpListener;

    /// Makes a new connection ready for requests.
    fn open(&self, tcp: TcpStream) -> impl Future<Output = io::Result<Self::Io>> + Send + use<Self>;
}

impl Source for TcpListener {
    type Io = TcpStream;

    fn tcp(&self) -> &TcpListener {
        self
    }

    fn open(&self, tcp: TcpStream) -> impl Future<Output = io::Result<TcpStream>> + Send + use<> {
        std::future::ready(Ok(tcp))
    }
}

/// Connections whose requests know their [`LocalAddress`].
#[derive(Debug)]
pub struct Addressed<S>(pub S);

impl<S: Source> Source for Addressed<S> {
    type Io = S::Io;
    const ADDRESSED: bool = true;

    fn tcp(&self) -> &TcpListener {
        self.0.tcp()
    }

    fn open(&self, tcp: TcpStream) -> impl Future<Output = io::Result<S::Io>> + Send + use<S> {
        self.0.open(tcp)
    }
}

/// Serves until `shutdown` stops, then lets open requests finish for at most `cap`.
pub async fn run(source: impl Source, router: Router, shutdown: &Shutdown, cap: Duration) {
    run_within(Limits::default(), source, router, shutdown, cap).await;
}

/// The same within other limits.
pub async fn run_within(limits: Limits, source: impl Source, router: Router, shutdown: &Shutdown, cap: Duration) {
    let mut connections = JoinSet::new();
    let serving = async {
        take(limits, &source, router, shutdown, &mut connections).await;
        drop(source);
        while connections.join_next().await.is_some() {}
    };
    if capped(serving, shutdown, cap).await.is_none() {
        tracing::warn!(?cap, "open connections did not end in time and are cut");
    }
}

/// Takes connections until `shutdown` stops.
async fn take<S: Source>(
    limits: Limits,
    source: &S,
    router: Router,
    shutdown: &Shutdown,
    connections: &mut JoinSet<()>,
) {
    let crowd = Crowd::new(limits.connections);
    let mut stopped = pin!(shutdown.stopped());
    let (first, longest) = ACCEPT_BACKOFF;
    let mut backoff = first;
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => return,
            Some(_) = connections.join_next() => continue,
            accepted = source.tcp().accept() => accepted,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, ?backoff, "cannot accept connections");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(longest);
                continue;
            }
        };
        backoff = first;
        let Some(place) = crowd.enter(peer.ip(), Instant::now()) else {
            tracing::debug!(%peer, "all connections are being answered: this one is closed");
            continue;
        };
        let local = tcp.local_addr().ok().filter(|_| S::ADDRESSED).map(LocalAddress);
        let _still_works = tcp.set_nodelay(true);
        let (opening, router, shutdown) = (source.open(tcp), router.clone(), shutdown.clone());
        connections.spawn(async move {
            let opened = tokio::select! {
                biased;
                opened = timeout(limits.head, opening) => opened,
                () = place.sent_away() => return,
            };
            match opened {
                Ok(Ok(io)) => serve(io, local, router, &place, limits, &shutdown).await,
                Ok(Err(error)) => tracing::debug!(%peer, %error, "handshake failed"),
                Err(_) => tracing::debug!(%peer, "handshake took too long"),
            }
        });
        // Whoever has asked is read before so many come that he has to go.
        tokio::task::yield_now().await;
    }
}

/// Serves one connection.
async fn serve<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    io: I,
    local: Option<LocalAddress>,
    router: Router,
    member: &Place,
    limits: Limits,
    shutdown: &Shutdown,
) {
    let pace = member.pace();
    lock(pace).shaken(Instant::now());
    let io = TokioIo::new(Stream::new(io, pace.clone()));
    let service = service_fn(|request: Request<Incoming>| async {
        let mut response = answer(request, local, router.clone(), member).await;
        // Whoever is still sending is told with the answer, before this end closes: a request that is on its way when a connection is
        // closed is lost, and the API server does not send it again.
        if shutdown.is_draining() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok::<_, Infallible>(response)
    });
    let connection = http1::Builder::new().max_buf_size(BUFFER).serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut stopping = false;
    // Each byte that comes wakes this task, and the set asks what is in it only if that was woken.
    let mut seldom = FuturesUnordered::new();
    loop {
        // What is awaited changes while the connection is served: it is looked at often enough.
        let now = Instant::now();
        let ends = lock(pace).ends(&limits);
        if ends.is_some_and(|ends| ends <= now) {
            tracing::debug!("a client took too long");
            return;
        }
        let look = now + limits.head / 2;
        seldom.push(next(member, shutdown, stopping, ends.map_or(look, |ends| ends.min(look))));
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended badly");
                }
                return;
            }
            Some(event) = seldom.next() => match event {
                Event::Look => {}
                Event::SentAway if lock(pace).waits(Instant::now()).is_some() => return,
                // A request has come since this one was chosen: its answer is the last.
                event @ (Event::SentAway | Event::Stops) => {
                    if matches!(event, Event::SentAway) {
                        member.stay();
                    }
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// What seldom happens to a connection.
enum Event {
    /// It is time to look at its pace.
    Look,
    /// It has to make room.
    SentAway,
    /// The server stops.
    Stops,
}

async fn next(member: &Place, shutdown: &Shutdown, stopping: bool, look: Instant) -> Event {
    tokio::select! {
        () = member.sent_away() => {
            // What has come by now is looked at first. Not before it is chosen here, or something else might be, and nobody is told twice.
            tokio::task::yield_now().await;
            Event::SentAway
        }
        () = shutdown.stopped(), if !stopping => Event::Stops,
        () = tokio::time::sleep_until(look) => Event::Look,
    }
}

async fn answer(request: Request<Incoming>, local: Option<LocalAddress>, router: Router, member: &Place) -> Response {
    let pace = member.pace().clone();
    lock(&pace).begun(!request.body().is_end_stream(), Instant::now());
    let body_pace = pace.clone();
    let mut request = request.map(|inner| Body::new(Received { inner, pace: body_pace }));
    if let Some(local) = local {
        request.extensions_mut().insert(local);
    }
    let Ok(response) = router.oneshot(request).await;
    lock(&pace).answered(Instant::now());
    response
}
