//! Builders of snapshots, and plans as text.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::clock::{Moment, Now};
use model::job::JobId;
use model::placement::Shape;
use model::plan::{Plan, PodReason};
use model::resources::{PODS, Resources};
use model::snapshot::{
    Environment, Job, JobRef, Machine, Node, ObjectKey, Offer, Place, Queue, Scaling, Setback, Snapshot, Stage, Unit,
};

use crate::learned::Learned;

/// Noon on some day; every cycle in these tests happens then.
pub(crate) fn noon() -> Timestamp {
    "2026-11-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn before(seconds: i64) -> Timestamp {
    noon() - SignedDuration::from_secs(seconds)
}

/// So many thousandths of a core, and a GiB per core.
pub(crate) fn shape(milli: i64) -> Shape {
    Shape { requests: Resources::new(milli, milli << 20).with(PODS, 1), judged: true, ..Shape::default() }
}

pub(crate) fn offer(name: &str, milli: i64) -> Offer {
    Offer {
        name: name.to_owned(),
        milli_vcpus: milli,
        allocatable: Resources::new(milli, (milli << 20) * 4).with(PODS, 110),
        price_micros: milli * 48,
        spot: false,
        labels: std::collections::BTreeMap::new(),
    }
}

/// A world to plan for.
#[derive(Clone, Debug, Default)]
pub(crate) struct World(pub(crate) Snapshot);

pub(crate) fn world() -> World {
    World::default()
}

impl World {
    pub(crate) fn queue(mut self, name: &str, priority: i32, environments: &[&str]) -> Self {
        self.0.queues.push(Queue {
            name: name.to_owned(),
            aws_name: name.to_uppercase(),
            priority,
            enabled: true,
            environments: environments.iter().map(ToString::to_string).collect(),
            strict_fifo: false,
        });
        self
    }

    pub(crate) fn unmanaged(mut self, name: &str) -> Self {
        self.0.environments.push(Environment {
            name: name.to_owned(),
            aws_name: name.to_uppercase(),
            uuid: format!("uuid-{name}"),
            enabled: true,
            namespace: None,
            scaling: None,
        });
        self
    }

    /// A MANAGED environment with offers of 2, 1 and 0.5 vCPUs.
    pub(crate) fn managed(mut self, name: &str, max_vcpus: i64) -> Self {
        self = self.unmanaged(name);
        self.0.environments.last_mut().unwrap().scaling = Some(Scaling {
            min_milli: 0,
            max_milli: max_vcpus * 1000,
            instance_types: vec![],
            spot: false,
            scale_down_delay: SignedDuration::from_secs(60),
            offers: Ok(vec![offer("m5.large", 2000), offer("local.medium", 1000), offer("local.small", 500)]),
            setbacks: vec![],
            learned: std::collections::BTreeMap::new(),
            unsettled_until: None,
            delivered: u32::MAX,
        });
        self
    }

    /// Changes the scaling of the last environment.
    pub(crate) fn scaling(mut self, change: impl FnOnce(&mut Scaling)) -> Self {
        change(self.0.environments.last_mut().unwrap().scaling.as_mut().unwrap());
        self
    }

    /// Changes anything.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Snapshot)) -> Self {
        change(&mut self.0);
        self
    }

    pub(crate) fn node(mut self, environment: &str, name: &str, milli: i64) -> Self {
        self.0.nodes.push(Node {
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            environment_uuid: format!("uuid-{environment}"),
            ready: true,
            allocatable: Resources::new(milli, (milli << 20) * 4).with(PODS, 110),
            idle_since: Some(before(0)),
            ..Node::default()
        });
        self
    }

    /// A machine, and its node unless it is on its way; idle for `idle` seconds.
    pub(crate) fn machine(mut self, environment: &str, name: &str, milli: i64, stage: Stage, idle: i64) -> Self {
        if stage != Stage::Coming {
            self = self.node(environment, name, milli);
            let node = self.0.nodes.last_mut().unwrap();
            node.idle_since = Some(before(idle));
            node.retiring = stage == Stage::Going;
        }
        let offer = match milli {
            2000 => "m5.large",
            1000 => "local.medium",
            _ => "local.small",
        };
        self.0.machines.push(Machine {
            name: name.to_owned(),
            environment: environment.to_owned(),
            offer: offer.to_owned(),
            milli_vcpus: milli,
            allocatable: Resources::new(milli, (milli << 20) * 4).with(PODS, 110),
            labels: std::collections::BTreeMap::new(),
            stage,
        });
        self
    }

    /// A suspended Job of `count` units of `milli`, created `age` seconds ago.
    pub(crate) fn job(mut self, queue: &str, name: &str, count: u32, milli: i64, age: i64) -> Self {
        self.0.jobs.push(Job {
            key: ObjectKey::new("ns", name),
            uid: name.to_owned(),
            queue: queue.to_owned(),
            created: before(age),
            held: false,
            released: false,
            started: None,
            parallelism: count,
            remaining: Some(count),
            has_deadline: false,
            shape: Arc::new(shape(milli)),
            refusal: None,
            stuck: None,
            barred: None,
            status: None,
        });
        self
    }

    /// Changes the last job.
    pub(crate) fn that_job(mut self, change: impl FnOnce(&mut Job)) -> Self {
        change(self.0.jobs.last_mut().unwrap());
        self
    }

    /// Changes what the units of the last job need.
    pub(crate) fn that_shape(self, change: impl FnOnce(&mut Shape)) -> Self {
        self.that_job(|job| change(Arc::make_mut(&mut job.shape)))
    }

    /// Makes the pods of the last job (released long ago) at the given places.
    pub(crate) fn pods(mut self, places: &[Place]) -> Self {
        let job = self.0.jobs.last_mut().unwrap();
        job.released = true;
        job.started = Some(before(100));
        for (index, place) in (0..).zip(places) {
            let unit = Unit {
                key: ObjectKey::new("ns", &format!("{}-{index}", job.uid)),
                uid: format!("{}-{index}", job.uid),
                record: None,
                queue: job.queue.clone(),
                job: Some(JobRef { uid: job.uid.clone(), created: job.created, silent: false }),
                created: before(50),
                index,
                attempt: 1,
                shape: job.shape.clone(),
                barred: None,
                said: None,
                place: place.clone(),
            };
            self.0.units.push(unit);
            if let Place::Bound { node, .. } = place
                && let Some(node) = self.0.nodes.iter_mut().find(|one| one.name == *node)
            {
                node.used.add(&job.shape.requests);
                node.units += 1;
                node.idle_since = None;
            }
        }
        self
    }

    /// A job of the API, submitted `age` seconds ago; `attempt` is its next.
    pub(crate) fn attempt(mut self, queue: &str, number: u128, milli: i64, age: i64, attempt: u32) -> Self {
        let id = JobId::new(uuid::Uuid::from_u128(number));
        self.0.units.push(Unit {
            key: ObjectKey::new("ns", &format!("job-{number}")),
            uid: id.to_string(),
            record: Some(id),
            queue: queue.to_owned(),
            job: None,
            created: before(age),
            index: 0,
            attempt,
            shape: Arc::new(shape(milli)),
            barred: None,
            said: None,
            place: Place::Waiting,
        });
        self
    }

    pub(crate) fn setback(self, offer: Option<&str>, capacity: bool, message: &str) -> Self {
        let offer = offer.map(ToOwned::to_owned);
        let until = noon() + SignedDuration::from_secs(30);
        self.scaling(|scaling| scaling.setbacks.push(Setback { offer, until, message: message.to_owned(), capacity }))
    }
}

pub(crate) fn waiting() -> Place {
    Place::Waiting
}

pub(crate) fn bound(node: &str) -> Place {
    Place::Bound { node: node.to_owned(), running: true }
}

/// The plan as text: one line per decision, reasons last.
pub(crate) fn text(world: &World) -> String {
    let mut snapshot = world.0.clone();
    let (machines, nodes) = (snapshot.machines.clone(), snapshot.nodes.clone());
    Learned::default().update(&mut snapshot.environments, &machines, &nodes, |_| noon(), at_noon());
    text_of(&crate::plan(&snapshot, noon()))
}

pub(crate) fn at_noon() -> Now {
    Now { wall: noon(), moment: Moment::after(Duration::ZERO) }
}

pub(crate) fn text_of(plan: &Plan) -> String {
    let mut out = String::new();
    for release in &plan.release {
        writeln!(out, "release {}", release.job.name).unwrap();
    }
    for probe in &plan.probe {
        writeln!(out, "probe {}", probe.job.name).unwrap();
    }
    for dispatch in &plan.dispatch {
        writeln!(out, "dispatch {} to {} of {}", dispatch.unit.name, dispatch.node, dispatch.environment).unwrap();
    }
    for hold in &plan.hold {
        writeln!(out, "hold {} on {}", hold.unit.name, hold.nodes.join(",")).unwrap();
    }
    for launch in &plan.launch {
        writeln!(out, "launch {} for {}", launch.offer.name, launch.environment).unwrap();
    }
    for retire in &plan.retire {
        writeln!(out, "retire {}: {}", retire.machine, retire.reason).unwrap();
    }
    for change in &plan.status {
        let reason = change.status.reason.as_ref();
        let reason = reason.map_or_else(String::new, |reason| format!(" {}: {}", reason.code.as_str(), reason.message));
        writeln!(out, "{} {:?}{reason}", change.job.name, change.status.state).unwrap();
    }
    for PodReason { pod, reason, .. } in &plan.pods {
        writeln!(out, "pod {} {}: {}", pod.name, reason.code.as_str(), reason.message).unwrap();
    }
    for (id, reason) in &plan.explain {
        writeln!(out, "job-{} {}: {}", id.job.as_u128(), reason.code.as_str(), reason.message).unwrap();
    }
    out
}

/// Plans and compares with the expected lines, indentation ignored.
pub(crate) fn check(world: &World, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let found = text(world);
    let found: Vec<&str> = found.lines().collect();
    assert_eq!(found, expected, "\nfound:\n{}", found.join("\n"));
}
