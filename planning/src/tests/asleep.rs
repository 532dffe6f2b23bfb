//! Cases of lanes that sleep: whatever may change how they fare, or what is said of them, wakes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use model::placement::{Effect, Taint};
use model::snapshot::{Closed, Place, Refused, Snapshot, Write};
use model::status::{Code, Reason};

use super::any::write;
use super::build::{noon, world};
use crate::world::World;

/// Two queues wait for two nodes that are full; nobody is any the wiser after another plan.
fn waiting() -> Snapshot {
    let mut out = world().unmanaged("u").unmanaged("v").queue("a", 5, &["u"]).queue("b", 1, &["u", "v"]);
    out = out.node("u", "n0", 2000).node("v", "n1", 1000);
    for (number, queue) in (1..).zip(["a", "b"]) {
        out = out.attempt(queue, number, 1000, 50, 1).attempt(queue, number + 10, 1000, 40, 1);
        // A pod of no Job, with them in one lane.
        out = out.attempt(queue, number + 20, 500, 35, 1).with(|all| all.units.last_mut().unwrap().record = None);
        out = out.job(queue, &format!("{queue}0"), 1, 500, 30).job(queue, &format!("{queue}1"), 1, 500, 20);
    }
    let mut snapshot = out.0;
    for node in &mut snapshot.nodes {
        (node.used, node.units, node.idle_since) = (node.allocatable.clone(), 1, None);
    }
    let plan = crate::plan(&snapshot, noon());
    write(&mut snapshot, &plan, &[0]);
    snapshot
}

/// A world that has been asked until all sleep.
fn asleep(snapshot: &Snapshot) -> World<'static> {
    let mut world = World::default();
    world.show(snapshot.clone());
    for _ in 0..3 {
        world.plan(noon());
    }
    let lines = &world.facts_at(noon()).lines;
    assert!(["a", "b"].iter().all(|queue| lines.get(queue).is_some_and(crate::world::lines::Line::is_asleep)));
    world
}

fn other() -> Reason {
    Reason { code: Code::NamespaceWaiting, message: "many".into() }
}

/// Something that happens.
type Event = (&'static str, fn(&mut Snapshot));

const EVENTS: [Event; 20] = [
    ("nothing", |_| {}),
    ("a node is free", |all| all.nodes[0].used = all.nodes[0].foreign.clone()),
    ("another one is", |all| all.nodes[1].used = all.nodes[1].foreign.clone()),
    ("it gives less", |all| all.nodes[1].foreign.cpu = 700),
    ("it gives nothing", |all| all.nodes[1].foreign.cpu = 1000),
    ("it is closed", |all| all.nodes[0].ready = false),
    ("it is tainted", |all| {
        all.nodes[0].taints.push(Taint { key: "k".into(), value: String::new(), effect: Effect::NoSchedule });
    }),
    ("a node comes", |all| {
        let node = all.nodes[0].clone();
        all.nodes.push(model::snapshot::Node { name: "n2".into(), used: node.foreign.clone(), ..node });
    }),
    ("an environment is closed", |all| all.environments[0].enabled = false),
    ("it is called something else", |all| all.environments[1].aws_name = "W".into()),
    ("it is gone", |all| drop(all.environments.remove(1))),
    ("a queue has another environment", |all| drop(all.queues[1].environments.remove(0))),
    ("it is DISABLED", |all| all.queues[0].enabled = false),
    ("it is served last", |all| all.queues[0].priority = 0),
    ("the head is refused", |all| {
        let (uid, message) = (all.units[0].uid.clone(), "policy p denies it".to_owned());
        all.refused.push(Refused { uid, write: Write::Bind, message, rests: true });
    }),
    ("pods cannot be made", |all| all.closed = BTreeMap::from([("ns".into(), Closed::Forbidden)])),
    ("hooks are missing", |all| all.hooks_missing = true),
    ("another one comes", |all| {
        let mut unit = all.units[0].clone();
        let id = model::job::JobId::new(uuid::Uuid::from_u128(99));
        (unit.uid, unit.record) = (id.to_string(), Some(id));
        (unit.key.name, unit.said, unit.created) = ("pod".to_owned(), None, noon() - SignedDuration::from_mins(9));
        all.units.push(unit);
    }),
    ("something else is said", |all| all.units[1].said = Some(Arc::new(other()))),
    ("the first goes", |all| all.units[0].place = Place::Bound { node: "n0".into(), running: true }),
];

#[test]
fn whatever_happens_the_plan_is_that_of_a_world_that_never_slept() {
    let before = waiting();
    for (what, happens) in EVENTS {
        let (mut world, mut after) = (asleep(&before), before.clone());
        happens(&mut after);
        world.show(after.clone());
        for time in [0, 1, 600] {
            let now = noon() + SignedDuration::from_secs(time);
            assert_eq!(world.plan(now), crate::plan(&after, now), "{what}, after {time} s");
        }
        world.show(before.clone());
        assert_eq!(world.plan(noon()), crate::plan(&before, noon()), "{what}, and then does not");
    }
}

#[test]
fn room_is_kept_for_the_first_of_each_queue_though_it_sleeps() {
    let before = waiting();
    let heads = [&before.units[0].uid, &before.units[3].uid].map(Clone::clone);
    assert_eq!(asleep(&before).plan(noon()).keeps.iter().collect::<Vec<_>>(), heads.each_ref());
}

#[test]
fn what_is_kept_for_one_that_sleeps_is_given_to_nobody_behind_it() {
    let mut base = world().unmanaged("u").queue("a", 5, &["u"]).queue("b", 1, &["u"]).node("u", "n", 1000);
    base = base.attempt("a", 1, 1000, 50, 1).attempt("b", 2, 1000, 50, 1);
    let mut snapshot = base.0;
    (snapshot.nodes[0].used, snapshot.nodes[0].units) = (super::build::shape(800).requests, 1);
    let plan = crate::plan(&snapshot, noon());
    write(&mut snapshot, &plan, &[0]);
    let mut known = asleep(&snapshot);
    let after = world().attempt("b", 3, 100, 10, 1).0.units;
    snapshot.units.extend(after);
    known.show(snapshot.clone());
    let plan = known.plan(noon());
    assert_eq!((plan.dispatch.len(), plan.explain.len()), (0, 1));
    assert_eq!(plan, crate::plan(&snapshot, noon()));
}

#[test]
fn whom_else_kept_room_hangs_on_is_asked_first_too() {
    // The first of a keeps memory of n1 and leaves it the emptiest; so the first of b, which may use m as well, keeps n1, too, and not n2.
    let mut base = world().unmanaged("u").unmanaged("v").queue("a", 9, &["v"]).queue("b", 8, &["v", "u"]);
    base = base.queue("c", 7, &["u"]).queue("d", 6, &["v"]);
    base = base.node("v", "n1", 1000).node("v", "n2", 1000).node("u", "m", 1000);
    base = base.attempt("a", 1, 10, 50, 1).attempt("b", 2, 600, 50, 1);
    let mut snapshot = base.0;
    Arc::make_mut(&mut snapshot.units[0].shape).requests.memory = 3900 << 20;
    for (node, used) in snapshot.nodes.iter_mut().zip([500, 600, 700]) {
        (node.used, node.units, node.idle_since) = (super::build::shape(used).requests, 1, None);
    }
    let plan = crate::plan(&snapshot, noon());
    write(&mut snapshot, &plan, &[0]);
    let mut known = asleep(&snapshot);
    snapshot.units.extend(world().attempt("c", 3, 100, 10, 1).attempt("d", 4, 350, 10, 1).0.units);
    known.show(snapshot.clone());
    let plan = known.plan(noon());
    let nodes: Vec<&str> = plan.dispatch.iter().map(|one| one.node.as_str()).collect();
    assert_eq!(nodes, ["m", "n2"]);
    assert_eq!(plan, crate::plan(&snapshot, noon()));
}
