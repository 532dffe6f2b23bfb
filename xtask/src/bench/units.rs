//! `cargo xtask bench units`: how many units are started in a second on fake nodes, and what a long queue takes of the leader's memory.
//!
//! Invariant: goals are shown and may be missed; that every unit gets onto one node, once, and no node above what it allows is asserted.

mod bare;
mod clocks;
mod door;
mod lean;
mod measured;
mod memory;
mod place;
mod queued;
mod rates;
mod sample;
mod sight;
mod watch;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use testbed::Cluster;
use tokio::runtime::Runtime;

use super::ground::Ground;
use super::{guarded, machine, optimised};
use crate::cluster::default_name;
use place::Place;

/// Arguments of `cargo xtask bench units`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Measure only this part; may be repeated.
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// Name of the cluster; by default the one that belongs to this checkout.
    #[arg(long)]
    name: Option<String>,
    /// Fake nodes for pods of Bulkhead; as many again for the others.
    #[arg(long, default_value_t = 100)]
    nodes: u32,
    /// Units of each run, at most 100 for each node.
    #[arg(long, default_value_t = 2_000)]
    units: u32,
    /// Runs of each series.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Jobs that wait while the memory is measured; a multiple of 10.
    #[arg(long, default_value_t = 100_000)]
    queued: u32,
}

/// What can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Units started in a second.
    Started,
    /// Memory of the controller while jobs wait.
    Memory,
}

/// Units that every node has room for, whatever else is on it.
const UNITS_PER_NODE: u32 = 100;
/// Array jobs among which jobs are divided.
const ARRAYS: u32 = 10;

/// Measures, in an optimised build.
pub(super) fn run(args: &Args) -> Result<()> {
    let fits = args.units >= 2 && args.units <= args.nodes.saturating_mul(UNITS_PER_NODE).min(sample::CHILDREN);
    ensure!(fits, "--units must be 2 to {}, and at most {UNITS_PER_NODE} for each of --nodes", sample::CHILDREN);
    let divides = args.queued.is_multiple_of(ARRAYS) && (2 * ARRAYS..=ARRAYS * sample::CHILDREN).contains(&args.queued);
    ensure!(divides, "--queued must be a multiple of {ARRAYS}, at most {}", ARRAYS * sample::CHILDREN);
    ensure!(args.runs >= 1, "there is nothing to measure");
    if !optimised::IS {
        return optimised::run_again();
    }
    let cluster = Cluster::open(&args.name.clone().unwrap_or_else(default_name))?;
    Runtime::new().context("cannot start the asynchronous runtime")?.block_on(async {
        let clients = ::cluster::client::connect(Some(cluster.kubeconfig())).await?;
        let place = Place::new(Ground::new(cluster.clone(), clients.retrying), cluster, clients.once);
        Box::pin(guarded(all(args, &place), place.remove())).await
    })
}

async fn all(args: &Args, place: &Place) -> Result<()> {
    place.ground().check().await?;
    print!("{}", machine::machine()?);
    println!("{}", machine::kubernetes(place.ground()).await?);
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    // Before anything is started: the fewest things are in the controller's memory.
    place.make().await?;
    if wanted(Part::Memory) {
        println!("{}", Box::pin(queued::measure(place, args.queued)).await?);
    }
    let mut problems = Vec::new();
    if wanted(Part::Started) {
        place.make_nodes(args.nodes).await?;
        let (text, found) = Box::pin(started(args, place)).await?;
        println!("{text}");
        problems = found;
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

/// All series, in turn, so that they see the same machine. Returns the table, and what was wrong.
async fn started(args: &Args, place: &Place) -> Result<(String, Vec<String>)> {
    let mut all = rates::Series::default();
    for number in 1..=args.runs {
        eprintln!("run {number} of {}: pods created on their node", args.runs);
        all.created.push(bare::created(place, args.units).await?);
        eprintln!("run {number} of {}: kube-scheduler", args.runs);
        all.scheduled.push(bare::scheduled(place, args.units).await?);
        eprintln!("run {number} of {}: an array job", args.runs);
        all.bulkhead.push(door::measure(place, args.units).await?);
    }
    let runs = all.created.iter().chain(&all.scheduled).chain(&all.bulkhead);
    let problems = runs.flat_map(|run| run.problems.iter().cloned()).collect();
    Ok((rates::text(args.units, args.nodes, &all), problems))
}
