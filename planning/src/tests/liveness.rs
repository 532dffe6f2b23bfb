//! Properties of the closed loop: plans are carried out, machines come and go, units end, and time passes. What can run does run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use model::placement::Shape;
use model::resources::Resources;
use model::snapshot::{JobRef, Machine, Node, ObjectKey, Place, Setback, Snapshot, Stage, Unit};
use proptest::prelude::*;

use super::build::{World, noon, offer, shape, world};
use crate::order::together;

/// So long is one step.
const STEP: SignedDuration = SignedDuration::from_secs(10);
/// A launch and a removal take so many steps.
const LAUNCH: usize = 2;
/// From this step on the provider has whatever it is asked for.
const DELIVERS: usize = 30;
/// Long enough for everything that these worlds can hold to run one after the other.
const LAST: usize = 600;

/// What one Job asks for.
#[derive(Clone, Debug)]
struct Asked {
    queue: usize,
    count: u32,
    parallelism: u32,
    milli: i64,
    /// Only this kind of machine will do.
    only: Option<usize>,
    has_deadline: bool,
    judged: bool,
    steps: usize,
}

#[derive(Clone, Debug)]
struct Given {
    /// Which offers of [`KINDS`] are sold, and what their nodes keep for themselves.
    sold: Vec<(bool, i64)>,
    allowed: usize,
    spot: bool,
    max: i64,
    min: i64,
    own: Vec<(i64, i64)>,
    jobs: Vec<Asked>,
    /// Whether small work keeps coming in behind everything.
    stream: bool,
    strict: bool,
    /// Which launches fail at first.
    fails: Vec<bool>,
    /// Machines that are there at the beginning.
    there: Vec<usize>,
}

const KINDS: [(&str, i64, bool); 6] = [
    ("m5.large", 2000, false),
    ("m5.xlarge", 4000, true),
    ("m5.2xlarge", 8000, false),
    ("c5.large", 2000, true),
    ("c5.xlarge", 4000, false),
    ("c5.mid", 3000, true),
];
const ALLOWED: [&[&str]; 5] = [&[], &["m5"], &["c5"], &["m5.large", "c5.xlarge"], &["m5.2xlarge", "c5"]];

fn given() -> impl Strategy<Value = Given> {
    let job = (
        (0..2usize, 1..9u32, 1..7u32),
        prop::sample::select(vec![100i64, 500, 900, 1500, 2500, 3500, 7000]),
        prop::option::weighted(0.2, 0..KINDS.len()),
        (any::<bool>(), prop::bool::weighted(0.9), 1..4usize),
    )
        .prop_map(|((queue, count, parallelism), milli, only, (has_deadline, judged, steps))| Asked {
            queue,
            count,
            parallelism,
            milli,
            only,
            has_deadline,
            judged,
            steps,
        });
    (
        (prop::collection::vec((prop::bool::weighted(0.7), prop::sample::select(vec![0i64, 100, 600])), KINDS.len())),
        (
            0..ALLOWED.len(),
            prop::bool::weighted(0.2),
            prop::sample::select(vec![0i64, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 8, 9, 10, 12, 16]),
            0..5i64,
        ),
        prop::collection::vec(
            (prop::sample::select(vec![500i64, 1000, 4000]), prop::sample::select(vec![0i64, 300])),
            0..3,
        ),
        prop::collection::vec(job, 1..6),
        (prop::bool::weighted(0.7), prop::bool::weighted(0.2)),
        prop::collection::vec(prop::bool::weighted(0.3), 8),
        prop::collection::vec(0..KINDS.len(), 0..5),
    )
        .prop_map(|(sold, (allowed, spot, max, min), own, jobs, (stream, strict), fails, there)| Given {
            sold,
            allowed,
            spot,
            max,
            min,
            own,
            jobs,
            stream,
            strict,
            fails,
            there,
        })
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
                offer.labels.insert("kind".into(), (*name).into());
                offer
            })
            .collect());
        scaling.instance_types = ALLOWED[given.allowed].iter().map(ToString::to_string).collect();
        scaling.spot = given.spot;
        scaling.min_milli = (given.min * 1000).min(scaling.max_milli);
        for (index, (milli, foreign)) in given.own.iter().enumerate() {
            out = out.node("u", &format!("own{index}"), *milli);
            let node = out.0.nodes.last_mut().unwrap();
            (node.foreign.cpu, node.used.cpu) = (*foreign, *foreign);
        }
        let mut cluster = Self {
            world: out.0,
            now: noon(),
            step: 0,
            due: BTreeMap::new(),
            lasts: BTreeMap::new(),
            made: 0,
            fails: given.fails.clone(),
            ended: BTreeSet::new(),
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
        (job.shape, job.remaining, job.has_deadline) = (shape, Some(asked.count), asked.has_deadline);
        self.lasts.insert(name.to_owned(), asked.steps);
        self.made += 1;
        self.world = out.0;
    }

    fn launch(&mut self, offer: &str, milli: i64, allocatable: &Resources) {
        self.made += 1;
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
            self.world.nodes.push(Node {
                uid: format!("uid-{name}"),
                environment_uuid: "uuid-m".into(),
                ready: true,
                labels: machine.labels.clone(),
                allocatable: machine.allocatable.clone(),
                name,
                ..Node::default()
            });
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
                    job: Some(JobRef { uid: job.uid.clone(), created: job.created }),
                    created: self.now,
                    index: 0,
                    attempt: 1,
                    shape: std::sync::Arc::new(job.shape.clone()),
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
        let plan = crate::plan(&self.world, self.now);
        for launch in &plan.launch {
            let offers = self.scaling().offers.clone().unwrap();
            let offer = offers.iter().find(|offer| offer.name == launch.offer).unwrap();
            prop_assert!(self.used_milli() + offer.milli_vcpus <= self.scaling().max_milli, "above maxvCpus");
            self.made += 1;
            if self.step < DELIVERS && self.fails[self.made % self.fails.len()] {
                let until = self.now + SignedDuration::from_secs(60);
                let offer = (!self.made.is_multiple_of(5)).then(|| offer.name.clone());
                let scaling = self.world.environments[0].scaling.as_mut().unwrap();
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
        self.step += 1;
        self.now += STEP;
        self.come_and_go(self.step);
        self.run();
        Ok(())
    }
}

fn shape_of(asked: &Asked) -> Shape {
    let mut shape = Shape { judged: asked.judged, ..shape(asked.milli) };
    if let Some(only) = asked.only {
        shape.node_selector.insert("kind".into(), KINDS[only].0.into());
    }
    shape
}

/// Whether one unit fits on a node that is there for good, or on an offer that its environment may use and that fits under its limit.
fn can_run(cluster: &Cluster, given: &Given, asked: &Asked) -> bool {
    let shape = shape_of(asked);
    let own = given.own.iter().any(|(milli, foreign)| asked.only.is_none() && asked.milli <= milli - foreign);
    let scaling = cluster.scaling();
    let types = ALLOWED[given.allowed];
    own || scaling.offers.as_ref().unwrap().iter().any(|offer| {
        let family = offer.name.split('.').next().unwrap();
        (types.is_empty() || types.contains(&family) || types.contains(&offer.name.as_str()))
            && (!given.spot || offer.spot)
            && offer.milli_vcpus <= scaling.max_milli
            && shape.requests.fits(&offer.allocatable)
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
        let small = Asked { queue: 1, count: 2, parallelism: 2, milli: 100, only: None, has_deadline: false, judged: true, steps: 3 };
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
    }
}
