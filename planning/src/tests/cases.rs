//! Cases: what the plan is in a given world.

use std::sync::Arc;

use model::placement::{NodeTerm, Operator, Requirement};
use model::snapshot::{Given, Place, Stage};

use super::build::{bound, check, waiting, world};

#[test]
fn a_job_that_fits_is_released_and_its_pods_are_dispatched_to_the_fullest_node() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 2000).node("ce", "b", 1000);
    check(&base.clone().job("q", "j", 2, 500, 10), "release j");
    check(
        &base.job("q", "j", 2, 500, 10).pods(&[waiting(), waiting()]),
        "dispatch j-0 to b of CE
         dispatch j-1 to b of CE
         j Starting",
    );
}

#[test]
fn a_queue_or_environment_that_is_missing_is_named() {
    check(
        &world().job("q", "j", 1, 500, 10),
        "j Runnable MISCONFIGURATION:JOB_QUEUE_NOT_FOUND: job queue q does not exist; create it, or end the job and submit it to another queue (a Job: with another label bulkhead.dev/queue)",
    );
    check(
        &world().queue("q", 1, &["x", "y"]).job("q", "j", 1, 500, 10),
        "j Runnable MISCONFIGURATION:COMPUTE_ENVIRONMENT_NOT_FOUND: compute environment x does not exist; compute environment y does not exist",
    );
}

#[test]
fn what_is_disabled_takes_nothing() {
    let base = world().unmanaged("ce").node("ce", "a", 2000).queue("q", 1, &["ce"]).job("q", "j", 1, 500, 10);
    check(
        &base.clone().with(|world| world.queues[0].enabled = false),
        "j Runnable MISCONFIGURATION:JOB_QUEUE_DISABLED: job queue q is DISABLED",
    );
    // What it has taken goes on.
    let taken = base.clone().pods(&[waiting()]).attempt("q", 1, 500, 5, 1).job("q", "new", 1, 500, 50);
    check(
        &taken.with(|world| world.queues[0].enabled = false),
        "dispatch j-0 to a of CE
         dispatch job-1 to a of CE
         new Runnable MISCONFIGURATION:JOB_QUEUE_DISABLED: job queue q is DISABLED
         j Starting",
    );
    check(
        &base.with(|world| world.environments[0].enabled = false),
        "j Runnable MISCONFIGURATION:COMPUTE_ENVIRONMENT_DISABLED: compute environment CE is DISABLED",
    );
}

#[test]
fn a_held_job_waits_for_its_user_and_takes_no_room() {
    let base = world().unmanaged("ce").node("ce", "a", 500).queue("q", 1, &["ce"]);
    check(
        &base.job("q", "held", 1, 500, 20).that_job(|job| job.held = true).job("q", "j", 1, 500, 10),
        "release j
         held Pending HELD: held by its user (suspend: true); set spec.suspend to false to let it go",
    );
}

#[test]
fn the_higher_queue_goes_first_and_inside_a_queue_the_older_job() {
    let base = world().unmanaged("ce").node("ce", "a", 500).queue("low", 1, &["ce"]).queue("high", 5, &["ce"]);
    check(
        &base.clone().job("low", "old", 1, 500, 20).job("high", "new", 1, 500, 10),
        "release new
         old Runnable CAPACITY:NO_ROOM: compute environment CE: none of its 1 nodes has room for 500m cpu, 500Mi memory now",
    );
    check(
        &base.job("low", "newer", 1, 500, 10).job("low", "older", 1, 500, 20),
        "release older
         newer Runnable CAPACITY:NO_ROOM: compute environment CE: none of its 1 nodes has room for 500m cpu, 500Mi memory now",
    );
}

#[test]
fn a_retry_goes_to_the_front_of_its_queue() {
    let base = world().unmanaged("ce").node("ce", "a", 500).queue("q", 1, &["ce"]);
    let base = base.job("q", "old", 1, 500, 20).pods(&[waiting()]).job("q", "new", 1, 500, 10).pods(&[waiting()]);
    check(
        &base.with(|world| world.units[1].attempt = 2),
        "dispatch new-0 to a of CE
         old Runnable CAPACITY:NO_ROOM: compute environment CE: none of its 1 nodes has room for 500m cpu, 500Mi memory now
         new Starting",
    );
}

#[test]
fn work_without_room_gets_the_machines_that_cost_least() {
    let base = world().managed("ce", 4).queue("q", 1, &["ce"]);
    // Five of a quarter: four on one vCPU, one on half a vCPU, instead of five on two.
    check(
        &base.clone().job("q", "j", 5, 250, 10),
        "launch local.medium for ce
         launch local.small for ce
         j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it",
    );
    check(
        &base.job("q", "j", 1, 1500, 10),
        "launch m5.large for ce
         j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it",
    );
}

#[test]
fn machines_on_their_way_are_counted_before_more_are_launched() {
    let base = world().managed("ce", 8).queue("q", 1, &["ce"]).machine("ce", "m", 1000, Stage::Coming, 0);
    check(
        &base.clone().job("q", "j", 4, 250, 10),
        "j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it",
    );
    check(
        &base.job("q", "j", 6, 250, 10),
        "launch local.small for ce
         j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it",
    );
}

#[test]
fn the_limit_is_never_exceeded_and_the_rest_says_so() {
    check(
        &world().managed("ce", 2).queue("q", 1, &["ce"]).job("q", "j", 3, 1000, 10).job("q", "k", 1, 1000, 5),
        "launch m5.large for ce
         j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it
         k Runnable LIMIT:MAX_VCPUS: compute environment CE is at its limit: its machines have 2 of 2 vCPUs (maxvCpus), another one needs 1",
    );
    check(
        &world().managed("ce", 0).queue("q", 1, &["ce"]).job("q", "j", 1, 250, 10),
        "j Runnable MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE: compute environment CE: the smallest machine that fits has 500m vCPUs, maxvCpus is 0",
    );
}

#[test]
fn a_full_environment_falls_over_to_the_next() {
    let base = world().managed("one", 1).managed("two", 4).queue("q", 1, &["one", "two"]);
    check(
        &base.clone().job("q", "j", 2, 1000, 10),
        "launch local.medium for one
         launch local.medium for two
         j Runnable CAPACITY:LAUNCHING: compute environment ONE is launching a machine for it",
    );
    let base = world().managed("one", 4).setback(None, false, "http://p answers 500");
    check(
        &base.managed("two", 4).queue("q", 1, &["one", "two"]).job("q", "j", 1, 1000, 10),
        "launch local.medium for two
         j Runnable CAPACITY:LAUNCHING: compute environment TWO is launching a machine for it",
    );
}

#[test]
fn a_provider_out_of_capacity_means_the_next_offer_and_then_a_reason() {
    let base = world().managed("ce", 4).queue("q", 1, &["ce"]).setback(Some("local.medium"), true, "sold out");
    check(
        &base.clone().job("q", "j", 1, 1000, 10),
        "launch m5.large for ce
         j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it",
    );
    check(
        &base.setback(Some("m5.large"), true, "sold out").job("q", "j", 1, 1000, 10),
        "j Runnable CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY: compute environment CE: m5.large sold out",
    );
}

#[test]
fn a_provider_that_fails_is_quoted() {
    let base = world().managed("ce", 4).queue("q", 1, &["ce"]).job("q", "j", 1, 1000, 10);
    check(
        &base.scaling(|scaling| scaling.offers = Err("GET http://p/offers: connection refused".to_owned())),
        "j Runnable CAPACITY:PROVIDER_ERROR: compute environment CE: GET http://p/offers: connection refused",
    );
}

#[test]
fn a_unit_larger_than_any_offer_is_told_at_once() {
    check(
        &world().managed("ce", 64).queue("q", 1, &["ce"]).job("q", "j", 1, 3000, 10),
        "j Runnable MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: compute environment CE can never run it: 3 cpu requested, 2 cpu on its largest node",
    );
    check(
        &world()
            .managed("ce", 64)
            .scaling(|scaling| scaling.instance_types = vec!["p4d".into()])
            .queue("q", 1, &["ce"])
            .job("q", "j", 1, 250, 10),
        "j Runnable MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: compute environment CE: no offer of its provider matches instanceTypes [p4d]; it offers [m5.large, local.medium, local.small]",
    );
}

#[test]
fn instance_types_name_offers_or_families() {
    let base = |types: &[&str]| {
        let types = types.iter().map(ToString::to_string).collect();
        world()
            .managed("ce", 4)
            .scaling(|scaling| scaling.instance_types = types)
            .queue("q", 1, &["ce"])
            .job("q", "j", 1, 250, 10)
    };
    let waits = "j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it";
    check(&base(&["m5"]), &format!("launch m5.large for ce\n{waits}"));
    check(&base(&["local.medium"]), &format!("launch local.medium for ce\n{waits}"));
    check(&base(&["local"]), &format!("launch local.small for ce\n{waits}"));
}

#[test]
fn smaller_work_passes_a_blocked_head_only_where_it_does_not_delay_it() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 2000).node("ce", "b", 1000);
    let base = base.job("q", "runs", 1, 1500, 30).pods(&[bound("a")]);
    let base = base.with(|world| world.jobs[0].status = Some(serde_json::from_str(r#"{"state":"RUNNING"}"#).unwrap()));
    // The head needs all of a; what is left of a is kept for it, b is free for others.
    let base = base.job("q", "head", 1, 2000, 20);
    let blocked = "head Runnable CAPACITY:NO_ROOM: compute environment CE: none of its 2 nodes has room for 2 cpu, 2000Mi memory now";
    check(&base.clone().job("q", "small", 1, 1000, 10), &format!("release small\n{blocked}"));
    check(
        &base.clone().with(|world| drop(world.nodes.remove(1))).job("q", "small", 1, 500, 10),
        "head Runnable CAPACITY:NO_ROOM: compute environment CE: none of its 1 nodes has room for 2 cpu, 2000Mi memory now
         small Runnable CAPACITY:NO_ROOM: compute environment CE: none of its 1 nodes has room for 500m cpu, 500Mi memory now",
    );
    check(
        &base.with(|world| world.queues[0].strict_fifo = true).job("q", "small", 1, 1000, 10),
        &format!("{blocked}\nsmall Runnable ORDER:BEHIND: waits behind ns/head, which waits itself (strictFifo)"),
    );
}

#[test]
fn a_machine_on_its_way_in_or_out_does_not_stand_in_for_one_that_is_kept() {
    let base = world().managed("ce", 4).scaling(|scaling| scaling.min_milli = 1000);
    let one = base.machine("ce", "m", 1000, Stage::Serving, 60);
    check(&one.clone().machine("ce", "n", 1000, Stage::Serving, 60), "retire m: idle for 1m");
    check(&one.clone().machine("ce", "n", 1000, Stage::Going, 60), "");
    check(&one.clone().machine("ce", "n", 1000, Stage::Coming, 0), "");
    check(&one.clone().machine("ce", "n", 1000, Stage::Going, 60).scaling(|scaling| scaling.max_milli = 1000), "");
    let only_going = world().managed("ce", 2).scaling(|scaling| scaling.min_milli = 1000);
    check(
        &only_going.machine("ce", "n", 1000, Stage::Going, 60),
        "launch local.small for ce\nlaunch local.small for ce",
    );
}

#[test]
fn a_retiring_or_unready_node_gets_nothing() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 2000).job("q", "j", 1, 500, 10);
    let none = "j Runnable CAPACITY:NO_ROOM: compute environment CE has no node that is Ready; label one with \
         batch.amazonaws.com/compute-environment-uuid, the value is its status.uuid";
    check(&base.clone().with(|world| world.nodes[0].ready = false), none);
    check(&base.with(|world| world.nodes[0].retiring = true), none);
}

#[test]
fn the_pods_of_a_released_job_keep_their_room_until_they_are_made() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 500);
    let base = base.job("q", "first", 1, 500, 20).that_job(|job| job.released = true).job("q", "second", 1, 500, 10);
    check(
        &base.clone(),
        "first Starting STARTING:CREATING_PODS: released; the Job controller is creating its pods
         second Runnable CAPACITY:NO_ROOM: compute environment CE: none of its 1 nodes has room for 500m cpu, 500Mi memory now",
    );
    // A failed pod is made again after a back-off of 10 s and more: room does not stand idle for it.
    check(
        &base.with(|world| world.jobs[0].started = Some(super::build::before(11))),
        "release second
         first Starting STARTING:CREATING_PODS: released; the Job controller is creating its pods",
    );
}

#[test]
fn a_job_says_of_a_pod_that_does_not_start_why() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 1000);
    let job = |places: &[Place]| {
        let stuck = "j-0: CannotPullContainerError: no such image";
        base.clone().job("q", "j", 2, 500, 20).pods(places).that_job(|job| job.stuck = Some(stuck.to_owned()))
    };
    let starting = || Place::Bound { node: "a".into(), running: false };
    let why = "STARTING:PODS_WAIT: a pod of it does not start: j-0: CannotPullContainerError: no such image";
    check(&job(&[starting(), starting()]), &format!("j Starting {why}"));
    check(&job(&[starting(), bound("a")]), &format!("j Running {why}"));
    // One that may not be dispatched is no unit.
    check(&job(&[]), &format!("j Starting {why}"));
    // What the plan is waiting for comes first.
    let full = job(&[starting(), waiting()]).with(|world| world.nodes[0].allocatable.cpu = 500);
    check(
        &full,
        "j Starting CAPACITY:NO_ROOM: compute environment CE: none of its 1 nodes has room for 500m cpu, 500Mi memory now",
    );
}

#[test]
fn units_go_only_where_selectors_and_taints_allow() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 1000).node("ce", "b", 2000);
    let base = base.job("q", "j", 1, 500, 10).pods(&[waiting()]).with(|world| {
        world.nodes[1].labels.insert("disk".into(), "ssd".into());
    });
    let wants_ssd = base.clone().with(|world| {
        Arc::make_mut(&mut world.units[0].shape).node_selector.insert("disk".into(), "ssd".into());
    });
    check(&base, "dispatch j-0 to a of CE\nj Starting");
    check(&wants_ssd, "dispatch j-0 to b of CE\nj Starting");
    let taint = model::placement::Taint {
        key: "dedicated".into(),
        value: "x".into(),
        effect: model::placement::Effect::NoSchedule,
    };
    check(&base.with(|world| world.nodes[0].taints.push(taint)), "dispatch j-0 to b of CE\nj Starting");
}

#[test]
fn a_unit_that_asks_for_labels_an_offer_promises_gets_that_offer() {
    let base = world().managed("ce", 8).queue("q", 1, &["ce"]).job("q", "j", 1, 250, 10).that_shape(|shape| {
        shape.node_selector.insert("topology.kubernetes.io/zone".into(), "b".into());
        shape.node_selector.insert("kubernetes.io/os".into(), "linux".into());
    });
    let nowhere = "j Runnable MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: compute environment CE can never run it: no node of it has the labels the pod asks for";
    check(&base, nowhere);
    let zoned = base.scaling(|scaling| {
        let offer = &mut scaling.offers.as_mut().unwrap()[0];
        offer.labels.insert("topology.kubernetes.io/zone".into(), "b".into());
    });
    let launched = "launch m5.large for ce
         j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it";
    check(&zoned, launched);
    // The newest machine of the offer was in no zone, or in another: the promise is not believed a second time.
    let learned = |zone: Option<&str>| {
        let labels = [("kubernetes.io/os", Some("linux")), ("topology.kubernetes.io/zone", zone)];
        let labels = labels.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
        zoned.clone().scaling(|scaling| {
            let offer = &scaling.offers.as_ref().unwrap()[0];
            let (room, promised) = (offer.allocatable.clone(), offer.labels.clone());
            scaling.learned.insert("m5.large".into(), Given { room, labels, promised, ..Given::default() });
        })
    };
    check(&learned(Some("b")), launched);
    check(&learned(None), nowhere);
    check(&learned(Some("a")), nowhere);
}

#[test]
fn labels_that_nodes_get_by_themselves_are_expected_of_the_first_one() {
    let asks = |key: &str, value: &str| {
        let base = world().managed("ce", 8).queue("q", 1, &["ce"]).job("q", "j", 1, 250, 10);
        base.that_shape(|shape| drop(shape.node_selector.insert(key.into(), value.into())))
    };
    let launched = "launch local.small for ce
         j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it";
    for key in ["kubernetes.io/arch", "beta.kubernetes.io/arch"] {
        check(&asks(key, "amd64"), launched);
        check(
            &asks(key, "arm64"),
            "j Runnable MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: compute environment CE can never run it: no node of it has the labels the pod asks for",
        );
        let arm = asks(key, "arm64").scaling(|scaling| {
            let offer = &mut scaling.offers.as_mut().unwrap()[2];
            offer.labels.insert("kubernetes.io/arch".into(), "arm64".into());
        });
        check(&arm, launched);
    }
    for key in ["kubernetes.io/os", "beta.kubernetes.io/os"] {
        check(&asks(key, "linux"), launched);
    }
}

#[test]
fn a_pod_that_asks_for_one_node_by_its_name_gets_no_machine_for_it() {
    let base = world().managed("ce", 8).queue("q", 1, &["ce"]);
    let asks = |base: super::build::World, operator: Operator, name: &str| {
        base.job("q", "j", 1, 250, 10).that_shape(|shape| {
            let label = Requirement { key: "kubernetes.io/hostname".into(), operator, values: vec![name.into()] };
            shape.affinity = vec![NodeTerm { labels: vec![label], fields: vec![] }];
        })
    };
    let never = "j Runnable MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: compute environment CE can never run it: the pod asks for the node n (kubernetes.io/hostname), which it does not have, and a node that is launched gets a name of its own";
    check(&asks(base.clone(), Operator::In, "n"), never);
    let selector = base.clone().job("q", "j", 1, 250, 10).that_shape(|shape| {
        shape.node_selector.insert("kubernetes.io/hostname".into(), "n".into());
    });
    check(&selector, never);
    // Any node but one is another matter, and so is one that is there and full.
    check(
        &asks(base.clone(), Operator::NotIn, "n"),
        "launch local.small for ce
         j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it",
    );
    let full = base.machine("ce", "n", 500, Stage::Serving, 0).with(|world| {
        world.nodes[0].labels.insert("kubernetes.io/hostname".into(), "n".into());
    });
    let full = full.job("q", "other", 1, 500, 20).pods(&[bound("n")]).that_job(|job| {
        job.status = Some(serde_json::from_str(r#"{"state":"RUNNING"}"#).unwrap());
    });
    check(
        &asks(full, Operator::In, "n"),
        "j Runnable CAPACITY:NO_ROOM: compute environment CE: none of its 1 nodes has room for 250m cpu, 250Mi memory now",
    );
}
