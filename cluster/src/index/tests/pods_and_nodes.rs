//! What pods make of nodes, and which of them are units.

use super::*;
use kube::core::error_boundary::InvalidObject;
use model::snapshot::JobRef;

#[test]
fn a_job_is_told_of_the_first_of_its_pods_that_does_not_start() {
    let index = index();
    apply::<Job>(&index, &job("j"));
    let stuck = || index.snapshot(even(at(0))).jobs[0].stuck.clone();
    let waits = |name: &str, reason: &str| {
        let mut pod = on(pod(name, "j"), "n");
        let state = json!({"waiting": {"reason": reason, "message": "no"}});
        pod["status"]["containerStatuses"] = json!([
            {"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state},
        ]);
        pod
    };
    apply::<Pod>(&index, &waits("b", "CreateContainerError"));
    assert_eq!(stuck().as_deref(), Some("b: CreateContainerError: no"));
    // Nobody may dispatch it, and it is no unit.
    let mut gated = pod("a", "j");
    gated["spec"]["schedulingGates"] = json!([{"name": "x/y"}]);
    apply::<Pod>(&index, &gated);
    assert_eq!(stuck().as_deref(), Some("a: it waits for the scheduling gate x/y"));
    assert_eq!(units(&index).len(), 1);
    {
        let state = index.state();
        let kept = state.pods.get("uid-a").unwrap();
        let queued = kept.queued.as_ref().unwrap();
        assert!(
            queued.shape.requests == Resources::default() && kept.requests == Resources::default(),
            "what it needs"
        );
    }
    delete::<Pod>(&index, &gated);
    apply::<Pod>(&index, &waits("b", "ContainerCreating"));
    assert_eq!(stuck(), None);
}

#[test]
fn a_pod_becomes_a_unit_and_takes_room_once_it_is_on_a_node() {
    let index = index();
    apply::<Node>(&index, &node("n1"));
    apply::<Job>(&index, &job("j"));
    apply::<Pod>(&index, &pod("p", "j"));
    let unit = units(&index).remove(0);
    assert_eq!(unit.place, Place::Waiting);
    assert_eq!(unit.job, Some(JobRef { uid: "uid-j".to_owned(), created: at(-100), silent: false }));
    assert_eq!((unit.queue.as_str(), unit.attempt, unit.index), ("q", 1, 0));
    assert_eq!(only_node(&index, at(0)).used, Resources::default());

    apply::<Pod>(&index, &on(pod("p", "j"), "n1"));
    assert_eq!(units(&index)[0].place, bound("n1", false));
    let node = only_node(&index, at(0));
    assert_eq!((node.used, node.foreign, node.units), (cores(1), Resources::default(), 1));
    assert_eq!(index.units_on("n1"), 1);

    apply::<Pod>(&index, &in_phase(on(pod("p", "j"), "n1"), "Succeeded"));
    assert_eq!(units(&index), []);
    assert_eq!(only_node(&index, at(0)).used, Resources::default());
    assert_eq!(index.units_on("n1"), 0);
}

#[test]
fn foreign_pods_take_room_and_are_no_units() {
    let index = index();
    apply::<Node>(&index, &node("n1"));
    apply::<Pod>(&index, &foreign("f", "n1"));
    apply::<Pod>(&index, &on(pod("p", "j"), "n1"));
    apply::<Pod>(&index, &foreign("g", "elsewhere"));
    let node = only_node(&index, at(0));
    assert_eq!((node.used, node.foreign, node.units), (cores(2), cores(1), 1));
    assert_eq!(units(&index).len(), 1);
    assert_eq!(index.units_on("elsewhere"), 0);
}

#[test]
fn a_pod_of_the_api_door_counts_on_its_node_and_is_not_in_a_queue() {
    let index = index();
    apply::<Node>(&index, &node("n1"));
    let id = "2d044787-c663-4ce6-a6fe-f2baf7e51b04";
    let name = model::names::pod_name(id.parse().unwrap(), 1, 0);
    let mut pod = on(pod(&name, "j"), "n1");
    pod["metadata"]["labels"] = json!({keys::JOB_ID: id});
    for (key, value) in [(keys::JOB_ID_RAW, id), (keys::ATTEMPT, "1"), (keys::PLACEMENT, "0")] {
        pod = annotated(pod, key, value);
    }
    apply::<Pod>(&index, &pod);
    let node = only_node(&index, at(0));
    assert_eq!((node.units, node.foreign), (1, Resources::default()));
    assert_eq!(units(&index), []);
}

#[test]
fn no_label_makes_a_pod_a_unit_nor_a_dispatch_to_another_node() {
    let index = index();
    apply::<Node>(&index, &node("n1"));
    let mut labelled = foreign("a", "n1");
    labelled["metadata"]["labels"] = json!({keys::JOB_ID: "id"});
    apply::<Pod>(&index, &labelled);
    // Somebody has bound it there, past the plan.
    let mut bound = pod("b", "j");
    bound["spec"]["nodeName"] = json!("n1");
    apply::<Pod>(&index, &bound);
    apply::<Pod>(&index, &annotated(on(pod("c", "j"), "n1"), keys::NODE_UID, "uid-of-one-before"));
    let mut mirror = annotated(on(pod("d", "j"), "n1"), keys::K8S_MIRROR, "x");
    mirror["metadata"]["ownerReferences"] = json!([]);
    apply::<Pod>(&index, &mirror);
    let node = only_node(&index, at(0));
    assert_eq!((node.units, node.foreign, node.idle_since), (0, cores(4), Some(at(0))));
    assert_eq!(index.units_on("n1"), 0);
    assert_eq!(units(&index), []);
}

#[test]
fn rank_and_attempt_are_believed_of_pods_whose_job_is_there_and_has_their_id() {
    let index = index();
    apply::<Job>(&index, &job("j"));
    let said = |name: &str, owner: &str, id: &str| {
        let mut pod = annotated(indexed(pod(name, owner), "7"), keys::ATTEMPT, "4");
        pod["metadata"]["labels"][keys::JOB_ID] = json!(id);
        pod
    };
    let missed = planning::admission::identity::derived_job_id("uid-missed");
    for pod in
        [said("a", "j", "id.7"), said("b", "j", "another.7"), said("c", "gone", "id.7"), said("d", "missed", &missed)]
    {
        apply::<Pod>(&index, &pod);
    }
    let mut going = job("k");
    going["metadata"]["deletionTimestamp"] = json!(at(0).to_string());
    apply::<Job>(&index, &going);
    apply::<Pod>(&index, &said("f", "k", "id.7"));
    let mut bare = said("e", "j", "id");
    bare["metadata"]["ownerReferences"] = json!([]);
    apply::<Pod>(&index, &bare);
    let seen: Vec<_> =
        units(&index).into_iter().map(|unit| (unit.index, unit.attempt, unit.job.map(|job| job.silent))).collect();
    let nothing = (0, 1, None);
    assert_eq!(seen, [(7, 4, Some(false)), nothing, nothing, (7, 4, Some(true)), nothing, (7, 4, Some(true))]);
}

#[test]
fn a_template_says_nothing_about_failures_of_an_index() {
    // What a pod says, what its Job counts for each index, and the attempt. The Job's own number of failures comes later.
    for (said, limit, expected) in [("3", None, 1), ("3", Some(5), 4), ("1", Some(5), 2), ("x", Some(5), 1)] {
        let index = index();
        let mut owner = job("j");
        owner["spec"]["backoffLimitPerIndex"] = json!(limit);
        apply::<Job>(&index, &owner);
        apply::<Pod>(&index, &annotated(indexed(pod("p", "j"), "7"), keys::K8S_INDEX_FAILURE_COUNT, said));
        let attempts: Vec<_> = units(&index).iter().map(|unit| unit.attempt).collect();
        assert_eq!(attempts, [expected], "{said} {limit:?}");
    }
}

#[test]
fn only_nodes_with_an_environment_are_planned_and_all_are_known() {
    let index = index();
    let mut plain = node("plain");
    plain["metadata"]["labels"] = json!({});
    apply::<Node>(&index, &plain);
    apply::<Node>(&index, &node("n1"));
    assert_eq!(only_node(&index, at(0)).name, "n1");
    assert_eq!(index.map_nodes(|_| Some(())).len(), 2);
    assert_eq!(index.node("plain").unwrap().environment_uuid(), None);
    delete::<Node>(&index, &plain);
    assert!(index.node("plain").is_none());
}

#[test]
fn a_node_says_what_it_likes_and_belongs_where_it_is_believed() {
    let index = index();
    let planned = || index.snapshot(even(at(0))).nodes.into_iter().map(|node| node.name).collect::<Vec<_>>();
    let set = |labels: Value| json!([{"manager": "x", "operation": "Update", "fieldsV1": {"f:metadata": {"f:labels": labels}}}]);
    let label = format!("f:{}", keys::CE_UUID);
    let mut claims = node("n1");
    claims["metadata"]["managedFields"] = set(json!({&label: {}, "f:kubernetes.io/hostname": {}}));
    apply::<Node>(&index, &claims);
    let mut managed = environment("ce");
    managed["status"] = json!({"uuid": "ce-uuid"});
    apply::<ComputeEnvironment>(&index, &managed);
    assert!(planned().is_empty(), "no machine stands behind it");
    apply::<BatchNode>(&index, &machine("n1", "1", "Ready"));
    assert!(planned().is_empty(), "the machine is one of another environment");
    let mut own = machine("n1", "2", "Ready");
    own["spec"]["computeEnvironmentUuid"] = json!("ce-uuid");
    apply::<BatchNode>(&index, &own);
    assert_eq!(planned(), ["n1"]);

    let unmanaged = |spec: Value| {
        let mut object = custom("ComputeEnvironment", "ce", spec);
        object["status"] = json!({"uuid": "ce-uuid"});
        object
    };
    apply::<ComputeEnvironment>(&index, &unmanaged(json!({"type": "UNMANAGED"})));
    assert_eq!(planned(), ["n1"], "node groups label through the kubelet");
    apply::<ComputeEnvironment>(&index, &unmanaged(json!({"type": "UNMANAGED", "selfRegistration": false})));
    assert!(planned().is_empty());
    claims["metadata"]["managedFields"] = set(json!({&label: {}}));
    apply::<Node>(&index, &claims);
    assert_eq!(planned(), ["n1"], "somebody who may edit nodes has set it");
}

#[test]
fn a_node_is_idle_from_the_first_look_without_units() {
    let index = index();
    apply::<Node>(&index, &node("n1"));
    apply::<Pod>(&index, &foreign("daemon", "n1"));
    let idle = |seconds| only_node(&index, at(seconds)).idle_since;
    assert_eq!(idle(10), Some(at(10)));
    assert_eq!(idle(20), Some(at(10)));
    apply::<Pod>(&index, &on(pod("p", "j"), "n1"));
    assert_eq!(idle(30), None);
    delete::<Pod>(&index, &on(pod("p", "j"), "n1"));
    assert_eq!(idle(40), Some(at(40)));
    index.assume_held("uid-h", &["n1".to_owned()], even(at(41)));
    assert_eq!(idle(41), Some(at(40)), "held for a pod that nobody knows");
    let mut held = annotated(pod("h", "j"), keys::HOLD, "n0,n1");
    held["spec"]["schedulerName"] = json!(keys::SCHEDULER_EXTENDED);
    apply::<Pod>(&index, &held);
    assert_eq!(idle(42), None, "room is held on it");
}

#[test]
fn a_node_that_was_replaced_is_idle_anew() {
    let index = index();
    apply::<Node>(&index, &node("n1"));
    assert_eq!(only_node(&index, at(10)).idle_since, Some(at(10)));
    let mut other = node("n1");
    other["metadata"]["uid"] = json!("another");
    apply::<Node>(&index, &other);
    assert_eq!(only_node(&index, at(20)).idle_since, Some(at(20)));
}

#[test]
fn attempts_count_the_pods_that_failed_before() {
    let index = index();
    apply::<Job>(&index, &job("j"));
    apply::<Pod>(&index, &in_phase(indexed(pod("a1", "j"), "0"), "Failed"));
    apply::<Pod>(&index, &in_phase(created(indexed(pod("a2", "j"), "0"), at(10)), "Failed"));
    apply::<Pod>(&index, &created(indexed(pod("a3", "j"), "0"), at(30)));
    apply::<Pod>(&index, &created(indexed(pod("b", "j"), "1"), at(30)));
    apply::<Pod>(&index, &created(indexed(pod("c", "other"), "0"), at(30)));
    let attempts = || -> Vec<u32> { units(&index).iter().map(|unit| unit.attempt).collect() };
    assert_eq!(attempts(), [3, 1, 1]);
    delete::<Pod>(&index, &in_phase(indexed(pod("a1", "j"), "0"), "Failed"));
    assert_eq!(attempts(), [3, 1, 1], "a failure that is gone still counts");
    delete::<Job>(&index, &job("j"));
    assert_eq!(attempts(), [1, 1, 1], "nothing is kept of a Job that is gone");
}

#[test]
fn a_pod_made_before_a_failure_of_another_keeps_its_attempt() {
    let index = index();
    apply::<Job>(&index, &job("j"));
    apply::<Pod>(&index, &pod("b", "j"));
    apply::<Pod>(&index, &in_phase(pod("a", "j"), "Failed"));
    apply::<Pod>(&index, &created(pod("c", "j"), at(10)));
    let attempts: Vec<_> = units(&index).iter().map(|unit| unit.attempt).collect();
    assert_eq!(attempts, [1, 2]);
}

#[test]
fn a_bound_pod_without_its_labels_is_shown_until_it_has_them() {
    let index = index();
    apply::<Node>(&index, &node("n1"));
    let bound = annotated(on(pod("p", "j"), "n1"), keys::NODE_UID, "uid-n1");
    apply::<Pod>(&index, &bound);
    let [lacking] = &index.unlabelled()[..] else { panic!("{:?}", index.unlabelled()) };
    assert_eq!((lacking.key.name.as_str(), lacking.uid.as_str()), ("p", "uid-p"));
    assert_eq!((lacking.node_uid.as_str(), lacking.environment_uuid.as_str()), ("uid-n1", "ce-uuid"));

    let mut labelled = bound.clone();
    labelled["metadata"]["labels"][keys::NODE_UID] = json!("uid-n1");
    apply::<Pod>(&index, &labelled);
    assert_eq!(index.unlabelled(), []);
    // What it says is of another node of that name.
    apply::<Pod>(&index, &annotated(bound, keys::NODE_UID, "older"));
    assert_eq!(index.unlabelled(), []);
}

/// Whoever takes it for deleted ends its machine, with the work on it.
#[test]
fn a_node_that_cannot_be_read_is_there_and_takes_no_work() {
    let index = index();
    apply::<ComputeEnvironment>(&index, &environment("ce"));
    let mut raw = node("n");
    raw["metadata"]["labels"][keys::CE_UUID] = json!(index.snapshot(even(at(0))).environments[0].uuid);
    apply::<Node>(&index, &raw);
    let metadata = serde_json::from_value(raw["metadata"].clone()).unwrap();
    let unreadable = InvalidObject { error: "a field of a later version".to_owned(), metadata };
    index.feed(Event::<DeserializeGuard<Node>>::Apply(DeserializeGuard(Err(unreadable))));
    let known = index.node("n").unwrap();
    assert_eq!((known.unreadable, known.node.ready, known.kubelet_ready), (true, false, false));
    assert_eq!((known.node.uid.as_str(), known.unready_since), ("uid-n", None));
    apply::<Node>(&index, &raw);
    assert!(index.node("n").is_some_and(|known| known.node.ready && !known.unreadable));
    delete::<Node>(&index, &raw);
    assert!(index.node("n").is_none());
}
