//! What a hostile tenant tries: one table of attempts.
//!
//! Invariant: each says what must come of it, and needs nothing of those before it, but for a pod with many labels that is changed later.

use model::keys;
use serde_json::{Value, json};

use super::{Tenant, Theirs, names};

/// What must come of an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expect {
    /// It is refused, in these words.
    Refused(&'static str),
    /// It may be let in; nothing comes of it.
    Harmless,
    /// It is let in; later attempts need it.
    LetIn,
    /// It is let in or refused: it is not so much work that the API server has no time for it.
    Answered,
}
use Expect::{Answered, Harmless, LetIn, Refused};

const RESERVED: Expect = Refused("reserved for Bulkhead");
const TOO_MANY: Expect = Refused("no more than 100");
const TOLERATION: Expect = Refused("the toleration of Bulkhead's taint is reserved");
const HEAVY: Expect = Refused("more than 114688");
const EVERYTHING: Expect = Refused("the pod tolerates every taint");
const QUEUE: Expect = Refused("you may not use job queue");
/// What Kubernetes itself says to whoever lacks a right.
pub(super) const RIGHTS: Expect = Refused("cannot ");

/// One attempt: kubectl's arguments, and an object if it takes one.
pub(super) struct Attempt {
    pub(super) what: String,
    pub(super) args: Vec<String>,
    pub(super) object: Option<Value>,
    pub(super) expect: Expect,
}

/// A pod that does nothing, and has members on top of that.
pub(super) fn pod(name: &str, metadata: Value, spec: Value) -> Value {
    let mut pod = bare(name);
    for (part, members) in [("metadata", metadata), ("spec", spec)] {
        let Value::Object(members) = members else { continue };
        for (key, value) in members {
            pod[part][key] = value;
        }
    }
    pod
}

pub(super) fn bare(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [
            {"name": "main", "image": "docker.io/library/busybox", "command": ["sleep", "600"],
             "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}}}]}})
}

/// Each kind that makes pods from a template.
const KINDS: [(&str, &str); 7] = [
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "DaemonSet"),
    ("v1", "ReplicationController"),
];

/// An object of this kind whose pods come from a template with this metadata and spec.
fn templated(api: &str, kind: &str, metadata: &Value, spec: &Value) -> Value {
    let mut template = json!({"metadata": metadata, "spec": pod("", json!({}), spec.clone())["spec"]});
    template["metadata"]["labels"]["app"] = json!("x");
    let spec = match kind {
        "Job" | "CronJob" => {
            template["spec"]["restartPolicy"] = json!("Never");
            let job = json!({"template": template});
            if kind == "Job" { job } else { json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job}}) }
        }
        "ReplicationController" => json!({"replicas": 1, "selector": {"app": "x"}, "template": template}),
        "DaemonSet" => json!({"selector": {"matchLabels": {"app": "x"}}, "template": template}),
        _ => {
            json!({"replicas": 1, "serviceName": "x", "selector": {"matchLabels": {"app": "x"}}, "template": template})
        }
    };
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"generateName": "w-"}, "spec": spec});
    if kind != "StatefulSet" {
        object["spec"].as_object_mut().map(|spec| spec.remove("serviceName"));
    }
    object
}

/// The whole table.
pub(super) fn attempts(theirs: &Theirs, tenant: &Tenant) -> Vec<Attempt> {
    [
        new_pods(theirs, tenant),
        unnamed(theirs, tenant),
        templates(theirs, tenant),
        queues(theirs, tenant),
        changes(theirs, tenant),
        forged(theirs, tenant),
        heavy(theirs, tenant),
        large(theirs, tenant),
        names::others(tenant),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn create(what: &str, namespace: &str, object: Value, expect: Expect) -> Attempt {
    let args = ["create", "-n", namespace, "-f", "-"].map(str::to_owned).to_vec();
    Attempt { what: what.to_owned(), args, object: Some(object), expect }
}

pub(super) fn command(what: &str, args: &[&str], expect: Expect) -> Attempt {
    Attempt { what: what.to_owned(), args: args.iter().map(|arg| (*arg).to_owned()).collect(), object: None, expect }
}

#[allow(clippy::needless_pass_by_value, reason = "JSON reads better by value")]
fn tolerating(toleration: Value) -> Value {
    json!({"tolerations": [toleration]})
}

fn ours() -> Value {
    json!({"key": keys::BATCH_TAINT, "operator": "Exists"})
}

fn new_pods(theirs: &Theirs, tenant: &Tenant) -> Vec<Attempt> {
    let plain = |what: &str, metadata, spec, expect| {
        create(what, &tenant.plain, pod(&what.replace(' ', "-"), metadata, spec), expect)
    };
    let mut all = vec![
        plain("label job id", json!({"labels": {keys::JOB_ID: theirs.job_id}}), json!({}), RESERVED),
        plain("annotation hold", json!({"annotations": {keys::HOLD: theirs.nodes[0]}}), json!({}), RESERVED),
        plain("annotation node uid", json!({"annotations": {keys::NODE_UID: "u"}}), json!({}), RESERVED),
        plain("opted out", json!({"labels": {keys::QUEUE: "none", keys::CE_UUID: "u"}}), json!({}), RESERVED),
        plain("toleration", json!({}), tolerating(ours()), TOLERATION),
        plain(
            "toleration of retiring",
            json!({}),
            tolerating(json!({"key": keys::RETIRING_TAINT, "operator": "Exists"})),
            TOLERATION,
        ),
        plain("queue of others", json!({"labels": {keys::QUEUE: theirs.queue}}), json!({}), QUEUE),
    ];
    for (index, node) in theirs.nodes.iter().enumerate() {
        let named = |what: &str, metadata, mut spec: Value, expect| {
            spec["nodeName"] = json!(node);
            plain(&format!("{what} {index}"), metadata, spec, expect)
        };
        let mirror = json!({"annotations": {keys::K8S_MIRROR: "x"}, "labels": {keys::QUEUE: theirs.queue, keys::JOB_ID: theirs.job_id}});
        let daemon = json!({"ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "d", "controller": true}]});
        all.extend([
            named("mirror", mirror, tolerating(ours()), Refused("denied request")),
            named("names a node", json!({}), json!({}), Harmless),
            named("names a node as an agent", daemon, json!({}), Harmless),
            named("everything", json!({}), tolerating(json!({"operator": "Exists"})), EVERYTHING),
            named(
                "everything new",
                json!({}),
                tolerating(json!({"operator": "Exists", "effect": "NoSchedule"})),
                EVERYTHING,
            ),
            named(
                "everything running",
                json!({}),
                tolerating(json!({"operator": "Exists", "effect": "NoExecute"})),
                EVERYTHING,
            ),
            create(
                "a node's name in a queue",
                &tenant.queued,
                pod(&format!("named-{index}"), json!({"labels": {keys::QUEUE: "none"}}), json!({"nodeName": node})),
                Harmless,
            ),
        ]);
    }
    all
}

/// Pods whose label names no queue, on others' node.
fn unnamed(theirs: &Theirs, tenant: &Tenant) -> Vec<Attempt> {
    let named = |what: &str, metadata, toleration: Value, expect| {
        let spec = json!({"nodeName": theirs.nodes[0], "tolerations": [toleration]});
        create(what, &tenant.plain, pod(&what.replace(' ', "-"), metadata, spec), expect)
    };
    let unnamed = || json!({"labels": {keys::QUEUE: ""}});
    let with_id = json!({"labels": {keys::QUEUE: "", keys::JOB_ID: theirs.job_id}});
    vec![
        named("unnamed queue and id", with_id, ours(), RESERVED),
        named("unnamed queue and toleration", unnamed(), ours(), TOLERATION),
        named("unnamed queue and everything", unnamed(), json!({"operator": "Exists"}), EVERYTHING),
    ]
}

fn templates(theirs: &Theirs, tenant: &Tenant) -> Vec<Attempt> {
    let mut all = Vec::new();
    for namespace in [&tenant.plain, &tenant.queued] {
        for (api, kind) in KINDS {
            // A Job of a queue loses what its manifest brings along.
            let stamped = kind == "Job" && *namespace == tenant.queued;
            let mut attempt = |what: &str, metadata: Value, spec: Value, expect| {
                let expect = if stamped { Harmless } else { expect };
                all.push(create(
                    &format!("{kind} {what} in {namespace}"),
                    namespace,
                    templated(api, kind, &metadata, &spec),
                    expect,
                ));
            };
            attempt("label", json!({"labels": {keys::JOB_ID: theirs.job_id}}), json!({}), RESERVED);
            attempt("annotation", json!({"annotations": {keys::ATTEMPT: "9"}}), json!({}), RESERVED);
            attempt("toleration", json!({}), tolerating(ours()), TOLERATION);
            let unnamed = json!({"labels": {keys::QUEUE: ""}});
            attempt("toleration and no queue's name", unnamed.clone(), tolerating(ours()), TOLERATION);
            let everywhere = json!({"nodeName": theirs.nodes[0], "tolerations": [{"operator": "Exists"}]});
            // A DaemonSet's pods cannot be told from those of agents.
            let late = if kind == "DaemonSet" { EVERYTHING } else { Harmless };
            attempt("everywhere", json!({}), everywhere.clone(), late);
            attempt("everywhere and no queue's name", unnamed, everywhere, late);
            let new = json!({"tolerations": [{"operator": "Exists", "effect": "NoSchedule"}]});
            attempt("everywhere where it is new", json!({}), new, late);
            let mirror = json!({"annotations": {keys::K8S_MIRROR: "x"}});
            attempt("mirror", mirror, json!({"nodeName": theirs.nodes[0]}), Harmless);
        }
    }
    all
}

fn queues(theirs: &Theirs, tenant: &Tenant) -> Vec<Attempt> {
    let named = |queue: &str| json!({"labels": {keys::QUEUE: queue}});
    let mut three = templated("batch/v1", "CronJob", &named(&theirs.queue), &json!({}));
    three["metadata"]["labels"] = json!({keys::QUEUE: "none-such-1"});
    three["spec"]["jobTemplate"]["metadata"] = named("none-such-2");
    let mut third = templated("batch/v1", "CronJob", &named(&theirs.queue), &json!({}));
    third["metadata"]["labels"] = json!({keys::QUEUE: "none"});
    let mut of_job = templated("batch/v1", "Job", &json!({}), &json!({}));
    of_job["metadata"]["labels"] = json!({keys::QUEUE: theirs.queue});
    let patch = json!({"metadata": {"labels": {keys::QUEUE: theirs.queue}}}).to_string();
    let relabel = |kind: &str, name: &str, namespace: &str| {
        command(
            &format!("{kind} into a queue of others"),
            &["patch", kind, name, "-n", namespace, "--type=merge", "-p", &patch],
            QUEUE,
        )
    };
    let mut moved = relabel("job", "own", &tenant.queued);
    // The hook keeps a Job in its queue.
    moved.expect = Harmless;
    let label =
        command("a namespace's queue", &["patch", "namespace", &tenant.plain, "--type=merge", "-p", &patch], RIGHTS);
    vec![
        create("three queues", &tenant.plain, three, QUEUE),
        create("the third of three queues", &tenant.plain, third, QUEUE),
        create("a Job in a queue of others", &tenant.plain, of_job.clone(), QUEUE),
        create("a Job in a queue of others, from another", &tenant.queued, of_job, QUEUE),
        create(
            "a template in a queue of others",
            &tenant.plain,
            templated("batch/v1", "Job", &named(&theirs.queue), &json!({})),
            QUEUE,
        ),
        moved,
        label,
        command("labels of a node", &["label", "node", &theirs.nodes[0], &format!("{}-", keys::CE_UUID)], RIGHTS),
    ]
}

fn changes(theirs: &Theirs, tenant: &Tenant) -> Vec<Attempt> {
    let patched = |what: &str, namespace: &str, name: &str, patch: &Value, more: &[&str], expect| {
        let patch = patch.to_string();
        let args = ["patch", "pod", name, "-n", namespace, "--type=merge", "-p", &patch];
        command(what, &[&args[..], more].concat(), expect)
    };
    let id = json!({"metadata": {"labels": {keys::JOB_ID: theirs.job_id}}});
    let hold = json!({"metadata": {"annotations": {keys::HOLD: theirs.nodes[0]}}});
    let queue = json!({"metadata": {"labels": {keys::QUEUE: theirs.queue}}});
    let mut all = Vec::new();
    let mine =
        |what: &str, patch: &Value, more: &[&str], expect| patched(what, &tenant.plain, "mine", patch, more, expect);
    all.push(mine("a pod's id", &id, &[], RESERVED));
    all.push(mine("a pod's hold", &hold, &[], RESERVED));
    all.push(mine("a pod's queue", &queue, &[], RESERVED));
    all.push(mine("a pod's queue by its status", &queue, &["--subresource=status"], RIGHTS));
    let toleration = json!({"spec": {"tolerations": [ours()]}});
    all.push(mine("a pod's tolerations", &toleration, &[], Refused("olerations")));
    // Of a pod that nobody can read it is not known what it takes of its node.
    let many: Vec<String> = (0..101).map(|number| format!("example.com/f{number}")).collect();
    let owner =
        |number: usize| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": number.to_string()});
    let owners: Vec<Value> = (0..101).map(owner).collect();
    for (what, patch) in [
        ("too many finalizers of a pod", json!({"metadata": {"finalizers": many}})),
        ("too many owners of a pod", json!({"metadata": {"ownerReferences": owners}})),
    ] {
        all.push(patched(what, &tenant.queued, "waits", &patch, &[], TOO_MANY));
    }
    let retry = json!({"metadata": {"annotations": {keys::K8S_INDEX_FAILURE_COUNT: "9"}}});
    all.push(patched("a retry that is none", &tenant.queued, "waits", &retry, &[], Refused("about its index")));
    let job = |what: &str, patch: Value, expect| {
        let patch = patch.to_string();
        command(what, &["patch", "job", "own", "-n", &tenant.queued, "--type=merge", "-p", &patch], expect)
    };
    // The hook puts back what is Bulkhead's.
    all.push(job("a Job's id", id.clone(), Harmless));
    all.push(job(
        "a Job's release",
        json!({"metadata": {"annotations": {keys::RELEASED: "true"}}, "spec": {"suspend": false}}),
        Harmless,
    ));
    let everything = json!([{"op": "add", "path": "/spec/tolerations/-", "value": {"operator": "Exists"}}]).to_string();
    let args = ["patch", "pod", "gated", "-n", &tenant.plain, "--type=json", "-p", &everything];
    all.push(command("a toleration of everything, later", &args, EVERYTHING));
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "mine", "annotations": {keys::NODE_UID: "u"}},
        "target": {"apiVersion": "v1", "kind": "Node", "name": theirs.nodes[0]}});
    let path = format!("/api/v1/namespaces/{}/pods/mine/binding", tenant.plain);
    let mut bind = command("a binding", &["create", "--raw", &path, "-f", "-"], RIGHTS);
    bind.object = Some(binding);
    all.push(bind);
    all
}

/// Identities and reports that are made up.
fn forged(theirs: &Theirs, tenant: &Tenant) -> Vec<Attempt> {
    let owner = |name: &str, uid: &str| json!([{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": true}]);
    let labels =
        |queue: &str| json!({keys::QUEUE: queue, keys::JOB_ID: theirs.job_id, keys::K8S_COMPLETION_INDEX: "0"});
    let failures = json!({keys::K8S_INDEX_FAILURE_COUNT: "1000", keys::K8S_COMPLETION_INDEX: "0"});
    let mine = tenant.queued.replace("queued", "mine");
    let own =
        json!({"labels": labels(&mine), "annotations": failures, "ownerReferences": owner("own", &tenant.own_job)});
    let others = json!({"labels": labels(&mine), "ownerReferences": owner("managed", &theirs.job_uid)});
    let bare = json!({"labels": labels(&mine), "annotations": failures});
    let event = |reason: &str, kind: &str, name: &str, uid: &str| {
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "e-"}, "reason": reason, "message": "made up",
            "type": "Warning", "source": {"component": "kubelet"}, "firstTimestamp": "2020-01-01T00:00:00Z",
            "lastTimestamp": "2030-01-01T00:00:00Z",
            "involvedObject": {"apiVersion": "v1", "kind": kind, "namespace": tenant.plain, "name": name, "uid": uid}})
    };
    let pod_of_theirs = &theirs.pods[0];
    vec![
        create("a pod of one's own Job with another's id", &tenant.queued, pod("of-own", own, json!({})), Harmless),
        create(
            "a pod of others' Job",
            &tenant.queued,
            pod("of-others", others, json!({})),
            Refused("does not exist any more"),
        ),
        create("a bare pod with rank and attempt", &tenant.queued, pod("ranked", bare, json!({})), Harmless),
        create(
            "a report on others' pod",
            &tenant.plain,
            event("FailedMount", "Pod", &pod_of_theirs.name, &pod_of_theirs.uid),
            Harmless,
        ),
        create(
            "a report on others' Job",
            &tenant.plain,
            event("FailedCreate", "Job", "managed", &theirs.job_uid),
            Harmless,
        ),
    ]
}

/// Several at the API server's limits, or at Bulkhead's.
fn numerous(tenant: &Tenant) -> Vec<Attempt> {
    let gated = |args: Value| {
        let mut spec = bare("")["spec"].clone();
        spec["containers"][0]["args"] = args;
        spec["schedulingGates"] = json!([{"name": "example.com/never"}]);
        spec
    };
    let pods = (0..8).map(|number| {
        let pod = pod(&format!("args-{number}"), json!({}), gated(json!(vec!["a"; 250_000])));
        create(&format!("pod {number} with 250,000 arguments"), &tenant.plain, pod, Harmless)
    });
    let jobs = (0..8).map(|number| {
        let job = templated("batch/v1", "Job", &json!({}), &gated(json!(["a".repeat(60_000)])));
        create(&format!("Job {number} as large as may be"), &tenant.queued, job, Harmless)
    });
    pods.chain(jobs).collect()
}

fn many_labels() -> serde_json::Map<String, Value> {
    (0..65_000).map(|index| (format!("l{index:05}"), json!(""))).collect()
}

/// Jobs with another's id that are too much for the hook to read.
fn heavy(theirs: &Theirs, tenant: &Tenant) -> Vec<Attempt> {
    // As the hook leaves one, if it did not see it.
    let stamped = |metadata: Value| {
        let stamps = json!({keys::QUEUE: tenant.queued.replace("queued", "mine"), keys::JOB_ID: theirs.job_id});
        let mut job = templated("batch/v1", "Job", &json!({"labels": stamps.clone()}), &json!({}));
        job["spec"]["suspend"] = json!(true);
        job["metadata"]["annotations"] = metadata["annotations"].clone();
        job["metadata"]["labels"] = metadata["labels"].clone();
        for key in [keys::QUEUE, keys::JOB_ID] {
            job["metadata"]["labels"][key] = stamps[key].clone();
        }
        job
    };
    vec![
        create(
            "a Job with another's id and 65,000 labels",
            &tenant.queued,
            stamped(json!({"labels": many_labels()})),
            HEAVY,
        ),
        create(
            "a Job with another's id and what looks like 100,000 parts",
            &tenant.queued,
            stamped(json!({"annotations": {"a": "{".repeat(100_000)}})),
            HEAVY,
        ),
    ]
}

/// Objects at the API server's limits.
fn large(theirs: &Theirs, tenant: &Tenant) -> Vec<Attempt> {
    let labels = many_labels();
    let many = |count: usize, last: Value| {
        let all = (0..count).map(|index| json!({"key": format!("k{index}"), "operator": "Exists"})).chain([last]);
        json!({"tolerations": all.collect::<Vec<_>>()})
    };
    let annotations: serde_json::Map<String, Value> =
        (0..250).map(|index| (format!("a{index}"), json!("x".repeat(1000)))).collect();
    let mut reserved = labels.clone();
    reserved.insert(keys::JOB_ID.to_owned(), json!(theirs.job_id));
    let environment: Vec<Value> =
        (0..15_000).map(|index| json!({"name": format!("E{index}"), "value": "x".repeat(30)})).collect();
    let mut job = templated("batch/v1", "Job", &json!({}), &json!({}));
    job["spec"]["template"]["spec"]["containers"][0]["env"] = json!(environment);
    let patch = |what: &str, key: &str, expect| {
        let patch = json!({"metadata": {"labels": {key: "x"}}}).to_string();
        command(what, &["patch", "pod", "labels", "-n", &tenant.plain, "--type=merge", "-p", &patch], expect)
    };
    let plain =
        |what: &str, name: &str, metadata, spec, expect| create(what, &tenant.plain, pod(name, metadata, spec), expect);
    vec![
        // It is too much for the hook even to read.
        plain("65,000 labels and one of ours", "reserved", json!({"labels": reserved}), json!({}), HEAVY),
        plain("65,000 labels", "labels", json!({"labels": labels}), json!({}), LetIn),
        // A policy that looks at each label for each key took the API server 33 s.
        patch("one more label", "another", Answered),
        patch("ours among 65,000 labels", keys::JOB_ID, RESERVED),
        plain("250 kB of annotations", "annotations", json!({"annotations": annotations}), json!({}), Harmless),
        plain("10,000 tolerations, the last of them ours", "tolerations", json!({}), many(9_990, ours()), TOLERATION),
        plain(
            "30,000 tolerations, the last of them ours",
            "more-tolerations",
            json!({}),
            many(30_000, ours()),
            Refused("denied request"),
        ),
        create(
            "a template with 10,000 tolerations",
            &tenant.plain,
            templated("apps/v1", "Deployment", &json!({}), &many(9_990, ours())),
            TOLERATION,
        ),
        create(
            "a template with 65,000 labels",
            &tenant.plain,
            templated("batch/v1", "Job", &json!({"labels": labels}), &many(0, ours())),
            TOLERATION,
        ),
        create("a Job with a long environment", &tenant.queued, job, HEAVY),
    ]
    .into_iter()
    .chain(numerous(tenant))
    .collect()
}
