//! The end-to-end tests on a cluster that is not ours: those that need nothing but a few nodes to label.
//!
//! Invariant: of the cluster's nodes only the named ones are touched, and in the end they are as before; Bulkhead is removed
//! unless it was there before. Both also after Ctrl-C, and what a killed run left is put right by the next one.

mod installation;
mod kind;
mod nodes;
mod record;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::kubectl::Kubectl;
use super::program::{self, Program};
use super::recorder::Recorder;
use installation::Installation;
use record::Record;

/// A cluster to test on.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// How to reach it.
    pub(super) kubeconfig: PathBuf,
    /// Bulkhead's image as the cluster can pull it; not needed where Bulkhead is installed.
    pub(super) image: Option<String>,
    /// Nodes that tests may label.
    pub(super) nodes: Vec<String>,
    /// Tests to run.
    pub(super) filters: Vec<String>,
    /// Leave Bulkhead installed.
    pub(super) keep: bool,
}

/// Makes a kind cluster, runs the tests on it, and deletes it unless it is to be kept.
pub(super) fn run_on_kind(filters: &[String], keep: bool) -> Result<()> {
    let kind = kind::Kind::create(keep)?;
    let nodes = kind.nodes()?;
    let options = Options {
        kubeconfig: kind.kubeconfig(),
        image: Some(kind.load_image()?),
        nodes,
        filters: filters.to_vec(),
        keep,
    };
    run(&options)
}

/// Runs the tests.
pub(super) fn run(options: &Options) -> Result<()> {
    let kubectl = Kubectl { program: "kubectl".into(), kubeconfig: options.kubeconfig.clone() };
    let server = server(&kubectl)?;
    eprintln!("cluster {server}; nodes that tests may label: {}", options.nodes.join(" "));
    let record = Record::new(&kubectl, &server);
    record.finish_run_before()?;
    let nodes = named(&kubectl, &options.nodes)?;
    let installation = Installation::find(&kubectl, options.image.as_deref())?;
    let variables = vec![
        (program::KUBECONFIG, options.kubeconfig.display().to_string()),
        (program::NODES, options.nodes.join(",")),
    ];
    // Before anything is changed: a build can fail.
    let program = Program::build(variables)?;
    let arguments = program.choose(&options.filters)?;
    eprintln!("left out, not for other clusters: the demo and the stages fmt, clippy, unit, licenses and tree");
    record.store(&nodes)?;
    let result = Recorder::start(kubectl.clone(), "elsewhere", None).and_then(|recorder| {
        let tested = installation.install().and_then(|()| program.run(&arguments));
        recorder.finish(tested)
    });
    if options.keep {
        eprintln!("Bulkhead stays installed; see `bulkhead uninstall --help`");
        return result;
    }
    let cleaned = installation.remove().and_then(|()| record.restore());
    match (result, cleaned) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(error), Ok(())) | (Ok(()), Err(error)) => Err(error),
        (Err(error), Err(cleaning)) => {
            eprintln!("error while cleaning up: {cleaning:#}");
            Err(error)
        }
    }
}

/// The API server's address; also tells whether the kubeconfig and kubectl work.
fn server(kubectl: &Kubectl) -> Result<String> {
    ensure!(kubectl.kubeconfig.is_file(), "there is no kubeconfig {}", kubectl.kubeconfig.display());
    let look = ["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"];
    let server =
        kubectl.output(&look).context("is kubectl installed, and does the kubeconfig have a current context?")?;
    kubectl.output(&["version"]).with_context(|| format!("the cluster {server} does not answer"))?;
    Ok(server)
}

/// The named nodes, each fit for the tests.
fn named(kubectl: &Kubectl, names: &[String]) -> Result<Vec<Value>> {
    let list = kubectl.json(&["get", "nodes"])?;
    let all: Vec<&Value> = list["items"].as_array().into_iter().flatten().collect();
    let name = |node: &Value| node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for wanted in names {
        let Some(node) = all.iter().find(|node| name(node) == *wanted) else {
            let there: Vec<String> = all.iter().map(|node| name(node)).collect();
            bail!("there is no node {wanted}; there are: {}", there.join(" "));
        };
        if let Err(wrong) = nodes::usable(node) {
            bail!("the node {wanted} cannot be used: {wrong}");
        }
        found.push((*node).clone());
    }
    Ok(found)
}
