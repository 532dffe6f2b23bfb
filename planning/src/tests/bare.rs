//! Cases: pods of no Job, and of one that is not among the jobs, which say themselves why they wait.

use std::sync::Arc;

use model::snapshot::{JobRef, Place, Snapshot};
use model::status::{Code, Reason};

use super::build::{check, waiting, world};

const FULL: &str = "compute environment CE: none of its 1 nodes has room for 500m cpu, 500Mi memory now";

/// Checks what is planned for pods at these places, in an environment with one node, of which `said` is written.
fn check_pods(places: &[Place], said: impl Fn(&mut Snapshot), expect: &str) {
    for silent in [false, true] {
        let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 500);
        let pods = base.job("q", "p", 1, 500, 10).pods(places).with(|snapshot| {
            snapshot.jobs.clear();
            for unit in &mut snapshot.units {
                unit.job = unit.job.take().filter(|_| silent).map(|job| JobRef { silent, ..job });
            }
        });
        check(&pods.with(&said), expect);
    }
}

fn said(code: Code, message: &str) -> impl Fn(&mut Snapshot) {
    let reason = Arc::new(Reason { code, message: message.to_owned() });
    move |snapshot| snapshot.units.iter_mut().for_each(|unit| unit.said = Some(reason.clone()))
}

#[test]
fn what_waits_says_why_once() {
    let both = [waiting(), waiting()];
    let says = format!("dispatch p-0 to a of CE\npod p-1 CAPACITY:NO_ROOM: {FULL}");
    check_pods(&both, |_| {}, &says);
    check_pods(&both, said(Code::NoRoom, FULL), "dispatch p-0 to a of CE");
    check_pods(&both, said(Code::Launching, "before"), &says);
}

#[test]
fn what_kube_scheduler_has_is_left_to_it() {
    let held = |refused| Place::Held { nodes: vec!["a".into()], refused };
    check_pods(&[held(false)], |_| {}, "");
    check_pods(&[held(true)], |_| {}, "");
}
