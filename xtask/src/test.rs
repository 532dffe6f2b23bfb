//! `cargo xtask test`: everything that CI runs, in stages, cheapest first.
//!
//! Invariant: the first stage that fails ends the run with its name and exit code 1; whatever a stage started is stopped
//! before the command returns, also after Ctrl-C. What a stage does is in its own file.

mod children;
#[cfg(test)]
mod documents;
mod e2e;
mod filter;
mod licenses;
mod recorder;
mod report;
mod spdx;
mod stage;
mod tool;
mod tree;
mod workspace;

use std::time::Instant;

use anyhow::{Context as _, Result};

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
    /// Leave the cluster as it is after the end-to-end tests, to look around.
    #[arg(long)]
    keep: bool,
}

/// Runs the stages.
pub(crate) fn run(args: &Args) -> Result<()> {
    children::stop_them_when_told()?;
    let before = tree::state()?;
    let mut report = Report::default();
    for stage in stage::chosen(&args.only, !args.filter.is_empty()) {
        eprintln!("\n=== {stage}: {}", stage.what());
        let begin = Instant::now();
        let result = match stage {
            Stage::Fmt => workspace::fmt(),
            Stage::Clippy => workspace::clippy(),
            Stage::Unit => workspace::unit(),
            Stage::Licenses => licenses::check(),
            Stage::E2e => e2e::run(&e2e::Options::new(args.name.as_deref(), args.keep, &args.filter)),
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
