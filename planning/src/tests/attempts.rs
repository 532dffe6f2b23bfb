//! Cases: jobs of the API in a plan, which have no pod before they have a node.

use model::snapshot::Stage;
use model::status::Code;

use super::build::{check, noon, waiting, world};

#[test]
fn an_attempt_gets_a_node_like_a_pod_and_beside_pods() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 2000);
    check(
        &base.job("q", "j", 1, 500, 5).pods(&[waiting()]).attempt("q", 1, 500, 10, 1),
        "dispatch job-1 to a of CE
         dispatch j-0 to a of CE
         j Starting",
    );
}

#[test]
fn an_attempt_that_waits_has_a_reason_of_its_own() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 500);
    check(
        &base.attempt("q", 1, 500, 20, 1).attempt("q", 2, 500, 10, 1),
        "dispatch job-1 to a of CE
         job-2 CAPACITY:NO_ROOM: compute environment CE: none of its 1 nodes has room for 500m cpu, 500Mi memory now",
    );
    check(
        &world().attempt("nowhere", 3, 500, 10, 1),
        "job-3 MISCONFIGURATION:JOB_QUEUE_NOT_FOUND: job queue nowhere does not exist; create it, or end the job and submit it to another queue (a Job: with another label bulkhead.dev/queue)",
    );
}

#[test]
fn an_attempt_asks_for_a_machine() {
    let base = world().managed("ce", 4).queue("q", 1, &["ce"]);
    check(
        &base.clone().attempt("q", 1, 800, 10, 1),
        "launch local.medium for ce
         job-1 CAPACITY:LAUNCHING: compute environment CE is launching a machine for it",
    );
    check(
        &base.machine("ce", "m", 1000, Stage::Coming, 0).attempt("q", 1, 800, 10, 1),
        "job-1 CAPACITY:LAUNCHING: compute environment CE is launching a machine for it",
    );
}

#[test]
fn a_retry_goes_first_whatever_its_age() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 500);
    check(
        &base.attempt("q", 1, 500, 20, 1).attempt("q", 2, 500, 10, 2),
        "dispatch job-2 to a of CE
         job-1 CAPACITY:NO_ROOM: compute environment CE: none of its 1 nodes has room for 500m cpu, 500Mi memory now",
    );
}

#[test]
fn the_children_of_an_array_go_by_their_index() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 1000);
    let base = base.attempt("q", 7, 500, 20, 1).attempt("q", 7, 500, 20, 1).attempt("q", 7, 500, 20, 1);
    let base = base.with(|world| {
        for (unit, index) in world.units.iter_mut().zip([10, 2, 1]) {
            let child = unit.record.unwrap().with_child(index);
            (unit.uid, unit.record, unit.index) = (child.to_string(), Some(child), index);
            unit.key.name = format!("child-{index}");
        }
    });
    check(
        &base,
        "dispatch child-1 to a of CE
         dispatch child-2 to a of CE
         job-7 CAPACITY:NO_ROOM: compute environment CE: none of its 1 nodes has room for 500m cpu, 500Mi memory now",
    );
}

#[test]
fn a_dispatch_says_which_job_it_is_of() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 500).attempt("q", 7, 500, 20, 3);
    let plan = crate::plan(&base.0, noon());
    let dispatch = &plan.dispatch[0];
    assert_eq!(dispatch.record.map(|id| id.job.as_u128()), Some(7));
    assert_eq!(
        (dispatch.attempt, dispatch.node_uid.as_str(), dispatch.environment_uuid.as_str()),
        (3, "uid-a", "uuid-ce")
    );
    assert_eq!(plan.queues[0].waiting, 1);
}

/// Room is looked for for many at once, and then for as many more.
#[test]
fn where_many_wait_each_starts_as_if_it_were_looked_at_alone() {
    let mut base = world().unmanaged("u").managed("m", 10).queue("q", 1, &["u", "m"]);
    base = base.node("u", "small", 20_000).node("u", "large", 27_500);
    for number in 1..=300 {
        base = base.attempt("q", number, 250, 1_000 - i64::try_from(number).unwrap(), 1);
    }
    let plan = crate::plan(&base.0, noon());
    let started: Vec<(u128, &str)> =
        plan.dispatch.iter().map(|one| (one.record.unwrap().job.as_u128(), one.node.as_str())).collect();
    let expected: Vec<(u128, &str)> =
        (1..=80).map(|number| (number, "small")).chain((81..=190).map(|number| (number, "large"))).collect();
    assert_eq!(started, expected);
    assert_eq!(plan.launch.len(), 5);
    let explained: Vec<(u128, Code)> =
        plan.explain.iter().map(|(id, reason)| (id.job.as_u128(), reason.code)).collect();
    let expected: Vec<(u128, Code)> = (191..=230)
        .map(|number| (number, Code::Launching))
        .chain((231..=300).map(|number| (number, Code::NoRoom)))
        .collect();
    assert_eq!(explained, expected);
}
