//! Cases of what waits at the head of its queue: how much room is kept for it, the longer it waits.

use jiff::SignedDuration;
use model::snapshot::Stage;

use super::build::{World, before, bound, check, noon, world};
use crate::cycle::reserve::PATIENCE;

/// One that runs on a node, and may never end.
fn running(world: World, milli: i64, node: &str) -> World {
    world.job("q", &format!("on-{node}"), 1, milli, 30).pods(&[bound(node)]).that_job(|job| {
        job.status = Some(serde_json::from_str(r#"{"state":"RUNNING"}"#).unwrap());
    })
}

/// The head of queue `q` needs a whole node; three have others' work. It has waited for so long.
fn waited(time: SignedDuration) -> World {
    let mut out = world().unmanaged("ce").queue("q", 1, &["ce"]);
    for (node, milli) in [("a", 100), ("b", 200), ("c", 300)] {
        out = running(out.node("ce", node, 1000), milli, node);
    }
    out.job("q", "head", 1, 1000, 20).with(|world| {
        world.kept_since.insert("head".into(), noon() - time);
    })
}

#[test]
fn the_longer_a_head_waits_the_more_nodes_are_kept_for_it() {
    for (times, kept) in [(0, 1), (1, 2), (2, 2), (1000, 2)] {
        // As many small ones behind it as all nodes take.
        let world = waited(PATIENCE * times).job("q", "small", 24, 100, 10);
        let plan = crate::plan(&world.0, noon());
        let left = [9, 8, 7].iter().skip(kept).sum::<usize>();
        let small = plan.status.iter().find(|change| change.uid == "small");
        assert_eq!(plan.release.len(), usize::from(left > 0), "{times}: {small:?}");
        assert!(plan.keeps.contains("head"), "{times}");
        assert_eq!(plan.wake_at, Some(noon() + PATIENCE), "{times}");
    }
    // Of twelve nodes three, at most.
    let mut world = waited(PATIENCE * 1000);
    for node in 0..9 {
        let name = format!("n{node}");
        world = running(world.node("ce", &name, 1000), 100, &name);
    }
    let plan = crate::plan(&world.job("q", "small", 200, 100, 10).pods(&vec![super::build::waiting(); 200]).0, noon());
    assert_eq!(plan.dispatch.len(), 9 * 9 + 9 + 8 + 7 - 3 * 9);
    let almost = waited(PATIENCE - SignedDuration::from_secs(1)).job("q", "small", 8, 100, 10);
    assert_eq!(crate::plan(&almost.0, noon()).release.len(), 1);
}

#[test]
fn it_is_remembered_as_long_as_it_waits_and_no_longer() {
    let world = waited(SignedDuration::ZERO);
    let keeps = |world: &World| crate::plan(&world.0, noon()).keeps.iter().cloned().collect::<Vec<_>>();
    let known = |uids: &[&str]| {
        let since = uids.iter().map(|uid| ((*uid).to_owned(), before(60))).collect();
        world.clone().with(|world| world.kept_since = since)
    };
    assert_eq!(keeps(&known(&[])), ["head"], "from the first time");
    assert_eq!(keeps(&known(&["head", "ended long ago"])), ["head"]);
    // One that was the head, and waits behind another now, has not begun to wait anew.
    let other = known(&["second"]).job("q", "second", 1, 1000, 10);
    assert_eq!(keeps(&other), ["head", "second"]);
    assert!(keeps(&known(&["head"]).node("ce", "d", 1000)).is_empty(), "it has room");
    assert!(keeps(&known(&["head"]).with(|world| world.jobs[3].held = true)).is_empty(), "its user holds it");
}

#[test]
fn a_head_that_has_waited_for_others_has_idle_machines_make_way_for_it() {
    // Node a fits when what runs there has ended, if ever; machine m never does, stays for minvCpus, and takes all that may be had.
    let base = world().unmanaged("own").node("own", "a", 1500).managed("ce", 2).queue("q", 1, &["own", "ce"]);
    let base = running(base, 100, "a").scaling(|scaling| scaling.min_milli = 1000);
    let base = base.machine("ce", "m", 1000, Stage::Serving, 600).job("q", "head", 1, 1500, 20);
    let reason = "head Runnable CAPACITY:NO_ROOM: compute environment OWN: none of its 1 nodes has room for 1500m cpu, 1500Mi memory now; compute environment CE is at its limit: its machines have 1 of 2 vCPUs (maxvCpus), another one needs 2";
    check(&base, reason);
    let waited = base.with(|world| world.kept_since = [("head".to_owned(), noon() - PATIENCE)].into());
    check(&waited, &format!("retire m: it makes way for a larger machine\n{reason}"));
}
