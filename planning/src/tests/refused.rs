//! Cases: the cluster refuses what was planned, and everybody else goes on.

use model::snapshot::{Place, Refused, Stage, Write};
use model::status::{JobState, Status};
use proptest::prelude::*;

use super::build::{World, check, noon, waiting, world};

fn refuse(world: World, uid: &str, write: Write, rests: bool) -> World {
    let refused = Refused { uid: uid.to_owned(), write, message: "policy p denies it".to_owned(), rests };
    world.with(|world| world.refused.push(refused))
}

const RELEASE: &str = "ADMISSION:WRITE_REFUSED: the Job cannot be released: policy p denies it; it is tried again and again, and others pass it meanwhile";

#[test]
fn a_job_whose_release_is_refused_takes_no_room_from_those_behind_it() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 1000).job("q", "large", 1, 1000, 20);
    let base = base.job("q", "small", 1, 500, 10);
    check(
        &base.clone(),
        "release large
         small Runnable CAPACITY:NO_ROOM: compute environment CE: none of its 1 nodes has room for 500m cpu, 500Mi memory now",
    );
    let refused = refuse(base, "large", Write::Release, true);
    check(&refused, &format!("release small\nlarge Runnable {RELEASE}"));
    // Nor in a queue in which nothing passes what waits.
    check(
        &refused.with(|world| world.queues[0].strict_fifo = true),
        &format!("release small\nlarge Runnable {RELEASE}"),
    );
}

#[test]
fn it_is_tried_without_effect_when_its_time_has_come() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 1000).job("q", "j", 1, 1000, 20);
    check(&refuse(base.clone(), "j", Write::Release, false), &format!("probe j\nj Runnable {RELEASE}"));
    check(&base, "release j");
}

#[test]
fn no_machine_is_launched_for_what_is_refused() {
    let base = world().managed("ce", 4).queue("q", 1, &["ce"]).job("q", "j", 1, 1000, 20);
    for rests in [true, false] {
        let plan = crate::plan(&refuse(base.clone(), "j", Write::Release, rests).0, noon());
        assert_eq!((plan.launch, plan.queues[0].waiting), (vec![], 1));
    }
}

#[test]
fn a_pod_that_cannot_be_bound_or_handed_over_steps_aside_and_comes_back() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 1000);
    for (judged, write, words, does) in [
        (true, Write::Bind, "put on a node", "dispatch j-0 to a of CE"),
        (false, Write::Hold, "handed to kube-scheduler", "hold j-0 on a"),
    ] {
        let base = base.clone().job("q", "j", 1, 1000, 20).that_shape(|shape| shape.judged = judged);
        let base = base.pods(&[waiting()]).job("q", "other", 1, 1000, 10).pods(&[waiting()]);
        check(
            &refuse(base.clone(), "j-0", write, true),
            &format!(
                "dispatch other-0 to a of CE
                 j Runnable ADMISSION:WRITE_REFUSED: the pod cannot be {words}: policy p denies it; it is tried again and again, and others pass it meanwhile
                 other Starting"
            ),
        );
        let again = crate::plan(&refuse(base, "j-0", write, false).0, noon());
        assert!(super::build::text_of(&again).starts_with(does));
    }
}

#[test]
fn a_pod_that_kube_scheduler_cannot_bind_steps_aside_and_gets_no_machine() {
    let held = Place::Held { nodes: vec!["a".to_owned()], refused: true };
    let base = world().managed("ce", 4).queue("q", 1, &["ce"]).machine("ce", "a", 1000, Stage::Serving, 0);
    let base = base.job("q", "j", 1, 700, 20).that_shape(|shape| shape.judged = false).pods(&[held]);
    let base = base.job("q", "other", 1, 500, 10).pods(&[waiting()]);
    check(
        &refuse(base, "j-0", Write::Bind, true),
        "dispatch other-0 to a of CE
         j Runnable ADMISSION:WRITE_REFUSED: the pod cannot be put on a node: policy p denies it; it is tried again and again, and others pass it meanwhile
         other Starting",
    );
}

#[test]
fn a_status_that_cannot_be_written_is_shown_elsewhere() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).job("q", "j", 1, 1000, 20).job("q", "k", 1, 1000, 10);
    let plan = crate::plan(&refuse(base.clone(), "j", Write::Status, true).0, noon());
    let names = |changes: &[model::plan::StatusChange]| -> Vec<String> {
        changes.iter().map(|change| change.job.name.clone()).collect()
    };
    assert_eq!((names(&plan.status), names(&plan.unwritten)), (vec!["k".to_owned()], vec!["j".to_owned()]));
    let said = plan.queues[0].refused.as_deref();
    let expected = "the cluster does not take what Bulkhead writes to 1 of its jobs; ns/j: policy p denies it";
    assert_eq!(said, Some(expected));
    // It is tried again, and the queue says so all the while.
    let plan = crate::plan(&refuse(base.clone(), "j", Write::Status, false).0, noon());
    assert_eq!((names(&plan.status), plan.unwritten.len()), (vec!["j".to_owned(), "k".to_owned()], 0));
    assert_eq!(plan.queues[0].refused.as_deref(), Some(expected));
    assert_eq!(crate::plan(&base.0, noon()).queues[0].refused, None);
}

#[test]
fn a_refusal_of_what_is_no_longer_wanted_says_nothing() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 1000).job("q", "j", 1, 500, 20);
    let running = base.pods(&[super::build::bound("a")]).that_job(|job| {
        job.status = Some(Status { state: JobState::Running, reason: None });
    });
    let mut plain = refuse(running.clone(), "j", Write::Release, true);
    plain = refuse(plain, "j-0", Write::Bind, true);
    check(&refuse(plain, "j", Write::Status, true), "");
    assert_eq!(crate::plan(&running.0, noon()).queues[0].refused, None);
}

proptest! {
    /// Whoever is refused changes nothing for others: the plan is that of a world without them.
    #[test]
    fn others_are_planned_for_as_if_it_were_not_there(
        jobs in prop::collection::vec((1..4u32, prop::sample::select(vec![250i64, 500, 1000]), 0..100i64, any::<bool>()), 1..8),
        nodes in prop::collection::vec(prop::sample::select(vec![500i64, 1000, 2000]), 0..4),
        strict in any::<bool>(),
    ) {
        let mut base = world().managed("m", 3).unmanaged("u").queue("q", 1, &["u", "m"]);
        base.0.queues[0].strict_fifo = strict;
        for (index, milli) in nodes.into_iter().enumerate() {
            base = base.node("u", &format!("n{index}"), milli);
        }
        let (mut with, mut without) = (base.clone(), base);
        for (index, (count, milli, age, refused)) in jobs.into_iter().enumerate() {
            let name = format!("j{index}");
            with = with.job("q", &name, count, milli, age);
            if refused {
                with = refuse(with, &name, Write::Release, index % 2 == 0);
            } else {
                without = without.job("q", &name, count, milli, age);
            }
        }
        let (with, without) = (crate::plan(&with.0, noon()), crate::plan(&without.0, noon()));
        prop_assert_eq!((with.release, with.launch), (without.release, without.launch));
        for change in without.status {
            prop_assert!(with.status.contains(&change));
        }
    }
}

#[test]
fn a_pod_with_the_scheduler_keeps_its_room_while_a_wider_choice_is_refused() {
    let held = Place::Held { nodes: vec!["a".to_owned()], refused: false };
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 1000);
    let base = base.job("q", "j", 1, 1000, 20).that_shape(|shape| shape.judged = false).pods(&[held]);
    let plan = crate::plan(&refuse(base.job("q", "k", 1, 500, 10), "j-0", Write::Hold, true).0, noon());
    assert_eq!(plan.release, vec![], "kube-scheduler may bind it there at any moment");
}
