//! Tables: the mapping, member by member; what else is on the pod; properties of any.

use proptest::prelude::*;

use super::*;
use model::job::Door;

const JOB: &str = "2d044787-c663-4ce6-a6fe-f2baf7e51b04";

fn id() -> JobId {
    JOB.parse().unwrap()
}

fn spec(pod: Value) -> Spec {
    Spec {
        name: "job".into(),
        door: Door::Api,
        queue: "My-Eks-JQ1".into(),
        definition: String::new(),
        namespace: None,
        uid: None,
        pod,
        retry: None,
        timeout_seconds: None,
        depends_on: vec![],
        container: None,
        array_size: None,
        parameters: [].into(),
        tags: [].into(),
        share: None,
        priority: None,
        submitter: None,
    }
}

fn placed() -> Placed {
    Placed {
        since: None,
        pod_name: names::pod_name(id(), 2, 1),
        namespace: "my-aws-batch-namespace".into(),
        pod_uid: None,
        node: "node-1".into(),
        node_uid: "node-uid".into(),
        hold: vec![],
        environment: "My-Eks-CE1".into(),
        environment_uuid: "ce-uuid".into(),
        trouble: None,
    }
}

/// The pod of attempt 2, placement 1.
fn with(spec: &Spec, change: impl FnOnce(&mut Made)) -> Result<Value, String> {
    in_queue(&QueueFacts::unknown("My-Eks-JQ1"), spec, change)
}

fn in_queue(queue: &QueueFacts, spec: &Spec, change: impl FnOnce(&mut Made)) -> Result<Value, String> {
    let placed = placed();
    let mut made = Made {
        id: id(),
        attempt: 2,
        placement: 1,
        spec,
        placed: Some(&placed),
        queue,
        namespace: "my-aws-batch-namespace",
        surroundings: Surroundings::default(),
    };
    change(&mut made);
    build(&made)
}

fn of(properties: Value) -> Result<Value, String> {
    with(&spec(properties), |_| ())
}

/// Properties with one container, and these members.
fn properties(members: &Value) -> Value {
    let mut properties = json!({"containers": [{"image": "busybox"}]});
    properties.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    properties
}

fn sleep() -> Value {
    json!({
        "hostNetwork": true,
        "containers": [{
            "image": "public.ecr.aws/amazonlinux/amazonlinux:2",
            "command": ["sleep", "60"],
            "resources": {"limits": {"cpu": "1", "memory": "1024Mi"}},
        }],
        "metadata": {"labels": {"environment": "test"}},
    })
}

fn reference(annotation: &str) -> Value {
    json!({"fieldRef": {"apiVersion": "v1", "fieldPath": format!("metadata.annotations['{annotation}']")}})
}

#[test]
fn the_sample_of_the_user_guide_as_a_whole() {
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": names::pod_name(id(), 2, 1),
            "namespace": "my-aws-batch-namespace",
            "finalizers": ["bulkhead.dev/record"],
            "labels": {
                "environment": "test",
                "batch.amazonaws.com/job-id": JOB,
                "batch.amazonaws.com/compute-environment-uuid": "ce-uuid",
                "batch.amazonaws.com/node-uid": "node-uid",
            },
            "annotations": {
                "bulkhead.dev/job-id": JOB,
                "bulkhead.dev/attempt": "2",
                "bulkhead.dev/placement": "1",
                "bulkhead.dev/compute-environment": "My-Eks-CE1",
                "batch.amazonaws.com/node-uid": "node-uid",
            },
        },
        "spec": {
            "containers": [{
                "name": "default",
                "image": "public.ecr.aws/amazonlinux/amazonlinux:2",
                "command": ["sleep", "60"],
                "resources": {
                    "limits": {"cpu": "1", "memory": "1024Mi"},
                    "requests": {"cpu": "1", "memory": "1024Mi"},
                },
                "env": [
                    {"name": "AWS_BATCH_JOB_ID", "value": JOB},
                    {"name": "AWS_BATCH_JQ_NAME", "value": "My-Eks-JQ1"},
                    {"name": "AWS_BATCH_CE_NAME", "valueFrom": reference("bulkhead.dev/compute-environment")},
                    {"name": "AWS_BATCH_JOB_ATTEMPT", "valueFrom": reference("bulkhead.dev/attempt")},
                    {"name": "AWS_BATCH_JOB_KUBERNETES_NODE_UID", "valueFrom": reference("batch.amazonaws.com/node-uid")},
                ],
            }],
            "restartPolicy": "Never",
            "hostNetwork": true,
            "dnsPolicy": "ClusterFirstWithHostNet",
            "tolerations": [{"key": "batch.amazonaws.com/batch-node", "operator": "Exists"}],
            "schedulerName": "bulkhead",
            "nodeName": "node-1",
        },
    });
    assert_eq!(of(sleep()).unwrap(), expected);
    assert_eq!(of(sleep()), of(sleep()), "twice the same");
}

#[test]
fn overridden_command_and_args() {
    let mut asked = sleep();
    asked["containers"][0]["command"] = json!(["/bin/sh"]);
    asked["containers"][0]["args"] = json!(["-c", "echo hello world"]);
    let pod = of(asked).unwrap();
    assert_eq!(pod["spec"]["containers"][0]["command"], json!(["/bin/sh"]));
    assert_eq!(pod["spec"]["containers"][0]["args"], json!(["-c", "echo hello world"]));
}

/// Members that a pod has exactly as they were asked for.
#[track_caller]
fn same(members: &Value) {
    let pod = of(properties(members)).unwrap();
    for (name, value) in members.as_object().unwrap() {
        assert_eq!(&pod["spec"][name], value);
    }
}

#[test]
fn members_of_the_pod() {
    same(&json!({"serviceAccountName": "runner"}));
    same(&json!({"imagePullSecrets": [{"name": "registry"}]}));
    same(&json!({"shareProcessNamespace": true}));
    let seccomp = json!({"type": "Localhost", "localhostProfile": "p.json"});
    same(&json!({"securityContext":
        {"runAsUser": 1, "runAsGroup": 2, "runAsNonRoot": true, "fsGroup": 3, "seccompProfile": seccomp}}));
    same(&json!({"volumes": [
        {"name": "a", "hostPath": {"path": "/data"}},
        {"name": "b", "emptyDir": {}},
        {"name": "c", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        {"name": "d", "secret": {"secretName": "s", "optional": true}},
        {"name": "e", "persistentVolumeClaim": {"claimName": "c", "readOnly": true}},
    ]}));
    let init = of(properties(&json!({"initContainers": [{"name": "fetch", "image": "curl"}]}))).unwrap();
    let init = &init["spec"]["initContainers"][0];
    assert_eq!((&init["name"], &init["image"]), (&json!("fetch"), &json!("curl")));
    assert_eq!(init["env"].as_array().unwrap().len(), 5, "init containers get the variables too");
}

#[test]
fn members_of_a_container() {
    let member = |name: &str, value: &Value| {
        let pod = of(json!({"containers": [{"image": "i", name: value}]})).unwrap();
        assert_eq!(&pod["spec"]["containers"][0][name], value);
    };
    member("name", &json!("main"));
    member("imagePullPolicy", &json!("Never"));
    member("command", &json!(["a", ""]));
    member("args", &json!(["$(HOME)"]));
    member("volumeMounts", &json!([{"name": "v", "mountPath": "/v", "subPath": "s", "readOnly": true}]));
    member(
        "securityContext",
        &json!({"runAsUser": 1, "runAsGroup": 2, "runAsNonRoot": true, "privileged": false,
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}),
    );
}

#[test]
fn the_users_variables_follow_ours() {
    let own = json!([{"name": "B", "value": ""}, {"name": "A", "value": "$(B)"}, {"name": "C"}]);
    let pod = of(json!({"containers": [{"image": "i", "env": own}]})).unwrap();
    assert_eq!(pod["spec"]["containers"][0]["env"].as_array().unwrap()[5..], *own.as_array().unwrap());
}

#[test]
fn limits_are_requests_where_there_are_none() {
    let check = |given: &Value, expected: &Value| {
        let pod = of(json!({"containers": [{"image": "i", "resources": given}]})).unwrap();
        assert_eq!(&pod["spec"]["containers"][0]["resources"], expected);
    };
    let both = json!({"limits": {"cpu": "2"}, "requests": {"cpu": "1", "memory": "4Mi"}});
    check(&both, &both);
    check(
        &json!({"limits": {"cpu": "2", "memory": "4Mi"}, "requests": {"cpu": "1"}}),
        &json!({"limits": {"cpu": "2", "memory": "4Mi"}, "requests": {"cpu": "1", "memory": "4Mi"}}),
    );
    let gpu = json!({"nvidia.com/gpu": "1"});
    check(&json!({"requests": gpu}), &json!({"limits": gpu, "requests": gpu}));
    check(&json!({"limits": gpu}), &json!({"limits": gpu, "requests": gpu}));
    check(&json!({"requests": {"cpu": "1"}}), &json!({"requests": {"cpu": "1"}}));
}

#[test]
fn the_queue_has_requests_for_a_pod_that_asks_for_nothing() {
    let queue = QueueFacts { default_requests: [("cpu".into(), "250m".into())].into(), ..QueueFacts::unknown("q") };
    let pod = in_queue(&queue, &spec(properties(&json!({}))), |_| ()).unwrap();
    assert_eq!(pod["spec"]["containers"][0]["resources"], json!({"requests": {"cpu": "250m"}}));
}

#[test]
fn containers_without_names_get_some() {
    let check = |containers: &[Option<&str>], inits: &[Option<&str>], expected: [&[&str]; 2]| {
        let list =
            |names: &[Option<&str>]| names.iter().map(|name| json!({"image": "i", "name": name})).collect::<Vec<_>>();
        let pod = of(json!({"containers": list(containers), "initContainers": list(inits)})).unwrap();
        for (list, expected) in ["containers", "initContainers"].into_iter().zip(expected) {
            let names = pod["spec"][list].as_array().into_iter().flatten().map(|c| c["name"].as_str().unwrap());
            assert_eq!(names.collect::<Vec<_>>(), expected);
        }
        let asked = json!({"containers": list(containers), "initContainers": list(inits)});
        assert_eq!(super::containers(&asked), expected.concat());
    };
    check(&[None], &[], [&["default"], &[]]);
    check(&[Some("")], &[], [&["default"], &[]]);
    check(&[None, None, None], &[None, None], [&["default", "default-2", "default-3"], &["init", "init-2"]]);
    check(&[None, Some("default")], &[Some("init"), None], [&["default-2", "default"], &["init", "init-2"]]);
}

#[track_caller]
fn network(members: &Value, queue: bool, forbids: bool, expected: (&Value, &Value)) {
    let queue = QueueFacts { host_network: Some(queue), ..QueueFacts::unknown("q") };
    let pod = in_queue(&queue, &spec(properties(members)), |made| made.surroundings.network_policy = forbids).unwrap();
    assert_eq!((&pod["spec"]["hostNetwork"], &pod["spec"]["dnsPolicy"]), expected, "{members}");
}

#[test]
fn host_network_and_dns_policy() {
    let (yes, no, none) = (json!(true), json!(false), Value::Null);
    let (host, first, default) = (json!("ClusterFirstWithHostNet"), json!("ClusterFirst"), json!("Default"));
    for ((members, queue, forbids), expected) in [
        ((json!({}), true, false), (&yes, &host)),
        ((json!({"dnsPolicy": ""}), true, false), (&yes, &host)),
        ((json!({"hostNetwork": true}), true, false), (&yes, &host)),
        ((json!({"hostNetwork": false}), true, false), (&no, &none)),
        ((json!({"dnsPolicy": "ClusterFirst"}), true, false), (&yes, &first)),
        ((json!({"dnsPolicy": "Default"}), true, false), (&yes, &default)),
        ((json!({"hostNetwork": false, "dnsPolicy": "Default"}), true, false), (&no, &default)),
        ((json!({}), false, false), (&none, &none)),
        ((json!({"hostNetwork": true}), false, false), (&yes, &host)),
        ((json!({}), true, true), (&none, &none)),
        ((json!({"hostNetwork": true}), true, true), (&yes, &host)),
        ((json!({"hostNetwork": null}), true, false), (&yes, &host)),
    ] {
        network(&members, queue, forbids, expected);
    }
    let annotated = |network: bool, annotation: &str| json!({"hostNetwork": network, "metadata": {"annotations": {keys::HOST_NETWORK: annotation}}});
    network(&annotated(false, "true"), true, false, (&no, &none));
    network(&annotated(true, "false"), true, false, (&yes, &host));
}

#[test]
fn a_child_knows_its_index_and_the_size() {
    let array = Spec { array_size: Some(5), ..spec(sleep()) };
    let pod = with(&array, |made| made.id = id().with_child(3)).unwrap();
    assert_eq!(pod["metadata"]["name"], names::pod_name(id().with_child(3), 2, 1));
    assert_eq!(pod["metadata"]["labels"][keys::JOB_ID], format!("{JOB}.3"));
    assert_eq!(pod["metadata"]["annotations"][keys::JOB_ID_RAW], format!("{JOB}:3"));
    let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
    for (name, value) in [
        ("AWS_BATCH_JOB_ID", format!("{JOB}:3")),
        ("AWS_BATCH_JOB_ARRAY_INDEX", "3".into()),
        ("AWS_BATCH_JOB_ARRAY_SIZE", "5".into()),
    ] {
        assert!(env.contains(&json!({"name": name, "value": value})), "{name}");
    }
    assert!(with(&array, |_| ()).unwrap_err().starts_with("An array job has no pod"));
}

#[test]
fn the_users_labels_stay_and_ours_win() {
    let labels = json!({"a": "b", keys::JOB_ID: "x", keys::QUEUE: "q"});
    let annotations = json!({"c": "d", keys::ATTEMPT: "9", keys::HOLD: "n"});
    let metadata =
        json!({"labels": labels, "annotations": annotations, "namespace": "n", "name": "n", "finalizers": ["f"]});
    let pod = of(properties(&json!({"metadata": metadata}))).unwrap();
    assert_eq!(pod["metadata"]["labels"]["a"], "b");
    assert_eq!(pod["metadata"]["labels"][keys::JOB_ID], JOB);
    assert_eq!(pod["metadata"]["labels"].get(keys::QUEUE), None, "no hook is called for it");
    assert_eq!(pod["metadata"]["annotations"]["c"], "d");
    assert_eq!(pod["metadata"]["annotations"][keys::ATTEMPT], "2");
    assert_eq!(pod["metadata"]["annotations"].get(keys::HOLD), None);
    assert_eq!(pod["metadata"]["namespace"], "my-aws-batch-namespace");
    assert_eq!(pod["metadata"]["finalizers"], json!([keys::RECORD_FINALIZER]));
}

#[test]
fn before_it_is_placed_it_has_its_shape_already() {
    let pod = with(&spec(sleep()), |made| made.placed = None).unwrap();
    assert!(judged(&pod));
    assert_eq!(pod["spec"].get("nodeName"), None);
    assert_eq!(pod["metadata"]["labels"].get(keys::CE_UUID), None);
    assert_eq!(pod["spec"]["containers"][0], of(sleep()).unwrap()["spec"]["containers"][0]);
}

#[test]
fn what_the_planner_does_not_judge_names_the_nodes_with_room_and_no_other() {
    let claim = json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]});
    let hold = vec!["node-1".to_owned(), "node-2".to_owned()];
    let chosen = Placed { node: String::new(), node_uid: String::new(), hold, ..placed() };
    let made = Made {
        id: id(),
        attempt: 2,
        placement: 1,
        spec: &spec(properties(&claim)),
        placed: Some(&chosen),
        queue: &QueueFacts::unknown("My-Eks-JQ1"),
        namespace: "my-aws-batch-namespace",
        surroundings: Surroundings::default(),
    };
    let pod = build(&made).unwrap();
    assert!(!judged(&pod));
    let spec = &pod["spec"];
    assert_eq!((spec.get("nodeName"), spec.get("schedulingGates")), (None, None), "nothing keeps kube-scheduler");
    assert_eq!(spec["schedulerName"], "bulkhead-scheduler");
    assert_eq!(spec["nodeSelector"], json!({keys::CE_UUID: "ce-uuid"}));
    assert_eq!(pod["metadata"]["labels"], json!({keys::JOB_ID: JOB, keys::CE_UUID: "ce-uuid"}));
    let annotations = json!({
        keys::JOB_ID_RAW: JOB,
        keys::ATTEMPT: "2",
        keys::PLACEMENT: "1",
        keys::COMPUTE_ENVIRONMENT: "My-Eks-CE1",
        keys::HOLD: "node-1,node-2",
    });
    assert_eq!(pod["metadata"]["annotations"], annotations);
}

#[test]
fn what_aws_batch_does_not_have_does_not_reach_the_pod() {
    let foreign = json!({"nodeName": "n", "tolerations": [{"operator": "Exists"}], "hostPID": true, "priorityClassName": "p",
        "schedulingGates": [{"name": "g"}], "restartPolicy": "Always", "podName": "x"});
    let mut asked = properties(&foreign);
    asked["containers"][0]["ports"] = json!([{"containerPort": 80}]);
    asked["containers"][0]["envFrom"] = json!([{"secretRef": {"name": "s"}}]);
    assert_eq!(of(asked), of(properties(&json!({}))));
}

#[test]
fn what_is_misshapen_is_said_in_a_sentence() {
    for (asked, expected) in [
        (Value::Null, "The job has no containers."),
        (json!([]), "podProperties must be an object."),
        (json!({"containers": []}), "The job has no containers."),
        (json!({"containers": "x"}), "podProperties.containers must be a list."),
        (json!({"containers": ["x"]}), "podProperties.containers[0] must be an object."),
        (json!({"containers": [{"image": 1}]}), "podProperties.containers[0].image must be a text."),
        (
            json!({"containers": [{"resources": {"limits": {"cpu": 1}}}]}),
            "podProperties.containers[0].resources.limits.cpu must be a text.",
        ),
        (
            properties(&json!({"volumes": [{"name": "v", "configMap": {"name": "c"}}]})),
            r#"Volume "v" has none of the sources hostPath, emptyDir, secret, persistentVolumeClaim."#,
        ),
        (properties(&json!({"metadata": {"labels": {"a": 1}}})), "metadata.labels.a must be a text."),
    ] {
        assert_eq!(of(asked).unwrap_err(), expected);
    }
}

fn small() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
        Just(json!({"cpu": "1"})),
        Just(json!([])),
    ];
    let names = &[
        "name",
        "image",
        "env",
        "value",
        "resources",
        "limits",
        "requests",
        "volumes",
        "containers",
        "initContainers",
        "metadata",
        "labels",
        "hostNetwork",
        "dnsPolicy",
        "emptyDir",
        "securityContext",
    ][..];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(names), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn any_pod_that_comes_out_keeps_the_contract(members in small(), container in small()) {
        let mut asked = json!({"containers": [container, {"image": "i"}]});
        if let Value::Object(members) = members {
            for (name, value) in members {
                asked.as_object_mut().unwrap().entry(name).or_insert(value);
            }
        }
        let Ok(pod) = of(asked.clone()) else { return Ok(()) };
        prop_assert_eq!(of(asked), Ok(pod.clone()));
        let spec = &pod["spec"];
        let all: Vec<&Value> =
            ["containers", "initContainers"].iter().filter_map(|list| spec[list].as_array()).flatten().collect();
        prop_assert!(all.iter().all(|one| one["name"].is_string() && one["env"][0]["name"] == "AWS_BATCH_JOB_ID"));
        prop_assert_eq!(&spec["restartPolicy"], "Never");
        prop_assert_eq!(spec.get("nodeName").is_some(), spec.get("schedulingGates").is_none());
        prop_assert_eq!(&pod["metadata"]["finalizers"], &json!([keys::RECORD_FINALIZER]));
    }
}
