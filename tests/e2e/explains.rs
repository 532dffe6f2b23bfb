//! `bulkhead explain` says what is missing and what would do; whoever does that sees it start.

use anyhow::{Result, ensure};
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

    let gone = fixture.world.bulkhead(&["explain", &name]).await;
    let refused = gone.as_ref().err().is_some_and(|error| format!("{error:#}").contains("has not ended"));
    ensure!(refused, "of a Job that has ended: {gone:?}");
    Ok(())
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
