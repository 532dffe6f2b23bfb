//! `bulkhead simulate`: makes the plan of a dump again, here, and says what it is.
//!
//! Invariant: reads one file and changes nothing; the plan is the one that the leader made of the same. If time is to pass, it does so here alone.
//! Needs no cluster.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use model::dump::{Dump, VERSION};
use model::job::JobId;
use model::plan::Plan;
use model::snapshot::{Place, Snapshot};
use model::status::{Reason, Status};
use planning::simulation::{Simulation, Terms};

/// Makes the plan of a dump again and says what it is: what starts, is launched or goes, and why the rest waits.
///
/// Change the file to see what would follow from it: a larger `maxMilli` of an environment (thousandths of a vCPU), another node, one job less.
#[derive(Args)]
pub(crate) struct SimulateArgs {
    /// What `bulkhead dump` wrote; `-` is standard input.
    file: PathBuf,
    /// When the plan is made, for example 2026-11-29T12:00:00Z; default: when the one of the dump was.
    #[arg(long)]
    at: Option<Timestamp>,
    /// Lets so much time pass, for example 2h: plans are carried out, machines join, pods run and end, and each plan that decides something is
    /// told. Nothing is submitted meanwhile, nothing fails.
    #[arg(long = "for", value_name = "TIME", value_parser = crate::duration)]
    lasts: Option<Duration>,
    /// With --for: how long each pod runs.
    #[arg(long, value_name = "TIME", value_parser = crate::duration, default_value = "10m", requires = "lasts")]
    runs: Duration,
    /// With --for: how long a machine takes to join, and to go.
    #[arg(long, value_name = "TIME", value_parser = crate::duration, default_value = "1m", requires = "lasts")]
    boots: Duration,
}

/// Makes it and prints it.
pub(crate) fn run(args: &SimulateArgs) -> anyhow::Result<()> {
    let dump = read(&args.file)?;
    let now = args.at.unwrap_or(dump.now);
    match args.lasts {
        None => print!("{}", told(&dump.snapshot, &planning::plan(&dump.snapshot, now))),
        Some(lasts) => {
            let [lasts, boots, runs] = [lasts, args.boots, args.runs]
                .map(|time| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX));
            let mut simulation = Simulation::new(dump.snapshot, now, Terms { boots, runs });
            course(&mut simulation, now, now.saturating_add(lasts)?, &mut std::io::stdout().lock())?;
        }
    }
    Ok(())
}

/// Tells what happens until a time, as it happens, and at last why the rest waits.
fn course(simulation: &mut Simulation, now: Timestamp, until: Timestamp, out: &mut impl Write) -> std::io::Result<()> {
    while let Some((at, plan)) = simulation.step(until) {
        // What waits is told at the end.
        write!(out, "after {:#}:\n{}", at.duration_since(now), decided(&plan))?;
    }
    let rest = told(simulation.snapshot(), &planning::plan(simulation.snapshot(), until));
    write!(out, "at the end, after {:#}:\n{rest}", until.duration_since(now))
}

/// What `bulkhead dump` wrote.
pub(crate) fn read(file: &Path) -> anyhow::Result<Dump> {
    let called = file.display().to_string();
    if called == "-" {
        return parse(std::io::stdin().lock(), "standard input");
    }
    let file = File::open(file).with_context(|| format!("cannot open {called}"))?;
    parse(BufReader::new(file), &called)
}

/// The same, from somewhere with a name.
pub(crate) fn parse(from: impl Read, called: &str) -> anyhow::Result<Dump> {
    let dump: Dump =
        serde_json::from_reader(from).with_context(|| format!("{called} is no dump of this version of Bulkhead"))?;
    ensure!(dump.version == VERSION, "{called} is a dump of version {}; this is version {VERSION}", dump.version);
    Ok(dump)
}

/// What a plan decides, for people, a line for each decision.
fn decided(plan: &Plan) -> String {
    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing to a text does not fail.
        let _ = writeln!(out, "{text}");
    };
    for release in &plan.release {
        line(format_args!("release {}", release.job));
    }
    for dispatch in &plan.dispatch {
        line(format_args!("dispatch {} to {} of {}", dispatch.unit, dispatch.node, dispatch.environment));
    }
    for hold in &plan.hold {
        line(format_args!("hold {} on {}", hold.unit, hold.nodes.join(", ")));
    }
    for launch in &plan.launch {
        line(format_args!("launch {} for {}", launch.offer.name, launch.environment));
    }
    for retire in &plan.retire {
        line(format_args!("retire {}: {}", retire.machine, retire.reason));
    }
    out
}

/// A plan for people; the Jobs and the jobs of the API that wait come last.
fn told(snapshot: &Snapshot, plan: &Plan) -> String {
    let mut out = decided(plan);
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _ = writeln!(out, "{text}");
    };
    let text = |reason: &Reason| format!("{}: {}", reason.code.as_str(), reason.message);
    let starts: HashSet<&str> = plan.release.iter().map(|release| release.uid.as_str()).collect();
    let changes = plan.status.iter().chain(&plan.unwritten).map(|change| (change.uid.as_str(), &change.status));
    let changes: HashMap<&str, &Status> = changes.collect();
    for job in snapshot.jobs.iter().filter(|job| !starts.contains(job.uid.as_str())) {
        // What has not changed is written on it.
        let Some(status) = changes.get(job.uid.as_str()).copied().or(job.status.as_ref()) else { continue };
        let reason = status.reason.as_ref().map_or_else(String::new, |reason| format!(" {}", text(reason)));
        line(format_args!("{} {}{reason}", job.key, status.state.as_str()));
    }
    let of_pods: HashMap<&str, &Reason> = plan.pods.iter().map(|one| (one.uid.as_str(), &one.reason)).collect();
    let dispatched = plan.dispatch.iter().map(|one| one.uid.as_str());
    let placed: HashSet<&str> = plan.hold.iter().map(|one| one.uid.as_str()).chain(dispatched).collect();
    let of_jobs: HashMap<JobId, &Reason> = plan.explain.iter().map(|(id, reason)| (*id, &**reason)).collect();
    let waiting = || snapshot.units.iter().filter(|unit| !placed.contains(unit.uid.as_str()));
    // What has not changed is said of it.
    for unit in waiting().filter(|unit| unit.record.is_none()) {
        let written = unit.said.as_deref().filter(|_| matches!(unit.place, Place::Waiting));
        if let Some(reason) = of_pods.get(unit.uid.as_str()).copied().or(written) {
            line(format_args!("pod {} {}", unit.key, text(reason)));
        }
    }
    for (unit, id) in waiting().filter_map(|unit| Some((unit, unit.record?))) {
        let written = unit.said.as_deref().filter(|_| !matches!(unit.place, Place::Bound { .. }));
        if let Some(reason) = of_jobs.get(&id).copied().or(written) {
            line(format_args!("{id} {}", text(reason)));
        }
    }
    out
}
