//! Cases of Jobs with `activeDeadlineSeconds`: their clock starts at their release, so they start with as many units as will ever run together.

use jiff::{SignedDuration, Timestamp};
use model::snapshot::Stage;

use crate::cycle::reserve::PATIENCE;

use super::build::{World, before, bound, check, noon, offer, waiting, world};

/// A Job of `count` units of `milli` with a deadline.
fn with_deadline(world: World, count: u32, milli: i64) -> World {
    world.job("q", "j", count, milli, 10).that_job(|job| job.has_deadline = true)
}

/// One that runs on a node.
fn running(world: World, name: &str, milli: i64, node: &str) -> World {
    world.job("q", name, 1, milli, 30).pods(&[bound(node)]).that_job(|job| {
        job.status = Some(serde_json::from_str(r#"{"state":"RUNNING"}"#).unwrap());
    })
}

#[test]
fn it_starts_with_all_its_units_where_all_can_run_together() {
    let base = running(world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 1500), "runs", 500, "a");
    check(
        &with_deadline(base.clone(), 3, 500),
        "j Runnable CAPACITY:NO_ROOM: 2 of 3 units would fit; with activeDeadlineSeconds a Job starts with all of them, or at 2026-11-01T12:05:00Z with those that fit, because its clock starts then: compute environment CE: none of its 1 nodes has room for 500m cpu, 500Mi memory now",
    );
    check(&with_deadline(base.node("ce", "b", 500), 3, 500), "release j");
}

#[test]
fn it_starts_with_as_many_as_the_nodes_will_ever_hold() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 1000);
    check(&with_deadline(base.clone(), 6, 250), "release j");
    check(
        &with_deadline(running(base.clone(), "runs", 250, "a"), 6, 250),
        "j Runnable CAPACITY:NO_ROOM: 3 of 6 units would fit; with activeDeadlineSeconds a Job starts with as many as can ever run together, here about 4, or at 2026-11-01T12:05:00Z with those that fit, because its clock starts then: compute environment CE: none of its 1 nodes has room for 250m cpu, 250Mi memory now",
    );
    // What is not the queue's stays, as far as anybody knows.
    let foreign = base.clone().with(|world| {
        world.nodes[0].foreign.cpu = 300;
        world.nodes[0].used.cpu = 300;
    });
    check(&with_deadline(foreign, 6, 250), "release j");
    check(
        &with_deadline(base.with(|world| world.nodes[0].ready = false), 6, 250),
        "j Runnable CAPACITY:NO_ROOM: compute environment CE has no node that is Ready; label one with \
         batch.amazonaws.com/compute-environment-uuid, the value is its status.uuid",
    );
}

#[test]
fn it_starts_with_as_many_as_real_machines_will_ever_hold() {
    // 4 vCPUs of machines with 3 that take two units each: the second machine cannot be had, whatever the quotient says.
    let base = world().managed("ce", 4).scaling(|scaling| scaling.offers = Ok(vec![offer("odd", 3000)]));
    let base = base.queue("q", 1, &["ce"]);
    check(
        &with_deadline(base.clone(), 3, 1500),
        "launch odd for ce
         j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it",
    );
    let there = base.machine("ce", "m", 2000, Stage::Serving, 0).with(|world| {
        (world.machines[0].offer, world.machines[0].milli_vcpus) = ("odd".into(), 3000);
        world.nodes[0].allocatable.cpu = 3000;
    });
    check(&with_deadline(there.clone(), 3, 1500), "release j");
    // A work queue, and more workers than completions.
    check(&with_deadline(there.clone(), 3, 1500).that_job(|job| job.remaining = None), "release j");
    check(&with_deadline(there.clone(), 30, 1500).that_job(|job| job.remaining = Some(2)), "release j");
    check(
        &with_deadline(running(there, "runs", 1500, "m"), 30, 1500).that_job(|job| job.remaining = Some(2)),
        "j Runnable LIMIT:MAX_VCPUS: 1 of 2 units would fit; with activeDeadlineSeconds a Job starts with all of them, or at 2026-11-01T12:05:00Z with those that fit, because its clock starts then: compute environment CE is at its limit: its machines have 3 of 4 vCPUs (maxvCpus), another one needs 3",
    );
}

#[test]
fn machines_that_are_too_small_make_way_for_its_other_units() {
    let base = world().managed("ce", 4).queue("q", 1, &["ce"]);
    let base = base.machine("ce", "large", 2000, Stage::Serving, 0).machine("ce", "a", 1000, Stage::Serving, 0);
    check(
        &with_deadline(base.machine("ce", "b", 1000, Stage::Serving, 0), 5, 1500),
        "retire a: it makes way for a larger machine
         retire b: it makes way for a larger machine
         j Runnable LIMIT:MAX_VCPUS: 1 of 5 units would fit; with activeDeadlineSeconds a Job starts with as many as can ever run together, here about 2, or at 2026-11-01T12:05:00Z with those that fit, because its clock starts then: compute environment CE is at its limit: its machines have 4 of 4 vCPUs (maxvCpus), another one needs 2",
    );
}

#[test]
fn it_waits_for_what_is_not_known_yet_and_for_machines_that_are_sold_out() {
    let own = world().unmanaged("own").node("own", "a", 500).managed("ce", 4).queue("q", 1, &["own", "ce"]);
    let unknown = own.clone().scaling(|scaling| {
        scaling.offers = Err("the provider has not answered yet".into());
        scaling.unsettled_until = Some(noon() + SignedDuration::from_secs(1));
    });
    check(
        &with_deadline(unknown.clone(), 6, 500),
        "j Runnable CAPACITY:NO_ROOM: 1 of 6 units would fit; with activeDeadlineSeconds a Job starts with all of them, or at 2026-11-01T12:05:00Z with those that fit, because its clock starts then: compute environment OWN: none of its 1 nodes has room for 500m cpu, 500Mi memory now; compute environment CE: the provider has not answered yet",
    );
    check(&with_deadline(unknown.clone().with(|world| world.environments[1].enabled = false), 6, 500), "release j");
    // Nobody waits for a provider that never answers; nor does anybody believe it at once that it has nothing more to sell.
    check(&with_deadline(unknown.scaling(|scaling| scaling.unsettled_until = Some(noon())), 6, 500), "release j");
    let fewer = |seconds: i64| {
        own.clone().scaling(|scaling| {
            scaling.offers = Ok(vec![]);
            scaling.unsettled_until = Some(noon() + SignedDuration::from_secs(seconds));
        })
    };
    check(
        &with_deadline(fewer(1), 6, 500),
        "j Runnable CAPACITY:NO_ROOM: 1 of 6 units would fit; with activeDeadlineSeconds a Job starts with as many as can ever run together, here about 2, or at 2026-11-01T12:05:00Z with those that fit, because its clock starts then: compute environment OWN: none of its 1 nodes has room for 500m cpu, 500Mi memory now; compute environment CE: its provider offers nothing",
    );
    check(&with_deadline(fewer(0), 6, 500), "release j");
    let sold_out = own.scaling(|scaling| scaling.max_milli = 500).setback(Some("local.small"), true, "sold out");
    check(
        &with_deadline(sold_out, 6, 500),
        "j Runnable CAPACITY:NO_ROOM: 1 of 6 units would fit; with activeDeadlineSeconds a Job starts with as many as can ever run together, here about 2, or at 2026-11-01T12:05:00Z with those that fit, because its clock starts then: compute environment OWN: none of its 1 nodes has room for 500m cpu, 500Mi memory now; compute environment CE: local.small sold out",
    );
}

#[test]
fn after_its_start_the_reason_says_that_the_clock_runs() {
    let base = with_deadline(world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 500), 2, 500);
    check(
        &base.pods(&[bound("a"), waiting()]),
        "j Running CAPACITY:NO_ROOM: compute environment CE: none of its 1 nodes has room for 500m cpu, 500Mi memory now; its activeDeadlineSeconds go on while it waits",
    );
}

/// A Job of three pods of which two fit, beside one that never ends; room has been kept for it since then.
fn beside_one_that_never_ends(since: Option<Timestamp>) -> World {
    let base = running(world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 1500), "runs", 500, "a");
    kept_since(with_deadline(base, 3, 500), since)
}

fn kept_since(world: World, since: Option<Timestamp>) -> World {
    world.with(|world| world.kept_since.extend(since.map(|since| ("j".to_owned(), since))))
}

#[test]
fn it_waits_for_others_to_leave_no_longer_than_five_minutes() {
    for (ago, starts) in [(None, false), (Some(0), false), (Some(299), false), (Some(300), true), (Some(9999), true)] {
        let plan = crate::plan(&beside_one_that_never_ends(ago.map(before)).0, noon());
        assert_eq!(plan.release.len(), usize::from(starts), "{ago:?}");
        if starts {
            continue;
        }
        let until = before(ago.unwrap_or(0)) + PATIENCE;
        assert!(plan.keeps.contains("j"), "{ago:?}");
        assert_eq!(plan.wake_at, Some(until), "{ago:?}");
        let reason = plan.status[0].status.reason.as_ref().unwrap();
        assert!(reason.message.contains(&format!("or at {until} with those that fit")), "{ago:?}");
    }
}

#[test]
fn it_waits_for_machines_on_their_way_for_as_long_as_they_are() {
    let base = world().managed("ce", 8).queue("q", 1, &["ce"]).machine("ce", "there", 2000, Stage::Serving, 0);
    let coming = base.machine("ce", "comes", 2000, Stage::Coming, 0);
    check(
        &kept_since(with_deadline(coming, 2, 1500), Some(before(9999))),
        "j Runnable CAPACITY:LAUNCHING: 1 of 2 units would fit; with activeDeadlineSeconds a Job starts with all of them, because its clock starts then: compute environment CE is launching a machine for it",
    );
}

#[test]
fn without_room_for_any_of_it_it_is_not_released_however_long_it_has_waited() {
    let full = beside_one_that_never_ends(Some(before(9999))).with(|world| world.nodes[0].allocatable.cpu = 500);
    assert!(crate::plan(&full.0, noon()).release.is_empty());
}
