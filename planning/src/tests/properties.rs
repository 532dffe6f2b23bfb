//! Properties of any plan in any world.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::plan::{Launch, Plan};
use model::resources::Resources;
use model::snapshot::{Place, Stage};
use proptest::prelude::*;

use super::build::{World, noon, world};

fn any_world() -> impl Strategy<Value = World> {
    prop_oneof![plain_world(), super::any::worlds().prop_map(|any| World(any.snapshot()))]
}

/// With little that is odd, and often much to do.
fn plain_world() -> impl Strategy<Value = World> {
    let nodes =
        prop::collection::vec((0..2usize, prop::sample::select(vec![500i64, 1000, 2000]), 0..3u8, 0..200i64), 0..6);
    let jobs = prop::collection::vec(
        (
            0..3usize,
            1..5u32,
            prop::sample::select(vec![100i64, 250, 500, 1000, 1500, 2500]),
            0..100i64,
            0..4u8,
            any::<bool>(),
        ),
        0..12,
    );
    (nodes, jobs, 0..6i64, any::<bool>()).prop_map(|(nodes, jobs, max, strict)| {
        let mut out = world().managed("m", max).unmanaged("u").queue("a", 5, &["m", "u"]).queue("b", 1, &["u", "m"]);
        out.0.queues[0].strict_fifo = strict;
        for (index, (environment, milli, stage, idle)) in nodes.into_iter().enumerate() {
            let name = format!("n{index}");
            let stage = [Stage::Coming, Stage::Serving, Stage::Going][usize::from(stage)];
            out = if environment == 0 {
                out.machine("m", &name, milli, stage, idle)
            } else {
                out.node("u", &name, milli)
            };
        }
        for (index, (queue, count, milli, age, made, judged)) in jobs.into_iter().enumerate() {
            out = out.job(["a", "b", "missing"][queue], &format!("j{index}"), count, milli, age);
            out = out.that_job(|job| {
                Arc::make_mut(&mut job.shape).judged = judged;
                job.held = made == 3;
            });
            if made == 1 || made == 2 {
                out = out.pods(&vec![Place::Waiting; count.min(u32::from(made)) as usize]);
            }
        }
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_node_gets_more_than_it_has(world in any_world()) {
        let plan = crate::plan(&world.0, noon());
        let mut load: BTreeMap<&str, Resources> = BTreeMap::new();
        for dispatch in &plan.dispatch {
            let unit = world.0.units.iter().find(|unit| unit.uid == dispatch.uid).unwrap();
            load.entry(&dispatch.node).or_default().add(&unit.shape.requests);
        }
        for (name, load) in load {
            let node = world.0.nodes.iter().find(|node| node.name == name).unwrap();
            let mut free = node.allocatable.clone();
            free.sub(&node.used);
            prop_assert!(load.fits(&free), "{name}: {load} into {free}");
            prop_assert!(node.ready && !node.retiring);
        }
    }

    #[test]
    fn the_limit_holds_whatever_is_asked(world in any_world()) {
        let plan = crate::plan(&world.0, noon());
        for environment in &world.0.environments {
            let Some(scaling) = &environment.scaling else { continue };
            let own = world.0.machines.iter().filter(|machine| machine.environment == environment.name);
            let have: i64 = own.map(|machine| machine.milli_vcpus).sum();
            let launched = plan.launch.iter().filter(|launch| launch.environment == environment.name);
            let is_sold = |launch: &Launch| scaling.offers.as_ref().is_ok_and(|sold| sold.contains(&launch.offer));
            prop_assert!(launched.clone().all(is_sold));
            let more: i64 = launched.map(|launch| launch.offer.milli_vcpus).sum();
            prop_assert!(more == 0 || have + more <= scaling.max_milli, "{have} + {more} of {}", scaling.max_milli);
        }
    }

    #[test]
    fn every_job_that_waits_says_why_and_nothing_is_decided_twice(world in any_world()) {
        let plan = crate::plan(&world.0, noon());
        for job in &world.0.jobs {
            let released = plan.release.iter().filter(|change| change.uid == job.uid).count();
            prop_assert!(released <= 1);
            let changed = plan.status.iter().chain(&plan.unwritten).find(|change| change.uid == job.uid);
            let status = changed.map(|change| &change.status).or(job.status.as_ref());
            if !job.released && released == 0 {
                prop_assert!(status.is_some_and(|status| status.reason.is_some()), "{}", job.uid);
            }
            prop_assert!(!(job.held && released > 0));
        }
        for unit in &world.0.units {
            let decided = plan.dispatch.iter().filter(|dispatch| dispatch.uid == unit.uid).count()
                + plan.hold.iter().filter(|hold| hold.uid == unit.uid).count();
            prop_assert!(decided <= 1);
        }
    }

    #[test]
    fn a_node_with_work_or_with_room_wanted_never_goes(world in any_world()) {
        let plan = crate::plan(&world.0, noon());
        for retire in &plan.retire {
            let node = world.0.nodes.iter().find(|node| node.name == retire.machine).unwrap();
            prop_assert_eq!(node.units, 0);
            prop_assert!(plan.dispatch.iter().all(|dispatch| dispatch.node != retire.machine));
            // Where kube-scheduler has refused it before, nothing is kept.
            let before = |uid: &str| match world.0.units.iter().find(|unit| unit.uid == uid).map(|unit| &unit.place) {
                Some(Place::Held { nodes, .. }) => nodes.as_slice(),
                _ => &[],
            };
            let mut held = plan.hold.iter().filter(|hold| hold.nodes.contains(&retire.machine));
            prop_assert!(held.all(|hold| before(&hold.uid).contains(&retire.machine)));
        }
    }

    #[test]
    fn once_a_plan_is_written_the_same_world_writes_nothing_more(world in any_world()) {
        let plan = crate::plan(&world.0, noon());
        let mut after = world;
        for change in plan.status {
            let job = after.0.jobs.iter_mut().find(|job| job.uid == change.uid).unwrap();
            job.status = Some(change.status);
        }
        for unit in &mut after.0.units {
            let of_record = plan.explain.iter().find(|(id, _)| Some(*id) == unit.record).map(|(_, reason)| reason.clone());
            let of_pod = || plan.pods.iter().find(|one| one.uid == unit.uid).map(|one| Arc::new(one.reason.clone()));
            unit.said = of_record.or_else(of_pod).or(unit.said.take());
        }
        let again = crate::plan(&after.0, noon());
        prop_assert_eq!((again.status, again.explain, again.pods), (vec![], vec![], vec![]));
    }

    #[test]
    fn what_is_not_said_again_is_what_is_said_where_nothing_was(world in any_world()) {
        let plan = crate::plan(&world.0, noon());
        let mut mute = world.clone();
        mute.0.units.iter_mut().for_each(|unit| unit.said = None);
        mute.0.jobs.iter_mut().filter(|job| !job.released).for_each(|job| job.status = None);
        let whole = crate::plan(&mute.0, noon());
        for unit in &world.0.units {
            let of_record = |plan: &Plan| plan.explain.iter().find(|(id, _)| Some(*id) == unit.record).cloned();
            let of_pod = |plan: &Plan| plan.pods.iter().find(|one| one.uid == unit.uid).map(|one| one.reason.clone());
            let reason = |plan: &Plan| of_record(plan).map(|(_, reason)| (*reason).clone()).or_else(|| of_pod(plan));
            let expected = reason(&whole);
            prop_assert_eq!(reason(&plan), expected.filter(|reason| unit.said.as_deref() != Some(reason)));
        }
        for job in world.0.jobs.iter().filter(|job| !job.released) {
            let status = |plan: &Plan| {
                let changes = plan.status.iter().chain(&plan.unwritten).chain(&plan.release);
                changes.clone().find(|change| change.uid == job.uid).map(|change| change.status.clone())
            };
            let changed = status(&whole).filter(|status| job.status.as_ref() != Some(status));
            prop_assert_eq!(status(&plan), changed, "{}", job.uid);
        }
        let mute = |plan: Plan| Plan { status: vec![], unwritten: vec![], explain: vec![], pods: vec![], ..plan };
        // What queues show of refusals hangs on what is to be written.
        let queues = |plan: &Plan| plan.queues.iter().map(|one| (one.waiting, one.dispatched)).collect::<Vec<_>>();
        prop_assert_eq!(queues(&plan), queues(&whole));
        prop_assert_eq!(mute(Plan { queues: Arc::default(), ..plan }), mute(Plan { queues: Arc::default(), ..whole }));
    }
}
