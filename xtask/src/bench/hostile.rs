//! `cargo xtask bench hostile`: what one namespace can take of the controller's memory, with Jobs and with jobs of the API.
//!
//! Invariant: that the controller is never ended and never above its limit is asserted, with figures; nothing else is.

mod sample;
mod text;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use api::JobQueue;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use model::keys;
use model::quantity;
use serde_json::Value;
use testbed::Cluster;
use tokio::runtime::Runtime;

use super::gateway::Gateway;
use super::ground::Ground;
use super::machine::Resident;
use super::{controller, guarded, machine};
use crate::cluster::default_name;
use sample::{HONEST, NAME};
use text::{Figures, Moment};

/// Arguments of `cargo xtask bench hostile`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the cluster; by default the one that belongs to this checkout.
    #[arg(long)]
    name: Option<String>,
    /// Jobs of the largest kind that is kept.
    #[arg(long, default_value_t = 10_000)]
    jobs: usize,
    /// Jobs nearly as large as the API server takes.
    #[arg(long, default_value_t = 100)]
    large: usize,
    /// Array jobs of the API with 10,000 children, each child depending on twenty others; those that are too many are refused.
    #[arg(long, default_value_t = 20)]
    arrays: usize,
    /// Jobs of the API of which each has retry conditions of its own, as long as they may be; those that are too many are refused.
    #[arg(long, default_value_t = 20_000)]
    unlike: usize,
}

/// Until the controller has seen all, and until everybody has been answered.
const PATIENCE: Duration = Duration::from_mins(30);
/// Creations under way.
const AT_ONCE: usize = 16;
/// How long the controller works on what it has before it is looked at.
const SETTLED: Duration = Duration::from_mins(1);

/// Measures.
pub(super) fn run(args: &Args) -> Result<()> {
    let cluster = Cluster::open(&args.name.clone().unwrap_or_else(default_name))?;
    Runtime::new().context("cannot start the asynchronous runtime")?.block_on(async {
        let client = ::cluster::client::connect(Some(cluster.kubeconfig())).await?.retrying;
        let ground = Ground::new(cluster, client);
        Box::pin(guarded(measure(args, &ground), remove(&ground))).await
    })
}

async fn measure(args: &Args, ground: &Ground) -> Result<()> {
    ground.check().await?;
    print!("{}", machine::machine()?);
    println!("{}", machine::kubernetes(ground).await?);
    // What a run left that was killed; jobs of the API are found by their queue.
    let make = |cluster: &Cluster| cluster.kubectl_input(&["apply", "-f", "-"], &sample::objects());
    ground.blocking(make).await?;
    remove(ground).await?;
    ground.blocking(make).await?;
    controller::restart(ground).await?;
    let pod = controller::pod(ground).await?;
    let mut moments = vec![Moment::noted("nothing waits", memory(ground)?)];

    eprintln!("creating {} Jobs and {} large ones", args.jobs, args.large);
    create(ground, (0..args.jobs).map(sample::job)).await?;
    create(ground, (0..args.large).map(sample::large)).await?;
    waiting(ground, args.jobs + args.large).await?;
    moments.push(Moment::noted("the Jobs wait", settled(ground).await?));
    unharmed(ground, &pod).await?;

    let taken = submit(args, ground).await?;
    waiting(ground, args.jobs + args.large + taken.waiting()).await?;
    moments.push(Moment::noted("and the jobs of the API", settled(ground).await?));
    unharmed(ground, &pod).await?;

    controller::restart(ground).await?;
    let pod = controller::pod(ground).await?;
    waiting(ground, args.jobs + args.large + taken.waiting()).await?;
    moments.push(Moment::noted("all read by another controller", settled(ground).await?));
    ground.blocking(|cluster| cluster.kubectl_input(&["apply", "-f", "-"], &sample::limit_range())).await?;
    moments.push(Moment::noted("what pods request has changed", settled(ground).await?));
    let honest = honest(ground).await?;
    unharmed(ground, &pod).await?;

    let figures = Figures { jobs: args.jobs, large: args.large, taken, limit: limit(&pod)?, honest, moments };
    println!("{}", figures.text());
    ensure!(figures.is_below(), "the controller took more than its limit");
    Ok(())
}

/// Creates Jobs in the hostile namespace.
async fn create(ground: &Ground, all: impl Iterator<Item = Value>) -> Result<()> {
    let jobs: Api<Job> = Api::namespaced(ground.client().clone(), NAME);
    let one = |object: Value| {
        let jobs = &jobs;
        async move {
            let job: Job = serde_json::from_value(object)?;
            let name = job.name_any();
            match jobs.create(&PostParams::default(), &job).await {
                Ok(_) => Ok(()),
                // The client has tried again what had been done.
                Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
                Err(error) => Err(error).with_context(|| format!("Job {name} is not taken")),
            }
        }
    };
    stream::iter(all).map(one).buffer_unordered(AT_ONCE).try_collect().await
}

async fn gateway(ground: &Ground) -> Result<Gateway> {
    Gateway::at(&ground.blocking(crate::install::local::api_url).await?)
}

/// Submits as much as the namespace may have.
async fn submit(args: &Args, ground: &Ground) -> Result<text::Taken> {
    let gateway = gateway(ground).await?;
    gateway.call("RegisterJobDefinition", &sample::definition()).await?;
    eprintln!("submitting arrays");
    let first = gateway.call("SubmitJob", &sample::array(None)).await?;
    let first = first["jobId"].as_str().context("SubmitJob says no jobId")?;
    let more = vec![sample::array(Some(first)); args.arrays.saturating_sub(1)];
    let arrays = 1 + gateway.until_too_many("SubmitJob", &more).await?;
    eprintln!("{arrays} arrays are taken; submitting jobs of which each is unlike the others");
    let unlike: Vec<Value> = (0..args.unlike).map(sample::unlike).collect();
    Ok(text::Taken { arrays, unlike: gateway.until_too_many("SubmitJob", &unlike).await? })
}

/// Waits until the queue shows so many.
async fn waiting(ground: &Ground, wanted: usize) -> Result<()> {
    let (begin, queues) = (Instant::now(), Api::<JobQueue>::all(ground.client().clone()));
    loop {
        let waiting = queues.get(NAME).await?.status.map_or(0, |status| status.waiting) as usize;
        if waiting >= wanted {
            return Ok(());
        }
        ensure!(begin.elapsed() < PATIENCE, "{waiting} of {wanted} wait in the queue, and no more come");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn settled(ground: &Ground) -> Result<Resident> {
    tokio::time::sleep(SETTLED).await;
    memory(ground)
}

fn memory(ground: &Ground) -> Result<Resident> {
    machine::resident(controller::process(ground.cluster())?)
}

/// Whether it is still the one process of this pod.
async fn unharmed(ground: &Ground, before: &Pod) -> Result<()> {
    let now = controller::pod(ground).await?;
    let restarts = |pod: &Pod| -> i32 {
        let all = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        all.map(|one| one.restart_count).sum()
    };
    ensure!(now.uid() == before.uid() && restarts(&now) == 0, "the controller was ended: {:?}", now.status);
    Ok(())
}

/// The limit of the controller's container, in KiB.
fn limit(pod: &Pod) -> Result<u64> {
    let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
    let limits = container.and_then(|container| container.resources.as_ref()?.limits.as_ref());
    let text = limits.and_then(|limits| limits.get("memory")).context("the controller has no limit of memory")?;
    let Ok(limit) = quantity::units(&text.0) else { bail!("the controller's limit is {}", text.0) };
    Ok(limit.unsigned_abs() / 1024)
}

/// How long a small Job of another namespace takes until it says why it waits.
async fn honest(ground: &Ground) -> Result<Duration> {
    let (begin, jobs) = (Instant::now(), Api::<Job>::namespaced(ground.client().clone(), HONEST));
    let job: Job = serde_json::from_value(sample::honest())?;
    let name = jobs.create(&PostParams::default(), &job).await?.name_any();
    while !jobs.get(&name).await?.annotations().contains_key(keys::STATUS) {
        ensure!(begin.elapsed() < PATIENCE, "the Job of another namespace says nothing");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(begin.elapsed())
}

/// Removes everything. Jobs of the API end before their queue goes, and Jobs go before that, because the API ends only its own.
async fn remove(ground: &Ground) -> Result<()> {
    let gone = ["--ignore-not-found", "--timeout=15m"];
    let namespaces =
        move |cluster: &Cluster| cluster.kubectl_run(&[&["delete", "namespace"][..], &gone, &[NAME, HONEST]].concat());
    ground.blocking(namespaces).await?;
    gateway(ground).await?.end_all(NAME).await?;
    let rest = move |cluster: &Cluster| {
        cluster.kubectl_run(&[&["delete", "jobqueue"][..], &gone, &[NAME]].concat())?;
        cluster.kubectl_run(&[&["delete", "computeenvironment"][..], &gone, &[NAME]].concat())
    };
    ground.blocking(rest).await.map(drop)
}
