//! `cargo xtask bench jobs`: what submitting and describing jobs through the AWS Batch API takes, with each database.
//!
//! Invariant: goals are shown and may be missed; that every submission is answered, stored, and stored once is asserted.

mod bare;
mod callers;
mod check;
mod client;
mod descriptions;
mod fill;
mod objects;
mod place;
mod sample;
mod server;
mod submissions;
mod text;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use model::job::JobId;
use records::{By, Filter, Pattern, Scope, Store};
use tokio::runtime::Runtime;

use super::processor::{self, Apart};
use super::{interrupted, machine, optimised};
use place::{Kind, Place};
use submissions::{Plan, Submissions};

/// Arguments of `cargo xtask bench jobs`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Measure with this database alone; may be repeated.
    #[arg(long, value_name = "DATABASE")]
    only: Vec<Kind>,
    /// Jobs that are queued before the first is submitted.
    #[arg(long, default_value_t = 100_000)]
    queued: usize,
    /// Jobs that are there before the first is described; at least as many as are queued.
    #[arg(long, default_value_t = 200_000)]
    records: usize,
    /// Submissions of each run.
    #[arg(long, default_value_t = 5_000)]
    requests: usize,
    /// Runs of each workload.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Write the server's log to this file; otherwise it is written to /dev/null.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// Arguments of the server.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArgs {
    /// The processor on which it stays.
    #[arg(long)]
    core: usize,
    /// URL of the record store.
    #[arg(long)]
    database: String,
}

/// Measures, in an optimised build.
pub(super) fn run(args: &Args) -> Result<()> {
    if !optimised::IS {
        return optimised::run_again();
    }
    ensure!(args.records >= sample::DESCRIBED, "--records must be at least {}", sample::DESCRIBED);
    ensure!(args.queued >= 1 && args.requests >= 1 && args.runs >= 1, "there is nothing to measure");
    let (apart, runtime) = (processor::apart()?, Runtime::new().context("cannot start the asynchronous runtime")?);
    runtime.block_on(async {
        // Whatever ends it: databases and directories go.
        tokio::select! {
            outcome = Box::pin(all(args, apart)) => outcome,
            signal = interrupted() => signal.and_then(|()| bail!("interrupted")),
        }
    })
}

/// The server, a process of its own.
pub(super) fn run_server(args: &ServerArgs) -> Result<()> {
    processor::pin(args.core)?;
    ::cluster::telemetry::init(::cluster::telemetry::LogFormat::Json)?;
    server::serve(&args.database)
}

async fn all(args: &Args, apart: Apart) -> Result<()> {
    println!("HTTP/1.1 kept alive; server on processor {}, client on processor {}\n", apart.server, apart.client);
    let mut problems = Vec::new();
    for kind in [Kind::Sqlite, Kind::Postgresql] {
        if args.only.is_empty() || args.only.contains(&kind) {
            let found = Box::pin(one(kind, args, apart)).await.with_context(|| kind.name())?;
            problems.extend(found.into_iter().map(|it| format!("{}: {it}", kind.name())));
        }
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

/// Measures with one database and prints; returns what was wrong.
async fn one(kind: Kind, args: &Args, apart: Apart) -> Result<Vec<String>> {
    let Args { queued, records, requests, runs, ref log, .. } = *args;
    print!("{}", machine::machine()?);
    let place = Place::make(kind)?;
    if place.is_in_memory()? {
        println!("the database is in memory, where nothing waits for a disk; set TMPDIR to a directory on one");
    }
    let url = place.url();
    let store = Store::open(&url).await?;
    let template = fill::template(&store).await?;
    fill::fill(&store, &template, 1..=queued).await?;
    store.close().await;

    let server = server::start(&url, apart.server, log.as_deref())?;
    let (address, pid, text) = (server.hello().address, server.pid(), serde_json::to_string(&template)?);
    let plan = Plan { kind, url: url.clone(), address, server: pid, text, runs, requests };
    let submitted = client::on(apart.client, move || submissions::measure(plan)).await?;
    drop(server);
    println!("{}", text::submissions(kind, queued, requests, &submitted));

    let (store, records) = (Store::open(&url).await?, records.max(queued));
    let problems = verified(&store, &submitted).await?;
    fill::fill(&store, &template, queued + 1..=records).await?;
    store.close().await;

    let server = server::start(&url, apart.server, log.as_deref())?;
    let (address, pid) = (server.hello().address, server.pid());
    let measure = move || descriptions::measure(kind, address, pid, records, runs);
    let described = client::on(apart.client, measure).await?;
    println!("{}", text::descriptions(kind, records, &described));
    Ok(problems)
}

/// Whether what was answered is stored, once and whole.
async fn verified(store: &Store, submitted: &Submissions) -> Result<Vec<String>> {
    let by = Some(By::Name(Pattern::Prefix(sample::RUN.to_owned())));
    let filter = Filter { scope: Scope::Queue(sample::NAME.to_owned()), state: None, by };
    let (mut stored, mut after) = (Vec::<(String, JobId)>::new(), None);
    loop {
        let page = store.list(&filter, after.as_deref(), 1_000).await?;
        stored.extend(page.items.into_iter().map(|it| (it.spec.name.clone(), it.record.id)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut problems = check::compared(&submitted.answered, &stored);
    let arrays = store.jobs(&submitted.arrays).await?;
    let whole = |it: &&records::Kept| {
        it.children.as_ref().is_some_and(|children| children.values().sum::<u32>() == sample::CHILDREN)
    };
    let (count, all) = (arrays.iter().filter(whole).count(), submitted.arrays.len());
    if count != all {
        problems.push(format!("{count} of {all} arrays are stored with all their children"));
    }
    if problems.is_empty() {
        println!("  {} submissions, each stored once; {count} arrays with all children (asserted)\n", stored.len());
    }
    Ok(problems)
}
