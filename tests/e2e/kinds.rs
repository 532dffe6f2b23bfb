//! Jobs of every kind keep their meaning in a queue: what their users wrote, and what they do to them later.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use model::keys;
use serde_json::{Value, json};
use tests::{Fixture, eventually, eventually_for, job, steadily};

use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "Jobs of every kind complete in a queue as they would outside",
            short: "kind",
            company: Company::Others,
            local_only: false,
            run: |fixture| Box::pin(every_kind(fixture)),
        },
        Scenario {
            name: "activeDeadlineSeconds counts from the release",
            short: "dead",
            company: Company::Others,
            local_only: false,
            run: |fixture| Box::pin(deadline(fixture)),
        },
        Scenario {
            name: "a GitOps tool that applies suspend: false again and again neither releases nor changes a waiting Job",
            short: "sync",
            company: Company::Others,
            local_only: false,
            run: |fixture| Box::pin(gitops(fixture)),
        },
        Scenario {
            name: "suspend holds a Job at creation, while it waits, and while it runs",
            short: "susp",
            company: Company::Others,
            local_only: false,
            run: |fixture| Box::pin(suspend(fixture)),
        },
        Scenario {
            name: "CronJobs and bare pods go through the queue, and a Job deleted as an orphan leaves its pods",
            short: "cron",
            company: Company::Others,
            local_only: false,
            run: |fixture| Box::pin(others(fixture)),
        },
    ]
}

/// A namespace whose queue has one labelled node.
async fn queue_with_node(fixture: &Fixture) -> Result<String> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    fixture.namespace("ns", Some(&queue)).await
}

/// A namespace whose queue has an environment without nodes; the environment's name, too.
async fn queue_without_node(fixture: &Fixture) -> Result<(String, String)> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    Ok((fixture.namespace("ns", Some(&queue)).await?, environment))
}

/// A Job with these members of its spec, running `script`.
fn manifest(name: &str, script: &str, members: Value) -> Value {
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": "docker.io/library/busybox", "command": ["sh", "-c", script],
                            "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}}}]}}},
    });
    let Value::Object(members) = members else { return job };
    for (key, value) in members {
        job["spec"][key] = value;
    }
    job
}

/// One Job of every kind.
fn all_kinds() -> Vec<Value> {
    let mut on_failure = manifest("on-failure", "test -e /mark/it || { touch /mark/it; exit 1; }", json!({}));
    let spec = &mut on_failure["spec"]["template"]["spec"];
    spec["restartPolicy"] = json!("OnFailure");
    spec["volumes"] = json!([{"name": "mark", "emptyDir": {}}]);
    spec["containers"][0]["volumeMounts"] = json!([{"name": "mark", "mountPath": "/mark"}]);
    let mut own_selector =
        manifest("own-selector", "true", json!({"manualSelector": true, "selector": {"matchLabels": {"mine": "x"}}}));
    own_selector["spec"]["template"]["metadata"] = json!({"labels": {"mine": "x"}});
    let failure_policy = json!({"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]});
    // Succeeds in its second attempt, and knows it.
    let second = "test \"$AWS_BATCH_JOB_ATTEMPT\" = 2";
    vec![
        manifest("single", "true", json!({})),
        manifest("fixed", "true", json!({"completions": 3, "parallelism": 2})),
        manifest("work-queue", "true", json!({"parallelism": 2})),
        manifest(
            "indexed",
            "test -n \"$JOB_COMPLETION_INDEX\"",
            json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"}),
        ),
        manifest("retried", second, json!({"backoffLimit": 1})),
        manifest(
            "per-index",
            second,
            json!({"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 1}),
        ),
        manifest("policy", "exit 42", json!({"backoffLimit": 6, "podFailurePolicy": failure_policy})),
        manifest("paused", "true", json!({"parallelism": 0})),
        manifest("kept-not", "true", json!({"ttlSecondsAfterFinished": 0})),
        on_failure,
        own_selector,
    ]
}

async fn every_kind(fixture: &Fixture) -> Result<()> {
    let namespace = queue_with_node(fixture).await?;
    let jobs = all_kinds();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": jobs});
    fixture.apply(&namespace, &list.to_string()).await?;
    let said = fixture.waits_with(&namespace, "paused", "HELD").await?;
    ensure!(said.contains("parallelism is 0"), "reason: {said}");
    fixture
        .world
        .kubectl(&["patch", "job", "paused", "-n", &namespace, "-p", r#"{"spec": {"parallelism": 1}}"#])
        .await?;
    for name in
        ["single", "fixed", "work-queue", "indexed", "on-failure", "own-selector", "paused", "retried", "per-index"]
    {
        fixture.completed(&namespace, name).await?;
    }
    let jobs = fixture.jobs(&namespace);
    eventually("the Job with TTL 0 is gone", || async {
        Ok(if jobs.get_opt("kept-not").await?.is_none() { Ok(()) } else { Err("still there".to_owned()) })
    })
    .await?;
    eventually("the failure policy has failed its Job", || async {
        let status = fixture.status(&namespace, "policy").await?;
        let failed = status.as_ref().is_some_and(|status| status.state == model::status::JobState::Failed);
        Ok(if failed { Ok(()) } else { Err(format!("{status:?}")) })
    })
    .await?;
    let policy = jobs.get("policy").await?;
    ensure!(
        policy.status.as_ref().and_then(|status| status.failed) == Some(1),
        "it was tried again: {:?}",
        policy.status
    );
    let own =
        jobs.get("own-selector").await?.spec.and_then(|spec| spec.selector).and_then(|selector| selector.match_labels);
    ensure!(own.as_ref().is_some_and(|labels| labels.len() == 1), "the own selector is {own:?}");
    Ok(())
}

/// Seconds; enough for a pod to start and end on a machine that has much else to do.
const DEADLINE: u64 = 20;

/// The Job waits longer than its deadline allows it to run.
async fn deadline(fixture: &Fixture) -> Result<()> {
    let (namespace, environment) = queue_without_node(fixture).await?;
    let text = manifest("deadline", "sleep 1", json!({"activeDeadlineSeconds": DEADLINE}));
    fixture.apply(&namespace, &text.to_string()).await?;
    fixture.waits_with(&namespace, "deadline", "CAPACITY:NO_ROOM").await?;
    let jobs = fixture.jobs(&namespace);
    steadily(Duration::from_secs(DEADLINE + 1), "the deadline does not count while the Job waits", || async {
        let status = jobs.get("deadline").await?.status.unwrap_or_default();
        let untouched = status.start_time.is_none() && status.failed.is_none();
        Ok(if untouched { Ok(()) } else { Err(format!("{status:?}")) })
    })
    .await?;
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    fixture.completed(&namespace, "deadline").await?;
    // It does count afterwards.
    let text = manifest("too-long", "sleep 600", json!({"activeDeadlineSeconds": 2}));
    fixture.apply(&namespace, &text.to_string()).await?;
    eventually("a Job past its deadline fails", || async {
        let status = jobs.get("too-long").await?.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let over =
            conditions.iter().any(|one| one.type_ == "Failed" && one.reason.as_deref() == Some("DeadlineExceeded"));
        Ok(if over { Ok(()) } else { Err(format!("{conditions:?}")) })
    })
    .await
}

async fn gitops(fixture: &Fixture) -> Result<()> {
    let (namespace, environment) = queue_without_node(fixture).await?;
    let named = |name: &str| {
        let mut object = manifest(name, "true", json!({"suspend": false}));
        object["metadata"]["namespace"] = json!(namespace);
        object
    };
    let jobs = fixture.jobs(&namespace);
    by_kubectl(fixture, &namespace, &named("synced").to_string()).await?;
    by_a_tool(&jobs, &named("synced")).await?;
    read_edited_replaced(fixture, &namespace).await?;
    let by_server = named("by-server").to_string();
    for verb in ["apply", "diff", "apply"] {
        let args = [verb, "--server-side", "-n", &namespace, "-f", "-"];
        let done = fixture.world.kubectl_with(&args, &by_server).await;
        done.with_context(|| format!("kubectl {verb} --server-side"))?;
    }
    // All of that done, they still run as they should, and go on being applied.
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    for name in ["synced", "by-server"] {
        fixture.completed(&namespace, name).await?;
        jobs.patch(name, &tool(), &Patch::Apply(&named(name))).await?;
    }
    Ok(())
}

/// kubectl applies on the client's side and shows differences.
async fn by_kubectl(fixture: &Fixture, namespace: &str, text: &str) -> Result<()> {
    let jobs = fixture.jobs(namespace);
    fixture.apply(namespace, text).await?;
    fixture.waits_with(namespace, "synced", "CAPACITY:NO_ROOM").await?;
    // The Job controller says once that the Job is suspended.
    eventually("the Job controller has seen the Job", || async {
        let job = jobs.get("synced").await?;
        let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref()).map_or(0, Vec::len);
        Ok(if conditions > 0 { Ok(()) } else { Err("no condition".to_owned()) })
    })
    .await?;
    // The API server keeps writers in the order of their last writes. One who was not the last becomes it, even by a write that
    // changes nothing; that is stored, once.
    fixture.apply(namespace, text).await?;
    let before = jobs.get("synced").await?;
    for _ in 0..5 {
        fixture.apply(namespace, text).await?;
    }
    let difference = fixture.world.kubectl_with(&["diff", "-n", namespace, "-f", "-"], text).await;
    difference.context("kubectl diff shows a difference")?;
    unchanged(&before, &jobs.get("synced").await?)
}

/// A tool that applies on the server and takes what it applies from others.
fn tool() -> PatchParams {
    PatchParams { field_manager: Some("gitops-tool".to_owned()), force: true, ..PatchParams::default() }
}

/// The tool applies a hundred times; another one applies a label of its own.
async fn by_a_tool(jobs: &Api<Job>, object: &Value) -> Result<()> {
    jobs.patch("synced", &tool(), &Patch::Apply(object)).await?;
    let before = jobs.get("synced").await?;
    for _ in 0..100 {
        jobs.patch("synced", &tool(), &Patch::Apply(object)).await?;
    }
    unchanged(&before, &jobs.get("synced").await?)?;
    let other =
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "synced", "labels": {"team": "x"}}});
    let careful = PatchParams { field_manager: Some("another-tool".to_owned()), ..PatchParams::default() };
    let seen = jobs.patch("synced", &careful, &Patch::Apply(&other)).await?;
    ensure!(seen.labels().get("team").map(String::as_str) == Some("x"), "the label is {:?}", seen.labels());
    let unforced = PatchParams { force: false, ..tool() };
    jobs.patch("synced", &unforced, &Patch::Apply(object)).await.context("the tool conflicts with itself")?;
    Ok(())
}

/// The Job is written back as a whole, without anything of Bulkhead's.
async fn read_edited_replaced(fixture: &Fixture, namespace: &str) -> Result<()> {
    let jobs = fixture.jobs(namespace);
    let before = jobs.get("synced").await?;
    let mut edited = serde_json::to_value(&before)?;
    for place in ["/metadata/labels", "/spec/template/metadata/labels"] {
        let labels = edited.pointer_mut(place).and_then(Value::as_object_mut).context("a Job without labels")?;
        labels.retain(|key, _| !keys::RESERVED_PREFIXES.iter().any(|prefix| key.starts_with(prefix)));
    }
    edited["spec"]["suspend"] = json!(false);
    fixture.world.kubectl_with(&["replace", "-n", namespace, "-f", "-"], &edited.to_string()).await?;
    let after = jobs.get("synced").await?;
    ensure!(after.labels() == before.labels(), "replace has changed the labels: {:?}", after.labels());
    ensure!(after.spec.as_ref().and_then(|spec| spec.suspend) == Some(true), "replace has released the Job");
    // As it was read: the `true` in it is Bulkhead's, and no wish of whoever writes it back.
    let read = fixture.world.kubectl(&["get", "job", "synced", "-n", namespace, "-o", "json"]).await?;
    fixture.world.kubectl_with(&["replace", "-n", namespace, "-f", "-"], &read).await?;
    let mut read: Value = serde_json::from_str(&read)?;
    if let Some(metadata) = read["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    fixture.apply(namespace, &read.to_string()).await?;
    let after = jobs.get("synced").await?;
    ensure!(!after.annotations().contains_key(keys::SUSPEND), "writing back what was read holds the Job");
    Ok(())
}

/// Whether a waiting Job is stored as it was, and still waits.
fn unchanged(before: &Job, after: &Job) -> Result<()> {
    let seen = |job: &Job| {
        let writers = job.metadata.managed_fields.iter().flatten().filter_map(|entry| entry.manager.clone());
        (job.metadata.resource_version.clone(), writers.collect::<Vec<_>>())
    };
    ensure!(seen(before) == seen(after), "version and writers were {:?}, are {:?}", seen(before), seen(after));
    ensure!(after.spec.as_ref().and_then(|spec| spec.suspend) == Some(true), "the Job was released");
    Ok(())
}

async fn suspend(fixture: &Fixture) -> Result<()> {
    let namespace = queue_with_node(fixture).await?;
    let jobs = fixture.jobs(&namespace);
    // Larger than the node, so that it waits; asked to suspend by apply, by server-side apply, and by annotation.
    let waiting = |name: &str, suspend: bool| {
        let mut object = manifest(name, "true", json!({"suspend": suspend}));
        object["metadata"]["namespace"] = json!(namespace);
        object["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("64");
        object
    };
    fixture.apply(&namespace, &waiting("by-apply", false).to_string()).await?;
    fixture.waits_with(&namespace, "by-apply", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT").await?;
    fixture.apply(&namespace, &waiting("by-apply", true).to_string()).await?;
    fixture.waits_with(&namespace, "by-apply", "HELD").await?;
    fixture.apply(&namespace, &waiting("by-apply", false).to_string()).await?;
    fixture.waits_with(&namespace, "by-apply", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT").await?;
    let tool = PatchParams { field_manager: Some("gitops-tool".to_owned()), force: true, ..PatchParams::default() };
    for (suspend, code) in [
        (false, "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"),
        (true, "HELD"),
        (false, "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"),
    ] {
        jobs.patch("by-server", &tool, &Patch::Apply(waiting("by-server", suspend))).await?;
        fixture.waits_with(&namespace, "by-server", code).await?;
    }
    let hold = format!("{}=true", keys::SUSPEND);
    fixture.world.kubectl(&["annotate", "job", "by-server", "-n", &namespace, &hold]).await?;
    fixture.waits_with(&namespace, "by-server", "HELD").await?;
    let let_go = format!("{}-", keys::SUSPEND);
    fixture.world.kubectl(&["annotate", "job", "by-server", "-n", &namespace, &let_go]).await?;
    fixture.waits_with(&namespace, "by-server", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT").await?;

    // While it runs: its pods go, and come back when it is let go.
    fixture.apply(&namespace, &job("runs", 2, "20m", "16Mi", "until test -e /tmp/end; do sleep 0.2; done")).await?;
    ready(fixture, &namespace, "runs", 2).await?;
    let patch = |suspend: bool| json!({"spec": {"suspend": suspend}}).to_string();
    fixture.world.kubectl(&["patch", "job", "runs", "-n", &namespace, "-p", &patch(true)]).await?;
    fixture.waits_with(&namespace, "runs", "HELD").await?;
    eventually("its pods are gone", || async {
        let pods = fixture.pods_of(&namespace, "runs").await?;
        Ok(if pods.is_empty() { Ok(()) } else { Err(format!("{} left", pods.len())) })
    })
    .await?;
    fixture.world.kubectl(&["patch", "job", "runs", "-n", &namespace, "-p", &patch(false)]).await?;
    ready(fixture, &namespace, "runs", 2).await?;
    for pod in fixture.pods_of(&namespace, "runs").await? {
        fixture.end_with(&namespace, &pod.name_any(), "touch /tmp/end").await?;
    }
    let done = fixture.completed(&namespace, "runs").await?;
    ensure!(done.status.as_ref().and_then(|status| status.failed).unwrap_or(0) == 0, "suspension counted as a failure");
    Ok(())
}

async fn ready(fixture: &Fixture, namespace: &str, job: &str, count: i32) -> Result<()> {
    eventually(&format!("{count} pods of {job} are ready"), || async {
        let ready = fixture.jobs(namespace).get(job).await?.status.and_then(|status| status.ready);
        Ok(if ready == Some(count) { Ok(()) } else { Err(format!("{ready:?} ready")) })
    })
    .await
}

async fn others(fixture: &Fixture) -> Result<()> {
    let namespace = queue_with_node(fixture).await?;
    let queue = fixture.named("jq");
    let every_minute = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "cron"},
        "spec": {"schedule": "* * * * *", "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": manifest("x", "true", json!({}))["spec"]}}});
    fixture.apply(&namespace, &every_minute.to_string()).await?;
    let elsewhere = fixture.namespace("elsewhere", None).await?;
    let bare = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "labels": {keys::QUEUE: queue}},
        "spec": manifest("x", "test -n \"$AWS_BATCH_JOB_ID\"", json!({}))["spec"]["template"]["spec"]});
    fixture.apply(&elsewhere, &bare.to_string()).await?;
    let pods = fixture.pods(&elsewhere);
    eventually("the bare pod has succeeded", || async {
        let pod = pods.get("bare").await?;
        match pod.status.as_ref().and_then(|status| status.phase.as_deref()) {
            Some("Succeeded") => Ok(Ok(())),
            Some("Failed") => bail!("it has failed: {pod:#?}"),
            other => Ok(Err(format!("{other:?}"))),
        }
    })
    .await?;
    ensure!(pods.get("bare").await?.labels().contains_key(keys::JOB_ID), "the bare pod has no job id");

    fixture.apply(&namespace, &job("orphaned", 1, "20m", "16Mi", "until test -e /tmp/end; do sleep 0.2; done")).await?;
    ready(fixture, &namespace, "orphaned", 1).await?;
    fixture.world.kubectl(&["delete", "job", "orphaned", "-n", &namespace, "--cascade=orphan"]).await?;
    steadily(Duration::from_secs(3), "the orphan runs on", || async {
        let pods = fixture.pods_of(&namespace, "orphaned").await?;
        let running = pods.len() == 1 && pods[0].metadata.deletion_timestamp.is_none();
        Ok(if running { Ok(()) } else { Err(format!("{} pods", pods.len())) })
    })
    .await?;
    let orphan = fixture.pods_of(&namespace, "orphaned").await?.pop().context("no orphan")?;
    fixture.end_with(&namespace, &orphan.name_any(), "touch /tmp/end").await?;

    let jobs = fixture.jobs(&namespace);
    eventually_for(Duration::from_mins(3), "a Job of the CronJob has completed in the queue", || async {
        let all = jobs.list(&ListParams::default()).await?.items;
        let done = all.iter().any(|job| {
            job.name_any().starts_with("cron-")
                && job.labels().contains_key(keys::JOB_ID)
                && job.status.as_ref().and_then(|status| status.succeeded) == Some(1)
        });
        Ok(if done { Ok(()) } else { Err(format!("{} Jobs", all.len())) })
    })
    .await
}
