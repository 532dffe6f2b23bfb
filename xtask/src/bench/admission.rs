//! `cargo xtask bench admission`: what a review takes in process, over TLS, and behind the API server.
//!
//! Invariant: goals are shown and may be missed; that every answer comes in time and every pod is mutated is asserted.

mod alone;
mod api_server;
mod creations;
mod environment;
mod place;
mod process;
mod reviewer;
mod sample;
mod server;
mod text;
mod tls;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use testbed::Cluster;

use super::ground::Ground;
use super::{guarded, machine, optimised, processor};
use crate::cluster::default_name;
use place::Place;

/// Arguments of `cargo xtask bench admission`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Measure only this part; may be repeated. By default all, the last one only where there is a cluster.
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// Runs of each series over TLS.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Seconds that each of them takes.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Write the server's log to this file; otherwise it is written to /dev/null.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Name of the cluster; by default the one that belongs to this checkout.
    #[arg(long)]
    name: Option<String>,
}

/// What can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// One review after the other, without a socket.
    InProcess,
    /// The server on a processor of its own, as the API server calls it.
    Tls,
    /// Pods created through the API server of the local cluster.
    Cluster,
}

/// Arguments of a process of its own.
#[derive(Debug, clap::Args)]
pub(super) struct ProcessArgs {
    /// What it does.
    role: process::Role,
    /// The processor on which it stays.
    #[arg(long)]
    core: usize,
}

/// Measures, in an optimised build.
pub(super) fn run(args: &Args) -> Result<()> {
    if !optimised::IS {
        return optimised::run_again();
    }
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    let (apart, mut problems) = (processor::apart()?, Vec::new());
    println!("{}", machine::machine()?);
    if wanted(Part::InProcess) {
        eprintln!("reviews in process");
        process::run(process::Role::Alone, apart.server, args.log.as_deref())?;
    }
    if wanted(Part::Tls) {
        problems.extend(tls::measure(apart, args)?);
    }
    if wanted(Part::Cluster) {
        problems.extend(on_cluster(args)?);
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

/// What a process of its own does.
pub(super) fn run_process(args: &ProcessArgs) -> Result<()> {
    processor::pin(args.core)?;
    ::cluster::telemetry::init(::cluster::telemetry::LogFormat::Json)?;
    match args.role {
        process::Role::Alone => alone::measure(args.core),
        process::Role::Serve => server::serve(),
    }
}

fn on_cluster(args: &Args) -> Result<Vec<String>> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    runtime.block_on(async {
        let place = match ground(args).await {
            Ok(ground) => Place::new(ground),
            Err(error) if args.only.is_empty() => {
                println!("behind the API server: left out, because {error:#}");
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        Box::pin(guarded(api_server::measure(&place), place.remove())).await
    })
}

/// The cluster, if it is up and has Bulkhead installed.
async fn ground(args: &Args) -> Result<Ground> {
    let cluster = Cluster::open(&args.name.clone().unwrap_or_else(default_name))?;
    // Nothing is tried again: a request that fails is to be counted.
    let client = ::cluster::client::connect(Some(cluster.kubeconfig())).await?.once;
    let ground = Ground::new(cluster, client);
    ground.check().await?;
    Ok(ground)
}
