//! What the planner sees can be taken along: the same plan comes of it elsewhere, and what would follow from a change.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::{Fixture, eventually, job};

use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "a dump replayed elsewhere gives the same plan, and says what would follow from a change",
        short: "dump",
        company: Company::Others,
        local_only: true,
        run: |fixture| Box::pin(replayed(fixture)),
    }]
}

async fn replayed(fixture: &Fixture) -> Result<()> {
    let environment = fixture.managed("ce", 2, "instanceTypes: [local.small]").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, &job("one", 1, "900m", "64Mi", "true")).await?;
    let said = fixture.waits_with(&namespace, "one", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT").await?;
    let file = std::env::temp_dir().join(format!("{}.json", fixture.named("dump")));
    let path = file.to_str().context("the temporary directory has a strange name")?;
    let line = format!("{namespace}/one RUNNABLE MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: {said}");
    let mut dumped: Value = eventually("the plan of a dump is the leader's", || async {
        let text = fixture.world.bulkhead(&["dump"]).await?;
        std::fs::write(path, &text)?;
        let plan = fixture.world.bulkhead(&["simulate", path]).await?;
        Ok(if plan.lines().any(|one| one == line) { Ok(serde_json::from_str(&text)?) } else { Err(plan) })
    })
    .await?;

    // With other machines it would start.
    let environments = dumped["snapshot"]["environments"].as_array_mut().context("no environments in the dump")?;
    let ours = environments.iter_mut().find(|one| one["name"] == json!(environment));
    ours.context("the environment is not in the dump")?["scaling"]["instanceTypes"] = json!(["m5"]);
    std::fs::write(path, dumped.to_string())?;
    let plan = fixture.world.bulkhead(&["simulate", path]).await?;
    let course = fixture.world.bulkhead(&["simulate", path, "--for", "1h", "--runs", "5m", "--boots", "30s"]).await?;
    std::fs::remove_file(path)?;
    for line in [format!("after 30s:\nrelease {namespace}/one\n"), "at the end, after 1h:\n".to_owned()] {
        ensure!(course.contains(&line), "it is not said that {line}\n{course}");
    }
    ensure!(course.contains("\nretire simulated-"), "the machine stays:\n{course}");
    let launched =
        plan.lines().any(|one| one.starts_with("launch m5.") && one.ends_with(&format!(" for {environment}")));
    ensure!(launched, "the plan with other machines:\n{plan}");
    ensure!(fixture.machines(&environment).await?.is_empty(), "a simulation has launched a machine");
    Ok(())
}
