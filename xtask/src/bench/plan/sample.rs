//! The snapshot of a scene.
//!
//! Invariant: the same scene gives the same snapshot; no dice, no clock. Does not measure.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use model::job::JobId;
use model::placement::{Effect, Shape, Taint, Toleration};
use model::plan::Launch;
use model::resources::{PODS, Resources};
use model::snapshot::{
    Environment, Job, JobRef, Machine, Node, ObjectKey, Offer, Place, Queue, Scaling, Snapshot, Stage, Unit,
};
use uuid::Uuid;

use super::scene::{PER_NODE, Room, Scene, Work};

/// Of each node.
const CPUS: i64 = 32;
const GIB: i64 = 1 << 30;
const TAINT: &str = "batch.amazonaws.com/batch-node";

/// When the plan is made.
pub(super) fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 50)
}

/// What the planner is asked.
pub(super) fn snapshot(scene: &Scene) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for number in 0..scene.environments {
        snapshot.environments.push(environment(number, scene));
    }
    for number in 0..scene.queues {
        snapshot.queues.push(queue(number, scene));
    }
    for number in 0..scene.nodes {
        snapshot.nodes.push(node(number, scene));
    }
    match scene.work {
        Work::Attempts(kinds) => {
            let shapes: Vec<Arc<Shape>> = (0..kinds).map(|kind| Arc::new(shape(kind, kinds))).collect();
            snapshot.units = (0..scene.units).map(|number| attempt(number, scene, &shapes[number % kinds])).collect();
        }
        Work::Jobs(kinds) => {
            snapshot.jobs = (0..scene.units).map(|number| job(number, scene, shape(number % kinds, kinds))).collect();
        }
        Work::Gpus => {
            let mut wants = shape(0, 1);
            wants.requests.set("nvidia.com/gpu", 1);
            let (wants, plain) = (Arc::new(wants), Arc::new(shape(0, 1)));
            let of = |number| if number + 1 == scene.units { &plain } else { &wants };
            snapshot.units = (0..scene.units).map(|number| attempt(number, scene, of(number))).collect();
        }
    }
    snapshot
}

/// The pod of a Job that was released.
pub(super) fn pod(job: &Job) -> Unit {
    Unit {
        key: job.key.clone(),
        uid: format!("{}-0", job.uid),
        record: None,
        queue: job.queue.clone(),
        job: Some(JobRef { uid: job.uid.clone(), created: job.created, silent: false }),
        created: now(),
        index: 0,
        attempt: 1,
        shape: job.shape.clone(),
        place: Place::Waiting,
        barred: None,
        said: None,
    }
}

/// A machine that was launched, which has this number.
pub(super) fn machine(launch: &Launch, number: usize) -> Machine {
    Machine {
        name: format!("machine-{number:05}"),
        environment: launch.environment.clone(),
        offer: launch.offer.name.clone(),
        milli_vcpus: launch.offer.milli_vcpus,
        allocatable: launch.offer.allocatable.clone(),
        labels: launch.offer.labels.clone(),
        stage: Stage::Coming,
    }
}

fn uuid(kind: u128, number: usize) -> Uuid {
    // Spread as real ones are, so that no order is given away.
    let number = number as u128;
    Uuid::from_u128((number + kind).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

fn environment(number: usize, scene: &Scene) -> Environment {
    let scaling = scene.managed.then(|| Scaling {
        min_milli: 0,
        max_milli: 1_000_000_000,
        instance_types: vec![],
        spot: false,
        scale_down_delay: SignedDuration::from_mins(1),
        offers: Ok(vec![offer()]),
        setbacks: vec![],
        learned: BTreeMap::new(),
        unsettled_until: None,
        delivered: u32::MAX,
    });
    Environment {
        name: format!("ce-{number}"),
        aws_name: format!("CE-{number}"),
        uuid: uuid(1 << 64, number).to_string(),
        enabled: true,
        namespace: None,
        scaling,
    }
}

fn offer() -> Offer {
    Offer {
        name: "m5.8xlarge".to_owned(),
        milli_vcpus: CPUS * 1000,
        allocatable: allocatable(),
        price_micros: 1_536_000,
        spot: false,
        labels: BTreeMap::new(),
    }
}

fn queue(number: usize, scene: &Scene) -> Queue {
    Queue {
        name: format!("q-{number}"),
        aws_name: format!("Q-{number}"),
        priority: i32::try_from(number % 10).unwrap_or_default(),
        enabled: true,
        environments: vec![format!("ce-{}", number % scene.environments)],
        strict_fifo: false,
    }
}

fn allocatable() -> Resources {
    Resources::new(CPUS * 1000, 4 * CPUS * GIB).with("ephemeral-storage", 100 * GIB).with(PODS, 110)
}

fn node(number: usize, scene: &Scene) -> Node {
    let labels = [
        ("batch.amazonaws.com/compute-environment-uuid", uuid(1 << 64, number % scene.environments).to_string()),
        ("kubernetes.io/hostname", format!("node-{number:05}")),
        ("kubernetes.io/arch", "amd64".to_owned()),
        ("kubernetes.io/os", "linux".to_owned()),
        ("topology.kubernetes.io/zone", format!("zone-{}", number % 3)),
        ("node.kubernetes.io/instance-type", "m5.8xlarge".to_owned()),
    ];
    let is_full = match scene.room {
        Room::Full => true,
        Room::One => number > 0,
        Room::Empty => false,
    };
    let mut used = Resources::new(0, 0).with(PODS, 3);
    if is_full {
        used.cpu = CPUS * 1000 - 100;
    }
    Node {
        name: format!("node-{number:05}"),
        uid: uuid(2 << 64, number).to_string(),
        environment_uuid: labels[0].1.clone(),
        ready: true,
        labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        taints: vec![Taint { key: TAINT.to_owned(), value: "true".to_owned(), effect: Effect::NoSchedule }],
        allocatable: allocatable(),
        foreign: Resources::new(0, 0).with(PODS, 3),
        used,
        units: u32::from(is_full),
        idle_since: (!is_full).then(now),
        ..Node::default()
    }
}

/// One kind of many: between half a core and three cores, between one and eight GiB.
fn shape(kind: usize, kinds: usize) -> Shape {
    let spread = |step: usize, parts: usize| i64::try_from(kind.wrapping_mul(step) % parts).unwrap_or_default();
    let requests = if kinds == 1 {
        Resources::new(CPUS * 1000 / i64::try_from(PER_NODE).unwrap_or(1), 4 * GIB)
    } else {
        Resources::new(500 + 10 * spread(37, 250), GIB + 7 * GIB / 100 * spread(61, 100))
    };
    let mut shape = Shape { requests: requests.with(PODS, 1), judged: true, ..Shape::default() };
    shape.node_selector.insert("kubernetes.io/arch".to_owned(), "amd64".to_owned());
    shape.tolerations.push(Toleration { key: Some(TAINT.to_owned()), value: None, effect: None });
    // So that a thousand kinds are a thousand, some ask for a zone.
    if kinds > 250 && kind % 4 < 3 {
        shape.node_selector.insert("topology.kubernetes.io/zone".to_owned(), format!("zone-{}", kind % 4));
    }
    shape
}

fn queue_of(number: usize, scene: &Scene) -> String {
    // In blocks, so that each queue has all kinds.
    format!("q-{}", number * scene.queues / scene.units.max(1))
}

fn created(number: usize, scene: &Scene) -> Timestamp {
    let age = i64::try_from(scene.units - number).unwrap_or_default();
    now() - SignedDuration::from_millis(age * 10)
}

fn attempt(number: usize, scene: &Scene, shape: &Arc<Shape>) -> Unit {
    let id = JobId::new(uuid(3 << 64, number));
    Unit {
        key: ObjectKey::new("work", &id.to_string()),
        uid: id.to_string(),
        record: Some(id),
        queue: queue_of(number, scene),
        job: None,
        created: created(number, scene),
        index: 0,
        attempt: 1,
        shape: shape.clone(),
        place: Place::Waiting,
        barred: None,
        said: None,
    }
}

fn job(number: usize, scene: &Scene, shape: Shape) -> Job {
    Job {
        key: ObjectKey::new("work", &format!("job-{number}")),
        uid: uuid(4 << 64, number).to_string(),
        queue: queue_of(number, scene),
        created: created(number, scene),
        held: false,
        released: false,
        started: None,
        parallelism: 1,
        remaining: Some(1),
        has_deadline: false,
        shape: Arc::new(shape),
        refusal: None,
        stuck: None,
        barred: None,
        status: None,
    }
}
