//! Where pods of the API cannot be made, its jobs wait and say why, and everybody else goes on.

use model::snapshot::{Closed, Snapshot};

use super::build::{World, check, waiting, world};
use crate::rights;

const NOT_THERE: &str = "CLIENT_ERROR - Unable to validate Kubernetes Namespace: work does not exist; create it (kubectl create namespace \
                         work; bulkhead namespace enable work), and it goes on by itself";
const FORBIDDEN: &str = "CLIENT_ERROR - Unable to validate Kubernetes Namespace: user aws-batch may not create pods in work; create Role \
                         aws-batch-compute-environment-role and RoleBinding aws-batch-compute-environment-role-binding there (bulkhead \
                         namespace enable work), and it goes on by itself";

/// Environment `ce` in namespace `work`, which takes no pods of the API, with room on one node.
fn closed(why: Closed) -> World {
    world().unmanaged("ce").node("ce", "a", 2000).with(|world| {
        world.environments[0].namespace = Some("work".into());
        world.closed.insert("work".into(), why);
    })
}

fn in_namespace(world: World, namespace: &str) -> World {
    world.with(|world| world.units.last_mut().unwrap().key.namespace = namespace.to_owned())
}

#[test]
fn a_job_of_the_api_waits_and_says_what_to_do() {
    for (why, text) in [(Closed::NotThere, NOT_THERE), (Closed::Forbidden, FORBIDDEN)] {
        let world = closed(why).queue("q", 1, &["ce"]).attempt("q", 1, 500, 5, 1);
        check(
            &in_namespace(world, ""),
            &format!("job-1 MISCONFIGURATION:COMPUTE_ENVIRONMENT_INVALID: compute environment CE is INVALID: {text}"),
        );
    }
}

#[test]
fn a_job_that_names_the_namespace_itself_does_not_blame_the_environment() {
    let world = closed(Closed::Forbidden).queue("q", 1, &["ce"]).attempt("q", 1, 500, 5, 1);
    check(&in_namespace(world, "work"), &format!("job-1 MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS: {FORBIDDEN}"));
}

#[test]
fn another_environment_or_namespace_is_taken_where_there_is_one() {
    let world = closed(Closed::Forbidden).unmanaged("other").node("other", "b", 2000).queue("q", 1, &["ce", "other"]);
    check(&in_namespace(world.attempt("q", 1, 500, 5, 1), ""), "dispatch job-1 to b of OTHER");
    let world = closed(Closed::Forbidden).queue("q", 1, &["ce"]).attempt("q", 1, 500, 5, 1);
    check(&in_namespace(world, "elsewhere"), "dispatch job-1 to a of CE");
}

#[test]
fn jobs_made_with_kubectl_and_pods_that_exist_go_on_even_behind_one_that_waits() {
    for strict in [false, true] {
        let world = closed(Closed::Forbidden).queue("q", 1, &["ce"]).attempt("q", 1, 500, 50, 1);
        let world =
            in_namespace(world, "").job("q", "j", 1, 500, 10).with(|world| world.queues[0].strict_fifo = strict);
        check(
            &world,
            &format!(
                "release j
                 job-1 MISCONFIGURATION:COMPUTE_ENVIRONMENT_INVALID: compute environment CE is INVALID: {FORBIDDEN}"
            ),
        );
    }
    let world = closed(Closed::Forbidden).queue("q", 1, &["ce"]).job("q", "j", 1, 500, 10);
    let world = world.that_job(|job| job.released = true).pods(&[waiting()]);
    check(
        &in_namespace(world, "work"),
        "dispatch j-0 to a of CE
         j Starting",
    );
}

#[test]
fn no_machine_is_launched_for_a_job_whose_pod_cannot_be_made() {
    let world = world().managed("ce", 8).queue("q", 1, &["ce"]).attempt("q", 1, 500, 5, 1);
    let launches = |world: &World| crate::plan(&world.0, super::build::noon()).launch.len();
    let world = in_namespace(world, "work");
    assert_eq!(launches(&world), 1);
    let world = world.with(|world| drop(world.closed.insert("work".into(), Closed::Forbidden)));
    assert_eq!(launches(&world), 0);
}

#[test]
fn only_the_namespaces_that_matter_are_asked_for() {
    let asked = |world: &World| {
        let names = rights::namespaces(&world.0.environments, &world.0.units);
        names.into_iter().collect::<Vec<_>>().join(" ")
    };
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]);
    assert_eq!(asked(&base), "", "an environment for Jobs made with kubectl alone");
    let job = base.clone().attempt("q", 1, 500, 5, 1);
    assert_eq!(asked(&in_namespace(job.clone(), "")), "default");
    assert_eq!(asked(&in_namespace(job.clone(), "own")), "own");
    let named = job.with(|world| world.environments[0].namespace = Some("work".into()));
    assert_eq!(asked(&in_namespace(named.clone(), "")), "work");
    assert_eq!(asked(&in_namespace(named, "own")), "own work");
}

#[test]
fn an_environment_is_invalid_for_the_api_only_by_the_namespace_that_it_names() {
    let problem = |snapshot: &Snapshot| rights::problem(&snapshot.environments[0], &snapshot.closed);
    let closed = closed(Closed::Forbidden);
    assert_eq!(problem(&closed.0).as_deref(), Some(FORBIDDEN));
    let unnamed = closed.with(|world| {
        world.environments[0].namespace = None;
        world.closed.insert("default".into(), Closed::Forbidden);
    });
    assert_eq!(problem(&unnamed.0), None);
}
