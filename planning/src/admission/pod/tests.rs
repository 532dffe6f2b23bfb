//! Tables: the contract, field by field.

mod later;

use super::*;
use crate::admission::identity::Part;
use crate::admission::{Allowed, Outcome};
use serde_json::json;

fn queue() -> QueueFacts {
    QueueFacts::unknown("My-Queue")
}

fn unit(part: Part) -> UnitName {
    UnitName { job: "id".into(), part }
}

fn mutated(pod: &Value, context: &PodContext) -> Value {
    let Admit::Allowed(Allowed { patch, outcome, warnings }) = mutate(pod.clone(), context) else { panic!("{pod}") };
    assert_eq!((outcome, warnings), (Outcome::Queued, vec![]));
    let mut patched = pod.clone();
    json_patch::patch(&mut patched, &patch).expect("the patch applies");
    let seen = PodContext { pass: Pass::of(&patched), ..context.clone() };
    let Admit::Allowed(again) = mutate(patched.clone(), &seen) else { panic!("{patched}") };
    assert_eq!(again.patch, vec![], "a second pass changes nothing");
    patched
}

fn with_queue(pod: &Value, part: Part, queue: &QueueFacts) -> Value {
    let (unit, size) = (unit(part), Some(5));
    let context = PodContext {
        unit: &unit,
        queue_label: Some("q"),
        queue,
        array_size: size,
        host_network: None,
        surroundings: Surroundings::default(),
        pass: Pass::First,
    };
    mutated(pod, &context)
}

fn whole(pod: &Value) -> Value {
    with_queue(pod, Part::Whole, &queue())
}

/// A pod as the API server shows it to the hook, with this in its spec.
fn pod(spec: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "work-", "creationTimestamp": null},
        "spec": {"containers": [{"name": "main", "image": "i", "resources": {}}], "restartPolicy": "Never",
                 "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"}
    });
    for (field, value) in spec.as_object().unwrap() {
        pod["spec"][field] = value.clone();
    }
    pod
}

fn plain() -> Value {
    pod(&json!({}))
}

fn env(pod: &Value, list: &str, index: usize) -> Vec<String> {
    let show = |variable: &Value| {
        let name = variable["name"].as_str().unwrap();
        let value =
            variable["value"].as_str().or(variable["valueFrom"]["fieldRef"]["fieldPath"].as_str()).unwrap_or("?");
        format!("{name}={value}")
    };
    pod["spec"][list][index]["env"].as_array().unwrap().iter().map(show).collect()
}

const CONTRACT: [&str; 5] = [
    "AWS_BATCH_JOB_ID=id",
    "AWS_BATCH_JQ_NAME=My-Queue",
    "AWS_BATCH_CE_NAME=metadata.annotations['bulkhead.dev/compute-environment']",
    "AWS_BATCH_JOB_ATTEMPT=metadata.annotations['bulkhead.dev/attempt']",
    "AWS_BATCH_JOB_KUBERNETES_NODE_UID=metadata.annotations['batch.amazonaws.com/node-uid']",
];

#[test]
fn the_whole_contract_on_a_plain_pod() {
    let seen = whole(&plain());
    assert_eq!(seen["metadata"]["labels"], json!({keys::JOB_ID: "id", keys::QUEUE: "q"}));
    assert_eq!(seen["metadata"]["annotations"], json!({keys::JOB_ID_RAW: "id", keys::HOST_NETWORK_GIVEN: ""}));
    assert_eq!(seen["spec"]["tolerations"], json!([{"key": keys::BATCH_TAINT, "operator": "Exists"}]));
    assert_eq!(seen["spec"]["schedulerName"], "bulkhead");
    assert_eq!(seen["spec"]["hostNetwork"], true);
    assert_eq!(seen["spec"]["dnsPolicy"], "ClusterFirstWithHostNet");
    assert_eq!(env(&seen, "containers", 0), CONTRACT);
    assert_eq!(seen["metadata"]["generateName"], "work-");
}

#[test]
fn a_child_carries_its_index_in_every_form() {
    let seen = with_queue(&plain(), Part::Child(3), &queue());
    assert_eq!(seen["metadata"]["labels"][keys::JOB_ID], "id.3");
    assert_eq!(
        seen["metadata"]["annotations"],
        json!({keys::JOB_ID_RAW: "id:3", keys::ARRAY_SIZE: "5", keys::HOST_NETWORK_GIVEN: ""})
    );
    let env = env(&seen, "containers", 0);
    assert_eq!(env[0], "AWS_BATCH_JOB_ID=id:3");
    assert_eq!(env[5..], ["AWS_BATCH_JOB_ARRAY_INDEX=3", "AWS_BATCH_JOB_ARRAY_SIZE=5", "JOB_COMPLETION_INDEX=3"]);
}

fn index_entry(place: &str) -> Value {
    let path = format!("metadata.{place}['batch.kubernetes.io/job-completion-index']");
    json!({"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}})
}

#[track_caller]
fn check_user_env(env_before: &Value, part: Part, expected: &[&str]) {
    let container = json!([{"name": "main", "env": env_before}]);
    let seen = with_queue(&pod(&json!({"containers": container})), part, &queue());
    let front = if part == Part::Whole { 5 } else { 7 };
    assert_eq!(env(&seen, "containers", 0)[front..], *expected);
}

#[test]
fn the_job_controllers_index_moves_to_the_front_and_is_never_doubled() {
    let label = "JOB_COMPLETION_INDEX=metadata.labels['batch.kubernetes.io/job-completion-index']";
    let mine = json!({"name": "X", "value": "part-$(JOB_COMPLETION_INDEX)"});
    check_user_env(&json!([mine, index_entry("labels")]), Part::Child(0), &[label, "X=part-$(JOB_COMPLETION_INDEX)"]);
    let annotation = "JOB_COMPLETION_INDEX=metadata.annotations['batch.kubernetes.io/job-completion-index']";
    check_user_env(
        &json!([mine, index_entry("annotations")]),
        Part::Child(0),
        &[annotation, "X=part-$(JOB_COMPLETION_INDEX)"],
    );
    check_user_env(
        &json!([index_entry("labels"), mine, index_entry("labels")]),
        Part::Child(0),
        &[label, "X=part-$(JOB_COMPLETION_INDEX)"],
    );
}

#[test]
fn a_completion_index_of_the_users_own_stays_where_it_is() {
    let own = json!([{"name": "A", "value": "1"}, {"name": "JOB_COMPLETION_INDEX", "value": "mine"}]);
    check_user_env(&own, Part::Child(0), &["A=1", "JOB_COMPLETION_INDEX=mine"]);
    check_user_env(&own, Part::Whole, &["A=1", "JOB_COMPLETION_INDEX=mine"]);
}

#[test]
fn reserved_variables_are_replaced_others_keep_their_order() {
    let own = json!([{"name": "B", "value": "1"}, {"name": "AWS_BATCH_JOB_ID", "value": "forged"}, {"name": "A", "value": "2"},
        {"name": "AWS_BATCH_MINE", "value": "3"}, {"name": "B", "value": "4"}]);
    check_user_env(&own, Part::Whole, &["B=1", "A=2", "AWS_BATCH_MINE=3", "B=4"]);
}

#[test]
fn init_containers_and_sidecars_get_the_variables_too() {
    let inits =
        json!([{"name": "init"}, {"name": "sidecar", "restartPolicy": "Always", "env": [{"name": "A", "value": "1"}]}]);
    let seen = whole(&pod(&json!({"initContainers": inits})));
    assert_eq!(env(&seen, "initContainers", 0), CONTRACT);
    assert_eq!(env(&seen, "initContainers", 1)[5..], ["A=1"]);
    assert_eq!(seen["spec"]["initContainers"][1]["restartPolicy"], "Always");
}

#[track_caller]
fn check_host_network(spec: &Value, annotations: &Value, expected: bool) {
    let mut pod = pod(spec);
    pod["metadata"]["annotations"] = annotations.clone();
    let seen = whole(&pod);
    assert_eq!(seen["spec"]["hostNetwork"] == true, expected, "{spec} {annotations}");
    let policy = if expected { "ClusterFirstWithHostNet" } else { "ClusterFirst" };
    assert_eq!(seen["spec"]["dnsPolicy"], policy);
}

#[test]
fn the_host_network_is_not_injected_where_something_speaks_against_it() {
    let none = json!({});
    check_host_network(&none, &json!({keys::HOST_NETWORK: "false"}), false);
    check_host_network(&none, &json!({keys::HOST_NETWORK: "maybe"}), true);
    let manifest = r#"{"spec":{"hostNetwork":false}}"#;
    check_host_network(&none, &json!({"kubectl.kubernetes.io/last-applied-configuration": manifest}), false);
    check_host_network(&json!({"hostUsers": false}), &none, false);
    check_host_network(&json!({"hostUsers": true}), &none, true);
    check_host_network(&json!({"os": {"name": "windows"}}), &none, false);
    check_host_network(&json!({"os": {"name": "linux"}}), &none, true);
    check_host_network(&json!({"nodeSelector": {"kubernetes.io/os": "windows"}}), &none, false);
    let term = json!({"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["windows"]}]});
    let affinity =
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}});
    check_host_network(&json!({"affinity": affinity}), &none, false);
    check_host_network(&json!({"runtimeClassName": "gvisor"}), &none, false);
    check_host_network(&json!({"hostnameOverride": "x"}), &none, false);
    check_host_network(&json!({"hostname": "x"}), &none, false);
    check_host_network(&json!({"subdomain": "x"}), &none, false);
    check_host_network(&json!({"hostname": "", "subdomain": ""}), &none, true);
    let sysctls = |name: &str| json!({"securityContext": {"sysctls": [{"name": name, "value": "1"}]}});
    check_host_network(&sysctls("net.core.somaxconn"), &none, false);
    check_host_network(&sysctls("kernel.shm_rmid_forced"), &none, true);
}

#[test]
fn the_host_network_is_not_injected_where_ports_would_become_invalid() {
    let ports = |ports: Value| json!({"containers": [{"name": "a", "ports": ports}, {"name": "b"}]});
    check_host_network(&ports(json!([{"containerPort": 80}])), &json!({}), true);
    check_host_network(&ports(json!([{"containerPort": 80, "hostPort": 80}])), &json!({}), true);
    check_host_network(&ports(json!([{"containerPort": 80, "hostPort": 8080}])), &json!({}), false);
    check_host_network(
        &ports(json!([{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}])),
        &json!({}),
        true,
    );
    check_host_network(
        &ports(json!([{"containerPort": 53}, {"containerPort": 53, "protocol": "TCP"}])),
        &json!({}),
        false,
    );
}

#[test]
fn a_host_network_and_a_dns_policy_of_the_users_own_are_not_touched() {
    let seen = whole(&pod(&json!({"hostNetwork": true})));
    assert_eq!(seen["spec"]["dnsPolicy"], "ClusterFirst");
    let seen = whole(&pod(&json!({"dnsPolicy": "None"})));
    assert_eq!((&seen["spec"]["hostNetwork"], &seen["spec"]["dnsPolicy"]), (&json!(true), &json!("None")));
}

#[test]
fn queue_and_namespace_have_a_say_about_the_host_network() {
    let without = QueueFacts { host_network: Some(false), ..queue() };
    let annotated = |value: &str| {
        let mut pod = plain();
        pod["metadata"]["annotations"] = json!({keys::HOST_NETWORK: value});
        pod
    };
    assert!(with_queue(&plain(), Part::Whole, &without)["spec"].get("hostNetwork").is_none());
    assert_eq!(with_queue(&annotated("true"), Part::Whole, &without)["spec"]["hostNetwork"], true);
    // A name of one's own speaks against it where nobody says that it is wanted.
    let wanting = QueueFacts { host_network: Some(true), ..queue() };
    let mut named = annotated("true");
    named["spec"]["hostname"] = json!("x");
    assert_eq!(with_queue(&named, Part::Whole, &queue())["spec"]["hostNetwork"], true);
    named["metadata"]["annotations"] = json!({});
    assert_eq!(with_queue(&named, Part::Whole, &wanting)["spec"]["hostNetwork"], true);
    let (unit, queue) = (unit(Part::Whole), queue());
    let strict = PodContext {
        unit: &unit,
        queue_label: Some("q"),
        queue: &queue,
        array_size: None,
        host_network: None,
        surroundings: Surroundings { pod_security: true, ..Surroundings::default() },
        pass: Pass::First,
    };
    assert!(mutated(&annotated("true"), &strict)["spec"].get("hostNetwork").is_none());
    let seen_on_the_job = PodContext { host_network: Some(false), surroundings: Surroundings::default(), ..strict };
    assert!(mutated(&plain(), &seen_on_the_job)["spec"].get("hostNetwork").is_none());
}

#[test]
fn nothing_around_a_pod_is_slipped_past_whatever_the_user_asks_of_us() {
    let mut asks = plain();
    asks["metadata"]["annotations"] = json!({keys::HOST_NETWORK: "true"});
    let queue = QueueFacts { host_network: Some(true), ..queue() };
    let check = |surroundings: Surroundings, expected: bool| {
        let unit = unit(Part::Whole);
        let context = PodContext {
            unit: &unit,
            queue_label: Some("q"),
            queue: &queue,
            array_size: None,
            host_network: None,
            surroundings,
            pass: Pass::First,
        };
        assert_eq!(mutated(&asks, &context)["spec"]["hostNetwork"] == true, expected, "{surroundings:?}");
        // What the user says in the pod itself is not injected: whoever refuses that sees it there.
        let own = mutated(&pod(&json!({"hostNetwork": true})), &context);
        assert_eq!(own["spec"]["hostNetwork"], true, "{surroundings:?}");
    };
    let none = Surroundings::default();
    check(none, true);
    check(Surroundings { never: true, ..none }, false);
    check(Surroundings { pod_security: true, ..none }, false);
    check(Surroundings { network_policy: true, ..none }, false);
}

#[test]
fn pods_that_change_their_network_keep_their_own() {
    let check = |context: Value, expected: bool| {
        for list in ["containers", "initContainers"] {
            check_host_network(
                &json!({list: [{"name": "a"}, {"name": "b", "securityContext": context}]}),
                &json!({}),
                expected,
            );
        }
    };
    let adds = |name: &str| json!({"capabilities": {"add": ["SYS_TIME", name]}});
    for name in ["NET_ADMIN", "NET_RAW", "CAP_NET_ADMIN", "net_raw", "ALL"] {
        check(adds(name), false);
    }
    check(adds("NET_BIND_SERVICE"), true);
    check(json!({"capabilities": {"drop": ["NET_ADMIN"]}}), true);
    check(json!({"privileged": true}), false);
    check(json!({"privileged": false}), true);
}

#[test]
fn pods_of_indexed_jobs_keep_their_network_unless_somebody_says_otherwise() {
    let check = |queue: Option<bool>, annotation: Option<&str>, expected: bool| {
        for place in ["labels", "annotations"] {
            let mut pod = plain();
            pod["metadata"][place] = json!({keys::K8S_COMPLETION_INDEX: "3"});
            if let Some(value) = annotation {
                pod["metadata"]["annotations"][keys::HOST_NETWORK] = json!(value);
            }
            let queue = QueueFacts { host_network: queue, ..self::queue() };
            let seen = with_queue(&pod, Part::Child(3), &queue);
            assert_eq!(seen["spec"]["hostNetwork"] == true, expected, "{queue:?} {annotation:?}");
        }
    };
    check(None, None, false);
    check(Some(true), None, true);
    check(Some(false), None, false);
    check(None, Some("true"), true);
    check(Some(true), Some("false"), false);
    // A child of an array job of the API has no index in its name.
    assert_eq!(with_queue(&plain(), Part::Child(3), &queue())["spec"]["hostNetwork"], true);
}

#[test]
fn default_requests_go_once_to_a_pod_that_asks_for_nothing() {
    let defaults = QueueFacts { default_requests: [("cpu".into(), "250m".into())].into(), ..queue() };
    let requests = |spec: &Value| {
        let seen = with_queue(&pod(spec), Part::Whole, &defaults);
        let lists = ["initContainers", "containers"].map(|list| seen["spec"][list].as_array().cloned());
        let all: Vec<Value> = lists.into_iter().flatten().flatten().collect();
        all.iter()
            .map(|container| container["resources"]["requests"]["cpu"].as_str().unwrap_or("-").to_owned())
            .collect::<Vec<_>>()
    };
    let bare = json!({"name": "a", "resources": {}});
    assert_eq!(requests(&json!({"containers": [bare, bare, bare]})), ["250m", "-", "-"]);
    let (inits, empty) = (json!([{"name": "init"}]), json!({"name": "a", "resources": {"requests": {}, "limits": {}}}));
    assert_eq!(requests(&json!({"initContainers": inits, "containers": [empty, bare]})), ["-", "250m", "-"]);
    let asks = json!({"name": "b", "resources": {"limits": {"memory": "1Gi"}}});
    assert_eq!(requests(&json!({"containers": [bare, asks]})), ["-", "-"]);
    assert_eq!(requests(&json!({"initContainers": [asks], "containers": [bare]})), ["-", "-"]);
    assert_eq!(requests(&json!({"containers": [bare], "resources": {"limits": {"cpu": "2"}}})), ["-"]);
}

#[track_caller]
fn check_judged(spec: &Value, expected: bool) {
    assert_eq!(judged(spec), expected, "{spec}");
    let seen = whole(&pod(spec));
    let gated = seen["spec"]["schedulingGates"].as_array().is_some_and(|g| g.contains(&json!({"name": keys::GATE})));
    assert_eq!(gated, !expected, "{spec}");
    assert_eq!(seen["spec"]["schedulerName"], if expected { "bulkhead" } else { "bulkhead-scheduler" });
}

#[test]
fn what_depends_on_other_pods_volumes_or_devices_is_left_to_kube_scheduler() {
    let term = json!([{"topologyKey": "kubernetes.io/hostname"}]);
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    check_judged(&json!({}), true);
    check_judged(&json!({"affinity": {"podAntiAffinity": {required: term}}}), false);
    check_judged(
        &json!({"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}]}}}),
        false,
    );
    check_judged(
        &json!({"affinity": {"podAffinity": {required: []}, "nodeAffinity": {required: {"nodeSelectorTerms": []}}}}),
        true,
    );
    check_judged(&json!({"topologySpreadConstraints": [{"maxSkew": 1}]}), false);
    check_judged(&json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "configMap": {}}]}), true);
    let index = json!({"items": [{"path": "data.txt", "fieldRef": {"fieldPath": "metadata.annotations['x']"}}]});
    check_judged(&json!({"volumes": [{"name": "input", "downwardAPI": index}]}), true);
    check_judged(&json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}), false);
    check_judged(&json!({"volumes": [{"name": "v", "ephemeral": {}}]}), false);
    check_judged(&json!({"resourceClaims": [{"name": "gpu"}]}), false);
    check_judged(&json!({"containers": [{"name": "a", "ports": [{"containerPort": 80}]}]}), false);
    check_judged(&json!({"nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}]}), true);
}

#[test]
fn tolerations_gates_and_selectors_of_others_stay() {
    let other_gate = json!({"name": "example.com/quota"});
    let spec = json!({"tolerations": [{"operator": "Exists"}], "schedulingGates": [other_gate, {"name": keys::GATE}],
        "nodeSelector": {"disk": "ssd"}});
    let seen = whole(&pod(&spec));
    assert_eq!(
        seen["spec"]["tolerations"],
        json!([{"operator": "Exists"}, {"key": keys::BATCH_TAINT, "operator": "Exists"}])
    );
    assert_eq!(seen["spec"]["schedulingGates"], json!([other_gate]));
    assert_eq!(seen["spec"]["nodeSelector"], json!({"disk": "ssd"}));
}

#[test]
fn reserved_keys_that_a_pod_brings_along_do_not_survive() {
    let mut pod = plain();
    pod["metadata"]["labels"] = json!({keys::CE_UUID: "forged", keys::NODE_UID: "forged", "app": "x"});
    pod["metadata"]["annotations"] = json!({keys::ATTEMPT: "9", keys::HOLD: "n1", keys::JOB_ID_RAW: "forged", keys::ARRAY_SIZE: "9", keys::GANG: "true"});
    let seen = whole(&pod);
    assert_eq!(seen["metadata"]["labels"], json!({keys::JOB_ID: "id", keys::QUEUE: "q", "app": "x"}));
    assert_eq!(
        seen["metadata"]["annotations"],
        json!({keys::JOB_ID_RAW: "id", keys::GANG: "true", keys::HOST_NETWORK_GIVEN: ""})
    );
}

#[test]
fn a_pod_left_outside_does_not_look_like_ours() {
    let mut pod = plain();
    pod["metadata"]["labels"] = json!({keys::QUEUE: "q", keys::JOB_ID: "x", "app": "x"});
    let theirs = json!([{"key": "gpu", "operator": "Exists"}, {"operator": "Exists", "effect": "NoExecute"}]);
    pod["spec"]["tolerations"] = json!([{"key": keys::BATCH_TAINT, "operator": "Exists"}, theirs[0], theirs[1],
        {"key": keys::RETIRING_TAINT, "effect": "NoSchedule"}]);
    let Admit::Allowed(seen) = leave_outside(pod.clone(), "because".into()) else { panic!() };
    json_patch::patch(&mut pod, &seen.patch).unwrap();
    assert_eq!(pod["metadata"]["labels"], json!({"app": "x"}));
    assert_eq!(pod["spec"]["tolerations"], theirs, "nor may it go where ours go");
    assert_eq!(seen.warnings, ["because"]);
}

fn decided(pod: &Value) -> Admit {
    let (unit, queue) = (unit(Part::Whole), queue());
    let context = PodContext {
        unit: &unit,
        queue_label: None,
        queue: &queue,
        array_size: None,
        host_network: None,
        surroundings: Surroundings::default(),
        pass: Pass::First,
    };
    mutate(pod.clone(), &context)
}

#[test]
fn names_of_ours_by_the_thousand_go_in_few_operations() {
    let check = |spec: &Value| {
        let pod = pod(spec);
        let Admit::Allowed(allowed) = decided(&pod) else { panic!("{pod}") };
        assert!(allowed.patch.len() < 30, "{} operations", allowed.patch.len());
        whole(&pod)
    };
    let many = |item: Value| Value::from(vec![item; 5_000]);
    let seen = check(&json!({"containers": [{"name": "main", "env": many(json!({"name": "AWS_BATCH_JOB_ID"}))}]}));
    assert_eq!(env(&seen, "containers", 0), CONTRACT);
    let seen = check(&json!({"schedulingGates": many(json!({"name": keys::GATE}))}));
    assert_eq!(seen["spec"]["schedulingGates"], json!([]));
}

#[test]
fn a_pod_with_more_containers_than_can_be_stored_is_refused() {
    let check = |containers: usize, expected: Option<u16>| {
        let half = json!(vec![json!({}); containers / 2]);
        let code = match decided(&pod(&json!({"containers": half, "initContainers": half}))) {
            Admit::Refused(refusal) => Some(refusal.code),
            Admit::Allowed(_) => None,
        };
        assert_eq!(code, expected, "{containers} containers");
    };
    check(1_000, None);
    check(1_002, Some(422));
}

#[test]
fn a_misshapen_pod_is_refused_and_the_place_is_named() {
    let (unit, queue) = (unit(Part::Whole), queue());
    let context = PodContext {
        unit: &unit,
        queue_label: None,
        queue: &queue,
        array_size: None,
        host_network: None,
        surroundings: Surroundings::default(),
        pass: Pass::First,
    };
    let refused = |pod: &Value| match mutate(pod.clone(), &context) {
        Admit::Refused(refusal) => refusal.message,
        Admit::Allowed(allowed) => panic!("{allowed:?}"),
    };
    assert_eq!(refused(&pod(&json!({"containers": ["x"]}))), "/spec/containers/0 must be a container");
    assert_eq!(refused(&json!({"metadata": [], "spec": {}})), "/metadata must be an object");
    assert_eq!(refused(&pod(&json!({"containers": [{"env": "x"}]}))), "/spec/containers/0/env must be a list");
}
