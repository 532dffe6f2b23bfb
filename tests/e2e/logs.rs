//! What jobs print, read with the unmodified AWS CLI and with `bulkhead logs`: real kubelets, while containers run and after they have ended.

use anyhow::{Context as _, Result, ensure};
use model::keys;
use serde_json::{Value, json};
use tests::{Fixture, Site, eventually, id_of};

use crate::{Company, Scenario};

/// Prints, waits until somebody has read that, and prints more.
const TALKS: &str = "echo first line; echo; sleep 6; echo ERROR: last line >&2; exit 3";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "what a job prints is read with `aws logs` and `bulkhead logs`, while it runs and when it has ended",
        short: "logs",
        company: Company::Others,
        local_only: true,
        run: |fixture| Box::pin(logs(fixture)),
    }]
}

async fn logs(fixture: &Fixture) -> Result<()> {
    let site = Site::with_node(fixture, "2", "2Gi").await?;
    let (stream, ()) = futures::try_join!(of_ecs(fixture, &site), of_eks(fixture, &site))?;
    forbidden(fixture, &site, &stream).await
}

/// Returns the log of a job.
async fn of_ecs(fixture: &Fixture, site: &Site) -> Result<String> {
    let definition = site.definition("talks");
    let container =
        json!({"image": "docker.io/library/busybox", "vcpus": 1, "memory": 32, "command": ["sh", "-c", TALKS]});
    let body = json!({"jobDefinitionName": definition, "type": "container", "containerProperties": container});
    site.aws.run_json("register-job-definition", &body).await?;
    let body = json!({"jobName": "talks", "jobQueue": site.queue, "jobDefinition": definition});
    let id = id_of(&site.aws.run_json("submit-job", &body).await?)?;
    // It is read as it comes, from before it has begun until it has ended.
    let arguments = ["logs", "--follow", &id];
    let follows = fixture.world.bulkhead(&arguments);
    let runs = eventually("the first line is read while the job runs", || async {
        let job = site.aws.job(&id).await?;
        let Some(stream) = job["container"]["logStreamName"].as_str() else {
            return Ok(Err(job["status"].to_string()));
        };
        let said = events(site, stream, &["--start-from-head"]).await?;
        let seen = said == ["first line", ""] && job["status"] == "RUNNING";
        Ok(if seen { Ok(stream.to_owned()) } else { Err(format!("{said:?} {}", job["status"])) })
    });
    let (followed, stream) = futures::join!(follows, runs);
    let (followed, stream) = (followed?, stream?);
    ensure!(followed == "first line\n\nERROR: last line\n", "followed: {followed:?}");
    let job = site.aws.job(&id).await?;
    ensure!(job["status"] == "FAILED" && job["container"]["exitCode"] == 3, "it is {job:#}");
    ensure!(job["attempts"][0]["container"]["logStreamName"] == stream, "it is {:#}", job["attempts"]);
    whole(site, &definition, &stream).await?;
    let tailed = fixture.world.bulkhead(&["logs", &id, "--tail", "1"]).await?;
    ensure!(tailed == "ERROR: last line\n", "its tail: {tailed:?}");
    Ok(stream)
}

/// What is read of a job that has ended.
async fn whole(site: &Site, definition: &str, stream: &str) -> Result<()> {
    // The last ones first, page by page.
    let all = ["first line", "", "ERROR: last line"];
    ensure!(events(site, stream, &[]).await? == all, "all of it");
    ensure!(events(site, stream, &["--limit", "1"]).await? == all[2..], "the end of it");
    let found = site
        .aws
        .of_service(&[
            "logs",
            "filter-log-events",
            "--log-group-name",
            "/aws/batch/job",
            "--log-stream-name-prefix",
            definition,
            "--filter-pattern",
            "ERROR",
        ])
        .await?;
    let found: Vec<&Value> = found["events"].as_array().into_iter().flatten().collect();
    ensure!(
        found.len() == 1 && found[0]["logStreamName"] == stream && found[0]["message"] == all[2],
        "found {found:#?}"
    );
    let streams = site
        .aws
        .of_service(&[
            "logs",
            "describe-log-streams",
            "--log-group-name",
            "/aws/batch/job",
            "--log-stream-name-prefix",
            definition,
        ])
        .await?;
    ensure!(streams["logStreams"][0]["logStreamName"] == stream, "streams: {streams:#}");
    Ok(())
}

async fn of_eks(fixture: &Fixture, site: &Site) -> Result<()> {
    let definition = site.definition("counts");
    site.aws.define(&definition, "0.25", "echo child $AWS_BATCH_JOB_ARRAY_INDEX", &json!({})).await?;
    let id = site.aws.submit(&site.queue, &definition, &json!({"arrayProperties": {"size": 2}})).await?;
    let printed = fixture.world.bulkhead(&["logs", "--follow", &format!("{id}:1")]).await?;
    ensure!(printed == "child 1\n", "it printed {printed:?}");
    let array = fixture.world.bulkhead(&["logs", &id]).await.err().context("an array job has no log of its own")?;
    ensure!(format!("{array:#}").contains(&format!("{id}:0")), "it says {array:#}");
    Ok(())
}

/// A namespace whose Role is as AWS's guide has it, without logs.
async fn forbidden(fixture: &Fixture, site: &Site, stream: &str) -> Result<()> {
    let without = json!([{"op": "test", "path": "/rules/3/resources/0", "value": "pods/log"}, {"op": "remove", "path": "/rules/3"}]);
    let patch = ["patch", "role", keys::BATCH_ROLE, "-n", &site.namespace, "--type=json", "-p", &without.to_string()];
    fixture.world.kubectl(&patch).await?;
    eventually("the answer says which right lacks", || async {
        let said = events(site, stream, &[]).await.map_err(|error| format!("{error:#}"));
        let way = format!("bulkhead namespace enable {}", site.namespace);
        Ok(match said {
            Err(said) if said.contains("AccessDeniedException") && said.contains(&way) => Ok(()),
            other => Err(format!("{other:?}")),
        })
    })
    .await?;
    fixture.world.bulkhead(&["namespace", "enable", &site.namespace]).await?;
    eventually("it is shown once the right is there", || async {
        let said = events(site, stream, &[]).await.map_err(|error| format!("{error:#}"));
        Ok(if said.as_ref().is_ok_and(|said| said.len() == 3) { Ok(()) } else { Err(format!("{said:?}")) })
    })
    .await
}

/// Messages of a stream.
async fn events(site: &Site, stream: &str, more: &[&str]) -> Result<Vec<String>> {
    let mut arguments =
        vec!["logs", "get-log-events", "--log-group-name", "/aws/batch/job", "--log-stream-name", stream];
    arguments.extend(more);
    let answer = site.aws.of_service(&arguments).await?;
    let events = answer["events"].as_array().context("no events")?;
    Ok(events.iter().filter_map(|event| event["message"].as_str()).map(str::to_owned).collect())
}
