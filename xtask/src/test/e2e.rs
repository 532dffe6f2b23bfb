//! The end-to-end stage on a local cluster: the demo on a cluster of its own, then a cluster with one ordinary node and
//! Bulkhead installed as users install it, then the tests.
//!
//! Invariant: the clusters that this stage brings up are taken down when it ends, however it ends, unless they are kept.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use testbed::{Cluster, Release};

use super::kubectl::Kubectl;
use super::program::{self, Program};
use super::recorder::Recorder;
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
    let bulkhead = program::bulkhead()?;
    let program = Program::build(vec![
        (program::CLUSTER, options.cluster.clone()),
        (program::XTASK, xtask.display().to_string()),
        (program::BINARY, bulkhead.display().to_string()),
    ])?;
    let _down = TakeDown { xtask: xtask.clone(), cluster: options.cluster.clone(), keep: options.keep };
    let on_cluster =
        |words: &[&str]| children::run(Command::new(&xtask).args(["cluster", "--name", &options.cluster]).args(words));
    // Before the cluster, which would wait for it.
    on_cluster(&["aws"])?;
    on_cluster(&["up", "--kubernetes", options.kubernetes.version()])?;
    let arguments = program.choose(&options.filters)?;
    on_cluster(&["node", "add", NODE])?;
    let cluster = Cluster::open(&options.cluster)?;
    let kubectl = Kubectl { program: cluster.kubectl(), kubeconfig: cluster.kubeconfig().to_owned() };
    let recorder = Recorder::start(kubectl, cluster.name(), Some(cluster.layout().root().join("log")))?;
    let result = on_cluster(&["install"]).and_then(|()| program.run(&arguments));
    recorder.finish(result)
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
