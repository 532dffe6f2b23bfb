//! `bulkhead dump`: what the leader's plan was made of, for `bulkhead simulate`; and where the leader gives it away.
//!
//! Invariant: it is given on the pod's loopback alone, and to no web page: whoever may forward ports there gets it. Reads only.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use clap::Args;
use cluster::serve;
use cluster::shutdown::Shutdown;
use hyper::Request;
use kube::Client;
use model::keys;
use queue::Asker;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::connection::{Connection, controllers};

/// Where it is given.
pub(crate) const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8071);
/// Without this header it is not given: a page cannot send it to another's address.
const HEADER: &str = "x-bulkhead-dump";
/// A plan is made so often at least, and more.
const PATIENCE: Duration = Duration::from_secs(30);
/// Nobody waits longer for it while the process ends.
const DRAIN_CAP: Duration = Duration::from_secs(1);
/// Above what a hundred thousand jobs take.
const LIMIT: usize = 1 << 30;

/// Writes what the planner sees to standard output, as JSON.
///
/// It has names, needs and states of the jobs, pods, nodes and queues of all namespaces, and nothing of what jobs run or know. `bulkhead simulate`
/// makes the plan of it again. Finds the controller that leads through the kubeconfig and forwards a port to it by itself: whoever may do that
/// (pods/portforward in the namespace of the installation) may use it.
#[derive(Args)]
pub(crate) struct DumpArgs {
    /// Namespace of the installation.
    #[arg(long, default_value = keys::NAMESPACE)]
    pub(crate) namespace: String,
    /// Where the controller listens for it (its `--dump-listen`).
    #[arg(long, default_value_t = LISTEN.port())]
    pub(crate) port: u16,
}

/// Writes it.
pub(crate) async fn run(args: DumpArgs, kubeconfig: Option<&Path>) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(&take(&args, kubeconfig).await?)?)
}

/// Asks the controller that leads for it.
pub(crate) async fn take(args: &DumpArgs, kubeconfig: Option<&Path>) -> anyhow::Result<Bytes> {
    let client = cluster::client::connect(kubeconfig).await?.retrying;
    let mut why = String::new();
    // One of them leads.
    for pod in controllers(&client, &args.namespace).await? {
        match ask(&client, args, &pod).await {
            Ok(dump) => return Ok(dump),
            Err(error) => why = format!("{pod}: {error:#}"),
        }
    }
    bail!("no controller gave a dump; the last: {why}")
}

async fn ask(client: &Client, args: &DumpArgs, pod: &str) -> anyhow::Result<Bytes> {
    let mut connection = Connection::to(client, &args.namespace, pod, args.port).await?;
    let request = Request::get("/dump").header("host", "localhost").header(HEADER, "yes").body(Body::empty())?;
    let response = connection.send(request).await?;
    let status = response.status();
    let bytes = to_bytes(response.into_body(), LIMIT).await.context("the dump ended early")?;
    anyhow::ensure!(status.is_success(), "{}", String::from_utf8_lossy(&bytes).trim());
    Ok(bytes)
}

/// Listens, and returns what gives it there until `shutdown` stops. `None`: it cannot listen there; nothing else hangs on it.
pub(crate) async fn serve(
    address: SocketAddr,
    asker: Asker,
    shutdown: Shutdown,
) -> anyhow::Result<Option<impl Future<Output = ()>>> {
    anyhow::ensure!(address.ip().is_loopback(), "--dump-listen {address} is no address of the loopback");
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%address, %error, "cannot listen for dumps; bulkhead dump will not work");
            return Ok(None);
        }
    };
    let router = Router::new().route("/dump", get(give)).with_state(asker);
    Ok(Some(async move { serve::run(listener, router, &shutdown, DRAIN_CAP).await }))
}

async fn give(State(asker): State<Asker>, headers: HeaderMap) -> Response {
    if !headers.contains_key(HEADER) {
        return (StatusCode::FORBIDDEN, format!("header {HEADER} is missing\n")).into_response();
    }
    let Ok(Some(dump)) = timeout(PATIENCE, asker.ask()).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "this controller does not lead, or has made no plan for 30 s\n")
            .into_response();
    };
    match serde_json::to_vec(&*dump) {
        Ok(json) => ([(CONTENT_TYPE, "application/json")], Bytes::from(json)).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
