//! Properties of all patches, over generated objects: odd ones, with unknown fields, nulls and missing parents.
//!
//! For any object: the patch applies, a second pass is empty, and everything that is not Bulkhead's stays as it was.

use super::identity::{Part, UnitName};
use super::job::JobContext;
use super::node::NodeOwner;
use super::pod::{PodContext, QueueFacts, Surroundings};
use super::policy::{NamespaceFacts, Pass};
use super::size::MOST_TEMPLATE_BYTES;
use super::{Admit, job, node, pod};
use model::keys;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Any small JSON value.
fn junk() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z/~]{0,4}".prop_map(Value::from)
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z~/]{1,4}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

/// An object of the given members, each there, `null` or absent, and one that nobody knows.
fn object(members: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let members: Vec<_> = members
        .into_iter()
        .map(|(name, value)| {
            prop_oneof![4 => value.prop_map(Some), 1 => Just(Some(Value::Null)), 2 => Just(None)]
                .prop_map(move |v| (name, v))
        })
        .collect();
    (members, junk())
        .prop_map(|(members, unknown)| {
            let mut map: Map<String, Value> =
                members.into_iter().filter_map(|(n, v)| Some((n.to_owned(), v?))).collect();
            map.insert("unknownField".into(), unknown);
            Value::Object(map)
        })
        .boxed()
}

fn word(words: &'static [&'static str]) -> BoxedStrategy<Value> {
    prop::sample::select(words).prop_map(Value::from).boxed()
}

fn list(item: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop::collection::vec(item, 0..4).prop_map(Value::from).boxed()
}

/// Labels or annotations, ours among them.
fn map() -> BoxedStrategy<Value> {
    let names: &[&str] = &[
        keys::QUEUE,
        keys::JOB_ID,
        keys::CE_UUID,
        keys::JOB_ID_RAW,
        keys::ARRAY_SIZE,
        keys::HOST_NETWORK,
        keys::SUSPEND,
        keys::RELEASED,
        keys::STATUS,
        keys::ATTEMPT,
        keys::K8S_COMPLETION_INDEX,
        "app",
        "example.com/a~b",
    ];
    prop::collection::btree_map(
        prop::sample::select(names),
        prop::sample::select(&["true", "false", "3", "x", ""][..]),
        0..6,
    )
    .prop_map(|map| json!(map))
    .boxed()
}

fn metadata() -> BoxedStrategy<Value> {
    object(vec![
        ("labels", map()),
        ("annotations", map()),
        ("name", word(&["a"])),
        ("managedFields", list(junk().boxed())),
    ])
}

fn variable() -> BoxedStrategy<Value> {
    let names = &["AWS_BATCH_JOB_ID", "AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_X", "JOB_COMPLETION_INDEX", "A", "B"];
    let index = format!("metadata.labels['{}']", keys::K8S_COMPLETION_INDEX);
    let reference = Just(json!({"fieldRef": {"apiVersion": "v1", "fieldPath": index}})).boxed();
    object(vec![("name", word(names)), ("value", word(&["x", "3"])), ("valueFrom", reference)])
}

fn container() -> BoxedStrategy<Value> {
    let port = object(vec![
        ("containerPort", (1..4).prop_map(Value::from).boxed()),
        ("hostPort", (0..4).prop_map(Value::from).boxed()),
    ]);
    let amounts = object(vec![("requests", map()), ("limits", map())]);
    object(vec![("env", list(variable())), ("ports", list(port)), ("resources", amounts)])
}

fn pod_spec() -> BoxedStrategy<Value> {
    let affinity = object(vec![(
        "podAntiAffinity",
        object(vec![("requiredDuringSchedulingIgnoredDuringExecution", list(junk().boxed()))]),
    )]);
    let gates = list(prop_oneof![Just(json!({"name": keys::GATE})), Just(json!({"name": "other"}))].boxed());
    let tolerations = list(prop_oneof![Just(json!({"key": keys::BATCH_TAINT, "operator": "Exists"})), junk()].boxed());
    let flag = || any::<bool>().prop_map(Value::from).boxed();
    object(vec![
        ("containers", list(container())),
        ("initContainers", list(container())),
        ("tolerations", tolerations),
        ("schedulingGates", gates),
        ("affinity", affinity),
        ("hostNetwork", flag()),
        ("hostUsers", flag()),
        ("dnsPolicy", word(&["ClusterFirst", "None"])),
        ("schedulerName", word(&["default-scheduler", "volcano"])),
        ("nodeName", word(&["", "n"])),
        ("volumes", list(junk().boxed())),
    ])
}

fn any_pod() -> BoxedStrategy<Value> {
    (metadata(), pod_spec())
        .prop_map(|(metadata, spec)| json!({"metadata": metadata, "spec": spec, "status": {}}))
        .boxed()
}

fn any_job() -> BoxedStrategy<Value> {
    let template = object(vec![("metadata", metadata()), ("spec", pod_spec())]);
    let spec = object(vec![
        ("suspend", any::<bool>().prop_map(Value::from).boxed()),
        ("completions", (0..9).prop_map(Value::from).boxed()),
        ("completionMode", word(&["Indexed", "NonIndexed"])),
        ("template", template),
        ("managedBy", word(&["x"])),
    ]);
    (metadata(), spec).prop_map(|(metadata, spec)| json!({"metadata": metadata, "spec": spec, "status": {}})).boxed()
}

/// Applies the decision and checks that a second pass finds nothing to do.
fn settled(before: &Value, decide: impl Fn(&Value) -> Admit) -> Result<Value, TestCaseError> {
    let Admit::Allowed(allowed) = decide(before) else {
        return Err(TestCaseError::fail("a well-shaped object is refused"));
    };
    let mut after = before.clone();
    let applied = json_patch::patch(&mut after, &allowed.patch);
    prop_assert!(applied.is_ok(), "{applied:?} {:?}", allowed.patch);
    let Admit::Allowed(again) = decide(&after) else { return Err(TestCaseError::fail("our own result is refused")) };
    prop_assert_eq!(again.patch, vec![]);
    Ok(after)
}

/// The object without everything that is Bulkhead's to write, and without what is as good as absent.
fn foreign(object: &Value, own: &[&str]) -> Value {
    let mut object = object.clone();
    for pointer in own {
        let (parent, member) = pointer.rsplit_once('/').unwrap_or_default();
        if let Some(Value::Object(map)) = object.pointer_mut(parent) {
            map.remove(member);
        }
    }
    for place in ["", "/spec/template"] {
        for kind in ["labels", "annotations"] {
            if let Some(Value::Object(map)) = object.pointer_mut(&format!("{place}/metadata/{kind}")) {
                map.retain(|key, _| !keys::RESERVED_PREFIXES.iter().any(|prefix| key.starts_with(prefix)));
            }
        }
    }
    clean(&mut object);
    object
}

/// Drops members that are `null` or empty: parents that had to be made do not count as a change.
fn clean(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(clean);
            map.retain(|_, value| !value.is_null() && value != &json!({}) && value != &json!([]));
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        _ => {}
    }
}

const NAMES: [&str; 8] = [
    "AWS_BATCH_JOB_ID",
    "AWS_BATCH_JQ_NAME",
    "AWS_BATCH_CE_NAME",
    "AWS_BATCH_JOB_ATTEMPT",
    "AWS_BATCH_JOB_KUBERNETES_NODE_UID",
    "AWS_BATCH_JOB_ARRAY_INDEX",
    "AWS_BATCH_JOB_ARRAY_SIZE",
    "JOB_COMPLETION_INDEX",
];

/// The pod without the contract: what is left is the user's and may not change.
fn users_pod(pod: &Value) -> Value {
    let mut pod = pod.clone();
    for list in ["containers", "initContainers"] {
        let containers = pod.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if let Some(Value::Array(env)) = container.get_mut("env") {
                env.retain(|variable| !NAMES.iter().any(|name| variable["name"] == *name));
            }
            if let Some(Value::Object(requests)) = container.pointer_mut("/resources/requests") {
                requests.remove("cpu");
            }
        }
    }
    foreign(
        &pod,
        &[
            "/spec/tolerations",
            "/spec/schedulerName",
            "/spec/schedulingGates",
            "/spec/hostNetwork",
            "/spec/dnsPolicy",
            "/spec/nodeName",
        ],
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pod_keeps_what_is_the_users(before in any_pod(), child in any::<Option<u16>>(), labelled: bool, strict: bool, again: bool) {
        let unit = UnitName { job: "id".into(), part: child.map_or(Part::Whole, |index| Part::Child(index.into())) };
        let queue = QueueFacts { default_requests: [("cpu".to_owned(), "1".to_owned())].into(), ..QueueFacts::unknown("Q") };
        let context = PodContext { unit: &unit, queue_label: labelled.then_some("q"), queue: &queue, array_size: Some(3),
            host_network: None, surroundings: Surroundings { network_policy: strict, ..Surroundings::default() }, pass: if again { Pass::Again } else { Pass::First } };
        // The mark is on what has been seen.
        let pass = |seen: &Value| if again { Pass::Again } else if seen == &before { Pass::First } else { Pass::of(seen) };
        let after = settled(&before, |seen| pod::mutate(seen.clone(), &PodContext { pass: pass(seen), ..context.clone() }))?;
        prop_assert_eq!(users_pod(&before), users_pod(&after));
        if again {
            prop_assert_eq!(&before["spec"]["hostNetwork"], &after["spec"]["hostNetwork"]);
        }
    }

    #[test]
    fn any_created_job_keeps_what_is_the_users(before in any_job(), queue in any::<bool>()) {
        let namespace = NamespaceFacts { queue: queue.then(|| "q".into()), ..NamespaceFacts::default() };
        let context = JobContext { fresh_id: "id", namespace: &namespace, requester: "a", manager: None, queue_exists: true, most_template: MOST_TEMPLATE_BYTES };
        if let Admit::Refused(refusal) = job::mutate(&before, None, &context) {
            prop_assert_eq!(refusal.code, 403, "{:?}", refusal);
            prop_assert!(before["metadata"]["labels"][keys::JOB_ID].is_string());
            return Ok(());
        }
        let after = settled(&before, |seen| job::mutate(seen, None, &context))?;
        // One that is left outside loses the tolerations of our taints.
        let own = ["/spec/suspend", "/spec/template/spec/tolerations"];
        prop_assert_eq!(foreign(&before, &own), foreign(&after, &own));
    }

    #[test]
    fn any_updated_job_keeps_what_is_the_users(old in any_job(), new in any_job()) {
        let namespace = NamespaceFacts::default();
        let context = JobContext { fresh_id: "id", namespace: &namespace, requester: "a", manager: None, queue_exists: true, most_template: MOST_TEMPLATE_BYTES };
        let Admit::Allowed(allowed) = job::mutate(&new, Some(&old), &context) else { return Ok(()) };
        let mut after = new.clone();
        prop_assert!(json_patch::patch(&mut after, &allowed.patch).is_ok());
        let own = ["/spec/suspend"];
        prop_assert_eq!(foreign(&new, &own), foreign(&after, &own));
        // Writing back what was stored, with the mark that only the controller sets, changes nothing any more.
        let Admit::Allowed(again) = job::mutate(&after, Some(&after), &context) else { return Ok(()) };
        prop_assert!(again.patch.len() <= 2, "{:?}", again.patch);
    }

    #[test]
    fn any_node_only_gains_taints(metadata in metadata(), taints in list(junk().boxed()), managed: bool) {
        let before = json!({"metadata": metadata, "spec": {"taints": taints, "podCIDR": "x"}});
        let environment = if managed { NodeOwner::Managed } else { NodeOwner::Unmanaged };
        let after = settled(&before, |seen| node::mutate(seen, environment))?;
        let length = taints.as_array().map_or(0, Vec::len);
        prop_assert_eq!(&after["spec"]["taints"].as_array().map(|t| t[..length].to_vec()), &before["spec"]["taints"].as_array().cloned());
        prop_assert_eq!(foreign(&before, &["/spec/taints"]), foreign(&after, &["/spec/taints"]));
    }
}
