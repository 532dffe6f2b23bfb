//! Cases: pods that are of no Job, which say themselves why they wait.

use std::sync::Arc;

use model::snapshot::{Place, Snapshot};
use model::status::{Code, Reason};

use super::build::{World, check, waiting, world};

const FULL: &str = "compute environment CE: none of its 1 nodes has room for 500m cpu, 500Mi memory now";

/// Pods of no Job, at these places, in an environment with one node.
fn pods(places: &[Place]) -> World {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 500);
    base.job("q", "p", 1, 500, 10).pods(places).with(|snapshot| {
        snapshot.jobs.clear();
        snapshot.units.iter_mut().for_each(|unit| unit.job = None);
    })
}

fn said(code: Code, message: &str) -> impl Fn(&mut Snapshot) {
    let reason = Arc::new(Reason { code, message: message.to_owned() });
    move |snapshot| snapshot.units.iter_mut().for_each(|unit| unit.said = Some(reason.clone()))
}

#[test]
fn what_waits_says_why_once() {
    check(&pods(&[waiting(), waiting()]), &format!("dispatch p-0 to a of CE\npod p-1 CAPACITY:NO_ROOM: {FULL}"));
    check(&pods(&[waiting(), waiting()]).with(said(Code::NoRoom, FULL)), "dispatch p-0 to a of CE");
    check(
        &pods(&[waiting(), waiting()]).with(said(Code::Launching, "before")),
        &format!("dispatch p-0 to a of CE\npod p-1 CAPACITY:NO_ROOM: {FULL}"),
    );
}

#[test]
fn what_kube_scheduler_has_is_left_to_it() {
    let held = |refused| Place::Held { nodes: vec!["a".into()], refused };
    check(&pods(&[held(false)]), "");
    check(&pods(&[held(true)]), "");
}
