//! Properties of the closed loop: plans are carried out, machines come and go, units end, and time passes. What can run does run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use model::clock::{Moment, Now};
use model::placement::{Effect, Taint};
use model::resources::Resources;
use model::snapshot::{JobRef, Machine, Node, ObjectKey, Place, Setback, Snapshot, Stage, Unit};
use proptest::prelude::*;

use super::build::{World, bound, noon, offer, world};
use super::given::{ALLOWED, Asked, EVER, GPU, Given, KINDS, Quirk, Special, given, keeps, shape_of};
use crate::learned::{self, Learned};
use crate::world::facts::together;

/// So long is one step.
const STEP: SignedDuration = SignedDuration::from_secs(10);
/// A launch and a removal take so many steps.
const LAUNCH: usize = 2;
/// From this step on the provider has whatever it is asked for.
const DELIVERS: usize = 30;
/// Long enough for everything that these worlds can hold to run one after the other.
const LAST: usize = 600;

/// A node is as it will be so many steps after it has joined.
const STARTED: usize = 3;

/// With the nodes that are there for good.
fn with_own(mut out: World, given: &Given) -> World {
    for (index, (milli, foreign, ever)) in given.own.iter().enumerate() {
        out = out.node("u", &format!("own{index}"), *milli);
        let node = out.0.nodes.last_mut().unwrap();
        (node.foreign.cpu, node.used.cpu) = (*foreign, *foreign);
        if *ever {
            out = out.job("b", &format!("ever{index}"), 1, EVER, 0).pods(&[bound(&format!("own{index}"))]);
        }
    }
    out
}

/// A cluster that does what it is told.
struct Cluster {
    world: Snapshot,
    now: Timestamp,
    step: usize,
    /// When machines that come or go are there or gone, and when units end.
    due: BTreeMap<String, usize>,
    /// How long the units of a Job run.
    lasts: BTreeMap<String, usize>,
    made: usize,
    fails: Vec<bool>,
    /// Jobs of which every unit has ended.
    ended: BTreeSet<String>,
    quirks: Vec<Quirk>,
    cordons: Vec<bool>,
    learned: Learned,
    /// At which step nodes joined.
    joined: BTreeMap<String, usize>,
    /// The first node of each offer that has a quirk.
    first: BTreeMap<String, String>,
    launched: usize,
}

impl Cluster {
    fn new(given: &Given) -> Self {
        let mut out = world().managed("m", given.max).unmanaged("u");
        out = out.queue("a", 5, &["m", "u"]).queue("b", 1, &["u", "m"]);
        out.0.queues[0].strict_fifo = given.strict;
        let scaling = out.0.environments[0].scaling.as_mut().unwrap();
        let sold = KINDS.iter().zip(&given.sold).filter(|(_, (sold, _))| *sold);
        scaling.offers = Ok(sold
            .map(|((name, milli, spot), (_, kept))| {
                let mut offer = offer(name, *milli);
                offer.allocatable.cpu -= kept;
                offer.spot = *spot;
                if matches!(
                    given.quirks[KINDS.iter().position(|(one, ..)| one == name).unwrap()],
                    Quirk::LateDevices | Quirk::NoDevices
                ) {
                    offer.allocatable.set(GPU, 1);
                }
                offer.labels.insert("kind".into(), (*name).into());
                offer
            })
            .collect());
        scaling.instance_types = ALLOWED[given.allowed].iter().map(ToString::to_string).collect();
        scaling.spot = given.spot;
        scaling.delivered = 0;
        scaling.min_milli = (given.min * 1000).min(scaling.max_milli);
        out = with_own(out, given);
        let mut cluster = Self {
            world: out.0,
            now: noon(),
            step: 0,
            due: BTreeMap::new(),
            lasts: BTreeMap::new(),
            made: 0,
            fails: given.fails.clone(),
            ended: BTreeSet::new(),
            quirks: given.quirks.clone(),
            cordons: given.cordons.clone(),
            learned: Learned::default(),
            joined: BTreeMap::new(),
            first: BTreeMap::new(),
            launched: 0,
        };
        for kind in &given.there {
            let max = cluster.scaling().max_milli;
            let used = cluster.used_milli();
            if used + KINDS[*kind].1 <= max {
                cluster.launch(
                    KINDS[*kind].0,
                    KINDS[*kind].1,
                    &Resources::new(KINDS[*kind].1, KINDS[*kind].1 << 22).with("pods", 110),
                );
            }
        }
        cluster.come_and_go(LAUNCH);
        for (index, asked) in given.jobs.iter().enumerate() {
            cluster.submit(&format!("j{index}"), asked);
        }
        cluster
    }

    fn scaling(&self) -> &model::snapshot::Scaling {
        self.world.environments[0].scaling.as_ref().unwrap()
    }

    fn used_milli(&self) -> i64 {
        self.world.machines.iter().map(|machine| machine.milli_vcpus).sum()
    }

    fn submit(&mut self, name: &str, asked: &Asked) {
        let shape = shape_of(asked);
        let mut out = World(std::mem::take(&mut self.world)).job(
            ["a", "b"][asked.queue],
            name,
            asked.parallelism,
            asked.milli,
            0,
        );
        let job = out.0.jobs.last_mut().unwrap();
        job.created = self.now + SignedDuration::from_millis(i64::try_from(self.made).unwrap());
        (job.shape, job.remaining, job.has_deadline) = (Arc::new(shape), Some(asked.count), asked.has_deadline);
        self.lasts.insert(name.to_owned(), asked.steps);
        self.made += 1;
        self.world = out.0;
    }

    fn launch(&mut self, offer: &str, milli: i64, allocatable: &Resources) {
        self.made += 1;
        self.launched += 1;
        let name = format!("n{}", self.made);
        self.due.insert(name.clone(), self.step + LAUNCH);
        self.world.machines.push(Machine {
            name,
            environment: "m".into(),
            offer: offer.into(),
            milli_vcpus: milli,
            allocatable: allocatable.clone(),
            labels: BTreeMap::from([("kind".into(), offer.into())]),
            stage: Stage::Coming,
        });
    }

    /// Machines that are due come or go.
    fn come_and_go(&mut self, step: usize) {
        let due: Vec<String> = self.due.iter().filter(|(_, due)| **due <= step).map(|(name, _)| name.clone()).collect();
        for name in due {
            let Some(index) = self.world.machines.iter().position(|machine| machine.name == name) else { continue };
            let machine = &mut self.world.machines[index];
            self.due.remove(&name);
            if machine.stage == Stage::Going {
                self.world.machines.remove(index);
                self.world.nodes.retain(|node| node.name != name);
                continue;
            }
            machine.stage = Stage::Serving;
            let scaling = self.world.environments[0].scaling.as_mut().unwrap();
            scaling.delivered = scaling.delivered.saturating_add(1);
            let mut allocatable = machine.allocatable.clone().with("ephemeral-storage", 1 << 30);
            allocatable.set(GPU, 0);
            let cordoned = step < DELIVERS && self.cordons[self.made % self.cordons.len()];
            self.joined.insert(name.clone(), step);
            self.world.nodes.push(Node {
                uid: format!("uid-{name}"),
                environment_uuid: "uuid-m".into(),
                ready: !cordoned,
                cordoned,
                labels: machine.labels.clone(),
                allocatable,
                starting_until: Some(self.now + learned::START),
                name,
                ..Node::default()
            });
        }
    }

    /// Nodes of offers with a quirk become what they are.
    fn start(&mut self) {
        for machine in &self.world.machines {
            let Some(node) = self.world.nodes.iter_mut().find(|node| node.name == machine.name) else { continue };
            let quirk = self.quirks[KINDS.iter().position(|(name, ..)| *name == machine.offer).unwrap()];
            let started = self.step >= self.joined[&node.name] + STARTED;
            let taint = |key: &str| Taint { key: key.into(), value: String::new(), effect: Effect::NoSchedule };
            match quirk {
                Quirk::LateDevices if started => node.allocatable.set(GPU, 1),
                Quirk::StartTaint => node.taints = if started { vec![] } else { vec![taint("starts")] },
                Quirk::Taint => node.taints = vec![taint("kept")],
                Quirk::Labels => {
                    node.labels.insert("own".into(), node.name.clone());
                    if *self.first.entry(machine.offer.clone()).or_insert_with(|| node.name.clone()) == node.name {
                        node.labels.insert("first".into(), String::new());
                    }
                }
                _ => {}
            }
        }
    }

    /// Units that are due end; the Job controller makes the next.
    fn run(&mut self) {
        let step = self.step;
        let (ended, left): (Vec<Unit>, Vec<Unit>) = std::mem::take(&mut self.world.units)
            .into_iter()
            .partition(|unit| self.due.get(&unit.uid).is_some_and(|due| *due <= step));
        self.world.units = left;
        for unit in ended {
            let job =
                self.world.jobs.iter_mut().find(|job| Some(&job.uid) == unit.job.as_ref().map(|job| &job.uid)).unwrap();
            job.remaining = job.remaining.map(|remaining| remaining - 1);
            self.due.remove(&unit.uid);
        }
        for job in self.world.jobs.iter().filter(|job| job.remaining == Some(0)) {
            self.ended.insert(job.uid.clone());
        }
        self.world.jobs.retain(|job| job.remaining != Some(0));
        for job in self.world.jobs.iter().filter(|job| job.released) {
            let mine = |unit: &&Unit| unit.job.as_ref().is_some_and(|one| one.uid == job.uid);
            for _ in self.world.units.iter().filter(mine).count()..together(job) as usize {
                self.made += 1;
                self.world.units.push(Unit {
                    key: ObjectKey::new("ns", &format!("p{}", self.made)),
                    uid: format!("p{}", self.made),
                    record: None,
                    queue: job.queue.clone(),
                    job: Some(JobRef { uid: job.uid.clone(), created: job.created, silent: false }),
                    created: self.now,
                    index: 0,
                    attempt: 1,
                    shape: job.shape.clone(),
                    barred: None,
                    said: None,
                    place: Place::Waiting,
                });
            }
        }
    }

    /// What nodes show.
    fn look(&mut self) {
        for node in &mut self.world.nodes {
            (node.used, node.units) = (node.foreign.clone(), 0);
            for unit in &self.world.units {
                if matches!(&unit.place, Place::Bound { node: bound, .. } if *bound == node.name) {
                    node.used.add(&unit.shape.requests);
                    node.units += 1;
                }
            }
            node.idle_since = (node.units == 0).then(|| node.idle_since.unwrap_or(self.now));
        }
    }

    /// One step: plan, carry out, let time pass.
    fn advance(&mut self) -> Result<(), TestCaseError> {
        self.look();
        self.start();
        let now = Now { wall: self.now, moment: Moment::after(std::time::Duration::from_secs(10 * self.step as u64)) };
        let joined = |name: &str| i32::try_from(self.joined.get(name).copied().unwrap_or_default()).unwrap();
        let created = |name: &str| noon() + STEP * joined(name);
        self.learned.update(&mut self.world.environments, &self.world.machines, &self.world.nodes, created, now);
        let plan = crate::plan(&self.world, self.now);
        for launch in &plan.launch {
            let offer = &launch.offer;
            prop_assert!(self.scaling().offers.as_ref().unwrap().contains(offer), "it is not sold");
            prop_assert!(self.used_milli() + offer.milli_vcpus <= self.scaling().max_milli, "above maxvCpus");
            self.made += 1;
            if self.step < DELIVERS && self.fails[self.made % self.fails.len()] {
                let until = self.now + SignedDuration::from_secs(60);
                let offer = (!self.made.is_multiple_of(5)).then(|| offer.name.clone());
                let scaling = self.world.environments[0].scaling.as_mut().unwrap();
                scaling.delivered = 0;
                scaling.setbacks.push(Setback { offer, until, message: "sold out".into(), capacity: true });
                continue;
            }
            self.launch(&offer.name, offer.milli_vcpus, &offer.allocatable);
        }
        for release in &plan.release {
            let job = self.world.jobs.iter_mut().find(|job| job.uid == release.uid).unwrap();
            (job.released, job.started) = (true, Some(self.now));
        }
        let dispatched = plan.dispatch.iter().map(|dispatch| (&dispatch.uid, &dispatch.node));
        // kube-scheduler takes the first.
        for (uid, node) in dispatched.chain(plan.hold.iter().map(|hold| (&hold.uid, &hold.nodes[0]))) {
            let unit = self.world.units.iter_mut().find(|unit| unit.uid == *uid).unwrap();
            unit.place = Place::Bound { node: node.clone(), running: true };
            let lasts = unit.job.as_ref().and_then(|job| self.lasts.get(&job.uid)).copied().unwrap_or(1);
            self.due.insert(uid.clone(), self.step + lasts);
        }
        for retire in &plan.retire {
            self.world.nodes.iter_mut().find(|node| node.name == retire.machine).unwrap().retiring = true;
            self.world.machines.iter_mut().find(|machine| machine.name == retire.machine).unwrap().stage = Stage::Going;
            self.due.insert(retire.machine.clone(), self.step + LAUNCH);
        }
        for change in plan.status {
            let job = self.world.jobs.iter_mut().find(|job| job.uid == change.uid).unwrap();
            job.status = Some(change.status);
        }
        self.world.kept_since.retain(|uid, _| plan.keeps.contains(uid));
        for uid in plan.keeps.iter().cloned() {
            self.world.kept_since.entry(uid).or_insert(self.now);
        }
        self.step += 1;
        self.now += STEP;
        self.come_and_go(self.step);
        self.run();
        Ok(())
    }
}

/// Whether one unit fits on a node that is there for good, or on an offer that its environment may use and that fits under its limit.
fn can_run(cluster: &Cluster, given: &Given, asked: &Asked) -> bool {
    let plain = asked.only.is_none() && !matches!(asked.special, Special::Gpu | Special::Disk);
    let own = given.own.iter().map(|(milli, foreign, ever)| milli - foreign - if *ever { EVER } else { 0 });
    let own = own.into_iter().any(|milli| plain && asked.milli <= milli);
    let scaling = cluster.scaling();
    let types = ALLOWED[given.allowed];
    own || scaling.offers.as_ref().unwrap().iter().any(|offer| {
        let family = offer.name.split('.').next().unwrap();
        (types.is_empty() || types.contains(&family) || types.contains(&offer.name.as_str()))
            && (!given.spot || offer.spot)
            && offer.milli_vcpus <= scaling.max_milli
            && keeps(given.quirks[KINDS.iter().position(|(name, ..)| *name == offer.name).unwrap()], asked.special)
            && asked.milli <= offer.allocatable.cpu
            && asked.only.is_none_or(|only| KINDS[only].0 == offer.name)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn whatever_fits_runs_in_the_end_and_never_above_the_limit(given in given()) {
        let mut cluster = Cluster::new(&given);
        let wanted: BTreeSet<String> = (0..).zip(&given.jobs)
            .filter(|(_, asked)| can_run(&cluster, &given, asked))
            // Nothing passes what can never run where its queue is strict.
            .filter(|(_, asked)| !given.strict || asked.queue != 0 || given.jobs.iter().filter(|other| other.queue == 0).all(|other| can_run(&cluster, &given, other)))
            .map(|(index, _): (usize, _)| format!("j{index}")).collect();
        // What waits for others to leave goes before what came later, even if they never do.
        let own = given.own.iter().map(|(milli, foreign, _)| (*milli, *foreign, false)).collect();
        let mended = Given { own, ..given.clone() };
        prop_assume!(given.jobs.iter().all(|asked| can_run(&cluster, &given, asked) == can_run(&cluster, &mended, asked)));
        let small = Asked { queue: 1, count: 2, parallelism: 2, milli: 100, only: None, has_deadline: false, judged: true, steps: 3, special: Special::Nothing };
        while cluster.step < LAST && !wanted.is_subset(&cluster.ended) {
            if given.stream {
                let name = format!("s{}", cluster.step);
                cluster.submit(&name, &Asked { milli: if cluster.step.is_multiple_of(3) { 700 } else { 100 }, ..small });
            }
            cluster.advance()?;
        }
        let left: Vec<String> = wanted.difference(&cluster.ended).map(|uid| {
            let job = cluster.world.jobs.iter().find(|job| job.uid == *uid);
            format!("{uid}: {job:?}")
        }).collect();
        prop_assert!(left.is_empty(), "never ran: {left:#?}\nmachines {:#?}", cluster.world.machines);
        if !given.stream {
            // What can never run waits, and nothing is launched for it again and again.
            for _ in 0..60 {
                cluster.advance()?;
            }
            cluster.launched = 0;
            for _ in 0..120 {
                cluster.advance()?;
            }
            let jobs: Vec<_> = cluster.world.jobs.iter().map(|job| (&job.uid, &job.status)).collect();
            prop_assert!(cluster.launched <= KINDS.len(), "{} launches for what can never run: {jobs:#?}", cluster.launched);
        }
    }
}
