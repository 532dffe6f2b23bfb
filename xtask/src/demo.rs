//! `cargo xtask demo`: from a bare machine to Jobs on nodes that came for them and went again, told as it happens.
//!
//! Invariant: it ends with success only if everything in [`check`] was seen. Whatever happens, nothing of the cluster is left,
//! unless it was asked to be kept.

mod check;
mod evidence;
mod forms;
mod look;
mod setup;
mod story;
mod tell;
mod voice;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use testbed::{Cluster, Release};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;

use crate::cluster::default_name;
use setup::Stage;
use tell::Until;
use voice::Voice;

/// Arguments of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave the cluster running and say how to look around.
    #[arg(long)]
    keep: bool,
    /// Name of the demo's cluster; one that is left over under this name is replaced. By default one that belongs to this
    /// checkout and is not the one of `cargo xtask cluster`.
    #[arg(long)]
    name: Option<String>,
    /// Release of Kubernetes that it runs on.
    #[arg(long, value_name = "VERSION", value_enum, default_value_t)]
    kubernetes: Release,
}

/// Runs the demo.
pub(crate) fn run(args: Args) -> Result<()> {
    let name = args.name.unwrap_or_else(|| format!("{}-demo", default_name()));
    ::cluster::client::install_crypto();
    // First of all, so that a machine on which it cannot work says so at once.
    testbed::ensure_packages()?;
    let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
    let result = runtime.block_on(guarded(name, args.kubernetes, args.keep));
    // What was interrupted may still be busy with something that cannot be stopped; it ends with the process.
    runtime.shutdown_background();
    result
}

/// Shows everything; afterwards, and after an interruption, removes the cluster or says how to use it.
async fn guarded(name: String, kubernetes: Release, keep: bool) -> Result<()> {
    let voice = Voice::new();
    let mut demo = tokio::spawn(show(name.clone(), kubernetes, voice));
    let outcome = tokio::select! {
        done = &mut demo => done.unwrap_or_else(|panic| Err(anyhow::anyhow!("the demo panicked: {panic}"))),
        signal = interrupted() => signal.and_then(|()| bail!("interrupted")),
    };
    demo.abort();
    if let Err(error) = &outcome {
        voice.say("", &format!("It ends here: {error:#}"));
    }
    if keep {
        look_around(&name);
    } else {
        voice.say("", "Taking the cluster down");
        take_down(name).await?;
    }
    outcome.context("the demo did not come to a good end")?;
    voice.say("", "The demo is over: everything was as it should be");
    Ok(())
}

async fn take_down(name: String) -> Result<()> {
    let own = name.clone();
    tokio::select! {
        done = blocking(move || Cluster::take_down(&own)) => done.context("the cluster is not completely gone"),
        _ = interrupted() => bail!("interrupted again; to remove what is left: cargo xtask cluster down --name {name}"),
    }
}

/// Everything, from the bare machine to the last check.
async fn show(name: String, kubernetes: Release, voice: Voice) -> Result<()> {
    // 1. a cluster without any batch node
    let cluster = setup::cluster(voice, &name, kubernetes).await?;
    // 2. Bulkhead, as a user installs it
    setup::bulkhead(voice, &cluster).await?;
    // 3. what an admin writes: an environment, a queue, labels on namespaces
    let Stage { environment_uuid, client } = setup::stage(voice, &cluster).await?;
    // 4. what users do: apply Jobs as they are; seen from the first moment on
    let mut telling = tell::Telling::new(voice, client, &cluster, environment_uuid);
    telling.users(setup::apply(voice, cluster.clone()));
    telling.tell(Until::AllEnded).await?;
    // 5. the nodes go
    telling.tell(Until::MachinesGone).await?;
    // 6. was it all as it should be?
    Voice::checked(&check::check(telling.evidence()))
}

/// Runs what blocks beside what does not.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|panic| Err(anyhow::anyhow!("a step panicked: {panic}")))
}

async fn interrupted() -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

fn look_around(name: &str) {
    match Cluster::open(name) {
        Ok(cluster) => {
            let directory = cluster.kubectl().parent().map(Path::to_owned).unwrap_or_default();
            Voice::plain(&forms::look_around(name, &cluster.kubeconfig().display(), &directory.display()));
        }
        Err(_) => Voice::plain("There is no cluster to keep: it did not come that far."),
    }
}
