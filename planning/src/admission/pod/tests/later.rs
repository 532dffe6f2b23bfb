//! What becomes of a pod because of what others add, and of what users may write that our taints are concerned by.

use super::*;

/// What the hook for pods makes of one that it has seen.
fn again(pod: &Value) -> Value {
    let (unit, queue) = (unit(Part::Whole), queue());
    let context = PodContext {
        unit: &unit,
        queue_label: Some("q"),
        queue: &queue,
        array_size: None,
        host_network: None,
        surroundings: Surroundings::default(),
        pass: Pass::Again,
    };
    mutated(pod, &context)
}

#[test]
fn the_host_network_is_taken_back_where_others_add_what_speaks_against_it() {
    let ports = json!([{"name": "main", "ports": [{"containerPort": 80, "hostPort": 80}, {"containerPort": 90}]}]);
    let mut given = whole(&pod(&json!({"containers": ports})));
    assert_eq!(given["metadata"]["annotations"][keys::HOST_NETWORK_GIVEN], "main:80");
    // So does the API server, as long as the pod has the host network.
    given["spec"]["containers"][0]["ports"][1]["hostPort"] = json!(90);
    let check = |change: fn(&mut Value), kept: bool| {
        let mut changed = given.clone();
        change(&mut changed["spec"]);
        let seen = again(&changed);
        let network = seen["spec"].get("hostNetwork").is_some();
        let marked = seen["metadata"]["annotations"].get(keys::HOST_NETWORK_GIVEN).is_some();
        let policy = if kept { "ClusterFirstWithHostNet" } else { "ClusterFirst" };
        assert_eq!((network, marked, &seen["spec"]["dnsPolicy"]), (kept, kept, &json!(policy)), "{seen}");
        let hosts: Vec<_> =
            seen["spec"]["containers"][0]["ports"].as_array().unwrap().iter().map(|it| it.get("hostPort")).collect();
        assert_eq!(hosts, [Some(&json!(80)), kept.then_some(&json!(90))]);
        seen
    };
    check(|_| {}, true);
    check(|spec| spec["containers"][0]["image"] = json!("other"), true);
    check(
        |spec| {
            spec["initContainers"] =
                json!([{"name": "mesh", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}]);
        },
        false,
    );
    check(|spec| spec["hostUsers"] = json!(false), false);
    check(
        |spec| spec["securityContext"] = json!({"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]}),
        false,
    );
    let seen = check(
        |spec| {
            let sidecar = json!({"name": "s", "ports": [
                {"containerPort": 9090, "hostPort": 19090}, {"containerPort": 90, "hostPort": 90}, {"containerPort": 80, "hostPort": 80}]});
            spec["containers"].as_array_mut().unwrap().push(sidecar);
        },
        false,
    );
    let sidecar = json!([{"containerPort": 9090, "hostPort": 19090}, {"containerPort": 90}, {"containerPort": 80}]);
    assert_eq!(seen["spec"]["containers"][1]["ports"], sidecar);
}

#[test]
fn the_host_network_is_taken_back_from_a_pod_without_ports_of_its_own() {
    let mut given = whole(&plain());
    given["spec"]["hostUsers"] = json!(false);
    assert!(again(&given)["spec"].get("hostNetwork").is_none());
}

#[test]
fn no_toleration_ends_a_pod_on_its_own_node() {
    let ours = json!({"key": keys::BATCH_TAINT, "operator": "Exists"});
    let check = |given: Value, expected: Value| {
        assert_eq!(whole(&pod(&json!({"tolerations": [given]})))["spec"]["tolerations"], expected);
    };
    let ends = json!({"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2});
    check(ends, json!([{"operator": "Exists", "effect": "NoExecute"}, ours]));
    let other = json!({"key": "other", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2});
    check(other.clone(), json!([other, ours]));
    check(json!({"key": keys::BATCH_TAINT, "operator": "Exists", "tolerationSeconds": 2}), json!([ours]));
    check(
        json!({"key": keys::BATCH_TAINT, "operator": "Equal", "value": "true", "effect": "NoExecute"}),
        json!([ours]),
    );
}
