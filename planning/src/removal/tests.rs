//! Tables for what becomes of things.

use super::*;

const NONE: JobPods = JobPods { unbound: 0, staying: 0, leaving: 0 };

/// A Job as the hooks leave it; `flags`: `S` suspended, `H` held by its user, `R` released.
fn queued(flags: &str) -> Value {
    let mut annotations = json!({keys::STATUS: "{}", keys::PRIORITY: "5", "example.com/x": "y"});
    for (flag, key) in [('H', keys::SUSPEND), ('R', keys::RELEASED)] {
        if flags.contains(flag) {
            annotations[key] = "true".into();
        }
    }
    json!({
        "metadata": {
            "name": "j", "uid": "job-1", "resourceVersion": "7",
            "labels": {keys::JOB_ID: "id", keys::QUEUE: "main", "app": "a"},
            "annotations": annotations,
        },
        "spec": {
            "suspend": flags.contains('S'),
            "template": {"metadata": {
                "labels": {keys::JOB_ID: "id", keys::QUEUE: "main", "app": "a"},
                "annotations": {keys::ARRAY_SIZE: "3", keys::HOST_NETWORK: "false"},
            }},
        },
    })
}

fn check(flags: &str, pods: JobPods, expected: &str) {
    let said = match job(&queued(flags), pods, Choice::HandBack) {
        JobFate::Leave => "leave",
        JobFate::Restart(_) => "restart",
        JobFate::Wait => "wait",
        JobFate::Cancel => "cancel",
        JobFate::HandBack(HandBack { then: Then::Starts, .. }) => "starts",
        JobFate::HandBack(HandBack { then: Then::StaysSuspended, .. }) => "stays suspended",
        JobFate::HandBack(HandBack { then: Then::GoesOn, .. }) => "goes on",
    };
    assert_eq!(said, expected, "{flags} {pods:?}");
}

#[test]
fn a_job_that_only_bulkhead_suspended_starts_and_one_that_its_user_holds_does_not() {
    check("S", NONE, "starts");
    check("SH", NONE, "stays suspended");
    check("SR", NONE, "stays suspended");
    check("RH", NONE, "stays suspended");
}

#[test]
fn a_released_job_goes_on_unless_all_its_pods_would_be_lost() {
    check("R", NONE, "goes on");
    check("R", JobPods { staying: 2, ..NONE }, "goes on");
    check("R", JobPods { staying: 1, unbound: 1, leaving: 1 }, "goes on");
    check("R", JobPods { unbound: 1, ..NONE }, "restart");
    check("R", JobPods { leaving: 3, unbound: 1, ..NONE }, "restart");
}

#[test]
fn a_suspended_job_waits_for_its_pods_to_go() {
    check("S", JobPods { leaving: 1, ..NONE }, "wait");
    check("SH", JobPods { unbound: 1, ..NONE }, "wait");
}

#[test]
fn an_interrupted_restart_is_taken_up_again() {
    let JobFate::Restart(patch) = job(&queued("R"), JobPods { leaving: 1, ..NONE }, Choice::HandBack) else {
        panic!("all its pods would be lost")
    };
    let mut stored = queued("R");
    json_patch::merge(&mut stored, &patch);
    let JobFate::HandBack(back) = job(&stored, NONE, Choice::HandBack) else { panic!("its pods are gone: {stored}") };
    assert_eq!(back.then, Then::Starts);
}

#[test]
fn a_job_that_was_handed_back_shows_nothing_of_bulkhead_but_the_users_own_wishes() {
    let JobFate::HandBack(back) = job(&queued("S"), NONE, Choice::HandBack) else { panic!("it only waits") };
    let mut stored = queued("S");
    json_patch::merge(&mut stored, &back.patch);
    assert_eq!(
        stored,
        json!({
            "metadata": {
                "name": "j", "uid": "job-1", "resourceVersion": "7",
                "labels": {"app": "a"},
                "annotations": {keys::PRIORITY: "5", "example.com/x": "y"},
            },
            "spec": {
                "suspend": false,
                "template": {"metadata": {"labels": {"app": "a"}, "annotations": {keys::HOST_NETWORK: "false"}}},
            },
        })
    );
    assert_eq!(job(&stored, NONE, Choice::HandBack), JobFate::Leave, "once is enough");
    let narrow = back.without_template.unwrap();
    assert_eq!(narrow["spec"], json!({"suspend": false}));
    assert_eq!(narrow["metadata"]["resourceVersion"], "7", "a change in between is a conflict");
}

#[test]
fn the_template_of_a_running_job_is_not_touched() {
    let JobFate::HandBack(back) = job(&queued("R"), NONE, Choice::HandBack) else { panic!("it goes on") };
    assert_eq!((back.patch["spec"].clone(), back.without_template), (json!({}), None));
}

#[test]
fn jobs_outside_and_jobs_that_are_over_are_left() {
    let mut outside = queued("S");
    outside["metadata"]["labels"] = json!({keys::QUEUE: "none"});
    let mut over = queued("R");
    over["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    let mut deleted = queued("S");
    deleted["metadata"]["deletionTimestamp"] = "2026-11-01T08:00:00Z".into();
    for left in [outside, over, deleted, json!({})] {
        for choice in [Choice::HandBack, Choice::Cancel] {
            assert_eq!(job(&left, NONE, choice), JobFate::Leave, "{left}");
        }
    }
    let mut going_wrong = queued("R");
    going_wrong["status"] = json!({"conditions": [{"type": "Failed", "status": "False"}]});
    assert_eq!(job(&going_wrong, NONE, Choice::Cancel), JobFate::Cancel);
}

fn pod(job: &str, spec: &Value, phase: &str) -> Value {
    json!({
        "metadata": {"ownerReferences": [{"kind": "Job", "name": "j", "uid": job, "controller": true}]},
        "spec": spec,
        "status": {"phase": phase},
    })
}

#[test]
fn pods_are_counted_by_job_and_by_whether_their_node_stays() {
    let pods = [
        pod("a", &json!({}), "Pending"),
        pod("a", &json!({"nodeName": "machine"}), "Running"),
        pod("a", &json!({"nodeName": "labelled"}), "Pending"),
        pod("a", &json!({"nodeName": "machine"}), "Succeeded"),
        pod("b", &json!({"nodeName": "labelled"}), "Failed"),
        json!({"spec": {}}),
    ];
    let counted = pods_by_job(&pods, &BTreeSet::from(["machine".to_owned()]));
    assert_eq!(counted["a"], JobPods { unbound: 1, staying: 1, leaving: 1 });
    assert_eq!(counted["b"], NONE);
    assert_eq!(counted.len(), 2);
}

#[test]
fn only_pods_that_nobody_else_will_schedule_are_stranded() {
    for (spec, stranded) in [
        (json!({"schedulerName": "bulkhead"}), true),
        (json!({"schedulerName": "bulkhead-scheduler"}), true),
        (json!({"schedulerName": "default-scheduler", "schedulingGates": [{"name": "bulkhead.dev/dispatch"}]}), true),
        (json!({"schedulerName": "default-scheduler", "schedulingGates": [{"name": "example.com/gate"}]}), false),
        (json!({"schedulerName": "volcano"}), false),
    ] {
        assert_eq!(is_stranded(&json!({"spec": spec})), stranded, "{spec}");
    }
}

fn check_node(labels: &Value, annotations: &Value, taints: &[&str], expected: Option<&[&str]>) {
    let taints: Vec<Value> = taints.iter().map(|key| json!({"key": key, "effect": "NoSchedule"})).collect();
    let object = json!({
        "metadata": {"labels": labels, "annotations": annotations, "resourceVersion": "3"},
        "spec": {"taints": taints},
    });
    let fate = node(&object, &BTreeSet::from(["ce-1".to_owned()]));
    let kept = match &fate {
        NodeFate::Clean(patch) => Some(patch["spec"]["taints"].as_array().unwrap()),
        NodeFate::Leave | NodeFate::Unclear => None,
    };
    let kept = kept.map(|taints| taints.iter().map(|taint| taint["key"].as_str().unwrap()).collect::<Vec<_>>());
    assert_eq!(kept.as_deref(), expected, "{object} {fate:?}");
}

#[test]
fn our_taints_come_off_and_all_others_stay() {
    let ours = json!({keys::CE_UUID: "ce-1"});
    check_node(&ours, &json!({}), &[keys::BATCH_TAINT, "dedicated"], Some(&["dedicated"]));
    check_node(&ours, &json!({}), &[keys::BATCH_TAINT, keys::RETIRING_TAINT], Some(&[]));
    check_node(&json!({}), &json!({}), &[keys::RETIRING_TAINT], Some(&[]));
    check_node(&json!({}), &json!({"bulkhead.dev/tainted": "true"}), &[keys::BATCH_TAINT], Some(&[]));
    check_node(&ours, &json!({}), &["dedicated"], None);
    check_node(&json!({}), &json!({}), &["dedicated"], None);
}

#[test]
fn a_batch_taint_of_somebody_else_is_left_and_reported() {
    for labels in [json!({}), json!({keys::CE_UUID: "of-aws-batch"})] {
        let object = json!({"metadata": {"labels": labels}, "spec": {"taints": [{"key": keys::BATCH_TAINT}]}});
        assert_eq!(node(&object, &BTreeSet::from(["ce-1".to_owned()])), NodeFate::Unclear);
    }
}

#[test]
fn only_our_finalizers_come_off() {
    let object = |finalizers: &[&str]| json!({"metadata": {"uid": "u", "finalizers": finalizers}});
    assert_eq!(without_finalizers(&object(&["example.com/x"])), None);
    assert_eq!(without_finalizers(&json!({"metadata": {}})), None);
    assert_eq!(
        without_finalizers(&object(&["example.com/x", keys::MACHINE_FINALIZER])),
        Some(json!({"metadata": {"uid": "u", "finalizers": ["example.com/x"]}}))
    );
}
