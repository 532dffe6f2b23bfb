//! `bulkhead explain` says what is missing and what would do; whoever does that sees it start.

use anyhow::{Result, ensure};
use model::keys;
use serde_json::json;
use tests::{Fixture, eventually, job};

use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "what waits is explained, and what is said to let it start does",
        short: "explain",
        company: Company::Others,
        local_only: true,
        run: |fixture| Box::pin(explained(fixture)),
    }]
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
            &format!("  - maxvCpus of {environment} is 2 (a machine is launched for it)"),
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
    // What a kubelet, or somebody's gate, keeps from starting.
    let no_image = job("no-image", 1, "300m", "64Mi", "true").replace("library/busybox", "library/no-such-image");
    fixture.apply(&namespace, &no_image).await?;
    let said = fixture.waits_with(&namespace, "no-image", "STARTING:PODS_WAIT").await?;
    ensure!(said.contains(": CannotPullContainerError: "), "it says {said}");
    let gate = "schedulingGates: [{name: example.com/later}]";
    fixture.apply(&namespace, &tests::job_with("gated", 1, "300m", "64Mi", "true", gate)).await?;
    let said = fixture.waits_with(&namespace, "gated", "STARTING:PODS_WAIT").await?;
    ensure!(said.ends_with("it waits for the scheduling gate example.com/later"), "it says {said}");
    let gone = fixture.world.bulkhead(&["explain", &name]).await;
    let refused = gone.as_ref().err().is_some_and(|error| format!("{error:#}").contains("has not ended"));
    ensure!(refused, "of a Job that has ended: {gone:?}");
    Ok(())
}

/// A pod of no Job says itself why it waits, so that no autoscaler thinks it is meant.
async fn bare_pod(fixture: &Fixture, namespace: &str, queue: &str) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"},
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
        let status = fixture.pods(namespace).get("bare").await?.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let says = conditions.iter().any(|one| {
            one.type_ == "PodScheduled"
                && one.status == "False"
                && one.reason.as_deref() == Some(keys::QUEUED_REASON)
                && one.message.as_ref().is_some_and(|message| message.starts_with(code))
        });
        Ok(if says { Ok(()) } else { Err(format!("{conditions:?}")) })
    })
    .await?;
    let name = format!("{namespace}/bare");
    let title = format!("pod {name} in queue {queue}: waits\n  {code}");
    says(fixture, &[&name, "--kind", "pod"], &[&title, "✗ 1 offer (local.small): too small"]).await
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
