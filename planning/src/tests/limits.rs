//! Cases of limits, machines that come and go, and work that only kube-scheduler or nobody can place.

use jiff::SignedDuration;
use model::placement::{Effect, NodeTerm, Operator, Requirement, Taint, Toleration};
use model::snapshot::{Given, Place, Stage};

use super::build::{World, bound, check, noon, offer, waiting, world};

#[test]
fn what_a_node_really_gave_is_believed_over_what_was_promised() {
    // The last m5.large had 1.4 of its 2 cores left after its DaemonSets: launching another for 1.5 would never end.
    let base = world().managed("ce", 8).queue("q", 1, &["ce"]).machine("ce", "m", 2000, Stage::Serving, 0);
    check(
        &base
            .with(|world| {
                world.nodes[0].daemons.cpu = 600;
                world.nodes[0].foreign.cpu = 600;
                world.nodes[0].used.cpu = 600;
            })
            .job("q", "j", 1, 1500, 10),
        "j Runnable MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: compute environment CE can never run it: 1500m cpu requested, 1400m cpu on its largest node",
    );
}

#[test]
fn an_idle_node_goes_after_its_delay_and_not_before() {
    let base = |idle| world().managed("ce", 8).machine("ce", "m", 1000, Stage::Serving, idle);
    check(&base(59), "");
    check(&base(60), "retire m: idle for 1m");
    let plan = crate::plan(&base(59).0, super::build::noon());
    assert_eq!(plan.wake_at, Some(super::build::noon() + SignedDuration::from_secs(1)));
}

#[test]
fn an_idle_node_with_promised_logs_stays_until_the_promise_is_over_unless_it_has_to_go() {
    let noon = super::build::noon();
    let base = |seconds: i64| {
        let base = world().managed("ce", 8).machine("ce", "m", 1000, Stage::Serving, 600);
        base.with(|world| world.nodes[0].logs_until = Some(noon + SignedDuration::from_secs(seconds)))
    };
    check(&base(1), "");
    assert_eq!(crate::plan(&base(1).0, noon).wake_at, Some(noon + SignedDuration::from_secs(1)));
    check(&base(0), "retire m: idle for 1m");
    check(&base(-5), "retire m: idle for 1m");
    let young = base(-5).with(|world| world.nodes[0].idle_since = Some(super::build::before(59)));
    check(&young, "");
    check(
        &base(100).with(|world| world.environments[0].enabled = false),
        "retire m: its compute environment is DISABLED",
    );
    check(&base(100).scaling(|scaling| scaling.max_milli = 500), "retire m: its compute environment is above maxvCpus");
    check(
        &base(100).with(|world| world.environments.clear()),
        "retire m: its compute environment ce does not exist any more",
    );
    check(
        &base(100).scaling(|scaling| scaling.max_milli = 2000).queue("q", 1, &["ce"]).job("q", "j", 1, 2000, 10),
        "retire m: it makes way for a larger machine
         j Runnable LIMIT:MAX_VCPUS: compute environment CE is at its limit: its machines have 1 of 2 vCPUs (maxvCpus), another one needs 2",
    );
}

#[test]
fn a_node_that_is_wanted_or_needed_for_the_minimum_stays() {
    let base = world().managed("ce", 8).machine("ce", "m", 1000, Stage::Serving, 600);
    check(&base.clone().queue("q", 1, &["ce"]).job("q", "j", 1, 500, 1), "release j");
    check(&base.clone().scaling(|scaling| scaling.min_milli = 1000), "");
    check(&base.scaling(|scaling| scaling.min_milli = 2000), "launch local.small for ce\nlaunch local.small for ce");
}

#[test]
fn nodes_of_an_environment_that_is_gone_disabled_or_shrunk_go_at_once() {
    let base = world().managed("ce", 8).machine("ce", "m", 1000, Stage::Serving, 0);
    check(
        &base.clone().with(|world| world.environments.clear()),
        "retire m: its compute environment ce does not exist any more",
    );
    check(
        &base.clone().with(|world| world.environments[0].enabled = false),
        "retire m: its compute environment is DISABLED",
    );
    check(&base.scaling(|scaling| scaling.max_milli = 500), "retire m: its compute environment is above maxvCpus");
}

#[test]
fn idle_small_machines_make_way_for_a_unit_that_needs_a_larger_one() {
    let base = world().managed("ce", 2).queue("q", 1, &["ce"]).machine("ce", "m", 1000, Stage::Serving, 1);
    check(
        &base.job("q", "j", 1, 2000, 10),
        "retire m: it makes way for a larger machine
         j Runnable LIMIT:MAX_VCPUS: compute environment CE is at its limit: its machines have 1 of 2 vCPUs (maxvCpus), another one needs 2",
    );
}

#[test]
fn a_pod_the_planner_does_not_judge_is_held_on_every_node_with_room() {
    let base =
        world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 1000).node("ce", "b", 2000).node("ce", "c", 100);
    let base = base.job("q", "j", 1, 500, 10).that_shape(|shape| shape.judged = false);
    check(&base.clone().pods(&[waiting()]), "hold j-0 on a,b\nj Starting");
    let held = |refused| Place::Held { nodes: vec!["a".into(), "b".into()], refused };
    check(
        &base.clone().pods(&[held(false)]),
        "j Runnable SCHEDULING:KUBE_SCHEDULER: room is held; kube-scheduler is choosing the node",
    );
    check(
        &base.clone().pods(&[held(true)]),
        "j Runnable SCHEDULING:KUBE_SCHEDULER: kube-scheduler finds no node for it among those with room (see the pod's PodScheduled condition)",
    );
    check(&base.node("ce", "d", 500).pods(&[held(true)]), "hold j-0 on a,b,d\nj Starting");
}

#[test]
fn a_pod_that_kube_scheduler_cannot_place_gets_a_machine_of_its_own() {
    let base = world().managed("ce", 8).queue("q", 1, &["ce"]).machine("ce", "a", 1000, Stage::Serving, 0);
    let held = Place::Held { nodes: vec!["a".into()], refused: true };
    check(
        &base
            .job("q", "other", 1, 100, 20)
            .pods(&[bound("a")])
            .that_job(|job| job.status = Some(serde_json::from_str(r#"{"state":"RUNNING"}"#).unwrap()))
            .job("q", "j", 2, 250, 10)
            .that_shape(|shape| shape.judged = false)
            .pods(&[held.clone(), held]),
        "launch local.small for ce
         launch local.small for ce
         j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it",
    );
}

#[test]
fn a_node_that_has_just_registered_teaches_nothing() {
    let base = world().managed("ce", 8).queue("q", 1, &["ce"]).machine("ce", "m", 1000, Stage::Coming, 0);
    let registered = base.node("ce", "m", 0).with(|world| world.nodes[0].ready = false);
    check(
        &registered.job("q", "j", 1, 1000, 10),
        "j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it",
    );
}

#[test]
fn a_job_that_runs_does_not_go_back_between_two_waves_of_pods() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 500).job("q", "j", 2, 500, 10);
    let between = base.pods(&[Place::Bound { node: "a".into(), running: false }]).that_job(|job| {
        job.status = Some(serde_json::from_str(r#"{"state":"RUNNING"}"#).unwrap());
    });
    check(&between, "");
}

#[test]
fn where_kube_scheduler_refused_an_empty_node_no_other_is_launched_and_its_room_is_given_back() {
    let base = world().managed("ce", 8).queue("q", 1, &["ce"]).machine("ce", "a", 1000, Stage::Serving, 60);
    let held = Place::Held { nodes: vec!["a".into()], refused: true };
    let stuck = base.job("q", "j", 1, 800, 10).that_shape(|shape| shape.judged = false).pods(&[held]);
    let reason = "j Runnable SCHEDULING:KUBE_SCHEDULER: kube-scheduler finds no node for it among those with room (see the pod's PodScheduled condition)";
    check(&stuck, &format!("retire a: idle for 1m\n{reason}"));
    check(&stuck.job("q", "k", 1, 800, 5), &format!("release k\n{reason}"));
}

#[test]
fn nothing_is_launched_for_work_behind_one_that_needs_a_larger_machine() {
    let base = world().managed("ce", 2).queue("q", 1, &["ce"]).machine("ce", "m", 500, Stage::Serving, 1);
    let base = base.job("q", "long", 1, 100, 30).pods(&[bound("m")]).that_job(|job| {
        job.status = Some(serde_json::from_str(r#"{"state":"RUNNING"}"#).unwrap());
    });
    check(
        &base.job("q", "big", 1, 1500, 20).job("q", "small", 1, 100, 10),
        "big Runnable LIMIT:MAX_VCPUS: compute environment CE is at its limit: its machines have 500m of 2 vCPUs (maxvCpus), another one needs 2
         small Runnable ORDER:BEHIND: compute environment CE keeps its vCPUs for work ahead that needs a larger machine",
    );
}

#[test]
fn nodes_do_not_make_way_for_an_offer_that_cannot_be_had() {
    let base = world().managed("ce", 2).queue("q", 1, &["ce"]).machine("ce", "m", 500, Stage::Serving, 1);
    check(
        &base
            .setback(Some("m5.large"), true, "sold out")
            .with(|world| {
                let scaling = world.environments[0].scaling.as_mut().unwrap();
                scaling.max_milli = 4000;
            })
            .job("q", "big", 1, 1500, 20)
            .job("q", "small", 1, 100, 10),
        "release small
         big Runnable CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY: compute environment CE: m5.large sold out",
    );
}

#[test]
fn a_job_of_two_thousand_million_pods_is_planned_at_once() {
    let base =
        world().managed("ce", 64).unmanaged("own").node("own", "a", 500).queue("q", 1, &["ce"]).queue("r", 1, &["own"]);
    let mut world = base.job("q", "huge", 2_000_000_000, 10, 20).job("r", "small", 1, 100, 10).0;
    for (vcpus, launches) in [(64, 64), (1 << 30, 5_000)] {
        world.environments[0].scaling.as_mut().unwrap().max_milli = vcpus * 1000;
        let plan = crate::plan(&world, super::build::noon());
        assert_eq!((plan.launch.len(), plan.release.len()), (launches, 1));
    }
}

#[test]
fn a_job_that_runs_nothing_says_so() {
    check(
        &world().unmanaged("ce").queue("q", 1, &["ce"]).job("q", "j", 0, 100, 10),
        "j Runnable HELD: its parallelism is 0; raise it to let it go",
    );
}

#[test]
fn what_nodes_gave_is_remembered_when_they_are_gone() {
    let base = world().managed("ce", 8).queue("q", 1, &["ce"]).scaling(|scaling| {
        let room = model::resources::Resources::new(1400, 8 << 30).with("pods", 110);
        scaling.learned.insert("m5.large".into(), Given { room, ..Given::default() });
    });
    check(
        &base.job("q", "j", 1, 1500, 10),
        "j Runnable MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: compute environment CE can never run it: 1500m cpu requested, 1400m cpu on its largest node",
    );
}

#[test]
fn nodes_make_way_only_for_what_would_be_launched() {
    // Four of them, and work for three CPUs: of what the environment may use, only m5.2xlarge will do, and it needs all eight.
    let base = world().managed("ce", 8).queue("q", 1, &["ce"]).scaling(|scaling| {
        scaling.offers = Ok(["m5.large", "c5.xlarge", "m5.2xlarge"]
            .into_iter()
            .zip([2000, 4000, 8000])
            .map(|(name, milli)| offer(name, milli))
            .collect());
        scaling.instance_types = vec!["m5".into()];
    });
    let mut base =
        ["a", "b", "c", "d"].into_iter().fold(base, |base, name| base.machine("ce", name, 2000, Stage::Serving, 0));
    for node in &mut base.0.nodes {
        node.allocatable.cpu = 1900;
    }
    let base = base.job("q", "long", 1, 100, 30).pods(&[bound("a")]).that_job(|job| {
        job.status = Some(serde_json::from_str(r#"{"state":"RUNNING"}"#).unwrap());
    });
    let base = base.job("q", "big", 1, 3000, 20).job("q", "small", 1, 100, 10);
    check(
        &base,
        "retire b: it makes way for a larger machine
         retire c: it makes way for a larger machine
         retire d: it makes way for a larger machine
         big Runnable LIMIT:MAX_VCPUS: compute environment CE is at its limit: its machines have 8 of 8 vCPUs (maxvCpus), another one needs 8
         small Runnable ORDER:BEHIND: compute environment CE keeps its vCPUs for work ahead that needs a larger machine",
    );
    // A node that nobody can take away keeps m5.2xlarge from ever coming: the others stay open.
    let stuck = base.with(|world| world.nodes[3].ready = false);
    check(
        &stuck,
        "release small
         big Runnable LIMIT:MAX_VCPUS: compute environment CE is at its limit: its machines have 8 of 8 vCPUs (maxvCpus), another one needs 8",
    );
}

#[test]
fn what_makes_way_is_counted_as_it_was_sold() {
    // Two nodes of two vCPUs with 1.9 each are four vCPUs: a third need not go.
    let mut base = world().managed("ce", 6).queue("q", 1, &["ce"]).scaling(|scaling| {
        scaling.offers = Ok(vec![offer("m5.large", 2000), offer("m5.xlarge", 4000)]);
    });
    for name in ["a", "b", "c"] {
        base = base.machine("ce", name, 2000, Stage::Serving, 0);
        base.0.nodes.last_mut().unwrap().allocatable.cpu = 1900;
    }
    check(
        &base.job("q", "big", 1, 3000, 20).job("q", "small", 1, 100, 10),
        "release small
         retire a: it makes way for a larger machine
         retire b: it makes way for a larger machine
         big Runnable LIMIT:MAX_VCPUS: compute environment CE is at its limit: its machines have 6 of 6 vCPUs (maxvCpus), another one needs 4",
    );
}

#[test]
fn a_job_that_can_never_run_keeps_no_room_from_those_behind_it() {
    let base = world().managed("ce", 2).queue("q", 1, &["ce"]).machine("ce", "m", 1000, Stage::Serving, 1);
    check(
        &base.job("q", "never", 1, 64_000, 20).job("q", "big", 1, 2000, 15).job("q", "small", 1, 100, 10),
        "retire m: it makes way for a larger machine
         never Runnable MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: compute environment CE can never run it: 64 cpu requested, 2 cpu on its largest node; 64000Mi memory requested, 8000Mi memory on its largest node
         big Runnable LIMIT:MAX_VCPUS: compute environment CE is at its limit: its machines have 1 of 2 vCPUs (maxvCpus), another one needs 2
         small Runnable ORDER:BEHIND: compute environment CE keeps its vCPUs for work ahead that needs a larger machine",
    );
}

#[test]
fn a_barred_job_waits_says_why_and_delays_nobody() {
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 1000);
    let barred = model::status::Reason {
        code: model::status::Code::NamespaceWaiting,
        message: "too many wait in its namespace".to_owned(),
    };
    let base = base.job("q", "many", 2, 1000, 20).that_job(|job| job.barred = Some(barred)).job("q", "j", 1, 1000, 10);
    check(&base, "release j\nmany Runnable LIMIT:NAMESPACE_WAITING: too many wait in its namespace");
    let plan = crate::plan(&base.clone().with(|world| world.queues[0].strict_fifo = true).0, super::build::noon());
    assert_eq!((plan.release.len(), plan.queues[0].waiting), (1, 3));
    // What was let go before is not taken back.
    let released = base.with(|world| world.jobs[0].released = true);
    assert!(
        crate::plan(&released.0, super::build::noon())
            .status
            .iter()
            .all(|change| change.job.name != "many" || change.status.state == model::status::JobState::Starting)
    );
}

#[test]
fn barred_pods_wait_say_why_and_delay_nobody() {
    let reason = model::status::Reason {
        code: model::status::Code::NamespaceWaiting,
        message: "too many wait in its namespace".to_owned(),
    };
    let base = world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "a", 1000);
    let base = base.job("q", "many", 2, 1000, 20).pods(&[Place::Waiting, Place::Waiting]);
    let base = base.with(|world| world.units.iter_mut().for_each(|unit| unit.barred = Some(reason.clone().into())));
    let base = base.job("q", "j", 1, 1000, 10);
    check(&base, "release j\nmany Runnable LIMIT:NAMESPACE_WAITING: too many wait in its namespace");
    let plan = crate::plan(&base.clone().with(|world| world.queues[0].strict_fifo = true).0, super::build::noon());
    assert_eq!((plan.release.len(), plan.queues[0].waiting), (1, 3));
}

#[test]
fn a_node_that_somebody_closed_is_not_kept_when_it_is_idle() {
    // Nothing can start on it, its vCPUs count, and without it another could be launched.
    let full = |idle| {
        let base = world().managed("ce", 2).scaling(|scaling| scaling.min_milli = 2000).queue("q", 1, &["ce"]);
        base.machine("ce", "m", 2000, Stage::Serving, idle).with(|world| {
            (world.nodes[0].ready, world.nodes[0].cordoned) = (false, true);
        })
    };
    let limit = "j Runnable LIMIT:MAX_VCPUS: compute environment CE is at its limit: its machines have 2 of 2 vCPUs (maxvCpus), another one needs 500m";
    check(&full(59).job("q", "j", 1, 250, 10), limit);
    check(&full(60).job("q", "j", 1, 250, 10), &format!("retire m: idle for 1m\n{limit}"));
    check(
        &full(0).with(|world| world.environments[0].enabled = false),
        "retire m: its compute environment is DISABLED",
    );
    check(&full(60).with(|world| world.nodes[0].units = 1), "");
    check(&full(60).with(|world| world.nodes[0].cordoned = false), "");
}

#[test]
fn what_a_node_lacks_that_has_just_joined_may_still_come() {
    let gpu = |seconds: i64| {
        let base = world().managed("ce", 8).queue("q", 1, &["ce"]).scaling(|scaling| {
            let mut with_gpu = offer("m5.large", 2000);
            with_gpu.allocatable.set("gpu", 1);
            scaling.offers = Ok(vec![with_gpu]);
        });
        base.machine("ce", "m", 2000, Stage::Serving, 60).with(|world| {
            world.machines[0].allocatable.set("gpu", 1);
            world.nodes[0].starting_until = Some(noon() + SignedDuration::from_secs(seconds));
        })
    };
    let wants = |world: World| world.job("q", "j", 1, 250, 10).that_shape(|shape| shape.requests.set("gpu", 1));
    let launching = "j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it";
    check(&wants(gpu(1)), launching);
    check(&gpu(1).job("q", "plain", 1, 250, 10), "release plain");
    check(
        &wants(gpu(0)),
        "retire m: idle for 1m
         j Runnable MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: compute environment CE can never run it: 1 gpu requested, 0 gpu on its largest node",
    );
    check(&wants(gpu(0).with(|world| world.nodes[0].allocatable.set("gpu", 1))), "release j");
    // One is on its way for the first; the second needs another.
    let two = wants(gpu(1)).job("q", "k", 1, 250, 9).that_shape(|shape| shape.requests.set("gpu", 1));
    check(&two, &format!("launch m5.large for ce\n{launching}\n{}", launching.replacen('j', "k", 1)));
    let plan = crate::plan(&wants(gpu(1)).0, noon());
    assert_eq!(plan.wake_at, Some(noon() + SignedDuration::from_secs(1)));
}

#[test]
fn taints_of_a_start_are_waited_for_and_those_that_stay_are_believed() {
    let taint = || Taint { key: "agent".into(), value: "down".into(), effect: Effect::NoSchedule };
    let tainted = |seconds: i64| {
        let base = world().managed("ce", 8).queue("q", 1, &["ce"]).machine("ce", "m", 2000, Stage::Serving, 0);
        base.with(|world| {
            world.nodes[0].taints.push(taint());
            world.nodes[0].starting_until = Some(noon() + SignedDuration::from_secs(seconds));
        })
    };
    check(
        &tainted(1).job("q", "j", 1, 250, 10),
        "j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it",
    );
    let learned = world().managed("ce", 8).queue("q", 1, &["ce"]).scaling(|scaling| {
        scaling.offers = Ok(vec![offer("m5.large", 2000)]);
        let room = offer("m5.large", 2000).allocatable;
        scaling.learned.insert("m5.large".into(), Given { room, taints: vec![taint()], ..Given::default() });
    });
    check(
        &learned.clone().job("q", "j", 1, 250, 10),
        "j Runnable MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: compute environment CE can never run it: its nodes have the taint agent=down:NoSchedule, which the pod does not tolerate",
    );
    let tolerates = Toleration { key: Some("agent".into()), value: None, effect: None };
    check(
        &learned.job("q", "j", 1, 250, 10).that_shape(|shape| shape.tolerations.push(tolerates)),
        "launch m5.large for ce
         j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it",
    );
}

#[test]
fn a_label_of_one_node_forbids_no_other() {
    let avoids = |labels: &[&str], same: &[&str]| {
        let all = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), String::new())).collect();
        let base = world().managed("ce", 8).queue("q", 1, &["ce"]).scaling(|scaling| {
            scaling.offers = Ok(vec![offer("m5.large", 2000)]);
            let room = offer("m5.large", 2000).allocatable;
            let given = Given { room, labels: all(labels), same_labels: all(same), ..Given::default() };
            scaling.learned.insert("m5.large".into(), given);
        });
        base.job("q", "j", 1, 250, 10).that_shape(|shape| {
            let requirement = Requirement { key: "bad".into(), operator: Operator::DoesNotExist, values: vec![] };
            shape.affinity.push(NodeTerm { labels: vec![requirement], fields: vec![] });
        })
    };
    let launched = "launch m5.large for ce
         j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it";
    check(&avoids(&["good"], &["good"]), launched);
    check(&avoids(&["bad"], &[]), launched);
    check(
        &avoids(&["bad"], &["bad"]),
        "j Runnable MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: compute environment CE can never run it: no node of it has the labels the pod asks for",
    );
}

#[test]
fn what_every_kubelet_has_is_enough_until_a_node_says_how_much() {
    let disk = |bytes: i64| {
        let base = world().managed("ce", 8).queue("q", 1, &["ce"]).job("q", "j", 1, 250, 10);
        base.that_shape(|shape| shape.requests.set("ephemeral-storage", bytes))
    };
    let launched = "launch local.small for ce
         j Runnable CAPACITY:LAUNCHING: compute environment CE is launching a machine for it";
    check(&disk(1 << 30), launched);
    let small = disk(1 << 30).scaling(|scaling| {
        for offer in scaling.offers.clone().unwrap() {
            let room = offer.allocatable.clone().with("ephemeral-storage", 1 << 20);
            scaling.learned.insert(offer.name, Given { room, ..Given::default() });
        }
    });
    check(
        &small,
        "j Runnable MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: compute environment CE can never run it: 1073741824 ephemeral-storage requested, 1048576 ephemeral-storage on its largest node",
    );
}

#[test]
fn what_is_not_sold_is_said() {
    let says = |change: fn(&mut model::snapshot::Scaling), words: &str| {
        let base = world().managed("ce", 8).queue("q", 1, &["ce"]).job("q", "j", 1, 250, 10).scaling(change);
        check(&base, &format!("j Runnable MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: compute environment CE: {words}"));
    };
    let all = "it offers [m5.large, local.medium, local.small]";
    says(|scaling| scaling.spot = true, &format!("no spot offer of its provider; {all}"));
    says(
        |scaling| (scaling.spot, scaling.instance_types) = (true, vec!["m5".into()]),
        &format!("no spot offer of its provider matches instanceTypes [m5]; {all}"),
    );
    says(|scaling| scaling.offers = Ok(vec![]), "its provider offers nothing");
}
