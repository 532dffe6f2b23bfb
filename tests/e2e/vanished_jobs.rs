//! Jobs that end and are gone, because of their `ttlSecondsAfterFinished`, while no controller runs: their records say how they ended if
//! anything in the cluster still does, and what depends on them goes on or says why not.

use anyhow::{Context as _, Result, ensure};
use kube::ResourceExt as _;
use model::keys;
use serde_json::json;
use tests::{Fixture, Site, attempts, brief, eventually, job};

use crate::{Company, Scenario};

/// Runs until it is told how to end.
const SCRIPT: &str = "until test -e /tmp/end; do sleep 0.2; done; exit $(cat /tmp/end)";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "a Job that ends and is gone while no controller runs ended as its Events say, and without them nobody knows",
        short: "ttl",
        company: Company::Nobody,
        local_only: true,
        run: |fixture| Box::pin(vanished(fixture)),
    }]
}

/// A Job, how it is told to end, and the job of the API that waits for it.
struct Pair {
    name: &'static str,
    exit: &'static str,
    id: String,
    dependent: String,
}

async fn vanished(fixture: &Fixture) -> Result<()> {
    let site = Site::with_node(fixture, "1", "1Gi").await?;
    let namespace = fixture.namespace("jobs", Some(&site.queue)).await?;
    site.aws.define(&site.definition("after"), "0.25", "true", &json!({})).await?;
    let mut pairs = Vec::new();
    for (name, exit) in [("good", "0"), ("bad", "7"), ("untold", "0")] {
        pairs.push(pair(fixture, &site, &namespace, name, exit).await?);
    }
    fixture.without_controller().await?;
    for Pair { name, exit, .. } in &pairs {
        let (job, script) = (format!("job/{name}"), format!("echo {exit} > /tmp/end.new; mv /tmp/end.new /tmp/end"));
        fixture.end_with(&namespace, &job, &script).await?;
    }
    for Pair { name, .. } in &pairs {
        eventually(&format!("Job {name} is gone, and its end was told"), || async {
            let here = fixture.jobs(&namespace).get_opt(name).await?.is_some();
            let told = fixture.events(&namespace, name).await?;
            let ended = told.iter().any(|text| text.starts_with("Completed") || text.starts_with("BackoffLimit"));
            Ok(if ended && !here { Ok(()) } else { Err(format!("there: {here}, told: {told:?}")) })
        })
        .await?;
    }
    let about = "involvedObject.name=untold";
    fixture.world.kubectl(&["delete", "events", "-n", &namespace, "--field-selector", about]).await?;

    fixture.with_controller().await?;
    let [good, bad, untold] = pairs.as_slice() else { anyhow::bail!("three were made") };
    let ended = site.aws.reaches(&good.id, "SUCCEEDED").await?;
    ensure!(ended.get("statusReason").is_none() && ended["stoppedAt"].is_i64(), "it is {ended:#}");
    site.aws.reaches(&good.dependent, "SUCCEEDED").await?;
    fails(&site, bad, "BackoffLimitExceeded", "Dependent Job failed").await?;
    fails(&site, untold, "Outcome unknown: ", "Dependent Job may have succeeded: its outcome is unknown").await
}

/// Makes a Job and a job of the API that depends on it, and waits until the records show that the one runs and the other waits.
async fn pair(fixture: &Fixture, site: &Site, namespace: &str, name: &'static str, exit: &'static str) -> Result<Pair> {
    let short = "\n  ttlSecondsAfterFinished: 1\n  template:";
    fixture.apply(namespace, &job(name, 1, "50m", "16Mi", SCRIPT).replacen("\n  template:", short, 1)).await?;
    let made = fixture.jobs(namespace).get(name).await?;
    let id = made.labels().get(keys::JOB_ID).context("the Job has no job id")?.clone();
    let depends = json!({"dependsOn": [{"jobId": id}]});
    eventually(&format!("the records show Job {name} as RUNNING"), || async {
        let answer = site.aws.call("DescribeJobs", &json!({"jobs": [id]})).await?;
        Ok(if answer["jobs"][0]["status"] == "RUNNING" { Ok(()) } else { Err(answer.to_string()) })
    })
    .await?;
    let dependent = site.aws.submit(&site.queue, &site.definition("after"), &depends).await?;
    site.aws.reaches(&dependent, "PENDING").await?;
    Ok(Pair { name, exit, id, dependent })
}

/// Both have failed with reasons that begin like these, and the one that waited never ran.
async fn fails(site: &Site, pair: &Pair, reason: &str, dependent: &str) -> Result<()> {
    for (id, beginning) in [(&pair.id, reason), (&pair.dependent, dependent)] {
        let job = site.aws.reaches(id, "FAILED").await?;
        let said = job["statusReason"].as_str().unwrap_or_default();
        ensure!(said.starts_with(beginning), "{} was to say {beginning:?}; it is {}", pair.name, brief(&job));
        let never_ran = *id != pair.dependent || (attempts(&job).is_empty() && job.get("startedAt").is_none());
        ensure!(never_ran, "it ran: {job:#}");
    }
    Ok(())
}
