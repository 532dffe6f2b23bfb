//! Everything of Bulkhead is gone for a while: others notice nothing, and what goes through a queue waits.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use model::keys;
use tests::{Fixture, eventually, eventually_for, job, steadily};

use crate::{Company, Scenario};

/// What Bulkhead consists of, and how many replicas of it there are.
const PARTS: [(&str, u32); 3] =
    [("deployment/bulkhead-webhook", 2), ("statefulset/bulkhead-controller", 1), ("deployment/bulkhead-scheduler", 2)];
/// Others must not even be slowed down. Generous for a busy machine, far less than Bulkhead stays away.
const PROMPTLY: Duration = Duration::from_secs(30);

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "with every pod of Bulkhead gone others notice nothing, nothing escapes its queue, and all of it completes afterwards",
        short: "out",
        company: Company::Nobody,
        local_only: true,
        run: |fixture| Box::pin(outage(fixture)),
    }]
}

async fn outage(fixture: &Fixture) -> Result<()> {
    let labelled = fixture.unmanaged("un").await?;
    let launched = fixture.managed("man", 1, "instanceTypes: [local.medium]").await?;
    let on_labelled = fixture.queue("jqu", 1, &[&labelled]).await?;
    let on_launched = fixture.queue("jqm", 1, &[&launched]).await?;
    fixture.label_node(&labelled, "n", "1", "1Gi").await?;
    let queued = [fixture.namespace("u", Some(&on_labelled)).await?, fixture.namespace("m", Some(&on_launched)).await?];
    let ordinary = fixture.namespace("o", None).await?;
    // One runs until it is told to end; one waits for the room that it leaves.
    let script = "until test -e /tmp/end; do sleep 0.2; done";
    fixture.apply(&queued[0], &job("runs", 1, "600m", "16Mi", script)).await?;
    eventually("a Job runs", || async {
        let ready = fixture.jobs(&queued[0]).get("runs").await?.status.and_then(|status| status.ready);
        Ok(if ready == Some(1) { Ok(()) } else { Err(format!("{ready:?} ready")) })
    })
    .await?;
    fixture.apply(&queued[0], &job("waits", 2, "600m", "16Mi", "true")).await?;
    fixture.waits_with(&queued[0], "waits", "CAPACITY:NO_ROOM").await?;

    stop(fixture).await?;
    for namespace in queued.iter().chain([&ordinary]) {
        fixture.apply(namespace, &job("late", 2, "50m", "16Mi", "true")).await?;
    }
    fixture.apply(&queued[0], &job("huge", 1, "64", "16Mi", "true")).await?;
    fixture.apply(&ordinary, DEPLOYMENT).await?;
    promptly(fixture, &ordinary).await?;
    // What ran goes on; what is in a queue does not start.
    fixture.end_with(&queued[0], "job/runs", "touch /tmp/end").await?;
    fixture.completed(&queued[0], "runs").await?;
    steadily(Duration::from_secs(10), "nothing runs outside its queue", || async {
        let mut all = Vec::new();
        for namespace in &queued {
            all.extend(fixture.pods(namespace).list(&ListParams::default()).await?.items);
        }
        let escaped: Vec<String> = all.iter().filter(|pod| !in_contract(pod)).map(Pod::name_any).collect();
        let started: Vec<String> = all.iter().map(Pod::name_any).filter(|name| !name.starts_with("runs-")).collect();
        let none = escaped.is_empty() && started.is_empty();
        Ok(if none { Ok(()) } else { Err(format!("outside the contract {escaped:?}, started {started:?}")) })
    })
    .await?;

    start(fixture).await?;
    for (namespace, job) in [(&queued[0], "waits"), (&queued[0], "late"), (&queued[1], "late")] {
        fixture.completed(namespace, job).await?;
        let pods = fixture.pods_of(namespace, job).await?;
        ensure!(pods.iter().all(in_contract), "pods of {namespace}/{job} are outside the contract");
    }
    // The Job hook has not seen it, so its pods say why it waits.
    eventually("the pod of a Job that the hook missed says why it waits", || async {
        let pods = fixture.pods_of(&queued[0], "huge").await?;
        let said: Vec<_> = pods.into_iter().filter_map(|pod| queued_because(&pod)).collect();
        let told = matches!(&said[..], [one] if one.starts_with("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: "));
        Ok(if told { Ok(()) } else { Err(format!("{said:?}")) })
    })
    .await?;
    fixture.no_machines(&launched).await
}

/// Why a pod says that it waits in its queue.
pub(crate) fn queued_because(pod: &Pod) -> Option<String> {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut queued = conditions.filter(|one| {
        one.type_ == "PodScheduled" && one.status == "False" && one.reason.as_deref() == Some(keys::QUEUED_REASON)
    });
    queued.next()?.message.clone()
}

/// A Deployment of an ordinary namespace.
pub(crate) const DEPLOYMENT: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: docker.io/library/busybox
        command: [sleep, "600"]
"#;

/// Deletes every pod of Bulkhead, and lets none come back.
async fn stop(fixture: &Fixture) -> Result<()> {
    for (part, replicas) in PARTS {
        fixture.on_clean(&["scale", "-n", keys::NAMESPACE, part, &format!("--replicas={replicas}")], "");
    }
    for (part, _) in PARTS {
        fixture.on_clean(&["rollout", "status", "-n", keys::NAMESPACE, part, "--timeout=120s"], "");
        fixture.world.kubectl(&["scale", "-n", keys::NAMESPACE, part, "--replicas=0"]).await?;
    }
    fixture.world.kubectl(&["delete", "pods", "-n", keys::NAMESPACE, "--all", "--grace-period=1"]).await?;
    let pods = fixture.pods(keys::NAMESPACE);
    eventually("no pod of Bulkhead is left", || async {
        let left: Vec<String> = pods.list(&ListParams::default()).await?.iter().map(Pod::name_any).collect();
        Ok(if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) })
    })
    .await
}

async fn start(fixture: &Fixture) -> Result<()> {
    for (part, replicas) in PARTS {
        let replicas = format!("--replicas={replicas}");
        fixture.world.kubectl(&["scale", "-n", keys::NAMESPACE, part, &replicas]).await?;
    }
    for (part, _) in PARTS {
        let args = ["rollout", "status", "-n", keys::NAMESPACE, part, "--timeout=120s"];
        fixture.world.kubectl(&args).await?;
    }
    Ok(())
}

/// A Deployment and a Job of an ordinary namespace start and end as if nothing had happened.
pub(crate) async fn promptly(fixture: &Fixture, namespace: &str) -> Result<()> {
    let jobs = fixture.jobs(namespace);
    let pods = fixture.pods(namespace);
    eventually_for(PROMPTLY, "a Deployment and a Job run without Bulkhead", || async {
        let succeeded = jobs.get("late").await?.status.and_then(|status| status.succeeded);
        let web = pods.list(&ListParams::default().labels("app=web")).await?.items;
        let running =
            web.iter().any(|pod| pod.status.as_ref().is_some_and(|it| it.phase.as_deref() == Some("Running")));
        let done = succeeded == Some(2) && running;
        Ok(if done { Ok(()) } else { Err(format!("{succeeded:?} succeeded, Deployment runs: {running}")) })
    })
    .await
}

/// Whether a pod went through its queue.
pub(crate) fn in_contract(pod: &Pod) -> bool {
    let tolerations = pod.spec.iter().flat_map(|spec| spec.tolerations.iter().flatten());
    let mut tolerated = tolerations.filter(|one| one.key.as_deref() == Some(keys::BATCH_TAINT));
    pod.labels().contains_key(keys::QUEUE) && pod.labels().contains_key(keys::JOB_ID) && tolerated.next().is_some()
}
