//! `cargo xtask test`: everything that CI runs, in stages, cheapest first.
//!
//! Invariant: the first stage that fails ends the run with its name and exit code 1; whatever a stage started is stopped
//! before the command returns, also after Ctrl-C. What a stage does is in its own file.

mod children;
mod dependencies;
#[cfg(test)]
mod documents;
mod e2e;
mod elsewhere;
mod filter;
mod kubectl;
mod program;
mod recorder;
mod report;
mod stage;
mod times;
mod tool;
mod tree;
mod workspace;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use testbed::Release;

use report::Report;
use stage::Stage;

/// Arguments of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only end-to-end tests whose name contains this text, and no other stage; may be repeated.
    ///
    /// The first end-to-end test is `cargo xtask demo`; its name is `demo`.
    filter: Vec<String>,
    /// Run only this stage; may be repeated.
    #[arg(long, value_name = "STAGE", conflicts_with = "filter")]
    only: Vec<Stage>,
    /// Name of the local cluster for the end-to-end tests; by default one that belongs to this checkout.
    ///
    /// It is taken down at the end, also if it ran before.
    #[arg(long, value_name = "CLUSTER")]
    name: Option<String>,
    /// Release of Kubernetes that the end-to-end tests, and the demo among them, run on.
    #[arg(long, value_name = "VERSION", value_enum, default_value_t, conflicts_with_all = ["kubeconfig", "kind"])]
    kubernetes: Release,
    /// Leave the cluster as it is after the end-to-end tests, to look around.
    #[arg(long)]
    keep: bool,
    /// Run the end-to-end tests that need nothing of the local cluster on the cluster of this kubeconfig instead.
    ///
    /// Only the nodes named with --node are touched, and in the end they are as before. Bulkhead is installed with --image
    /// and removed again, unless it is there already. What is left out is printed.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "name", "keep"], requires = "node")]
    kubeconfig: Option<PathBuf>,
    /// With --kubeconfig: Bulkhead's image, as the cluster can pull it.
    #[arg(long, value_name = "REF", requires = "kubeconfig")]
    image: Option<String>,
    /// With --kubeconfig: a node that tests may label; may be repeated. Two are enough for all tests, with four two run at a time.
    #[arg(long, value_name = "NAME", requires = "kubeconfig", value_delimiter = ',')]
    node: Vec<String>,
    /// Make a kind cluster and run on it what --kubeconfig would; needs kind, Docker and kubectl.
    #[arg(long, conflicts_with_all = ["only", "name", "kubeconfig", "image", "node"])]
    kind: bool,
}

/// Runs the stages, or the tests for another cluster.
pub(crate) fn run(args: &Args) -> Result<()> {
    children::stop_them_when_told()?;
    if args.kind {
        return elsewhere::run_on_kind(&args.filter, args.keep);
    }
    if let Some(kubeconfig) = &args.kubeconfig {
        return elsewhere::run(&elsewhere::Options {
            // Absolute: the tests run in the checkout's root.
            kubeconfig: std::path::absolute(kubeconfig)?,
            image: args.image.clone(),
            nodes: args.node.clone(),
            filters: args.filter.clone(),
            keep: false,
        });
    }
    run_stages(args)
}

fn run_stages(args: &Args) -> Result<()> {
    let before = tree::state()?;
    let mut report = Report::default();
    for stage in stage::chosen(&args.only, !args.filter.is_empty()) {
        eprintln!("\n=== {stage}: {}", stage.what());
        let begin = Instant::now();
        let result = match stage {
            Stage::Fmt => workspace::fmt(),
            Stage::Clippy => workspace::clippy(),
            Stage::Unit => workspace::unit(),
            Stage::Licenses => dependencies::check(),
            Stage::Advisories => dependencies::advisories(),
            Stage::E2e => e2e::run(&e2e::Options::new(args)),
            Stage::Tree => tree::unchanged(&before),
        };
        report.add(stage, begin.elapsed(), result.is_ok());
        if let Err(error) = result {
            eprintln!("\n{report}");
            return Err(error).with_context(|| {
                format!("the stage `{stage}` failed (again, alone: `cargo xtask test --only {stage}`)")
            });
        }
        eprintln!("=== {stage}: passed, {:.1} s", begin.elapsed().as_secs_f64());
    }
    eprintln!("\n{report}");
    Ok(())
}
