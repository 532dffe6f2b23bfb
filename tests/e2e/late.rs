//! Webhooks of others that come after Bulkhead's, and Bulkhead's own taken away: what is made of a Job or pod then counts, and costs nobody
//! anything.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Container;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use model::keys;
use serde_json::{Value, json};
use tests::{Aws, Fixture};

use crate::outage::in_contract;
use crate::rogue::{Manner, Rogue};
use crate::{Company, Scenario, hooks};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "webhooks that come after Bulkhead's: what names a queue goes through it or is refused, and what is added costs no pod",
            short: "late",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(late(fixture)),
        },
        Scenario {
            name: "without any hook nobody makes half a queue's Job, nor one of a job of the API",
            short: "nohook",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(unhooked(fixture)),
        },
    ]
}

/// Label by which a Job or pod asks for a queue label from the webhook.
const QUEUE: &str = "late.example.com/queue";
/// Label by which a pod asks for a port, another scheduler and another container from the webhook.
const PORT: &str = "late.example.com/port";

/// Label by which a Job or pod asks the webhook for something that takes it out of its queue: one of [`ASTRAY`], `managedBy`, `relabelled`,
/// `unqueued` or `stripped`.
const SPOIL: &str = "late.example.com/spoil";
/// What would let a pod run outside of its queue, or be another's, when Bulkhead's hooks have done with it.
const ASTRAY: [&str; 3] = ["toleration", "seconds", "id"];

/// Label by which a pod asks for no queue from the webhook.
const UNNAMED: &str = "late.example.com/unnamed";
/// Label by which a Job asks for another scheduler from the webhook.
const PLACE: &str = "late.example.com/place";

/// What the webhook does.
fn patch(object: &Value) -> Value {
    let labels = &object["metadata"]["labels"];
    if labels.get(PLACE).is_some() {
        return json!([{"op": "add", "path": "/spec/template/spec/schedulerName", "value": "volcano"}]);
    }
    if let Some(what) = labels[SPOIL].as_str() {
        return spoilt(object, what);
    }
    if labels.get(UNNAMED).is_some() {
        return json!([{"op": "add", "path": "/metadata/labels/bulkhead.dev~1queue", "value": "none"}]);
    }
    match (labels.get(QUEUE), labels.get(PORT)) {
        (Some(queue), _) if object["kind"] == "Job" || object["kind"] == "Pod" => {
            json!([{"op": "add", "path": "/metadata/labels/bulkhead.dev~1queue", "value": queue}])
        }
        (_, Some(_)) if object["kind"] == "Pod" => json!([
            {"op": "add", "path": "/spec/containers/0/ports", "value": [{"containerPort": 18734, "hostPort": 18735}]},
            {"op": "add", "path": "/spec/schedulerName", "value": "default-scheduler"},
            {"op": "add", "path": "/spec/containers/-", "value": {"name": "added", "image": "docker.io/library/busybox",
                "command": ["sh", "-c", "exit 0"], "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}}}},
        ]),
        _ => json!([]),
    }
}

/// The patch that spoils a Job or pod.
fn spoilt(object: &Value, what: &str) -> Value {
    let ours = json!({"key": keys::BATCH_TAINT, "operator": "Exists"});
    let place = object["spec"]["tolerations"].as_array().and_then(|all| all.iter().position(|one| *one == ours));
    match (object["kind"].as_str(), what, place) {
        (Some("Job"), "managedBy", _) => {
            json!([{"op": "add", "path": "/spec/managedBy", "value": "example.com/other"}])
        }
        // As many add a label.
        (Some("Job"), "relabelled", _) => json!([
            {"op": "add", "path": "/metadata/labels", "value": {"team": "red"}},
            {"op": "add", "path": "/spec/template/metadata/labels", "value": {"team": "red"}}]),
        (Some("Pod"), "unqueued", _) => json!([
            {"op": "remove", "path": "/metadata/labels/bulkhead.dev~1queue"},
            {"op": "replace", "path": "/spec/schedulerName", "value": "default-scheduler"}]),
        (Some("Pod"), "stripped", _) => json!([
            {"op": "remove", "path": "/metadata/labels/bulkhead.dev~1queue"},
            {"op": "remove", "path": "/metadata/labels/batch.amazonaws.com~1job-id"}]),
        (Some("Pod"), "toleration", Some(place)) => {
            json!([{"op": "remove", "path": format!("/spec/tolerations/{place}")}])
        }
        (Some("Pod"), "seconds", Some(place)) => json!([{"op": "replace", "path": format!("/spec/tolerations/{place}"),
            "value": {"key": keys::BATCH_TAINT, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}}]),
        (Some("Pod"), "id", _) => json!([
            {"op": "replace", "path": "/metadata/labels/batch.amazonaws.com~1job-id", "value": "another"}]),
        _ => json!([]),
    }
}

/// Installs the webhook under a name, that is, in a place in the order.
async fn install(fixture: &Fixture, rogue: &Rogue, name: &str, label: &str, namespaces: &[&str]) -> Result<()> {
    let rule = |group: &str, resource: &str| json!({"apiGroups": [group], "apiVersions": ["v1"], "resources": [resource], "operations": ["CREATE"]});
    let only =
        json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}]});
    let labelled = json!({"matchExpressions": [{"key": label, "operator": "Exists"}]});
    let configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name}, "webhooks": [{"name": "late.example.com", "clientConfig": rogue.client(),
            "rules": [rule("batch", "jobs"), rule("", "pods")], "namespaceSelector": only, "objectSelector": labelled,
            "failurePolicy": "Fail", "sideEffects": "None", "timeoutSeconds": 10, "admissionReviewVersions": ["v1"],
            // Who spoils something has the last word, or Bulkhead would mend it when it is asked again.
            "reinvocationPolicy": if label == SPOIL { "IfNeeded" } else { "Never" }}]});
    fixture.on_clean(&["delete", "mutatingwebhookconfiguration", name, "--ignore-not-found"], "");
    fixture.world.apply(&configuration.to_string()).await.map(drop)
}

/// A Job; its pods all want the same port where they are given one.
fn job(name: &str, labels: &Value, pod_labels: &Value) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels}, "spec": {
        "completions": 2, "parallelism": 2, "backoffLimit": 0, "template": {"metadata": {"labels": pod_labels}, "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [{
                "name": "main", "image": "docker.io/library/busybox", "command": ["sleep", "1"],
                "resources": {"requests": {"cpu": "20m", "memory": "8Mi"}}}]}}}})
}

async fn late(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    let plain = fixture.namespace("plain", None).await?;
    let labelled = fixture.namespace("q", Some(&queue)).await?;
    let rogue = Rogue::start(fixture, Manner::Patches(patch)).await?;
    let both = [plain.as_str(), labelled.as_str()];

    let (between, after) = (fixture.named("between"), format!("zzz-{}", fixture.named("after")));
    // Between Bulkhead's two: the Job is taken after all, and its pods are.
    install(fixture, &rogue, &between, QUEUE, &both).await?;
    let probe = job("probe", &json!({QUEUE: "none"}), &json!({}));
    installed(fixture, &plain, &probe, |seen| seen["metadata"]["labels"][keys::QUEUE] == "none").await?;
    fixture.apply(&plain, &job("between", &json!({QUEUE: queue}), &json!({})).to_string()).await?;
    let stored = fixture.jobs(&plain).get("between").await?;
    ensure!(stored.labels().contains_key(keys::JOB_ID), "stored with {:?}", stored.labels());
    through_the_queue(fixture, &plain, "between").await?;

    // With an id that it brings along it would look as the first hook leaves one: it is refused before.
    let ids = json!({keys::JOB_ID: "another", QUEUE: queue});
    let mut forged = job("forged", &ids, &json!({keys::JOB_ID: "another", keys::QUEUE: queue}));
    forged["spec"]["suspend"] = json!(true);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "forged", "labels": ids},
        "spec": {"nodeName": "ordinary", "containers": [{"name": "main", "image": "x"}]}});
    for object in [forged, pod] {
        let made = fixture.apply(&plain, &object.to_string()).await;
        let refused = made.as_ref().is_err_and(|error| format!("{error:#}").contains("is reserved for Bulkhead"));
        ensure!(refused, "{}: {made:?}", object["kind"]);
    }

    // After both, it is refused, and told why.
    fixture.world.kubectl(&["delete", "mutatingwebhookconfiguration", &between]).await?;
    install(fixture, &rogue, &after, QUEUE, &both).await?;
    let text = job("after", &json!({QUEUE: queue}), &json!({})).to_string();
    tests::eventually("a Job that is labelled too late is refused", || async {
        let made = fixture.world.kubectl_with(&["create", "--dry-run=server", "-n", &plain, "-f", "-"], &text).await;
        let refused = made.as_ref().is_err_and(|error| format!("{error:#}").contains("came too late"));
        Ok(if refused { Ok(()) } else { Err(format!("{made:?}")) })
    })
    .await?;

    // Ports and another scheduler, before and after: no pod is lost.
    for (name, place) in [("port-between", between), ("port-after", after)] {
        install(fixture, &rogue, &place, PORT, &both).await?;
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "labels": {PORT: "yes"}},
            "spec": {"containers": [{"name": "main", "image": "x"}]}});
        installed(fixture, &plain, &pod, |seen| seen["spec"]["containers"][0].get("ports").is_some()).await?;
        fixture.apply(&labelled, &job(name, &json!({}), &json!({PORT: "yes"})).to_string()).await?;
        through_the_queue(fixture, &labelled, name).await?;
        for pod in fixture.pods_of(&labelled, name).await? {
            let spec = pod.spec.as_ref().context("a pod without spec")?;
            ensure!(spec.scheduler_name.as_deref() == Some(keys::SCHEDULER_EXTENDED), "{:?}", spec.scheduler_name);
            ensure!(spec.containers[0].ports.is_some(), "the webhook was not called");
            // What it was given before would make it invalid.
            ensure!(spec.host_network.is_none(), "{name} has the host network and ports that do not go with it");
            let ids: Vec<_> = spec.containers.iter().map(job_id).collect();
            ensure!(ids.len() == 2 && ids[0].is_some() && ids[0] == ids[1], "{name}: {ids:?}");
        }
        fixture.world.kubectl(&["delete", "mutatingwebhookconfiguration", &place]).await?;
    }

    sent_elsewhere(fixture, &rogue, &both).await?;
    led_astray(fixture, &rogue, &labelled, &queue).await?;
    taken_off(fixture, &rogue, &both, &queue).await?;

    exists_already(fixture, &plain, &queue).await
}

async fn unhooked(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let plain = fixture.namespace("plain", None).await?;
    hooks::save(fixture).await?;
    hooks::delete(fixture).await?;
    half_a_stamp(fixture, &plain, &queue).await?;
    anothers_id(fixture, &plain, &queue).await
}

/// Another scheduler in the template of a Job that was taken, and its pods' queue taken away before Bulkhead sees them.
async fn sent_elsewhere(fixture: &Fixture, rogue: &Rogue, namespaces: &[&str; 2]) -> Result<()> {
    let [plain, labelled] = namespaces;
    let (between, before) = (fixture.named("between"), format!("aaa-{}", fixture.named("before")));
    install(fixture, rogue, &between, PLACE, namespaces).await?;
    install(fixture, rogue, &before, UNNAMED, namespaces).await?;
    let moved = |seen: &Value| seen["spec"]["template"]["spec"]["schedulerName"] == "volcano";
    installed(fixture, plain, &job("probe", &json!({PLACE: "yes"}), &json!({})), moved).await?;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "labels": {UNNAMED: "yes"}},
        "spec": {"containers": [{"name": "main", "image": "x"}]}});
    installed(fixture, plain, &pod, |seen| seen["metadata"]["labels"][keys::QUEUE] == "none").await?;
    fixture.apply(labelled, &job("elsewhere", &json!({PLACE: "yes"}), &json!({UNNAMED: "yes"})).to_string()).await?;
    through_the_queue(fixture, labelled, "elsewhere").await?;
    fixture.world.kubectl(&["delete", "mutatingwebhookconfiguration", &between, &before]).await.map(drop)
}

/// A Job that exists cannot be put into a queue any more.
async fn exists_already(fixture: &Fixture, namespace: &str, queue: &str) -> Result<()> {
    fixture.apply(namespace, &job("exists", &json!({}), &json!({})).to_string()).await?;
    fixture.world.kubectl(&["label", "job", "exists", "-n", namespace, &format!("{}={queue}", keys::QUEUE)]).await?;
    let labels = fixture.jobs(namespace).get("exists").await?.labels().clone();
    ensure!(!labels.contains_key(keys::QUEUE), "stored with {labels:?}");
    Ok(())
}

/// What is led astray after all of Bulkhead's hooks is refused, and its user is told by whom.
async fn led_astray(fixture: &Fixture, rogue: &Rogue, namespace: &str, queue: &str) -> Result<()> {
    let after = format!("zzz-{}", fixture.named("astray"));
    install(fixture, rogue, &after, SPOIL, &[namespace]).await?;
    let pod = |what: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "astray", "labels": {SPOIL: what, keys::QUEUE: queue}},
            "spec": {"containers": [{"name": "main", "image": "x"}]}})
    };
    let pods = ASTRAY.map(|what| (pod(what), "would run outside of it: a webhook that is called after Bulkhead's"));
    let astray = |what: &str| job("astray", &json!({SPOIL: what}), &json!({}));
    let jobs = [
        (
            astray("managedBy"),
            "spec.managedBy hands it to example.com/other: a webhook that is called after Bulkhead's",
        ),
        (astray("relabelled"), "a webhook that is called after Bulkhead's has changed labels of the Job"),
    ];
    for (object, expected) in pods.into_iter().chain(jobs) {
        let (text, what) = (object.to_string(), &object["metadata"]["labels"][SPOIL]);
        tests::eventually(&format!("what {what} leads astray is refused"), || async {
            let args = ["create", "--dry-run=server", "-n", namespace, "-f", "-"];
            let made = fixture.world.kubectl_with(&args, &text).await;
            let refused = made.as_ref().is_err_and(|error| format!("{error:#}").contains(expected));
            Ok(if refused { Ok(()) } else { Err(format!("{made:?}")) })
        })
        .await?;
    }
    fixture.world.kubectl(&["delete", "mutatingwebhookconfiguration", &after]).await.map(drop)
}

/// A Job whose pods lose their labels to a webhook has no pod elsewhere, and says why.
async fn taken_off(fixture: &Fixture, rogue: &Rogue, namespaces: &[&str; 2], queue: &str) -> Result<()> {
    let [plain, labelled] = namespaces;
    let places =
        [("unqueued", format!("zzz-{}", fixture.named("off"))), ("stripped", format!("aaa-{}", fixture.named("off")))];
    for (what, place) in places {
        install(fixture, rogue, &place, SPOIL, namespaces).await?;
        // In a namespace without a queue the hook for pods of its Jobs is not called.
        let (namespace, labels) = match what {
            "stripped" => (plain, json!({keys::QUEUE: queue})),
            _ => (labelled, json!({})),
        };
        let probe = job("probe", &json!({SPOIL: "managedBy"}), &json!({}));
        installed(fixture, plain, &probe, |seen| seen["spec"].get("managedBy").is_some()).await?;
        fixture.apply(namespace, &job(what, &labels, &json!({SPOIL: what})).to_string()).await?;
        let reason = fixture.waits_with(namespace, what, "ADMISSION:PODS_REFUSED").await?;
        ensure!(reason.contains("off a pod of a queue"), "{what}: {reason}");
        let pods = fixture.pods_of(namespace, what).await?;
        ensure!(pods.is_empty(), "{what}: {} pods", pods.len());
        fixture.jobs(namespace).delete(what, &DeleteParams::background()).await?;
        fixture.world.kubectl(&["delete", "mutatingwebhookconfiguration", &place]).await?;
    }
    Ok(())
}

/// What a container knows as the id of its job.
fn job_id(container: &Container) -> Option<&str> {
    container.env.iter().flatten().find(|it| it.name == "AWS_BATCH_JOB_ID")?.value.as_deref()
}

/// A Job may not say of its pods alone that they are a queue's, whoever makes it: the policies see to that.
async fn half_a_stamp(fixture: &Fixture, namespace: &str, queue: &str) -> Result<()> {
    let id = json!({keys::JOB_ID: "another"});
    let half = job("half", &id, &json!({keys::JOB_ID: "another", keys::QUEUE: queue})).to_string();
    tests::eventually("a Job with half a stamp is refused by a policy", || async {
        let made = fixture.world.kubectl_with(&["create", "--dry-run=server", "-n", namespace, "-f", "-"], &half).await;
        let refused = made.as_ref().is_err_and(|error| format!("{error:#}").contains("'bulkhead-jobs' denied request"));
        Ok(if refused { Ok(()) } else { Err(format!("{made:?}")) })
    })
    .await
}

/// A Job may look as if it had been through it and have a waiting API job's id: it is not released, says why, and
/// the record stays the other's.
async fn anothers_id(fixture: &Fixture, namespace: &str, queue: &str) -> Result<()> {
    let aws = Aws::of(&fixture.world).await?;
    // More than any node has: it waits.
    let definition = aws.define(&fixture.named("theirs"), "400", "true", &json!({})).await?;
    fixture.ends_jobs_of(queue);
    let id = aws.submit(queue, &definition, &json!({})).await?;
    let labels = json!({keys::JOB_ID: id, keys::QUEUE: queue});
    let mut taken = job("taken", &labels, &labels);
    taken["spec"]["suspend"] = json!(true);
    fixture.apply(namespace, &taken.to_string()).await?;
    let reason = fixture.waits_with(namespace, "taken", "MISCONFIGURATION:JOB_ID_TAKEN").await?;
    ensure!(reason.contains(&id), "reason: {reason}");
    let stored = fixture.jobs(namespace).get("taken").await?;
    ensure!(stored.spec.and_then(|spec| spec.suspend) == Some(true), "it was released");
    fixture.jobs(namespace).delete("taken", &DeleteParams::background()).await?;
    let theirs = aws.job(&id).await?;
    let (name, status) = (&theirs["jobName"], theirs["status"].as_str().unwrap_or_default());
    ensure!(name == &json!(definition) && !["SUCCEEDED", "FAILED"].contains(&status), "the job of the API: {theirs}");
    Ok(())
}

/// Waits until the API server calls the webhook.
async fn installed(fixture: &Fixture, namespace: &str, probe: &Value, changed: fn(&Value) -> bool) -> Result<()> {
    tests::eventually("the API server calls the webhook", || async {
        let args = ["create", "--dry-run=server", "-n", namespace, "-o", "json", "-f", "-"];
        let seen: Value = serde_json::from_str(&fixture.world.kubectl_with(&args, &probe.to_string()).await?)?;
        Ok(if changed(&seen) { Ok(()) } else { Err("not yet".to_owned()) })
    })
    .await
}

/// Waits until a Job has completed without a failed pod, and looks whether its pods went through the queue.
async fn through_the_queue(fixture: &Fixture, namespace: &str, name: &str) -> Result<()> {
    let job = fixture.completed(namespace, name).await?;
    let failed = job.status.and_then(|status| status.failed).unwrap_or(0);
    ensure!(failed == 0, "{failed} pods of {name} have failed");
    let pods = fixture.pods_of(namespace, name).await?;
    ensure!(!pods.is_empty() && pods.iter().all(in_contract), "{name} ran outside of the queue");
    Ok(())
}
