//! Commands for people who work on Bulkhead: `cargo xtask --help`.

mod bench;
mod cargo;
mod cluster;
mod demo;
mod fuzz;
mod image;
mod install;
mod manifests;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Commands for people who work on Bulkhead.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the main line on a fresh cluster: Jobs come, nodes come, Jobs run, nodes go.
    ///
    /// Exits with 0 only if every output was as expected, every pod ran where it should, and nothing was left.
    Demo(demo::Args),
    /// The local cluster: a real Kubernetes on this machine.
    Cluster(cluster::Args),
    /// Build Bulkhead's container image (and kube-scheduler's to push) without a container daemon.
    Image(image::Args),
    /// Write manifests/bulkhead.yaml from its parts and the types, or check it.
    Manifests(manifests::Args),
    /// Measure; what and how is in docs/benchmarks.md.
    Bench(bench::Args),
    /// Send the admission webhook generated hostile input, and fail if an answer is not well formed.
    Fuzz(fuzz::Args),
    /// Run everything that CI runs, or some end-to-end tests.
    Test(test::Args),
}

fn main() -> ExitCode {
    match testbed::provider::serve_if_asked().and_then(|()| run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match Args::parse().command {
        Command::Cluster(args) => cluster::run(args),
        Command::Image(args) => image::run(&args),
        Command::Manifests(args) => manifests::run(&args),
        Command::Demo(args) => demo::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Test(args) => test::run(&args),
    }
}
