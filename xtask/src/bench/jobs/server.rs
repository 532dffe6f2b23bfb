//! The gateway as it runs in production, but for its objects, which are fixed, and for the queue loop, which is not there.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path as InPath;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use gateway::{Config, Metrics, Served};
use model::names::ArnBase;
use records::Store;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};

use super::super::process::{self, Server};
use super::objects::Fixed;

/// What a server says first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) address: SocketAddr,
}

/// The API on this store.
pub(super) fn api(store: Store) -> Router {
    // Its last value stays when nobody is left to change it.
    let (_, stores) = watch::channel(Some(store));
    let (_, fronts) = watch::channel(None);
    let metrics = Metrics::new(&mut cluster::telemetry::registry("controller"));
    let (arn, served) = (ArnBase::default(), Served::default());
    let config = Config {
        arn,
        default_provider: None,
        default_namespace: None,
        guard: None,
        outputs: Arc::new(Fixed::new()),
        room: gateway::Room::default(),
        served,
        metrics,
    };
    gateway::router(stores, fronts, Fixed::new(), config)
}

/// Starts a server on a processor.
pub(super) fn start(database: &str, core: usize, log: Option<&Path>) -> Result<Server<Hello>> {
    let core = core.to_string();
    Server::start(process::command(&["jobs-server", "--core", &core, "--database", database], log)?)
}

/// Serves until standard input ends. Beside the API is `/empty/LENGTH`, which reads the body and sends so many bytes: what is left
/// is HTTP.
pub(super) fn serve(database: &str) -> Result<()> {
    let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
    runtime.block_on(async {
        let store = Store::open(database).await?;
        let empty = |InPath(length): InPath<usize>, _: Bytes| async move {
            ([(CONTENT_TYPE, "application/json")], vec![b' '; length])
        };
        let router = api(store.clone()).route("/empty/{length}", post(empty));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen")?;
        println!("{}", serde_json::to_string(&Hello { address: listener.local_addr()? })?);

        let (end, ended) = oneshot::channel();
        std::thread::spawn(move || {
            process::until_the_end_of_input();
            let _told = end.send(());
        });
        let stopped = async {
            let _told = ended.await;
        };
        axum::serve(listener, router).with_graceful_shutdown(stopped).await?;
        store.close().await;
        Ok(())
    })
}
