//! One scene, measured in a process of its own, so that no scene finds what another has left in the memory, and one that takes too long
//! can be ended.
//!
//! Invariant: that a plan starts nothing where nothing fits is checked, and that the same facts give the same plan. Does not know goals.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use model::job::JobId;
use model::placement::Shape;
use model::plan::Plan;
use model::snapshot::{Place, Snapshot};
use model::status::{Reason, Status};
use planning::world::{Fact, Thing, World};
use serde::{Deserialize, Serialize};

use super::sample;
use super::scene::{self, Scene};
use crate::bench::numbers::Quantiles;
use crate::bench::{machine, process};

/// How often it is looked whether a process has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Facts that come one by one, and how long the thread is on its processor for them at most.
const FACTS: usize = 10_000;
const LONGEST: Duration = Duration::from_secs(10);
/// Plans that are carried out before: of Jobs first the release, then the dispatch of their pods, then what is said of the rest.
const ROUNDS: usize = 5;

/// What was measured of a scene.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Copying the snapshot, in each run.
    pub(super) copies: Vec<Duration>,
    /// Making a world of the facts, in each run.
    pub(super) worlds: Vec<Duration>,
    /// Its first plan, in each run.
    pub(super) plans: Vec<Duration>,
    /// Its next one, with the same facts, in each run.
    pub(super) again: Vec<Duration>,
    /// Taking in one fact, and the plan after it: how often, and how long in the middle and at the end. Not each of them: what is told goes
    /// through a pipe that nobody reads before the end.
    pub(super) facts: Option<(usize, Duration, Duration)>,
    /// Units and Jobs that the plan starts.
    pub(super) placed: usize,
    /// Machines that it launches.
    pub(super) launched: usize,
    /// Memory with the snapshot, and the most with a plan, in KiB.
    pub(super) memory: (u64, u64),
}

/// Measures a scene in this process, and says so in a line of JSON.
pub(super) fn here(name: &str, runs: usize) -> Result<()> {
    let scene = scene::named(name).with_context(|| format!("there is no scene {name}"))?;
    let snapshot = sample::snapshot(scene);
    let before = machine::resident(std::process::id())?.now;
    let mut measured = Measured { memory: (before, before), ..Measured::default() };
    for _ in 0..runs {
        let (copying, copy) = timed(|| snapshot.clone());
        let (building, mut world) = timed(|| World::of(&copy));
        let (planning, plan) = timed(|| world.plan(sample::now()));
        // Later runs find what the first has left.
        if measured.plans.is_empty() {
            measured.memory.1 = machine::resident(std::process::id())?.most;
        }
        (measured.placed, measured.launched) = (placed(&plan), plan.launch.len());
        let (again, next) = timed(|| world.plan(sample::now()));
        ensure!(next == plan, "scene {name}: the same facts give another plan");
        measured.copies.push(copying);
        measured.worlds.push(building);
        measured.plans.push(planning);
        measured.again.push(again);
    }
    let settled = settled(snapshot);
    let mut world = World::of(&settled);
    let _ = world.plan(sample::now());
    let times = one_by_one(&mut world, &settled);
    let count = times.len();
    measured.facts = Quantiles::of(times).map(|Quantiles { p50, p99, .. }| (count, p50, p99));
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// What is so when plans have been carried out until they ask for nothing more, or for long.
fn settled(mut snapshot: Snapshot) -> Snapshot {
    for _ in 0..ROUNDS {
        let plan = World::of(&snapshot).plan(sample::now());
        if placed(&plan) + plan.launch.len() + plan.explain.len() + plan.status.len() == 0 {
            break;
        }
        carry_out(&mut snapshot, &plan);
    }
    snapshot
}

/// What starts has started, machines are on their way, and what is said of Jobs and of jobs of the API is written.
fn carry_out(snapshot: &mut Snapshot, plan: &Plan) {
    let released: HashSet<&str> = plan.release.iter().map(|change| change.uid.as_str()).collect();
    for job in snapshot.jobs.iter_mut().filter(|job| released.contains(job.uid.as_str())) {
        (job.released, job.started) = (true, Some(sample::now()));
        snapshot.units.push(sample::pod(job));
    }
    let dispatched: HashMap<&str, &str> =
        plan.dispatch.iter().map(|one| (one.uid.as_str(), one.node.as_str())).collect();
    let said: HashMap<JobId, &Arc<Reason>> = plan.explain.iter().map(|(id, reason)| (*id, reason)).collect();
    let mut taken: HashMap<&str, Vec<&Arc<Shape>>> = HashMap::new();
    for unit in &mut snapshot.units {
        if let Some(node) = dispatched.get(unit.uid.as_str()) {
            (unit.place, unit.said) = (Place::Bound { node: (*node).to_owned(), running: true }, None);
            taken.entry(node).or_default().push(&unit.shape);
        } else if let Some(said) = unit.record.and_then(|id| said.get(&id)) {
            unit.said = Some((*said).clone());
        }
    }
    for node in &mut snapshot.nodes {
        for shape in taken.get(node.name.as_str()).into_iter().flatten() {
            node.used.add(&shape.requests);
            (node.units, node.idle_since) = (node.units + 1, None);
        }
    }
    let statuses: HashMap<&str, &Status> =
        plan.status.iter().map(|change| (change.uid.as_str(), &change.status)).collect();
    for job in &mut snapshot.jobs {
        job.status = statuses.get(job.uid.as_str()).copied().cloned().or_else(|| job.status.take());
    }
    for launch in &plan.launch {
        snapshot.machines.push(sample::machine(launch, snapshot.machines.len()));
    }
}

/// Facts come one by one, each followed by a plan: a pod on some node takes a little more or less, or some unit or Job goes or comes.
fn one_by_one<'a>(world: &mut World<'a>, snapshot: &'a Snapshot) -> Vec<Duration> {
    // Any sequence does.
    let mut number: usize = 1;
    let mut any = |most: usize| {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (number >> 33) % most.max(1)
    };
    let mut take = |fact: Fact<'a>| {
        timed(|| {
            world.take(fact);
            world.plan(sample::now())
        })
        .0
    };
    let (begun, mut all) = (on_processor(), Vec::new());
    while all.len() < FACTS && on_processor().saturating_sub(begun) < LONGEST {
        if let Some(node) = snapshot.nodes.get(any(snapshot.nodes.len())) {
            let mut node = node.clone();
            node.used.cpu += i64::try_from(any(100)).unwrap_or(0);
            all.push(take(Fact::Node(Cow::Owned(node))));
        }
        if let Some(unit) = snapshot.units.get(any(snapshot.units.len())) {
            all.push(take(Fact::Gone(Thing::Unit(&unit.uid))));
            all.push(take(Fact::Unit(Cow::Borrowed(unit))));
        }
        if let Some(job) = snapshot.jobs.get(any(snapshot.jobs.len())) {
            all.push(take(Fact::Gone(Thing::Job(&job.uid))));
            all.push(take(Fact::Job(Cow::Borrowed(job))));
        }
    }
    all
}

/// How long this thread was on a processor meanwhile: of a shared machine the time on the wall says little.
fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let before = on_processor();
    let done = work();
    (on_processor().saturating_sub(before), done)
}

fn on_processor() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn placed(plan: &Plan) -> usize {
    plan.dispatch.len() + plan.release.len()
}

/// Measures a scene in a process of its own; `None`: it took longer than `patience`.
pub(super) fn apart(scene: &Scene, runs: usize, patience: Duration) -> Result<Option<Measured>> {
    let mut command = process::command(&["plan-scene", scene.name, "--runs", &runs.to_string()], None)?;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start this program")?;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > patience {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    };
    ensure!(status.success(), "scene {} ended with {status}", scene.name);
    let mut text = String::new();
    child.stdout.take().context("it has no output")?.read_to_string(&mut text)?;
    let measured: Measured = serde_json::from_str(&text).with_context(|| format!("it said {text:?}"))?;
    ensure!(
        scene.placed != Some(0) || measured.placed == 0,
        "scene {}: {} units start where nothing fits",
        scene.name,
        measured.placed
    );
    Ok(Some(measured))
}
