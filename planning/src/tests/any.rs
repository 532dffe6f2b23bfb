//! Worlds with a bit of everything: managed and unmanaged, labels, taints and rare resources, jobs of both doors in all their states, queues
//! and environments that are disabled, closed, strict or missing, providers that fail, writes that are refused.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use jiff::SignedDuration;
use model::placement::{Effect, NodeTerm, Operator, Requirement, Shape, Taint, Toleration};
use model::plan::{Plan, StatusChange};
use model::snapshot::{Closed, Given, Place, Refused, Setback, Snapshot, Stage, Write};
use model::status::{Code, Reason, Status};
use proptest::prelude::*;

use super::build::{World, before, noon, offer, world};

/// A world with a bit of everything that can be so, by numbers.
#[derive(Clone)]
pub(crate) struct Any {
    nodes: Vec<(usize, usize, u8, i64, u8)>,
    coming: Vec<(usize, usize)>,
    work: Vec<Asked>,
    limits: (i64, i64, u8),
    flags: (u8, u8, u8),
    said: [u8; 8],
}

/// On one line: there are many numbers.
impl fmt::Debug for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, coming, work, limits, flags, said } = self;
        f.write_str(&format!(
            "nodes {nodes:?} coming {coming:?} work {work:?} limits {limits:?} flags {flags:?} said {said:?}"
        ))
    }
}

impl Any {
    /// As a snapshot.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = snapshot_of(self);
        let plan = crate::plan(&snapshot, noon());
        write(&mut snapshot, &plan, &self.said);
        snapshot
    }
}

/// What one job asks for.
#[derive(Clone, Debug)]
struct Asked {
    queue: usize,
    count: u32,
    size: usize,
    age: i64,
    what: u8,
    shape: u8,
    more: u8,
}

/// Any of them.
pub(crate) fn worlds() -> impl Strategy<Value = Any> {
    of(0..7, 0..14)
}

/// Those in which many need the same.
pub(crate) fn crowds() -> impl Strategy<Value = Any> {
    of(2..4, 8..14)
}

fn of(sizes: Range<usize>, shapes: Range<u8>) -> impl Strategy<Value = Any> {
    let nodes = prop::collection::vec((0..3usize, 0..4usize, 0..8u8, 0..200i64, 0..8u8), 0..7);
    let coming = prop::collection::vec((0..2usize, 0..4usize), 0..4);
    let asked = ((0..4usize, 1..6u32, sizes, 0..20i64), (0..12u8, shapes, 0..16u8));
    let asked = asked.prop_map(|((queue, count, size, age), (what, shape, more))| Asked {
        queue,
        count,
        size,
        age,
        what,
        shape,
        more,
    });
    let work = prop::collection::vec(asked, 0..14);
    (nodes, coming, work, (0..9i64, 0..3i64, 0..12u8), (0..32u8, 0..32u8, 0..24u8), any::<[u8; 8]>())
        .prop_map(|(nodes, coming, work, limits, flags, said)| Any { nodes, coming, work, limits, flags, said })
}

const SIZES: [i64; 7] = [100, 250, 500, 1000, 1500, 2500, 5000];
const MACHINES: [i64; 4] = [500, 1000, 2000, 4000];

fn snapshot_of(given: &Any) -> Snapshot {
    let (queue_flags, odd, more) = given.flags;
    let mut out = environments(given.limits);
    out = out.queue("a", 5, &["m", "u"]).queue("b", 1, &["u", "N", "m"]).queue("c", 5, &["n", "x", "m"]);
    out.0.queues[0].strict_fifo = queue_flags.is_multiple_of(4);
    out.0.queues[1].enabled = queue_flags / 4 != 0;
    out.0.queues[2].strict_fifo = (queue_flags / 4).is_multiple_of(4);
    out.0.environments[1].enabled = !odd.is_multiple_of(8);
    out.0.environments[2].namespace = Some("work".into());
    out.0.hooks_missing = odd == 9;
    if odd > 27 {
        out.0.closed = BTreeMap::from([("work".into(), Closed::Forbidden), ("default".into(), Closed::NotThere)]);
    }
    for (index, node) in given.nodes.iter().enumerate() {
        out = put_node(out, index, *node);
    }
    for (index, (environment, machine)) in given.coming.iter().enumerate() {
        out = out.machine(["m", "n"][*environment], &format!("x{index}"), MACHINES[*machine], Stage::Coming, 0);
    }
    for (index, asked) in given.work.iter().enumerate() {
        out = put(out, index, asked);
    }
    if more < 4 {
        refuse(&mut out.0, more);
    }
    keep(&mut out.0, more);
    out.0
}

/// Two that are MANAGED, of which the first has limits and providers of all kinds, and one that is not.
fn environments((max, min, kind): (i64, i64, u8)) -> World {
    let mut out = world().managed("m", max).managed("n", 3).unmanaged("u");
    for scaling in out.0.environments.iter_mut().filter_map(|one| one.scaling.as_mut()) {
        scaling.min_milli = (min * 500).min(scaling.max_milli);
        let offers = scaling.offers.as_mut().unwrap();
        offers.push(offer("m5.xlarge", 4000));
        offers[0].labels.insert("zone".into(), "a".into());
        offers[3].labels.insert("zone".into(), "b".into());
        let room = super::build::shape(1700).requests;
        match kind {
            0 => scaling.offers = Err("connection refused".into()),
            1 => scaling.instance_types = vec!["m5".into()],
            2 => scaling.spot = true,
            3 => drop(scaling.learned.insert("m5.large".into(), Given { room, ..Given::default() })),
            4 => offers[1].price_micros = 1,
            _ => {}
        }
    }
    let setback = |offer: Option<&str>| Setback {
        offer: offer.map(Into::into),
        until: noon() + SignedDuration::from_secs(30),
        message: "sold out".into(),
        capacity: true,
    };
    let setbacks = &mut out.0.environments[0].scaling.as_mut().unwrap().setbacks;
    match kind {
        5 => setbacks.push(setback(None)),
        6 => setbacks.extend([setback(Some("m5.large")), setback(Some("local.small"))]),
        _ => {}
    }
    out
}

fn put_node(out: World, index: usize, (environment, machine, stage, idle, used): (usize, usize, u8, i64, u8)) -> World {
    let (name, milli) = (format!("n{index}"), MACHINES[machine]);
    let mut out = if environment == 2 {
        out.node("u", &name, milli)
    } else {
        let stage = if stage == 0 { Stage::Going } else { Stage::Serving };
        out.machine(["m", "n"][environment], &name, milli, stage, idle)
    };
    let node = out.0.nodes.last_mut().unwrap();
    node.labels.insert("zone".into(), ["a", "b"][index % 2].into());
    node.labels.insert("kubernetes.io/hostname".into(), name);
    match stage {
        1 => node.ready = false,
        2 => node.taints.push(Taint { key: "dedicated".into(), value: "x".into(), effect: Effect::NoSchedule }),
        3 => node.logs_until = Some(noon() + SignedDuration::from_secs(30)),
        _ => {}
    }
    node.foreign.cpu = i64::from(used & 1) * 150;
    node.used.cpu = node.foreign.cpu + i64::from(used >> 1) * 100;
    if used == 7 {
        node.allocatable.set("nvidia.com/gpu", 2);
    }
    if node.used.cpu > node.foreign.cpu {
        (node.units, node.idle_since) = (1, None);
    }
    out
}

fn shape(asked: &Asked) -> Shape {
    let mut shape = super::build::shape(SIZES[asked.size]);
    let requirement =
        |key: &str, operator, value: &str| Requirement { key: key.into(), operator, values: vec![value.into()] };
    match asked.shape {
        0 => drop(shape.node_selector.insert("zone".into(), "a".into())),
        1 => shape.affinity = vec![NodeTerm { labels: vec![requirement("zone", Operator::In, "b")], fields: vec![] }],
        2 => {
            shape.affinity =
                vec![NodeTerm { labels: vec![], fields: vec![requirement("metadata.name", Operator::In, "n1")] }];
        }
        3 => drop(shape.node_selector.insert("kubernetes.io/hostname".into(), "n0".into())),
        4 => shape.tolerations = vec![Toleration { key: Some("dedicated".into()), value: None, effect: None }],
        5 | 6 => shape.judged = false,
        7 => shape.requests.set("nvidia.com/gpu", 1),
        8 => {
            shape.affinity = vec![NodeTerm {
                labels: vec![requirement("kubernetes.io/hostname", Operator::NotIn, "n2")],
                fields: vec![],
            }];
        }
        _ => {}
    }
    shape
}

fn put(out: World, index: usize, asked: &Asked) -> World {
    let queue = ["a", "b", "c", "missing"][asked.queue];
    let name = format!("j{index}");
    let shape = shape(asked);
    if asked.what < 4 {
        return attempt(out, queue, index, asked, shape);
    }
    let out = out.job(queue, &name, asked.count, SIZES[asked.size], asked.age).that_job(|job| {
        job.shape = Arc::new(shape);
        job.has_deadline = asked.more.is_multiple_of(4);
        job.held = asked.more == 5;
        job.barred = (asked.more == 6).then(|| Reason { code: Code::NamespaceWaiting, message: "many".into() });
        job.refusal = (asked.more == 7).then(|| "no".into());
        job.remaining = (asked.more != 9).then_some(asked.count);
    });
    in_state(out, asked)
}

/// The last job in one of the states that a job can be in.
fn in_state(mut out: World, asked: &Asked) -> World {
    let bound = |running| Place::Bound { node: format!("n{}", asked.count), running };
    match asked.what {
        5 => out = out.pods(&[Place::Waiting, Place::Waiting]),
        6 => out = out.pods(&[bound(true), Place::Waiting]),
        7 => out = out.pods(&[bound(false)]),
        8 => out = out.pods(&[Place::Held { nodes: vec!["n0".into(), "n2".into()], refused: asked.more & 1 == 0 }]),
        9 => out = out.pods(&[]).that_job(|job| job.started = Some(before(asked.age))),
        10 => out = out.that_job(|job| job.released = true),
        11 => {
            out = out.pods(&[Place::Waiting]);
            let unit = out.0.units.last_mut().unwrap();
            unit.attempt = 2;
            if asked.more & 1 == 0 {
                unit.job = None;
            }
        }
        _ => {}
    }
    out
}

fn attempt(out: World, queue: &str, index: usize, asked: &Asked, shape: Shape) -> World {
    let shape = Arc::new(shape);
    let mut out = out;
    for child in 0..asked.count {
        let number = index as u128 + 1;
        out = out.attempt(queue, number, 1, asked.age, 1 + u32::from(asked.what == 3));
        let unit = out.0.units.last_mut().unwrap();
        let id = unit.record.unwrap().with_child(child);
        (unit.uid, unit.record, unit.index, unit.shape) = (id.to_string(), Some(id), child, shape.clone());
        unit.key.name = id.to_string();
        unit.key.namespace = ["", "work", "own"][usize::from(asked.more) % 3].into();
        if asked.what == 2 && child == 0 {
            unit.place = Place::Held { nodes: vec!["n1".into()], refused: asked.more & 4 == 0 };
        }
    }
    out
}

/// Writes what a plan says, as numbers have it: most of it, nothing, or something else.
pub(crate) fn write(snapshot: &mut Snapshot, plan: &Plan, how: &[u8]) {
    let mut how = how.iter().cycle();
    let mut written = |reason: &Reason| match how.next().copied().unwrap_or_default() {
        0..170 => Some(reason.clone()),
        170..210 => None,
        how => Some(Reason { message: format!("{how}"), ..reason.clone() }),
    };
    for StatusChange { uid, status, .. } in plan.status.iter().chain(&plan.unwritten) {
        let Some(job) = snapshot.jobs.iter_mut().find(|job| job.uid == *uid) else { continue };
        match &status.reason {
            None => job.status = Some(status.clone()),
            Some(reason) => {
                if let Some(reason) = written(reason) {
                    job.status = Some(Status { state: status.state, reason: Some(reason) });
                }
            }
        }
    }
    let of_records = plan.explain.iter().map(|(id, reason)| (id.to_string(), &**reason));
    for (uid, reason) in of_records.chain(plan.pods.iter().map(|one| (one.uid.clone(), &one.reason))) {
        let Some(unit) = snapshot.units.iter_mut().find(|unit| unit.uid == uid) else { continue };
        if let Some(reason) = written(reason) {
            unit.said = Some(Arc::new(reason));
        }
    }
}

/// Room has been kept for some, for minutes; pods of some are not planned for.
fn keep(snapshot: &mut Snapshot, more: u8) {
    let uids = snapshot.jobs.iter().map(|job| &job.uid).chain(snapshot.units.iter().map(|unit| &unit.uid));
    let some = (0..).zip(uids).filter(|(index, _)| (index + i64::from(more)) % 3 == 0);
    snapshot.kept_since = some.map(|(index, uid)| (uid.clone(), before(index * 97))).collect();
    let reason = Arc::new(Reason { code: Code::NamespaceWaiting, message: "many".into() });
    for unit in snapshot.units.iter_mut().filter(|unit| unit.record.is_none()).skip(1).step_by(3) {
        unit.barred = (more.is_multiple_of(4)).then(|| reason.clone());
    }
}

fn refuse(snapshot: &mut Snapshot, more: u8) {
    let uids =
        snapshot.jobs.iter().map(|job| job.uid.clone()).chain(snapshot.units.iter().map(|unit| unit.uid.clone()));
    let writes = [Write::Release, Write::Status, Write::Bind, Write::Hold];
    let refused = uids.enumerate().filter(|(index, _)| index % 3 == usize::from(more) % 3).flat_map(|(index, uid)| {
        writes.map(|write| Refused {
            uid: uid.clone(),
            write,
            message: "policy p denies it".into(),
            rests: index % 2 == 0,
        })
    });
    snapshot.refused = refused.collect();
}

/// Environments of queues: some have them for themselves, some share them.
const SHARED: [&[&str]; 8] = [&["u"], &["v"], &["u", "v"], &["V", "w"], &["w", "x"], &["w"], &["u", "m"], &["m"]];

/// The same in more queues and environments, as numbers have it.
pub(crate) fn spread(mut snapshot: Snapshot, numbers: [u8; 16]) -> Snapshot {
    let mut numbers = numbers.into_iter().cycle();
    let mut any = |most: usize| usize::from(numbers.next().unwrap_or_default()) % most;
    let own = snapshot.environments[2].clone();
    for name in ["v", "w"] {
        let (name, aws_name, uuid) = (name.to_owned(), name.to_uppercase(), format!("uuid-{name}"));
        snapshot.environments.push(model::snapshot::Environment { name, aws_name, uuid, ..own.clone() });
    }
    for name in ["d", "e", "f", "g"] {
        let strict_fifo = any(5) == 0;
        let queue = snapshot.queues[1].clone();
        let (name, aws_name, priority) = (name.to_owned(), name.to_uppercase(), [1, 5, 3][any(3)]);
        snapshot.queues.push(model::snapshot::Queue { name, aws_name, priority, strict_fifo, ..queue });
    }
    for queue in snapshot.queues.iter_mut().skip(1) {
        queue.environments = SHARED[any(8)].iter().map(ToString::to_string).collect();
    }
    for node in snapshot.nodes.iter_mut().filter(|node| node.environment_uuid == "uuid-u") {
        node.environment_uuid = ["uuid-u", "uuid-v", "uuid-w"][any(3)].into();
    }
    for job in &mut snapshot.jobs {
        job.queue = ["a", "b", "c", "d", "e", "f", "g"][any(7)].into();
    }
    for unit in &mut snapshot.units {
        let of_job = unit.job.as_ref().and_then(|own| snapshot.jobs.iter().find(|job| job.uid == own.uid));
        unit.queue = of_job.map_or_else(|| ["a", "d", "e", "f", "g"][any(5)].to_owned(), |job| job.queue.clone());
    }
    snapshot
}
