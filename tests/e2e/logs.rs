//! What jobs print, read with the unmodified AWS CLI and with `bulkhead logs`: real kubelets, while containers run, after they have ended and when
//! their pods are gone.

use anyhow::{Context as _, Result, ensure};
use model::keys;
use serde_json::{Value, json};
use tests::{Fixture, Site, eventually, id_of};

use crate::{Company, Scenario};

/// Prints when it begins, and when it is told to go.
const STAYS: &str = "trap 'echo told to go; exit 0' TERM; echo begun; while true; do sleep 0.1; done";

/// Prints, waits until somebody has read that, and prints more.
const TALKS: &str = "echo first line; echo; sleep 6; echo ERROR: last line >&2; exit 3";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "what a job prints is read with `aws logs` and `bulkhead logs`, while it runs, when it has ended and when its pod is gone",
        short: "logs",
        company: Company::Others,
        local_only: true,
        run: |fixture| Box::pin(logs(fixture)),
    }]
}

async fn logs(fixture: &Fixture) -> Result<()> {
    let site = Site::with_node(fixture, "2", "2Gi").await?;
    let ((id, stream), ()) = futures::try_join!(of_ecs(fixture, &site), of_eks(fixture, &site))?;
    without_its_pod(fixture, &site, (&id, &stream)).await?;
    terminated(fixture, &site).await?;
    forbidden(fixture, &site).await
}

/// Submits a job of one container.
async fn submitted(site: &Site, definition: &str, script: &str) -> Result<String> {
    let container = json!({"image": "docker.io/library/busybox", "vcpus": 1, "memory": 32, "command": ["sh", "-c", script],
        "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/talks"}}});
    let body = json!({"jobDefinitionName": definition, "type": "container", "containerProperties": container});
    site.aws.run_json("register-job-definition", &body).await?;
    let body = json!({"jobName": "talks", "jobQueue": site.queue, "jobDefinition": definition});
    id_of(&site.aws.run_json("submit-job", &body).await?)
}

/// Returns a job and its log.
async fn of_ecs(fixture: &Fixture, site: &Site) -> Result<(String, String)> {
    let definition = site.definition("talks");
    let id = submitted(site, &definition, TALKS).await?;
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
    Ok((id, stream))
}

/// The pod is deleted, as it is when its node goes: what it printed was kept before it was let go.
async fn without_its_pod(fixture: &Fixture, site: &Site, (id, stream): (&str, &str)) -> Result<()> {
    let selector = format!("{}={id}", keys::JOB_ID);
    let finalizers = "jsonpath={.items[*].metadata.finalizers}";
    let list = ["get", "pods", "-n", &site.namespace, "-l", &selector, "-o", finalizers];
    eventually("its pod is let go", || async {
        let left = fixture.world.kubectl(&list).await?;
        Ok(if left.is_empty() { Ok(()) } else { Err(left) })
    })
    .await?;
    let delete = ["delete", "pods", "-n", &site.namespace, "-l", &selector];
    let said = fixture.world.kubectl(&delete).await?;
    ensure!(said.contains("deleted"), "it had a pod: {said:?}");
    ensure!(events(site, stream, &[]).await? == ["first line", "", "ERROR: last line"], "all of it is kept");
    ensure!(events(site, stream, &["--limit", "1"]).await? == ["ERROR: last line"], "the end of it");
    let printed = fixture.world.bulkhead(&["logs", id]).await?;
    ensure!(printed == "first line\n\nERROR: last line\n", "it printed {printed:?}");
    Ok(())
}

/// What is told to go is followed until it has gone, because its kubelet forgets it then.
async fn terminated(fixture: &Fixture, site: &Site) -> Result<()> {
    let id = submitted(site, &site.definition("stays"), STAYS).await?;
    eventually("it has begun", || async {
        let printed = fixture.world.bulkhead(&["logs", &id]).await.map_err(|error| format!("{error:#}"));
        Ok(if printed.as_deref() == Ok("begun\n") { Ok(()) } else { Err(format!("{printed:?}")) })
    })
    .await?;
    let job = site.aws.job(&id).await?;
    let stream = job["container"]["logStreamName"].as_str().context("no stream")?.to_owned();
    site.aws.run_json("terminate-job", &json!({"jobId": id, "reason": "enough"})).await?;
    let list = ["get", "pods", "-n", &site.namespace, "-l", &format!("{}={id}", keys::JOB_ID), "-o", "name"];
    eventually("its pod is gone", || async {
        let left = fixture.world.kubectl(&list).await?;
        Ok(if left.is_empty() { Ok(()) } else { Err(left) })
    })
    .await?;
    let said = events(site, &stream, &[]).await?;
    ensure!(said == ["begun", "told to go"], "it printed {said:?}");
    Ok(())
}

/// What is read of a job that has ended.
async fn whole(site: &Site, definition: &str, stream: &str) -> Result<()> {
    // The last ones first, page by page.
    let all = ["first line", "", "ERROR: last line"];
    ensure!(events(site, stream, &[]).await? == all, "all of it");
    ensure!(events(site, stream, &["--limit", "1"]).await? == all[2..], "the end of it");
    let named = ["logs", "get-log-events", "--log-group-name", "/talks", "--log-stream-name", stream];
    let events = site.aws.of_service(&named).await?["events"].as_array().map(Vec::len);
    ensure!(events == Some(3), "in the group of its definition: {events:?}");
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
async fn forbidden(fixture: &Fixture, site: &Site) -> Result<()> {
    let without = json!([{"op": "test", "path": "/rules/3/resources/0", "value": "pods/log"}, {"op": "remove", "path": "/rules/3"}]);
    let patch = ["patch", "role", keys::BATCH_ROLE, "-n", &site.namespace, "--type=json", "-p", &without.to_string()];
    fixture.world.kubectl(&patch).await?;
    let id =
        submitted(site, &site.definition("hidden"), "trap 'exit 0' TERM; echo hidden; while true; do sleep 0.1; done")
            .await?;
    let stream = eventually("it runs", || async {
        let job = site.aws.job(&id).await?;
        let stream = job["container"]["logStreamName"].as_str().filter(|_| job["status"] == "RUNNING");
        Ok(stream.map(str::to_owned).ok_or_else(|| job["status"].to_string()))
    })
    .await?;
    eventually("the answer says which right lacks", || async {
        let said = events(site, &stream, &[]).await.map_err(|error| format!("{error:#}"));
        let way = format!("bulkhead namespace enable {}", site.namespace);
        Ok(match said {
            Err(said) if said.contains("AccessDeniedException") && said.contains(&way) => Ok(()),
            other => Err(format!("{other:?}")),
        })
    })
    .await?;
    fixture.world.bulkhead(&["namespace", "enable", &site.namespace]).await?;
    eventually("it is shown once the right is there", || async {
        let said = events(site, &stream, &[]).await.map_err(|error| format!("{error:#}"));
        Ok(if said.as_ref().is_ok_and(|said| said == &["hidden"]) { Ok(()) } else { Err(format!("{said:?}")) })
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
