//! `cargo xtask bench …`: measurements, described in `docs/benchmarks.md`. A goal that is missed is shown, not an error.

mod admission;
mod cold;
mod connection;
mod controller;
mod extender;
mod figures;
mod gateway;
mod ground;
mod hostile;
mod jobs;
mod load;
mod machine;
mod metrics;
mod numbers;
mod optimised;
mod plan;
mod process;
mod processor;
mod run;
mod scene;
mod timeline;
mod units;
mod warm;
mod watch;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use testbed::Cluster;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::default_name;
use figures::{Goal, table};
use ground::Ground;
use run::Bench;
use scene::Scene;

/// Arguments of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How long a Job takes from the create call to its first container, with a node that waits and with none.
    ///
    /// Needs the local cluster with one ordinary node and Bulkhead installed; everything else it makes and removes.
    Start(StartArgs),
    /// What a review at admission takes: in process, over TLS, and behind the API server.
    ///
    /// Fails if a review is late or a pod is not mutated. The last part needs the local cluster with Bulkhead installed.
    Admission(admission::Args),
    /// A process of its own of `bench admission`.
    #[command(hide = true)]
    AdmissionProcess(admission::ProcessArgs),
    /// What submitting and describing jobs through the AWS Batch API takes, with SQLite and with PostgreSQL.
    ///
    /// Fails if a submission is lost, stored twice or answered wrongly. Needs no cluster, but PostgreSQL as Debian packages it.
    Jobs(jobs::Args),
    /// Units started in a second on fake nodes, beside pod creation and kube-scheduler alone, and memory with a long queue.
    ///
    /// Fails if a unit is not on one node exactly once. Needs the local cluster with one ordinary node and Bulkhead installed; everything
    /// else it makes and removes, and fake nodes that were there before go. The controller starts anew.
    Units(units::Args),
    /// Memory of the controller when one namespace has as many jobs of both doors as are kept, of the kinds that take most.
    ///
    /// Fails if the controller ends, or takes more than its limit. Needs the local cluster with one ordinary node and Bulkhead installed;
    /// everything else it makes and removes. The controller starts anew.
    Hostile(hostile::Args),
    /// What a plan takes, and how far it comes, with thousands of nodes and a hundred thousand units that wait. Needs nothing.
    ///
    /// Fails if units start where nothing fits.
    Plan(plan::Args),
    /// What kube-scheduler's extender takes to judge many nodes. Needs nothing.
    ///
    /// Fails if it admits others than those that are held.
    Extender(extender::Args),
    /// One scene of `bench plan`.
    #[command(hide = true)]
    PlanScene(plan::SceneArgs),
    /// The server of `bench jobs`.
    #[command(hide = true)]
    JobsServer(jobs::ServerArgs),
}

#[derive(Debug, clap::Args)]
struct StartArgs {
    /// Name of the cluster; by default the one that belongs to this checkout.
    #[arg(long)]
    name: Option<String>,
    /// Runs with a Ready node that has nothing to do; so many of the baseline, too.
    #[arg(long, default_value_t = 20)]
    warm: usize,
    /// Runs without a node.
    #[arg(long, default_value_t = 5)]
    cold: usize,
}

/// What was asked for.
const WARM_GOAL: Goal = Goal { seconds: 1.0, condition: "" };
const COLD_GOAL: Goal = Goal { seconds: 4.0, condition: " with a node that boots in 2 s" };

/// Runs the benchmark.
pub(crate) fn run(args: Args) -> Result<()> {
    ::cluster::client::install_crypto();
    match args.command {
        Command::Start(args) => run_start(&args),
        Command::Admission(args) => admission::run(&args),
        Command::AdmissionProcess(args) => admission::run_process(&args),
        Command::Jobs(args) => jobs::run(&args),
        Command::Units(args) => units::run(&args),
        Command::Hostile(args) => hostile::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Extender(args) => extender::run(&args),
        Command::PlanScene(args) => plan::run_scene(&args),
        Command::JobsServer(args) => jobs::run_server(&args),
    }
}

fn run_start(args: &StartArgs) -> Result<()> {
    let cluster = Cluster::open(&args.name.clone().unwrap_or_else(default_name))?;
    Runtime::new().context("cannot start the asynchronous runtime")?.block_on(async {
        let client = ::cluster::client::connect(Some(cluster.kubeconfig())).await?.retrying;
        let scene = Scene::new(Ground::new(cluster, client));
        Box::pin(guarded(start(args, &scene), scene.remove())).await
    })
}

/// Measures; afterwards, and after an interruption, removes what was made.
async fn guarded<T>(work: impl Future<Output = Result<T>>, remove: impl Future<Output = Result<()>>) -> Result<T> {
    let outcome = tokio::select! {
        outcome = work => outcome,
        signal = interrupted() => signal.and_then(|()| bail!("interrupted")),
    };
    eprintln!("removing what was made");
    let cleaned = remove.await.context("not everything is removed; a next run goes on with it");
    outcome.and_then(|value| cleaned.map(|()| value))
}

async fn start(args: &StartArgs, scene: &Scene) -> Result<()> {
    scene.ground().check().await?;
    let (machine, kubernetes) = (machine::machine()?, machine::kubernetes(scene.ground()).await?);
    scene.make().await?;
    let mut bench = Bench::new(scene);
    let (plain, warm) = warm::runs(&mut bench, args.warm).await?;
    let cold = cold::runs(&mut bench, args.cold).await?;
    println!("{machine}{kubernetes}");
    println!("{}", table("baseline: unlabelled namespace, ordinary node, stock scheduler", &plain, None));
    println!("{}", table("warm: a Ready node of the environment has nothing to do", &warm, Some(&WARM_GOAL)));
    println!("{}", table("cold: no node; the provider boots a kubelet", &cold, Some(&COLD_GOAL)));
    Ok(())
}

async fn interrupted() -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}
