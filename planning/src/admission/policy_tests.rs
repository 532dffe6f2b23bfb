//! Tables: where Jobs and pods belong.

use super::*;
use serde_json::json;

fn namespace(queue: Option<&str>) -> NamespaceFacts {
    NamespaceFacts { queue: queue.map(str::to_owned), ..NamespaceFacts::default() }
}

fn job(label: Option<&str>, spec: &Value, template_spec: &Value) -> Value {
    let mut job = json!({"metadata": {"name": "work", "uid": "job-uid", "labels": {}}, "spec": spec});
    job["spec"]["template"] = json!({"spec": template_spec});
    if let Some(queue) = label {
        job["metadata"]["labels"][keys::QUEUE] = json!(queue);
    }
    job
}

fn plain(label: Option<&str>) -> Value {
    job(label, &json!({}), &json!({"schedulerName": "default-scheduler"}))
}

fn pod(labels: &Value, of_job: bool) -> Value {
    let owner =
        json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "work", "uid": "job-uid", "controller": true}]);
    json!({"metadata": {"labels": labels, "ownerReferences": if of_job { owner } else { json!([]) }},
        "spec": {"schedulerName": "default-scheduler"}})
}

#[track_caller]
fn check_job(job: &Value, in_queue: Option<&str>, expected: &str) {
    let found = match route_job(job, &namespace(in_queue)) {
        JobRoute::Unqueued => "unqueued".to_owned(),
        JobRoute::OptedOut => "none".to_owned(),
        JobRoute::Outside(reason) => reason,
        JobRoute::Queue(queue) => format!("queue {queue}"),
    };
    assert_eq!(found, expected);
}

#[test]
fn a_jobs_own_label_counts_before_its_namespaces() {
    check_job(&plain(None), Some("ns"), "queue ns");
    check_job(&plain(Some("own")), Some("ns"), "queue own");
    check_job(&plain(Some("own")), None, "queue own");
    check_job(&plain(Some("none")), Some("ns"), "none");
    check_job(&plain(Some("")), Some("ns"), "queue ns");
    check_job(&plain(None), None, "unqueued");
}

#[test]
fn jobs_that_name_a_node_a_scheduler_or_another_manager_stay_outside() {
    let outside = |why: &str| format!("this Job does not go through queue \"q\": {why}");
    let template = |spec: Value| job(None, &json!({}), &spec);
    check_job(
        &template(json!({"nodeName": "n1"})),
        Some("q"),
        &outside("spec.template.spec.nodeName names node \"n1\"; use a nodeSelector to let it be queued"),
    );
    check_job(
        &template(json!({"schedulerName": "volcano"})),
        Some("q"),
        &outside("spec.template.spec.schedulerName names scheduler \"volcano\"; remove it to let it be queued"),
    );
    check_job(
        &job(None, &json!({"managedBy": "example.com/other"}), &json!({})),
        Some("q"),
        &outside("spec.managedBy hands it to \"example.com/other\"; remove that to let it be queued"),
    );
    let mut kueue = plain(None);
    kueue["metadata"]["labels"][keys::KUEUE_QUEUE] = json!("theirs");
    check_job(
        &kueue,
        Some("q"),
        &outside("it belongs to Kueue's queue \"theirs\"; remove label kueue.x-k8s.io/queue-name to let it be queued"),
    );
}

#[test]
fn defaults_do_not_put_a_job_outside() {
    check_job(&job(None, &json!({"managedBy": "kubernetes.io/job-controller"}), &json!({})), Some("q"), "queue q");
    for scheduler in ["default-scheduler", "bulkhead", "bulkhead-scheduler", ""] {
        check_job(&job(None, &json!({}), &json!({"schedulerName": scheduler, "nodeName": ""})), Some("q"), "queue q");
    }
}

/// Of a pod that the Job controller makes.
#[track_caller]
fn check_pod(pod: &Value, job: Option<&Value>, namespace: &NamespaceFacts, expected: &str) {
    check_pod_of(keys::JOB_CONTROLLER_USERS[0], pod, job, namespace, expected);
}

#[track_caller]
fn check_pod_of(requester: &str, pod: &Value, job: Option<&Value>, namespace: &NamespaceFacts, expected: &str) {
    check_pass(requester, pod, job, namespace, Pass::First, expected);
}

#[track_caller]
fn check_pass(
    requester: &str,
    pod: &Value,
    job: Option<&Value>,
    namespace: &NamespaceFacts,
    pass: Pass,
    expected: &str,
) {
    let mut route = route_pod(pod, namespace, requester, "fresh", pass);
    if let (PodRoute::LookUpJob { .. }, Some(job)) = (&route, job) {
        route = route_pod_of_job(pod, job, namespace, requester, "fresh");
    }
    let found = match route {
        PodRoute::Leave(outcome) => format!("leave {}", outcome.as_str()),
        PodRoute::Outside(_) => "outside".to_owned(),
        PodRoute::Claims => "claims".to_owned(),
        PodRoute::Queue(pod) => format!("{} {}", pod.queue, pod.unit.raw()),
        PodRoute::LookUpJob { name, uid } => format!("look up {name} {uid}"),
    };
    assert_eq!(found, expected);
}

#[test]
fn a_pod_with_queue_and_id_needs_no_look_up() {
    let labels = json!({keys::QUEUE: "q", keys::JOB_ID: "id", keys::K8S_COMPLETION_INDEX: "3"});
    check_pod(&pod(&labels, true), None, &namespace(Some("q")), "q id:3");
    // The same pod once more, after the contract was applied.
    let labels = json!({keys::QUEUE: "q", keys::JOB_ID: "id.3", keys::K8S_COMPLETION_INDEX: "3"});
    check_pod(&pod(&labels, true), None, &namespace(Some("q")), "q id:3");
}

#[test]
fn a_bare_pod_gets_a_fresh_id_whatever_it_claims() {
    check_pod(&pod(&json!({keys::QUEUE: "q"}), false), None, &namespace(None), "q fresh");
    check_pod(&pod(&json!({keys::QUEUE: "q", keys::JOB_ID: "forged"}), false), None, &namespace(None), "q fresh");
}

#[test]
fn an_empty_label_names_no_queue() {
    check_pod(&pod(&json!({keys::QUEUE: ""}), true), None, &namespace(Some("q")), "look up work job-uid");
    check_pod(&pod(&json!({keys::QUEUE: ""}), false), None, &namespace(Some("q")), "leave left_alone");
    check_pod(&pod(&json!({keys::QUEUE: ""}), true), None, &namespace(None), "leave left_alone");
    let labelled = NamespaceFacts::read(&json!({"metadata": {"labels": {keys::QUEUE: ""}}}));
    assert_eq!(labelled, NamespaceFacts::default());
}

#[test]
fn an_id_without_a_queue_is_nobodys_to_bring_along() {
    for queue in [json!({}), json!({keys::QUEUE: ""}), json!({keys::QUEUE: "none"})] {
        let mut labels = queue;
        labels[keys::JOB_ID] = json!("forged");
        check_pod_of("alice", &pod(&labels, false), None, &namespace(None), "claims");
        check_pod_of("alice", &pod(&labels, false), None, &namespace(Some("q")), "claims");
    }
    // Of a Job that is there, it has that one's.
    let owned = pod(&json!({keys::JOB_ID: "forged"}), true);
    check_pod_of(
        "alice",
        &owned,
        Some(&plain(None)),
        &namespace(Some("q")),
        &format!("q {}", derived_job_id("job-uid")),
    );
}

#[test]
fn pods_without_label_are_looked_up_only_in_queue_namespaces_and_only_for_jobs() {
    check_pod(&pod(&json!({}), true), None, &namespace(Some("q")), "look up work job-uid");
    check_pod(&pod(&json!({}), true), None, &namespace(None), "leave left_alone");
    check_pod(&pod(&json!({}), false), None, &namespace(Some("q")), "leave left_alone");
    check_pod(&pod(&json!({keys::QUEUE: "q"}), true), None, &namespace(None), "look up work job-uid");
}

#[test]
fn pods_of_a_job_that_the_job_hook_missed_agree_on_an_id() {
    let id = derived_job_id("job-uid");
    check_pod(&pod(&json!({}), true), Some(&plain(None)), &namespace(Some("q")), &format!("q {id}"));
    let indexed = pod(&json!({keys::K8S_COMPLETION_INDEX: "0"}), true);
    check_pod(&indexed, Some(&plain(Some("own"))), &namespace(Some("q")), &format!("own {id}:0"));
    let mut admitted = plain(None);
    admitted["metadata"]["labels"][keys::JOB_ID] = json!("its-id");
    check_pod(&pod(&json!({}), true), Some(&admitted), &namespace(Some("q")), "q its-id");
}

#[test]
fn pods_of_jobs_that_opted_out_or_are_outside_stay_as_they_are() {
    let outside = job(None, &json!({}), &json!({"schedulerName": "volcano"}));
    let in_queue = namespace(Some("q"));
    check_pod(&pod(&json!({}), true), Some(&outside), &in_queue, "leave left_outside");
    check_pod(&pod(&json!({}), true), Some(&plain(Some("none"))), &in_queue, "leave opted_out");
    check_pod(&pod(&json!({keys::QUEUE: "none"}), true), None, &in_queue, "leave opted_out");
}

#[test]
fn a_labelled_pod_that_cannot_be_queued_goes_outside() {
    let mut named = pod(&json!({keys::QUEUE: "q"}), false);
    named["spec"]["nodeName"] = json!("n1");
    check_pod(&named, None, &namespace(None), "outside");
    let labelled = pod(&json!({keys::QUEUE: "q"}), true);
    let managed = job(Some("q"), &json!({"managedBy": "example.com/x"}), &json!({}));
    check_pod(&labelled, Some(&managed), &namespace(None), "outside");
}

#[test]
fn what_others_add_to_a_pod_takes_it_out_of_no_queue() {
    let check = |pass: Pass, labels: Value, owned: bool, expected: &str| {
        let mut pod = pod(&labels, owned);
        pod["spec"]["nodeName"] = json!("n1");
        pod["spec"]["schedulerName"] = json!("volcano");
        check_pass(keys::JOB_CONTROLLER_USERS[0], &pod, Some(&plain(None)), &namespace(None), pass, expected);
    };
    let child = json!({keys::QUEUE: "q", keys::JOB_ID: "id.3", keys::K8S_COMPLETION_INDEX: "3"});
    check(Pass::Again, child, true, "q id:3");
    // Nobody's pod gets another id, whatever it brings along.
    check(Pass::Again, json!({keys::QUEUE: "q", keys::JOB_ID: "id"}), false, "q fresh");
    // The queue is named only now.
    check(Pass::Late, json!({keys::QUEUE: "q"}), false, "outside");
    check(Pass::Late, json!({keys::QUEUE: "none"}), false, "leave opted_out");
    check_pass(
        keys::JOB_CONTROLLER_USERS[0],
        &pod(&json!({keys::QUEUE: "q"}), false),
        None,
        &namespace(None),
        Pass::Late,
        "q fresh",
    );
}

#[test]
fn mirror_pods_of_kubelets_are_not_touched_and_nobody_else_makes_any() {
    let mut mirror = pod(&json!({keys::QUEUE: "q", keys::JOB_ID: "forged"}), false);
    mirror["metadata"]["annotations"] = json!({keys::K8S_MIRROR: "x"});
    check_pod_of("system:node:a", &mirror, None, &namespace(Some("q")), "leave left_alone");
    for user in ["alice", "system:serviceaccount:ns:builder", keys::JOB_CONTROLLER_USERS[0]] {
        check_pod_of(user, &mirror, None, &namespace(Some("q")), "q fresh");
    }
    mirror["spec"]["nodeName"] = json!("n1");
    check_pod_of("alice", &mirror, None, &namespace(None), "outside");
}

#[test]
fn what_a_pod_says_of_its_job_is_believed_of_the_job_controller_alone() {
    let forged = pod(&json!({keys::QUEUE: "q", keys::JOB_ID: "another", keys::K8S_COMPLETION_INDEX: "0"}), true);
    let mut own = plain(Some("q"));
    own["metadata"]["labels"][keys::JOB_ID] = json!("own");
    check_pod_of("alice", &forged, None, &namespace(None), "look up work job-uid");
    check_pod_of("alice", &forged, Some(&own), &namespace(None), "q own:0");
    for condition in ["Complete", "Failed"] {
        own["status"]["conditions"] = json!([{"type": condition, "status": "True"}]);
        check_pod_of("alice", &forged, Some(&own), &namespace(None), "q fresh");
        check_pod(&pod(&json!({}), true), Some(&own), &namespace(Some("q")), "q own");
    }
    for controller in keys::JOB_CONTROLLER_USERS {
        check_pod_of(controller, &forged, None, &namespace(None), "q another:0");
    }
}

#[test]
fn jobs_older_than_the_label_keep_their_pods() {
    let labelled = NamespaceFacts::read(&json!({"metadata": {
    "labels": {keys::QUEUE: "q"},
    "managedFields": [
        {"manager": "kubectl-create", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:metadata": {"f:labels": {"f:other": {}}}}},
        {"manager": "kubectl-label", "time": "2026-02-01T00:00:00Z",
         "fieldsV1": {"f:metadata": {"f:labels": {"f:bulkhead.dev/queue": {}}}}},
    ]}}));
    let made = |time: &str, label: Option<&str>| {
        let mut job = plain(label);
        job["metadata"]["creationTimestamp"] = json!(time);
        job
    };
    let id = derived_job_id("job-uid");
    check_pod(&pod(&json!({}), true), Some(&made("2026-01-31T23:59:59Z", None)), &labelled, "leave left_alone");
    check_pod(&pod(&json!({}), true), Some(&made("2026-02-01T00:00:00Z", None)), &labelled, &format!("q {id}"));
    check_pod(&pod(&json!({}), true), Some(&made("2026-01-01T00:00:00Z", Some("q"))), &labelled, &format!("q {id}"));
    check_pod(&pod(&json!({}), true), Some(&made("not a time", None)), &labelled, &format!("q {id}"));
}

/// Whoever labelled the namespace wrote something else later, under the same name.
#[test]
fn where_the_label_may_be_older_than_it_seems_a_job_without_pods_is_taken() {
    for more in [json!({"f:labels": {"f:team": {}}}), json!({"f:annotations": {"f:note": {}}})] {
        let mut fields = json!({"f:labels": {"f:bulkhead.dev/queue": {}, ".": {}}});
        for (kind, added) in more.as_object().unwrap() {
            let own = fields[kind].as_object().cloned().unwrap_or_default();
            fields[kind] = own.into_iter().chain(added.as_object().unwrap().clone()).collect();
        }
        let labelled = NamespaceFacts::read(&json!({"metadata": {"labels": {keys::QUEUE: "q"}, "managedFields": [
            {"manager": "kubectl-label", "time": "2026-02-01T00:00:00Z", "fieldsV1": {"f:metadata": fields}},
        ]}}));
        let mut job = plain(None);
        job["metadata"]["creationTimestamp"] = json!("2026-01-31T00:00:00Z");
        for status in [json!(null), json!({"active": 0, "failed": null, "uncountedTerminatedPods": {}})] {
            job["status"] = status;
            check_pod(&pod(&json!({}), true), Some(&job), &labelled, &format!("q {}", derived_job_id("job-uid")));
        }
        for status in
            [json!({"active": 1}), json!({"failed": 2}), json!({"uncountedTerminatedPods": {"failed": ["u"]}})]
        {
            job["status"] = status;
            check_pod(&pod(&json!({}), true), Some(&job), &labelled, "leave left_alone");
        }
    }
}

#[test]
fn pod_security_levels_that_forbid_the_host_network() {
    for label in keys::POD_SECURITY {
        for (level, forbids) in [("baseline", true), ("restricted", true), ("privileged", false), ("mistyped", true)] {
            let facts = NamespaceFacts::read(&json!({"metadata": {"labels": {label: level}}}));
            assert_eq!(facts.pod_security, forbids, "{label}={level}");
        }
    }
    let several = json!({keys::POD_SECURITY[0]: "privileged", keys::POD_SECURITY[2]: "restricted"});
    assert!(NamespaceFacts::read(&json!({"metadata": {"labels": several}})).pod_security);
    let none = NamespaceFacts::read(&json!({"metadata": {"labels": {keys::QUEUE: "none"}}}));
    assert_eq!(none, NamespaceFacts::default());
}

#[test]
fn a_pod_of_a_job_that_was_taken_goes_where_its_job_goes() {
    let mut taken = plain(Some("q"));
    taken["metadata"]["labels"][keys::JOB_ID] = json!("own");
    taken["spec"]["template"]["spec"]["nodeName"] = json!("n1");
    // Another's webhook has named a scheduler and a node in the template, or in the pod.
    let mut elsewhere = pod(&json!({keys::QUEUE: "q", keys::JOB_ID: "own"}), true);
    elsewhere["spec"] = json!({"nodeName": "n1", "schedulerName": "volcano"});
    check_pod(&elsewhere, None, &namespace(None), "q own");
    // It has taken the label, or has put another in its place.
    for labels in [json!({keys::JOB_ID: "own"}), json!({keys::JOB_ID: "own", keys::QUEUE: "none"})] {
        check_pod(&pod(&labels, true), Some(&taken), &namespace(None), "q own");
        check_pod_of("alice", &pod(&labels, false), None, &namespace(None), "claims");
    }
}
