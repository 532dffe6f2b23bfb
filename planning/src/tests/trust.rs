//! Cases of how many machines are launched at once.

use model::snapshot::Stage;
use model::status::Code;

use super::build::{World, noon, offer, world};

#[test]
fn who_has_not_delivered_or_has_failed_is_asked_for_a_few_at_first() {
    // Until all 200 are there, each batch when the one before has joined.
    let mut batches = vec![];
    let mut delivered = 0_u32;
    while delivered < 200 {
        let wanted = 200 - delivered;
        let base = world().managed("ce", 1000).queue("q", 1, &["ce"]).scaling(|scaling| {
            (scaling.delivered, scaling.offers) = (delivered, Ok(vec![offer("m5.large", 2000)]));
        });
        let plan = crate::plan(&base.job("q", "j", wanted, 2000, 10).0, noon());
        let reason = plan.status[0].status.reason.as_ref().unwrap();
        assert_eq!(reason.code, Code::Launching, "{reason:?}");
        let launched = u32::try_from(plan.launch.len()).unwrap();
        batches.push(launched);
        delivered += launched;
    }
    assert_eq!(batches, [1, 2, 4, 193]);
}

#[test]
fn the_minimum_is_launched_as_carefully_as_what_work_asks_for() {
    let launched = |world: &World| crate::plan(&world.0, noon()).launch;
    let base = world().managed("ce", 2000).scaling(|scaling| scaling.min_milli = 2_000_000);
    assert_eq!(launched(&base).len(), 4000, "its provider is known to deliver");
    let base = base.scaling(|scaling| scaling.delivered = 5);
    assert_eq!(launched(&base).len(), 4, "as many as its provider is trusted to deliver");
    let mut coming = base.clone();
    for number in 0..3 {
        coming = coming.machine("ce", &format!("m{number}"), 500, Stage::Coming, 0);
    }
    assert_eq!(launched(&coming).len(), 1, "those on their way count");
    let asked = launched(&coming.clone().queue("q", 1, &["ce"]).job("q", "j", 9, 2000, 10));
    assert_eq!(asked.iter().map(|launch| launch.job.is_some()).collect::<Vec<_>>(), [true], "work goes first");
    coming = coming.machine("ce", "m3", 500, Stage::Coming, 0);
    assert_eq!(launched(&coming).len(), 0);
    assert_eq!(launched(&base.clone().setback(None, false, "try later")).len(), 0, "no launch is tried for a while");
    let sold_out = base.setback(Some("local.small"), true, "sold out");
    assert!(launched(&sold_out).iter().all(|launch| launch.offer.name == "local.medium"));
}
