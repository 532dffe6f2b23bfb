//! What looks tell one after the other is, all together, what a look at everything anew shows.

use k8s_openapi::api::core::v1::Event as CoreEvent;
use model::snapshot::{self, ObjectKey, Setback, Write};
use model::status::{JobState, Status};
use planning::refusal::Answer;
use planning::world::{Changes, News};
use proptest::prelude::*;

use super::super::{NamespaceLimits, NotesOf};
use super::*;

/// What has been told so far.
#[derive(Default)]
struct Told {
    nodes: BTreeMap<String, snapshot::Node>,
    jobs: BTreeMap<String, snapshot::Job>,
    units: BTreeMap<String, Unit>,
}

fn take<T>(known: &mut BTreeMap<String, T>, changes: Changes<T>) {
    if changes.whole {
        known.clear();
    }
    for (key, thing) in changes.things {
        match thing {
            Some(thing) => drop(known.insert(key, thing)),
            None => drop(known.remove(&key)),
        }
    }
}

/// What happens: which of these, to which object, and how.
type Step = (u8, u8, u8);

fn some_pod(which: u8, how: u8) -> Value {
    let (name, node) = (format!("p{}", which % 5), format!("n{}", how / 3 % 3));
    let waiting = pod(&name, &format!("j{}", how % 3));
    let condition =
        |reason: &str| json!([{"type": "PodScheduled", "status": "False", "reason": reason, "message": "m"}]);
    let held = || {
        let nodes = ["n0,n1", "n1", "n2,n0"][usize::from(how % 3)];
        let mut pod = annotated(waiting.clone(), keys::HOLD, nodes);
        pod["spec"]["schedulerName"] = json!(keys::SCHEDULER_EXTENDED);
        pod
    };
    let mut pod = match how / 9 % 14 {
        0..3 => waiting.clone(),
        3 => on(waiting.clone(), &node),
        4 => annotated(on(waiting.clone(), &node), keys::NODE_UID, "uid-of-another"),
        5 => foreign(&name, &node),
        6 => held(),
        7 | 8 => {
            let mut pod = held();
            pod["status"]["conditions"] = condition(["Unschedulable", "SchedulerError"][usize::from(how / 9 % 14 - 7)]);
            pod
        }
        9 => {
            let mut pod = waiting.clone();
            pod["spec"]["schedulingGates"] = json!([{"name": "of/another"}]);
            pod
        }
        10 => {
            let mut pod = on(waiting.clone(), &node);
            pod["status"]["conditions"] = json!([{"type": "PodReadyToStartContainers", "status": "False"}]);
            pod
        }
        11 => in_phase(on(waiting.clone(), &node), "Failed"),
        12 => in_phase(on(waiting.clone(), &node), "Succeeded"),
        _ => {
            let mut pod = foreign(&name, &node);
            pod["metadata"]["ownerReferences"][0]["kind"] = json!("DaemonSet");
            pod
        }
    };
    pod = created(pod, at(i64::from(which / 5 % 4) * 10));
    match which / 20 % 4 {
        0 => pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("2"),
        1 => pod = indexed(pod, "1"),
        2 => pod["spec"]["nodeSelector"] = json!({"a": "b"}),
        _ => {}
    }
    pod
}

fn some_job(which: u8, how: u8) -> Value {
    let mut job = created(job(&format!("j{}", which % 3)), at(i64::from(which / 3 % 4) * 10));
    match how % 9 {
        0 => job["metadata"]["labels"][keys::JOB_ID] = json!("another"),
        1 | 2 => job = annotated(job, keys::RELEASED, "true"),
        3 => job["status"]["conditions"] = json!([{"type": "Complete", "status": "True"}]),
        4 => job["metadata"]["deletionTimestamp"] = json!(at(0).to_string()),
        5 => job["spec"]["backoffLimitPerIndex"] = json!(1),
        6 => job = annotated(job, keys::SUSPEND, "true"),
        _ => {}
    }
    if (how / 9).is_multiple_of(3) {
        job["status"]["startTime"] = json!(at(i64::from(how / 27) * 10).to_string());
    }
    if (how / 27).is_multiple_of(3) {
        job["spec"]["template"]["spec"]["nodeSelector"] = json!({"label": "value".repeat(20)});
    }
    job
}

fn some_node(which: u8, how: u8) -> Value {
    let mut node = created(node(&format!("n{}", which % 3)), at(i64::from(how % 3) * 40));
    match how / 3 % 6 {
        0 => node["metadata"]["uid"] = json!("uid-of-another"),
        1 => node["metadata"]["labels"] = json!({}),
        2 => node["metadata"]["labels"][keys::CE_UUID] = json!("other-uuid"),
        3 => node["spec"]["unschedulable"] = json!(true),
        4 => node["spec"]["taints"] = json!([{"key": "k", "effect": "NoSchedule"}]),
        _ => {}
    }
    node
}

fn some_machine(which: u8, how: u8) -> Value {
    let mut machine =
        machine(&format!("n{}", which % 3), &how.to_string(), ["Launching", "Ready"][usize::from(how % 2)]);
    machine["spec"]["computeEnvironmentUuid"] = json!(["ce-uuid", "other-uuid"][usize::from(how / 2 % 4 / 3)]);
    machine
}

fn some_environment(which: u8, how: u8) -> Value {
    let mut environment = environment(["ce", "other"][usize::from(which % 2)]);
    if how.is_multiple_of(2) {
        let open = how.is_multiple_of(4);
        environment["spec"] = json!({"type": "UNMANAGED", "selfRegistration": open});
    }
    let uuid = ["ce-uuid", "other-uuid"][usize::from(which % 2)];
    environment["status"] = json!({"uuid": uuid, "status": "VALID", "statusReason": "", "desiredvCpus": 0});
    environment
}

fn some_queue(how: u8) -> Value {
    let mut queue = queue("q");
    queue["spec"]["defaultRequests"] = json!({"cpu": format!("{}m", u32::from(how % 3) * 100 + 100)});
    queue
}

fn refused(which: u8, how: u8) -> Value {
    let job = format!("j{}", how % 3);
    json!({
        "metadata": {"namespace": "n", "name": format!("e{}", which % 3), "uid": format!("uid-e{}", which % 3)},
        "involvedObject": {"kind": "Job", "name": job, "uid": format!("uid-{job}")},
        "reason": "FailedCreate", "message": format!("Error creating: {}", how / 3 % 2),
        "lastTimestamp": at(i64::from(how / 6 % 5) * 10).to_string(),
    })
}

fn unmounted(which: u8, how: u8) -> Event<DeserializeGuard<CoreEvent>> {
    let event = json!({
        "metadata": {"namespace": "n", "name": "v", "uid": format!("uid-v{}", which % 2)},
        "involvedObject": {"kind": "Pod", "name": "p", "uid": format!("uid-p{}", how % 5)},
        "reason": "FailedMount", "message": format!("m{}", how / 5 % 2), "firstTimestamp": at(0).to_string(),
    });
    let event = read::<CoreEvent>(&event);
    if how > 200 { Event::Delete(event) } else { Event::Apply(event) }
}

/// Something that a watch shows.
fn show(index: &Index, (what, which, how): Step) {
    let goes = how.is_multiple_of(5);
    match what % 32 {
        0..7 => apply::<Pod>(index, &some_pod(which, how)),
        7 => delete::<Pod>(index, &some_pod(which, how)),
        8 => list::<Pod>(index, &[some_pod(which, how), some_pod(which.wrapping_add(1), how / 2)]),
        9..14 => apply::<Job>(index, &some_job(which, how)),
        14 => delete::<Job>(index, &some_job(which, how)),
        15 => list::<Job>(index, &[some_job(which, how), some_job(which.wrapping_add(1), how / 2)]),
        16..19 => apply::<Node>(index, &some_node(which, how)),
        19 => delete::<Node>(index, &some_node(which, how)),
        20 => list::<Node>(index, &[some_node(which, how), some_node(which.wrapping_add(1), how / 2)]),
        21 | 22 if goes => delete::<BatchNode>(index, &some_machine(which, how)),
        21 | 22 => apply::<BatchNode>(index, &some_machine(which, how)),
        23 => list::<BatchNode>(index, &[some_machine(which, how)]),
        24 if goes => delete::<ComputeEnvironment>(index, &some_environment(which, how)),
        24 | 25 => apply::<ComputeEnvironment>(index, &some_environment(which, how)),
        26 if goes => list::<JobQueue>(index, &[]),
        26 => apply::<JobQueue>(index, &some_queue(how)),
        27 | 28 if goes => delete::<CoreEvent>(index, &refused(which, how)),
        27 | 28 => apply::<CoreEvent>(index, &refused(which, how)),
        29 => index.feed(Change::Mount(Box::new(unmounted(which, how)))),
        30 => index.feed(Change::Attach(Box::new(unmounted(which, how)))),
        _ => list::<ComputeEnvironment>(index, &[some_environment(which, how)]),
    }
}

/// Something that we did.
fn act(index: &Index, (what, which, how): Step, now: Now) {
    let (pod, job) = (format!("uid-p{}", which % 5), format!("uid-j{}", which % 3));
    let node = format!("n{}", how % 3);
    let setback = Setback {
        offer: None,
        until: now.wall + jiff::SignedDuration::from_secs(9),
        message: "m".into(),
        capacity: true,
    };
    match what % 16 {
        0..3 => index.assume_bound(&pod, &node, now),
        3 => index.assume_held(&pod, &[node, "n0".to_owned()], now),
        4 => index.assume_released(&job, now),
        5 => {
            let state = [JobState::Running, JobState::Runnable][usize::from(how % 2)];
            index.assume_status(&job, &Status { state, reason: None }, now);
        }
        6 => index.forget(&pod),
        7 => index.forget(&job),
        8 => drop(index.found(&pod, read::<Pod>(&some_pod(which, how)).0.ok().as_ref(), now)),
        9 => drop(index.found(&pod, None, now)),
        10 => drop(index.refused(&pod, Write::Bind, &Answer::Refused("no".to_owned()), now.moment)),
        11 => index.apply_batch_node(read::<BatchNode>(&some_machine(which, how)).0.unwrap()),
        12 => index.remove_batch_node(&node),
        13 => index.add_setback("ce", setback, 1, now),
        14 if how.is_multiple_of(2) => index.retires(&node),
        14 => index.retires_no_more(&node),
        _ => index.set_node_notes(NotesOf::Machines, BTreeMap::new()),
    }
}

/// What is shown anew, as it is told.
fn anew(index: &Index, now: Now) -> News {
    News::from(index.snapshot(now))
}

fn check(limits: NamespaceLimits, steps: &[(Step, bool, u8)]) -> Result<(), TestCaseError> {
    // To both happens the same. One tells what has changed, the other shows everything anew each time.
    let [told, shown] = [(); 2].map(|()| Index::limited(ArnBase::default(), limits));
    let mut known = Told::default();
    let mut last = None;
    let mut now = even(at(100));
    for (step, looks, time) in steps {
        let seconds = u64::from(*time % 50);
        now = Now {
            wall: now.wall + Duration::from_secs(seconds),
            moment: now.moment.plus(Duration::from_secs(seconds)),
        };
        if *time > 250 {
            // The wall's clock is set.
            now.wall += Duration::from_hours(1);
        }
        for index in [&told, &shown] {
            if step.0 < 176 { show(index, *step) } else { act(index, *step, now) }
        }
        if *looks {
            let News { nodes, jobs, units, ref queues, ref environments, ref machines, ref refused, .. } =
                told.look(now).0;
            take(&mut known.nodes, nodes);
            take(&mut known.jobs, jobs);
            take(&mut known.units, units);
            let all = anew(&shown, now);
            let there = |changes: Changes<_>| -> BTreeMap<_, _> {
                changes.things.into_iter().filter_map(|(key, thing)| Some((key, thing?))).collect()
            };
            prop_assert_eq!(&known.units, &there(all.units.clone()), "{:?}", step);
            let jobs: BTreeMap<_, _> = all.jobs.there().map(|one| (one.uid.clone(), one.clone())).collect();
            prop_assert_eq!(&known.jobs, &jobs, "{:?}", step);
            let nodes: BTreeMap<_, _> = all.nodes.there().map(|one| (one.name.clone(), one.clone())).collect();
            prop_assert_eq!(&known.nodes, &nodes, "{:?}", step);
            prop_assert_eq!((queues, environments), (&all.queues, &all.environments));
            prop_assert_eq!((machines, refused), (&all.machines, &all.refused));
            // What somebody knows is kept as long by both.
            last = Some(all);
        }
    }
    drop(last);
    Ok(())
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool, u8)>> {
    prop::collection::vec((any::<Step>(), prop::bool::weighted(0.6), any::<u8>()), 1..40)
}

fn limits() -> impl Strategy<Value = NamespaceLimits> {
    (prop_oneof![0..3usize, Just(20_000)], prop_oneof![0..1500usize, Just(usize::MAX)])
        .prop_map(|(jobs, bytes)| NamespaceLimits { jobs, bytes })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn looks_tell_all_that_is_so_whatever_happens(limits in limits(), steps in steps()) {
        check(limits, &steps)?;
    }
}

/// How many nodes, Jobs and units a look tells of.
fn facts(index: &Index) -> (usize, usize, usize) {
    let News { nodes, jobs, units, .. } = index.look(even(at(0))).0;
    (nodes.things.len(), jobs.things.len(), units.things.len())
}

#[test]
fn a_look_tells_of_what_has_changed_and_not_of_all_that_there_is() {
    let index = index();
    for number in 0..20 {
        apply::<Node>(&index, &node(&format!("n{number}")));
        apply::<Job>(&index, &job(&format!("j{number}")));
        for of in 0..5 {
            apply::<Pod>(&index, &pod(&format!("p{number}-{of}"), &format!("j{number}")));
        }
    }
    assert_eq!(facts(&index), (20, 20, 100), "at first everything");
    assert_eq!(facts(&index), (0, 0, 0));
    index.assume_bound("uid-p3-1", "n7", even(at(0)));
    assert_eq!(facts(&index), (1, 0, 1));
    apply::<Pod>(&index, &on(pod("p3-1", "j3"), "n7"));
    assert_eq!(facts(&index), (1, 0, 1));
    apply::<Pod>(&index, &in_phase(on(pod("p3-1", "j3"), "n7"), "Succeeded"));
    assert_eq!(facts(&index), (1, 0, 1));
    index.assume_released("uid-j3", even(at(0)));
    assert_eq!(facts(&index), (0, 1, 0));
    apply::<Job>(&index, &annotated(job("j3"), keys::RELEASED, "true"));
    assert_eq!(facts(&index), (0, 1, 0), "its pods do not hang on that");
    delete::<Pod>(&index, &pod("p4-1", "j4"));
    assert_eq!(facts(&index), (0, 0, 1));
    apply::<Node>(&index, &node("n8"));
    assert_eq!(facts(&index), (0, 0, 0), "a heartbeat");
    list::<Job>(&index, &(0..20).map(|number| job(&format!("j{number}"))).collect::<Vec<_>>());
    assert_eq!(facts(&index), (0, 1, 4), "a list in which one is otherwise");
    let key = ObjectKey::new("n", "p4-2");
    assert_eq!(index.snapshot(even(at(0))).units.iter().filter(|unit| unit.key == key).count(), 1);
    assert_eq!(facts(&index), (20, 20, 98), "whoever was shown everything has not been told it");
}
