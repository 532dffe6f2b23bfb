//! The end-to-end stage on local clusters: the demo on a cluster of its own, then two clusters, each with one ordinary node and
//! Bulkhead installed as users install it: one for tests that run beside others, one for those that disturb everybody.
//!
//! Invariant: the clusters that this stage brings up are taken down when it ends, however it ends, unless they are kept.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use testbed::{Cluster, Release};

use super::kubectl::Kubectl;
use super::program::{self, Program};
use super::recorder::Recorder;
use super::times::Times;
use super::{Args, children, filter, tool};
use crate::cluster::default_name;

/// The node for everything that is not batch work, Bulkhead's own pods among it.
const NODE: &str = "ordinary";

/// What to run, and where.
#[derive(Debug)]
pub(super) struct Options {
    cluster: String,
    demo: String,
    kubernetes: Release,
    keep: bool,
    filters: Vec<String>,
}

impl Options {
    /// On the cluster that was named, else on one that belongs to this checkout.
    pub(super) fn new(args: &Args) -> Self {
        let name = args.name.as_deref();
        let cluster = name.map_or_else(|| default_name() + "-test", ToOwned::to_owned);
        let demo = name.map_or_else(|| default_name() + "-tdemo", |name| format!("{name}-demo"));
        Self { cluster, demo, kubernetes: args.kubernetes, keep: args.keep, filters: args.filter.clone() }
    }
}

/// Runs the demo and the tests, as far as the filters want them.
pub(super) fn run(options: &Options) -> Result<()> {
    let xtask = tool::pin()?;
    if filter::wants(filter::DEMO, &options.filters) {
        demo(&xtask, options)?;
        if !options.filters.is_empty() && options.filters.iter().all(|it| filter::DEMO.contains(it.as_str())) {
            return Ok(());
        }
    }
    let times = Times::new()?;
    let program = Program::build(vec![
        (program::XTASK, xtask.display().to_string()),
        (program::BINARY, program::bulkhead()?.display().to_string()),
        (program::TIMES, times.path()),
    ])?;
    let first = Site { xtask: &xtask, options, cluster: options.cluster.clone() };
    let _down = first.take_down();
    // Before the cluster, which would wait for it.
    first.on_cluster(&["aws"])?;
    first.up()?;
    let program = program.with([(program::CLUSTER, first.cluster.clone())]);
    program.choose(&options.filters)?;
    let mut parts = Vec::new();
    for company in ["others", "nobody"] {
        let part = program.with([(program::COMPANY, company.to_owned())]);
        if part.names()?.iter().any(|name| filter::wants(name, &options.filters)) {
            parts.push((part.choose(&options.filters)?, part));
        }
    }
    let result = run_parts(&first, parts);
    times.tell();
    result
}

/// Runs what was chosen of each kind of test; where both kinds are wanted, each on a cluster of its own, at the same time.
fn run_parts(first: &Site<'_>, mut parts: Vec<(Vec<String>, Program)>) -> Result<()> {
    let other = if parts.len() > 1 { parts.pop() } else { None };
    let Some((arguments, program)) = parts.pop() else { return Ok(()) };
    let Some((other_arguments, other_program)) = other else { return first.test(&program, &arguments) };
    let second = Site { cluster: format!("{}2", first.cluster), ..first.clone() };
    let other_program = other_program.with([(program::CLUSTER, second.cluster.clone())]);
    let _down = second.take_down();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| second.up().and_then(|()| second.test(&other_program, &other_arguments)));
        let result = first.test(&program, &arguments);
        let other = other.join().unwrap_or_else(|_| bail!("the tests on {} panicked", second.cluster));
        match (result, other) {
            (Err(one), Err(other)) => Err(other.context(format!("two clusters: {one:#}"))),
            (one, other) => one.and(other),
        }
    })
}

/// A cluster of this run.
#[derive(Clone)]
struct Site<'a> {
    xtask: &'a Path,
    options: &'a Options,
    cluster: String,
}

impl Site<'_> {
    fn on_cluster(&self, words: &[&str]) -> Result<()> {
        children::run(Command::new(self.xtask).args(["cluster", "--name", &self.cluster]).args(words))
    }

    fn up(&self) -> Result<()> {
        self.on_cluster(&["up", "--kubernetes", self.options.kubernetes.version()])
    }

    fn take_down(&self) -> TakeDown {
        TakeDown { xtask: self.xtask.to_owned(), cluster: self.cluster.clone(), keep: self.options.keep }
    }

    /// Installs Bulkhead beside one ordinary node and runs the tests.
    fn test(&self, program: &Program, arguments: &[String]) -> Result<()> {
        self.on_cluster(&["node", "add", NODE])?;
        let cluster = Cluster::open(&self.cluster)?;
        let kubectl = Kubectl { program: cluster.kubectl(), kubeconfig: cluster.kubeconfig().to_owned() };
        let recorder = Recorder::start(kubectl, cluster.name(), Some(cluster.layout().root().join("log")))?;
        let result = self.on_cluster(&["install"]).and_then(|()| program.run(arguments));
        recorder.finish(result)
    }
}

fn demo(xtask: &Path, options: &Options) -> Result<()> {
    let _down = TakeDown { xtask: xtask.to_owned(), cluster: options.demo.clone(), keep: options.keep };
    let mut command = Command::new(xtask);
    command.args(["demo", "--name", &options.demo, "--kubernetes", options.kubernetes.version()]);
    if options.keep {
        command.arg("--keep");
    }
    children::run(&mut command).context("the demo did not do what it shows")
}

/// Takes a cluster down when dropped, also if it is half up.
struct TakeDown {
    xtask: PathBuf,
    cluster: String,
    keep: bool,
}

impl Drop for TakeDown {
    fn drop(&mut self) {
        let option = format!("--name {}", self.cluster);
        if self.keep {
            eprintln!("the cluster {} is kept; `cargo xtask cluster {option} down` removes it", self.cluster);
            return;
        }
        if let Err(error) =
            children::clean_up(Command::new(&self.xtask).args(["cluster", "--name", &self.cluster, "down"]))
        {
            eprintln!("error: {error:#}\nsomething may be left; repeat `cargo xtask cluster {option} down`");
        }
    }
}
