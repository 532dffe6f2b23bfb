//! What the API server checks without a call to Bulkhead: reserved keys, the toleration of batch nodes, and who may use a queue.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use model::keys;
use serde_json::{Value, json};
use tests::{Fixture, eventually, job, job_with};

use crate::{Company, Scenario};

/// An ordinary user; may edit the namespaces that a test gives them.
pub(crate) const ALICE: &str = "alice@example.com";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "reserved keys and the toleration of batch nodes are refused to users, and nobody else is stopped",
            short: "pol",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(new_pods(fixture)),
        },
        Scenario {
            name: "what is Bulkhead's on a pod of a queue cannot be changed by users, everything else can",
            short: "chg",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(changed_pods(fixture)),
        },
        Scenario {
            name: "naming a queue needs the verb use on it, the namespace's own and none need nothing",
            short: "use",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(queue_use(fixture)),
        },
        Scenario {
            name: "a pod that names a batch node directly is evicted, one that tolerates everything is let in and counted",
            short: "direct",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(direct(fixture)),
        },
    ]
}

/// A namespace that Alice may edit.
pub(crate) async fn edited_by_alice(fixture: &Fixture, what: &str, queue: Option<&str>) -> Result<String> {
    let namespace = fixture.namespace(what, queue).await?;
    let user = format!("--user={ALICE}");
    fixture.world.kubectl(&["create", "rolebinding", "alice", "-n", &namespace, "--clusterrole=edit", &user]).await?;
    let can = ["auth", "can-i", "create", "pods", "-n", &namespace, "--as", ALICE];
    eventually("Alice may create pods", || async {
        let answer = fixture.world.kubectl(&can).await.unwrap_or_default();
        Ok(if answer.trim() == "yes" { Ok(()) } else { Err(answer) })
    })
    .await?;
    Ok(namespace)
}

/// What the API server says when this user creates this object; `Ok` if it would be stored.
pub(crate) async fn attempt(fixture: &Fixture, namespace: &str, user: &[&str], object: &Value) -> Result<(), String> {
    let args = [&["create", "--dry-run=server", "-n", namespace, "-f", "-"], user].concat();
    fixture.world.kubectl_with(&args, &object.to_string()).await.map(drop).map_err(|error| format!("{error:#}"))
}

/// One attempt and what is expected of it: `Ok`, or words of the refusal.
#[track_caller]
pub(crate) fn expect(what: &str, seen: Result<(), String>, expected: Result<(), &str>) -> Result<()> {
    match (seen, expected) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(said), Err(words)) if said.contains(words) => Ok(()),
        (seen, expected) => bail!("{what}: expected {expected:?}, seen {seen:?}"),
    }
}

/// A pod with these members on top of the least that a pod needs.
pub(crate) fn pod(metadata: Value, spec: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-"},
        "spec": {"terminationGracePeriodSeconds": 1,
                 "containers": [{"name": "main", "image": "docker.io/library/busybox", "command": ["sleep", "600"]}]},
    });
    for (part, members) in [("metadata", metadata), ("spec", spec)] {
        let Value::Object(members) = members else { continue };
        for (key, value) in members {
            pod[part][key] = value;
        }
    }
    pod
}

pub(crate) fn tolerating(toleration: &Value) -> Value {
    json!({"tolerations": [toleration]})
}

async fn new_pods(fixture: &Fixture) -> Result<()> {
    let namespace = edited_by_alice(fixture, "ns", None).await?;
    let alice: &[&str] = &["--as", ALICE];
    // The API server takes new policies into use within moments; the fixture's cluster has had them for long.
    let cases = [
        ("a plain pod", pod(json!({}), json!({})), Ok(())),
        ("labels of others", pod(json!({"labels": {"app": "x"}, "annotations": {"a": "b"}}), json!({})), Ok(())),
        ("what users may set", pod(json!({"annotations": {keys::HOST_NETWORK: "false"}}), json!({})), Ok(())),
        (
            "a reserved label",
            pod(json!({"labels": {keys::JOB_ID: "x"}}), json!({})),
            Err("label batch.amazonaws.com/job-id is reserved"),
        ),
        (
            "a reserved label of a pod that opted out",
            pod(json!({"labels": {keys::QUEUE: "none", keys::CE_UUID: "x"}}), json!({})),
            Err("label batch.amazonaws.com/compute-environment-uuid is reserved"),
        ),
        (
            "a reserved annotation",
            pod(json!({"annotations": {keys::HOLD: "n"}}), json!({})),
            Err("annotation bulkhead.dev/hold is reserved"),
        ),
        (
            "the toleration of the batch taint",
            pod(json!({}), tolerating(&json!({"key": keys::BATCH_TAINT, "operator": "Exists"}))),
            Err("the toleration of Bulkhead's taint is reserved"),
        ),
        (
            "the toleration of one effect and value",
            pod(
                json!({}),
                tolerating(
                    &json!({"key": keys::BATCH_TAINT, "operator": "Equal", "value": "true", "effect": "NoExecute"}),
                ),
            ),
            Err("send the pod through a queue"),
        ),
        ("another toleration", pod(json!({}), tolerating(&json!({"key": "gpu", "operator": "Exists"}))), Ok(())),
        ("every toleration", pod(json!({}), tolerating(&json!({"operator": "Exists"}))), Ok(())),
    ];
    for (what, object, expected) in cases {
        expect(what, attempt(fixture, &namespace, alice, &object).await, expected)?;
    }
    // A kubelet, by its own certificate: its mirror pods tolerate everything and bear what their file says.
    let mirror = json!({"annotations": {"kubernetes.io/config.mirror": "x", keys::HOLD: "n"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "ordinary", "uid": node_uid(fixture).await?, "controller": true}],
        "name": "static-ordinary", "generateName": ""});
    let kubelet: &[&str] =
        &["--as", "system:node:ordinary", "--as-group", "system:nodes", "--as-group", "system:authenticated"];
    let object =
        pod(mirror, json!({"nodeName": "ordinary", "tolerations": [{"operator": "Exists", "effect": "NoExecute"}]}));
    expect("a mirror pod", attempt(fixture, &namespace, kubelet, &object).await, Ok(()))?;
    controllers(fixture, &namespace, alice).await
}

async fn node_uid(fixture: &Fixture) -> Result<String> {
    fixture.nodes().get("ordinary").await?.metadata.uid.context("a node without UID")
}

/// Templates: a Job outside of a queue may not bring the toleration in, nor a `CronJob`; one that tolerates everything may. The real
/// controllers make the pods, and those of a DaemonSet may be anywhere.
async fn controllers(fixture: &Fixture, namespace: &str, alice: &[&str]) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let batch = fixture.label_node(&environment, "n", "1", "1Gi").await?;
    // On a node of its own: others' batch nodes, which it would be let onto, too, may go at any moment.
    let here = format!("nodeSelector: {{kubernetes.io/hostname: {batch}}}\n");
    let toleration = |toleration: &str| {
        let text = job_with("tolerates", 1, "10m", "16Mi", "true", &format!("tolerations: [{toleration}]\n{here}"));
        serde_saphyr::from_str::<Value>(&text)
    };
    let ours = toleration(&format!("{{key: {}, operator: Exists}}", keys::BATCH_TAINT))?;
    let refused = Err("the toleration of Bulkhead's taint is reserved");
    expect("a Job that tolerates the taint", attempt(fixture, namespace, alice, &ours).await, refused)?;
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": ours["spec"]}}});
    expect("a CronJob that tolerates the taint", attempt(fixture, namespace, alice, &cron).await, refused)?;
    let create = [&["create", "-n", namespace, "-f", "-"], alice].concat();
    fixture.world.kubectl_with(&create, &toleration("{operator: Exists}")?.to_string()).await?;
    let daemon = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": {
            "metadata": {"labels": {"app": "agent"}},
            "spec": pod(json!({}), tolerating(&json!({"key": keys::BATCH_TAINT, "operator": "Exists"})))["spec"],
        }},
    });
    expect("a DaemonSet that tolerates the taint", attempt(fixture, namespace, alice, &daemon).await, refused)?;
    // Who may use all environments may have agents on their nodes.
    fixture.apply(namespace, &daemon.to_string()).await?;
    fixture.completed(namespace, "tolerates").await?;
    let agents = ListParams::default().labels("app=agent");
    eventually("the DaemonSet's pod runs on the batch node", || async {
        let pods = fixture.pods(namespace).list(&agents).await?.items;
        let there = pods.iter().any(|pod| node_of(pod) == Some(batch.as_str()) && phase(pod) == Some("Running"));
        Ok(if there { Ok(()) } else { Err(format!("{} pods", pods.len())) })
    })
    .await
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

/// A pod that waits behind its gate, and what Alice may do to it.
async fn changed_pods(fixture: &Fixture) -> Result<()> {
    let queue = fixture.named("nowhere");
    let namespace = edited_by_alice(fixture, "ns", Some(&queue)).await?;
    let labels = json!({"generateName": "", "name": "waits", "labels": {keys::QUEUE: queue}});
    let spread = json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "x"}}}]});
    let create = ["create", "-n", &namespace, "--as", ALICE, "-f", "-"];
    fixture.world.kubectl_with(&create, &pod(labels, spread).to_string()).await?;
    let waits = fixture.pods(&namespace).get("waits").await?;
    let gates = waits
        .spec
        .iter()
        .flat_map(|spec| spec.scheduling_gates.iter().flatten())
        .filter(|gate| gate.name == keys::GATE);
    ensure!(gates.count() == 1, "the pod has no gate of ours");
    let cases: [(&str, Value, Result<(), &str>); 8] = [
        ("a label of one's own", json!({"metadata": {"labels": {"mine": "x"}}}), Ok(())),
        ("an annotation of one's own", json!({"metadata": {"annotations": {"mine": "x"}}}), Ok(())),
        (
            "the job id",
            json!({"metadata": {"labels": {keys::JOB_ID: "forged"}}}),
            Err("label batch.amazonaws.com/job-id of a pod is reserved"),
        ),
        (
            "the queue",
            json!({"metadata": {"labels": {keys::QUEUE: null}}}),
            Err("label bulkhead.dev/queue of a pod is reserved"),
        ),
        (
            "a hold",
            json!({"metadata": {"annotations": {keys::HOLD: "ordinary"}}}),
            Err("annotation bulkhead.dev/hold of a pod is reserved"),
        ),
        (
            "the raw id",
            json!({"metadata": {"annotations": {keys::JOB_ID_RAW: null}}}),
            Err("annotation bulkhead.dev/job-id of a pod is reserved"),
        ),
        ("the gate", json!({"spec": {"schedulingGates": null}}), Err("the gate bulkhead.dev/dispatch is Bulkhead's")),
        ("nothing", json!({}), Ok(())),
    ];
    for (what, patch, expected) in cases {
        let seen = patched(fixture, &namespace, "pod/waits", &patch).await;
        expect(what, seen, expected)?;
    }
    let plain = edited_by_alice(fixture, "plain", None).await?;
    let create = ["create", "-n", &plain, "--as", ALICE, "-f", "-"];
    fixture
        .world
        .kubectl_with(&create, &pod(json!({"generateName": "", "name": "plain"}), json!({})).to_string())
        .await?;
    let existing = fixture.pods(&plain).get("plain").await?;
    let mut tolerations = serde_json::to_value(existing.spec.context("a pod without spec")?.tolerations)?;
    let list = tolerations.as_array_mut().context("admission adds tolerations to every pod")?;
    list.push(json!({"key": keys::BATCH_TAINT, "operator": "Exists"}));
    let seen = patched(fixture, &plain, "pod/plain", &json!({"spec": {"tolerations": tolerations}})).await;
    expect("a toleration added later", seen, Err("the toleration of Bulkhead's taint is reserved"))?;
    let late = patched(fixture, &plain, "pod/plain", &json!({"metadata": {"labels": {keys::QUEUE: queue}}})).await;
    expect("a queue named later", late, Err("label bulkhead.dev/queue of a pod is reserved"))
}

async fn patched(fixture: &Fixture, namespace: &str, object: &str, patch: &Value) -> Result<(), String> {
    let patch = patch.to_string();
    let args = ["patch", object, "-n", namespace, "--as", ALICE, "--type=merge", "-p", &patch];
    fixture.world.kubectl(&args).await.map(drop).map_err(|error| format!("{error:#}"))
}

async fn queue_use(fixture: &Fixture) -> Result<()> {
    let (own, other) = (fixture.named("own"), fixture.named("other"));
    let plain = edited_by_alice(fixture, "plain", None).await?;
    let queued = edited_by_alice(fixture, "queued", Some(&own)).await?;
    let refused = Err("you may not use job queue");
    for (namespace, queue, expected) in [
        (&plain, Some(other.as_str()), refused),
        (&plain, Some("none"), Ok(())),
        (&plain, None, Ok(())),
        (&queued, Some(other.as_str()), refused),
        (&queued, Some(own.as_str()), Ok(())),
        (&queued, Some("none"), Ok(())),
        (&queued, None, Ok(())),
    ] {
        for (kind, object) in naming(queue)? {
            let seen = attempt(fixture, namespace, &["--as", ALICE], &object).await;
            expect(&format!("{kind} naming {queue:?} in {namespace}"), seen, expected)?;
        }
    }
    of_others(fixture, &plain, &other).await?;
    // Once she may, she may.
    let role = fixture.named("role");
    fixture.on_clean(&["delete", "clusterrole", &role, "--ignore-not-found"], "");
    fixture.on_clean(&["delete", "clusterrolebinding", &role, "--ignore-not-found"], "");
    let grant = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": role},
        "rules": [{"apiGroups": ["bulkhead.dev"], "resources": ["jobqueues"], "resourceNames": [other], "verbs": ["use"]}]});
    fixture.world.apply(&grant.to_string()).await?;
    let user = format!("--user={ALICE}");
    let role_name = format!("--clusterrole={role}");
    fixture.world.kubectl(&["create", "clusterrolebinding", &role, &role_name, &user]).await?;
    for (kind, object) in naming(Some(&other))? {
        eventually(&format!("Alice may name the queue on {kind}"), || async {
            Ok(attempt(fixture, &plain, &["--as", ALICE], &object).await)
        })
        .await?;
    }
    // The CronJob controller, by its own service account: its Jobs name the queue that its user was allowed to name.
    let controller = ["--as", "system:serviceaccount:kube-system:cronjob-controller"];
    let by_controller = attempt(fixture, &plain, &controller, &naming(Some("whatever"))?[0].1).await;
    expect("a Job of the CronJob controller", by_controller, Ok(()))
}

/// What the Jobs of somebody else's `CronJob` do in a queue that Alice may not use is not hers to change; whether they are made at all is.
async fn of_others(fixture: &Fixture, namespace: &str, queue: &str) -> Result<()> {
    let template: Value = serde_saphyr::from_str(&job("j", 1, "10m", "16Mi", "true"))?;
    let labels = json!({keys::QUEUE: queue});
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "admins"}, "spec": {
        "schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"metadata": {"labels": labels}, "spec": template["spec"]}}});
    fixture.apply(namespace, &cron.to_string()).await?;
    let mut own = cron["spec"]["jobTemplate"].clone();
    own["spec"]["template"]["spec"]["containers"][0]["command"] = json!(["sh", "-c", "echo mine"]);
    for (what, patch, expected) in [
        ("its command", json!({"spec": {"jobTemplate": own}}), Err("you may not use job queue")),
        ("its time", json!({"spec": {"suspend": false}}), Ok(())),
    ] {
        expect(what, patched(fixture, namespace, "cronjob/admins", &patch).await, expected)?;
    }
    Ok(())
}

/// Objects that name a queue, each in one place.
fn naming(queue: Option<&str>) -> Result<Vec<(&'static str, Value)>> {
    let labels = queue.map_or_else(|| json!({}), |queue| json!({keys::QUEUE: queue}));
    let plain: Value = serde_saphyr::from_str(&job("j", 1, "10m", "16Mi", "true"))?;
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"metadata": {}, "spec": plain["spec"]}}});
    let labelled = |object: &Value, place: &str| {
        let mut object = object.clone();
        if let Some(metadata) = object.pointer_mut(place) {
            metadata["labels"] = labels.clone();
        }
        object
    };
    // The API server gives a Job without labels those of its template.
    let mut templated = plain.clone();
    templated["spec"]["template"]["metadata"] = json!({});
    Ok(vec![
        ("a Job", labelled(&plain, "/metadata")),
        ("a Job's template", labelled(&templated, "/spec/template/metadata")),
        ("a CronJob", labelled(&cron, "/metadata")),
        ("a CronJob's template", labelled(&cron, "/spec/jobTemplate/metadata")),
        ("a bare pod", labelled(&pod(json!({}), json!({})), "/metadata")),
    ])
}

async fn direct(fixture: &Fixture) -> Result<()> {
    let environment = fixture.managed("ce", 1, "minvCpus: 1, instanceTypes: [local.medium]").await?;
    let uuid = fixture.environment_uuid(&environment).await?;
    let selector = ListParams::default().labels(&format!("{}={uuid}", keys::CE_UUID));
    let node = eventually("the environment has its node", || async {
        let nodes = fixture.nodes().list(&selector).await?.items;
        Ok(nodes.iter().find(|node| tests::ready(node)).map(ResourceExt::name_any).ok_or("none".to_owned()))
    })
    .await?;
    let namespace = edited_by_alice(fixture, "ns", None).await?;
    let create = ["create", "-n", &namespace, "--as", ALICE, "-f", "-"];
    let named = |name: &str| json!({"generateName": "", "name": name});
    let before = counted(fixture).await?;
    fixture.world.kubectl_with(&create, &pod(named("direct"), json!({"nodeName": node})).to_string()).await?;
    let everywhere = json!({"nodeName": node, "tolerations": [{"operator": "Exists"}]});
    fixture.world.kubectl_with(&create, &pod(named("everywhere"), everywhere).to_string()).await?;
    let pods = fixture.pods(&namespace);
    eventually("the pod that named the node is gone", || async {
        let pod = pods.get_opt("direct").await?;
        Ok(pod.map_or(Ok(()), |pod| Err(format!("{:?}", phase(&pod)))))
    })
    .await?;
    eventually("the pod that tolerates everything runs there", || async {
        let pod = pods.get("everywhere").await?;
        let there = node_of(&pod) == Some(node.as_str()) && phase(&pod) == Some("Running");
        Ok(if there { Ok(()) } else { Err(format!("{:?} on {:?}", phase(&pod), node_of(&pod))) })
    })
    .await?;
    let after = counted(fixture).await?;
    ensure!(after == before + 1, "pods that tolerate everything: counted {before} before, {after} after one more");
    goes_all_the_same(fixture, &environment, &node, &namespace).await
}

/// The machine goes although foreign pods are on it: they are evicted, and one that is made again there as often is not waited for.
async fn goes_all_the_same(fixture: &Fixture, environment: &str, node: &str, namespace: &str) -> Result<()> {
    fixture.world.kubectl(&["delete", "pod", "everywhere", "-n", namespace, "--wait=false"]).await?;
    let everywhere = json!({"nodeSelector": {"kubernetes.io/hostname": node}, "tolerations": [{"operator": "Exists"}]});
    let template = pod(json!({}), everywhere);
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "returns"},
        "spec": {"selector": {"matchLabels": {"app": "returns"}}, "template": {"metadata": {"labels": {"app": "returns"}}, "spec": template["spec"]}},
    });
    fixture.apply(namespace, &deployment.to_string()).await?;
    let of_it = ListParams::default().labels("app=returns");
    let first = eventually("its pod runs on the batch node", || async {
        let pods = fixture.pods(namespace).list(&of_it).await?.items;
        let there = pods.iter().find(|pod| node_of(pod) == Some(node) && phase(pod) == Some("Running"));
        Ok(there.map(ResourceExt::name_any).ok_or_else(|| format!("{} pods", pods.len())))
    })
    .await?;
    fixture.world.kubectl(&["delete", "batchnode", node, "--wait=false"]).await?;
    eventually("the machine is gone", || async {
        let there = fixture.machines(environment).await?.into_iter().find(|machine| machine.name_any() == node);
        Ok(there.map_or(Ok(()), |machine| Err(format!("{:?}", machine.status))))
    })
    .await?;
    let pods = fixture.pods(namespace).list(&of_it).await?.items;
    ensure!(pods.iter().all(|pod| pod.name_any() != first), "the first pod was not evicted");
    Ok(())
}

/// What the API server has counted of pods that tolerate everything.
async fn counted(fixture: &Fixture) -> Result<u64> {
    let metrics = fixture.world.kubectl(&["get", "--raw", "/metrics"]).await?;
    let lines = metrics.lines().filter(|line| {
        line.starts_with("apiserver_validating_admission_policy_check_total")
            && line.contains("policy=\"bulkhead-tolerates-everything\"")
            && line.contains("enforcement_action=\"audit\"")
    });
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    // Counters are whole numbers, written as Go writes floats.
    Ok(values.map(|value| format!("{value:.0}").parse::<u64>().unwrap_or_default()).sum())
}
