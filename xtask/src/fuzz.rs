//! `cargo xtask fuzz`: properties of every door over generated hostile input, far more of it than `cargo test` sends.
//!
//! Invariant: it takes no longer than asked for and leaves nothing behind; what it has found can be seen again by its seed.

mod plan;
mod program;

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;

use plan::Bound;
use program::Program;

/// Arguments of `cargo xtask fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only targets whose name contains this text; may be repeated. `hostile_connections` are the sieges.
    filter: Vec<String>,
    /// Stop after so many seconds, which the targets share evenly [default: 60, without --cases].
    #[arg(long)]
    seconds: Option<u64>,
    /// Stop each target after so many cases, however long they take unless --seconds is there, too.
    #[arg(long)]
    cases: Option<u32>,
}

impl Args {
    fn wants(&self, target: &str) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|text| target.contains(text.as_str()))
    }
}

/// Without anything said.
const SECONDS: u64 = 60;

/// Runs all targets, one after the other; fails with the minimal input at the first finding.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut targets = Vec::new();
    for door in program::DOORS {
        let program = Rc::new(Program::build(door)?);
        let found = program.targets()?;
        ensure!(!found.is_empty(), "{} has no fuzz targets", door.package);
        targets.extend(found.into_iter().map(|target| (program.clone(), target)));
    }
    targets.retain(|(program, target)| args.wants(&program.short(target)));
    ensure!(!targets.is_empty(), "no target has {:?} in its name", args.filter);
    let seconds = args.seconds.or(args.cases.is_none().then_some(SECONDS));
    let share = u32::try_from(targets.len()).context("far too many targets")?;
    let bound = Bound { time: seconds.map(|seconds| Duration::from_secs(seconds) / share), cases: args.cases };
    let mut seed = u64::try_from(Timestamp::now().as_millisecond()).context("the clock is before 1970")?;
    println!("{:<42}{:>10}{:>10}  seeds", "target", "cases", "seconds");
    for (program, target) in &targets {
        let (begin, first, mut done) = (Instant::now(), seed, 0);
        while let Some(cases) = bound.next(done, begin.elapsed()) {
            program.run(target, cases, seed)?;
            done += cases;
            seed += 1;
        }
        let seconds = begin.elapsed().as_secs_f64();
        println!("{:<42}{done:>10}{seconds:>10.1}  {first} to {}", program.short(target), seed - 1);
    }
    println!("nothing found");
    Ok(())
}
