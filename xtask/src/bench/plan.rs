//! `cargo xtask bench plan`: what a plan takes and how far it comes, in scenes with many nodes and much that waits.
//!
//! Invariant: goals are shown and may be missed; that nothing starts where nothing fits is asserted.

mod measure;
mod sample;
mod scene;

use std::time::Duration;

use anyhow::{Result, ensure};

use super::numbers::{Spread, cell, grouped, milliseconds};
use super::{machine, optimised};
use measure::Measured;
use scene::{ALL, Scene};

/// Of a plan, and from the first fact.
const GOALS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];
/// Of a plan after one fact, in 99 of 100 cases.
const AFTER_A_FACT: Duration = Duration::from_millis(1);

/// Arguments of `cargo xtask bench plan`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Measure only scenes of which the name contains this; may be repeated.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Plans of each scene.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Seconds after which a scene is given up.
    #[arg(long, default_value_t = 60)]
    patience: u64,
}

/// Arguments of the process of one scene.
#[derive(Debug, clap::Args)]
pub(super) struct SceneArgs {
    /// Its name.
    name: String,
    /// Plans.
    #[arg(long)]
    runs: usize,
}

/// Measures, in an optimised build.
pub(super) fn run(args: &Args) -> Result<()> {
    ensure!(args.runs >= 1, "there is nothing to measure");
    if !optimised::IS {
        return optimised::run_again();
    }
    print!("{}", machine::machine()?);
    let wanted = |scene: &&Scene| args.only.is_empty() || args.only.iter().any(|text| scene.name.contains(text));
    let mut lines = vec![heading()];
    for scene in ALL.iter().filter(wanted) {
        eprintln!("{}", scene.name);
        let measured = measure::apart(scene, args.runs, Duration::from_secs(args.patience))?;
        lines.push(line(scene, measured.as_ref(), args.patience));
    }
    println!("{}", lines.concat());
    Ok(())
}

/// Measures one scene in this process.
pub(super) fn run_scene(args: &SceneArgs) -> Result<()> {
    measure::here(&args.name, args.runs)
}

fn heading() -> String {
    let [plan, all] = GOALS.map(|goal| goal.as_millis());
    format!(
        "milliseconds on the processor\n\n\
         | scene | nodes | units | started | launched | plan (goal: {plan}) | from the first fact (goal: {all}) | next plan | \
         after one of so many facts, p50 and p99 (goal: 1) | \
         baseline: a copy of the facts | memory, MB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
}

fn line(scene: &Scene, measured: Option<&Measured>, patience: u64) -> String {
    let Scene { name, nodes, units, .. } = scene;
    let (nodes, units) = (grouped(*nodes), grouped(*units));
    let Some(Measured { copies, worlds, plans, again, facts, placed, launched, memory: (before, most) }) = measured
    else {
        return format!("| {name} | {nodes} | {units} | | | more than {patience} s in all | | | | | |\n");
    };
    let all: Vec<Duration> = worlds.iter().zip(plans).map(|(world, plan)| *world + *plan).collect();
    let (plan, all) = (judged(plans, GOALS[0]), judged(&all, GOALS[1]));
    let (again, copies) = (judged(again, GOALS[0]), cell(spread(copies), 1));
    let facts = after_facts(*facts);
    let (placed, launched) = (counted(*placed, scene.placed), counted(*launched, scene.launched));
    let memory = most.saturating_sub(*before) >> 10;
    format!(
        "| {name} | {nodes} | {units} | {placed} | {launched} | {plan} | {all} | {again} | {facts} | {copies} | {memory} |\n"
    )
}

/// The middle and the end of what plans after single facts took.
fn after_facts(measured: Option<(usize, Duration, Duration)>) -> String {
    let Some((count, p50, p99)) = measured else { return "-".to_owned() };
    let missed = if p99 > AFTER_A_FACT { ", missed" } else { "" };
    format!("{:.1}, {:.1} of {}{missed}", milliseconds(p50), milliseconds(p99), grouped(count))
}

/// A number beside the one that it is to be.
fn counted(number: usize, goal: Option<usize>) -> String {
    match goal {
        Some(goal) if goal != number => format!("{} of {}, missed", grouped(number), grouped(goal)),
        _ => grouped(number),
    }
}

fn spread(times: &[Duration]) -> Option<Spread> {
    Spread::of(times.iter().map(|time| milliseconds(*time)))
}

/// Times beside their goal.
fn judged(times: &[Duration], goal: Duration) -> String {
    let spread = spread(times);
    let missed = spread.is_some_and(|spread| spread.median > milliseconds(goal));
    format!("{}{}", cell(spread, 1), if missed { ", missed" } else { "" })
}
