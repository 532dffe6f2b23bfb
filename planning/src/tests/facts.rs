//! Properties of a world: it is what its facts are, however they came.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::SignedDuration;
use model::dump::{Dump, VERSION};
use model::resources::Resources;
use model::snapshot::{Place, Snapshot};
use proptest::prelude::*;

use super::any::{spread, worlds};
use super::build::noon;
use crate::world::{Changes, Fact, News, Thing, World};

/// The snapshot as facts, in an order given by numbers.
fn facts<'a>(snapshot: &'a Snapshot, order: &[u16]) -> Vec<Fact<'a>> {
    let mut facts = vec![
        Fact::HooksMissing(snapshot.hooks_missing),
        Fact::Closed(Cow::Borrowed(&snapshot.closed)),
        Fact::Refused(Cow::Borrowed(&snapshot.refused)),
        Fact::KeptSince(Cow::Borrowed(&snapshot.kept_since)),
    ];
    facts.extend(snapshot.queues.iter().map(|one| Fact::Queue(Cow::Borrowed(one))));
    facts.extend(snapshot.environments.iter().map(|one| Fact::Environment(Cow::Borrowed(one))));
    facts.extend(snapshot.nodes.iter().map(|one| Fact::Node(Cow::Borrowed(one))));
    facts.extend(snapshot.machines.iter().map(|one| Fact::Machine(Cow::Borrowed(one))));
    facts.extend(snapshot.jobs.iter().map(|one| Fact::Job(Cow::Borrowed(one))));
    facts.extend(snapshot.units.iter().map(|one| Fact::Unit(Cow::Borrowed(one))));
    let mut keyed: Vec<(u16, Fact<'a>)> = order.iter().copied().cycle().zip(facts).collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, fact)| fact).collect()
}

/// Everything that can be there no more.
fn things(snapshot: &Snapshot) -> Vec<Thing<'_>> {
    let mut all: Vec<Thing<'_>> = snapshot.queues.iter().map(|one| Thing::Queue(&one.name)).collect();
    all.extend(snapshot.environments.iter().map(|one| Thing::Environment(&one.name)));
    all.extend(snapshot.nodes.iter().map(|one| Thing::Node(&one.name)));
    all.extend(snapshot.machines.iter().map(|one| Thing::Machine(&one.name)));
    all.extend(snapshot.jobs.iter().map(|one| Thing::Job(&one.uid)));
    all.extend(snapshot.units.iter().map(|one| Thing::Unit(&one.uid)));
    all
}

fn order() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn the_plan_of_a_dump_is_the_plan_of_what_was_dumped(given in worlds()) {
        let snapshot = given.snapshot();
        let written = serde_json::to_string(&Dump { version: VERSION, now: noon(), snapshot: snapshot.clone() }).unwrap();
        let read: Dump = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(crate::plan(&read.snapshot, read.now), crate::plan(&snapshot, noon()));
        prop_assert_eq!(read.snapshot, snapshot);
    }

    #[test]
    fn the_plan_hangs_on_what_is_so_and_not_on_how_it_became_known(
        one in worlds(), other in worlds(), first in order(), then in order(), numbers in any::<[[u8; 16]; 2]>(), many in any::<bool>(),
    ) {
        let check = |world: &mut World<'_>, snapshot: &Snapshot, when: &str| {
            let expected = World::of(snapshot).plan(noon());
            prop_assert!(world.plan(noon()) == expected, "{when}: {:#?}\nnot {expected:#?}", world.plan(noon()));
            prop_assert!(world.plan(noon()) == expected, "{when}, again");
            Ok(())
        };
        let (mut one, mut other) = (one.snapshot(), other.snapshot());
        if many {
            (one, other) = (spread(one, numbers[0]), spread(other, numbers[1]));
        }
        let mut world = World::default();
        world.extend(facts(&one, &first));
        check(&mut world, &one, "at first")?;
        // Whatever stays is changed, whatever goes goes before or after.
        let there = things(&other);
        let gone: Vec<Thing<'_>> = things(&one).into_iter().filter(|thing| !there.contains(thing)).collect();
        let (before, after) = gone.split_at(gone.len() / 2);
        world.extend(before.iter().cloned().map(Fact::Gone));
        world.extend(facts(&other, &then));
        world.extend(after.iter().cloned().map(Fact::Gone));
        check(&mut world, &other, "then")?;
        world.extend(things(&other).into_iter().map(Fact::Gone));
        world.extend(facts(&one, &then));
        check(&mut world, &one, "at last")?;
    }

    #[test]
    fn what_comes_and_goes_on_nodes_changes_their_rooms_alone(
        given in worlds(), changes in prop::collection::vec((any::<usize>(), any::<u8>(), any::<bool>()), 1..8),
    ) {
        let mut snapshot = given.snapshot();
        let before = snapshot.clone();
        let mut world = World::of(&before);
        for (which, what, plans) in changes {
            let (nodes, units) = (snapshot.nodes.len().max(1), snapshot.units.len().max(1));
            let Some(node) = snapshot.nodes.get_mut(which % nodes) else { break };
            if let Some(unit) = snapshot.units.get_mut(which % units).filter(|_| what > 200) {
                let held = Place::Held { nodes: vec![node.name.clone()], refused: what % 5 == 0 };
                unit.place = if what.is_multiple_of(2) { held } else { Place::Waiting };
                world.take(Fact::Unit(Cow::Owned(unit.clone())));
            }
            match what % 5 {
                0 => node.used = Resources::new(i64::from(what) * 10, i64::from(what) << 20),
                1 => node.foreign.add(&Resources::new(100, 1 << 20)),
                2 => node.units = u32::from(what) % 3,
                3 => node.idle_since = (what > 100).then(|| noon() - SignedDuration::from_secs(i64::from(what))),
                _ => node.ready = !node.ready,
            }
            world.take(Fact::Node(Cow::Owned(node.clone())));
            if plans {
                let expected = World::of(&snapshot).plan(noon());
                prop_assert_eq!(world.plan(noon()), expected);
            }
        }
        let expected = World::of(&snapshot).plan(noon());
        prop_assert_eq!(world.plan(noon()), expected);
    }

    #[test]
    fn a_world_that_is_shown_what_has_changed_knows_all_that_is_so(one in worlds(), other in worlds()) {
        let (one, other) = (one.snapshot(), other.snapshot());
        let mut world = World::default();
        world.show(one.clone());
        world.plan(noon());
        for (before, after) in [(&one, &other), (&other, &one), (&one, &one)] {
            world.show(difference(before, after));
            prop_assert_eq!(world.plan(noon()), World::of(after).plan(noon()));
            prop_assert_eq!(sorted(world.snapshot()), sorted(after.clone()));
        }
    }

    #[test]
    fn a_world_that_is_shown_everything_knows_that_and_nothing_else(
        one in worlds(), other in worlds(), forget in any::<[bool; 4]>(),
    ) {
        let mut world = World::default();
        for (what, forget) in [&one, &other, &one, &one].into_iter().zip(forget) {
            let snapshot = what.snapshot();
            world.show(snapshot.clone());
            if forget {
                world.renew();
            }
            let expected = World::of(&snapshot).plan(noon());
            prop_assert_eq!(world.plan(noon()), expected);
            prop_assert_eq!(sorted(world.snapshot()), sorted(snapshot));
        }
        // Whoever limits what waits counts who has a shape.
        let (mut world, last) = (World::default(), one.snapshot());
        world.show(last.clone());
        world.plan(noon());
        world.show(Snapshot::default());
        let shapes: Vec<_> = last.units.iter().map(|unit| &unit.shape).chain(last.jobs.iter().map(|job| &job.shape)).collect();
        for shape in &shapes {
            let ours = shapes.iter().filter(|other| Arc::ptr_eq(other, shape)).count();
            prop_assert_eq!(Arc::strong_count(shape), ours);
        }
        prop_assert_eq!(world.snapshot(), Snapshot::default());
    }
}

/// What has changed, and what was never there.
fn difference(before: &Snapshot, after: &Snapshot) -> News {
    let (before, after) = (News::from(before.clone()), News::from(after.clone()));
    News {
        nodes: changes(&before.nodes, after.nodes),
        jobs: changes(&before.jobs, after.jobs),
        units: changes(&before.units, after.units),
        ..after
    }
}

fn changes<T: PartialEq>(before: &Changes<T>, mut after: Changes<T>) -> Changes<T> {
    let gone = before.things.keys().map(String::as_str).chain(["never"]);
    let gone: Vec<String> = gone.filter(|key| !after.things.contains_key(*key)).map(str::to_owned).collect();
    after.things.retain(|key, thing| before.things.get(key) != Some(thing));
    after.things.extend(gone.into_iter().map(|key| (key, None)));
    Changes { whole: false, things: after.things }
}

/// Everything in the order of its names.
fn sorted(mut snapshot: Snapshot) -> Snapshot {
    snapshot.queues.sort_by(|a, b| a.name.cmp(&b.name));
    snapshot.environments.sort_by(|a, b| a.name.cmp(&b.name));
    snapshot.nodes.sort_by(|a, b| a.name.cmp(&b.name));
    snapshot.machines.sort_by(|a, b| a.name.cmp(&b.name));
    snapshot.jobs.sort_by(|a, b| a.uid.cmp(&b.uid));
    snapshot.units.sort_by(|a, b| a.uid.cmp(&b.uid));
    snapshot
}
