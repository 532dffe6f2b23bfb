//! `bulkhead explain` says what is missing and what would do; whoever does that sees it start.

use anyhow::{Result, ensure};
use model::keys;
use serde_json::json;
use tests::{Fixture, eventually, job, job_with};

use crate::outage::queued_because;
use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "what waits is explained, and what is said to let it start does",
            short: "explain",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(explained(fixture)),
        },
        Scenario {
            name: "a Job says why a pod of it does not start: an image, a volume, somebody's gate",
            short: "stuck",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(stuck(fixture)),
        },
    ]
}

async fn explained(fixture: &Fixture) -> Result<()> {
    let environment = fixture.managed("ce", 1, "instanceTypes: [local.small]").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, &job("fills", 2, "300m", "64Mi", "sleep 600")).await?;
    eventually("both machines are taken", || async {
        let status = fixture.jobs(&namespace).get("fills").await?.status.unwrap_or_default();
        Ok(if status.ready == Some(2) { Ok(()) } else { Err(format!("{status:?}")) })
    })
    .await?;

    fixture.apply(&namespace, &job("next", 1, "300m", "64Mi", "true")).await?;
    fixture.waits_with(&namespace, "next", "LIMIT:MAX_VCPUS").await?;
    let name = format!("{namespace}/next");
    says(
        fixture,
        &[&name],
        &[
            "✗ 1 offer (local.small): 500m vCPUs, of which 0 are left",
            "its machines have 1 of 1 vCPUs (maxvCpus)",
            &format!("  - maxvCpus of {environment} is 2 (machines are launched for it)"),
            &format!("  - what runs in {environment} has ended"),
        ],
    )
    .await?;
    let patch = ["patch", "computeenvironment", &environment, "--type=merge", "-p", r#"{"spec":{"maxvCpus":2}}"#];
    fixture.world.kubectl(&patch).await?;
    fixture.completed(&namespace, "next").await?;

    fixture.apply(&namespace, &job("large", 1, "900m", "64Mi", "true")).await?;
    let held = job("held", 1, "300m", "64Mi", "true").replacen("spec:\n", "spec:\n  suspend: true\n", 1);
    fixture.apply(&namespace, &held).await?;
    fixture.waits_with(&namespace, "large", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT").await?;
    fixture.waits_with(&namespace, "held", "HELD").await?;
    let (large, held) = (format!("{namespace}/large"), format!("{namespace}/held"));
    says(fixture, &[&large, "--kind", "job"], &["✗ 1 offer (local.small): too small", "it asks for no more than"])
        .await?;
    let patient = ["✗ its user has let it go (suspend: false)", "  - its spec.suspend is set to false"];
    says(fixture, &[&held], &patient).await?;
    says(fixture, &[&queue, "--kind", "queue"], &["in line:", &format!("job {large}: MISCONFIGURATION")]).await?;
    let unsuspend = ["patch", "job", "held", "-n", &namespace, "--type=merge", "-p", r#"{"spec":{"suspend":false}}"#];
    fixture.world.kubectl(&unsuspend).await?;
    fixture.completed(&namespace, "held").await?;

    bare_pod(fixture, &namespace, &queue).await?;
    let gone = fixture.world.bulkhead(&["explain", &name]).await;
    let refused = gone.as_ref().err().is_some_and(|error| format!("{error:#}").contains("it has ended"));
    ensure!(refused, "of a Job that has ended: {gone:?}");
    Ok(())
}

/// A pod of no Job says itself why it waits, so that no autoscaler thinks it is meant.
async fn bare_pod(fixture: &Fixture, namespace: &str, queue: &str) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "labels": {keys::QUEUE: queue}},
        "spec": {
            "containers": [{
                "name": "c", "image": "docker.io/library/busybox", "command": ["true"],
                "resources": {"requests": {"cpu": "900m"}},
            }],
            "restartPolicy": "Never",
        },
    });
    fixture.apply(namespace, &pod.to_string()).await?;
    let code = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: ";
    eventually("the bare pod says why it waits", || async {
        let pod = fixture.pods(namespace).get("bare").await?;
        let says = queued_because(&pod).is_some_and(|message| message.starts_with(code));
        Ok(if says { Ok(()) } else { Err(format!("{:?}", pod.status)) })
    })
    .await?;
    let name = format!("{namespace}/bare");
    let title = format!("pod {name} in queue {queue}: waits\n  {code}");
    says(fixture, &[&name, "--kind", "pod"], &[&title, "✗ 1 offer (local.small): too small"]).await
}

/// What a kubelet, or somebody's gate, keeps from starting.
async fn stuck(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    let plain = |name: &str, more: &str| job_with(name, 1, "50m", "16Mi", "true", more);
    let no_image = plain("no-image", "").replace("library/busybox", "library/no-such-image");
    let mount = "        volumeMounts: [{name: none, mountPath: /none}]\n        image:";
    let no_secret = plain("no-secret", "volumes: [{name: none, secret: {secretName: none}}]");
    let gated = plain("gated", "schedulingGates: [{name: example.com/later}]");
    for (name, manifest, expected) in [
        ("no-image", no_image, ": CannotPullContainerError: "),
        ("no-secret", no_secret.replacen("        image:", mount, 1), ": FailedMount: "),
        ("gated", gated, ": it waits for the scheduling gate example.com/later"),
    ] {
        fixture.apply(&namespace, &manifest).await?;
        // A kubelet that is busy may say something else before.
        eventually(&format!("{name} says why"), || async {
            let said = fixture.waits_with(&namespace, name, "STARTING:PODS_WAIT").await?;
            Ok(if said.contains(expected) { Ok(()) } else { Err(said) })
        })
        .await?;
    }
    fixture.world.kubectl(&["create", "secret", "generic", "none", "-n", &namespace]).await?;
    fixture.completed(&namespace, "no-secret").await.map(drop)
}

/// All of it is said, sooner or later: what the leader sees may be a moment old.
async fn says(fixture: &Fixture, arguments: &[&str], expected: &[&str]) -> Result<()> {
    let line: Vec<&str> = ["explain"].into_iter().chain(arguments.iter().copied()).collect();
    eventually(&format!("{} says it all", line.join(" ")), || async {
        let said = fixture.world.bulkhead(&line).await?;
        Ok(if expected.iter().all(|one| said.contains(one)) { Ok(()) } else { Err(said) })
    })
    .await
}
