//! Who comes next in a queue, as the AWS CLI shows it: jobs of both doors in the order in which they are served.

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use kube::ResourceExt as _;
use model::keys;
use serde_json::{Value, json};
use tests::{Aws, Fixture, Site, eventually, job};

use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "`aws batch get-job-queue-snapshot` shows jobs of both doors in their order, and since when each has its place",
        short: "front",
        company: Company::Others,
        local_only: true,
        run: |fixture| Box::pin(front_of_queue(fixture)),
    }]
}

async fn front_of_queue(fixture: &Fixture) -> Result<()> {
    let site = Site::without_node(fixture).await?;
    let (aws, definition) = (&site.aws, site.definition("front"));
    aws.define(&definition, "0.25", "true", &json!({})).await?;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(aws.submit(&site.queue, &definition, &json!({})).await?);
    }
    shows(aws, &site.queue, &ids).await?;
    // Kubernetes knows when a Job was made to the second.
    let last = aws.job(&ids[2]).await?["createdAt"].as_i64().context("no createdAt")?;
    eventually("a second has passed", || async {
        let passed = Timestamp::now().as_millisecond() - last;
        Ok(if passed > 1000 { Ok(()) } else { Err(format!("{passed} ms")) })
    })
    .await?;
    let namespace = fixture.namespace("kubectl", Some(&site.queue)).await?;
    fixture.apply(&namespace, &job("by-kubectl", 2, "50m", "16Mi", "true")).await?;
    let made = fixture.jobs(&namespace).get("by-kubectl").await?;
    ids.push(made.labels().get(keys::JOB_ID).context("the Job has no job id")?.clone());
    let before = shows(aws, &site.queue, &ids).await?;

    let arns: Vec<&str> = before.iter().filter_map(|one| one["jobArn"].as_str()).collect();
    let described = aws.run(&[&["describe-jobs", "--jobs"], arns.as_slice()].concat()).await?;
    let described = described["jobs"].as_array().context("no jobs are described")?;
    let mut known: Vec<&str> = described.iter().filter_map(|one| one["jobId"].as_str()).collect();
    known.sort_by_key(|id| ids.iter().position(|one| one == id));
    ensure!(known == ids, "described are {known:?}, in front were {ids:?}");
    ensure!(described.iter().all(|one| one["status"] == "RUNNABLE"), "they are {described:#?}");

    aws.run(&["cancel-job", "--job-id", &ids[0], "--reason", "another is to be first"]).await?;
    let after = shows(aws, &site.queue, &ids[1..]).await?;
    for (index, one) in after.iter().enumerate() {
        let (now, then) = (time(one)?, time(&before[index + 1])?);
        ensure!(now > then, "{one} came to its place after {then}, when it was the next one");
    }
    fixture.world.kubectl(&["delete", "job", "by-kubectl", "-n", &namespace]).await?;
    shows(aws, &site.queue, &ids[1..3]).await?;
    let unknown = aws.refused(&["get-job-queue-snapshot", "--job-queue", "no-such-queue"]).await?;
    ensure!(
        unknown.contains("(ClientException)") && unknown.contains("Job queue no-such-queue does not exist"),
        "{unknown}"
    );
    Ok(())
}

fn time(one: &Value) -> Result<i64> {
    one["earliestTimeAtPosition"].as_i64().with_context(|| format!("no earliestTimeAtPosition in {one}"))
}

/// Waits until these jobs, and no others, are the front of a queue that has no node; what is said of each.
async fn shows(aws: &Aws, queue: &str, ids: &[String]) -> Result<Vec<Value>> {
    eventually(&format!("in front of {queue} are {ids:?}"), || async {
        let snapshot = aws.run(&["get-job-queue-snapshot", "--job-queue", queue]).await?;
        let jobs = snapshot["frontOfQueue"]["jobs"].as_array().cloned().unwrap_or_default();
        let shown =
            jobs.iter().map(|one| one["jobArn"].as_str().and_then(|arn| arn.split_once(":job/")).map(|it| it.1));
        let are = shown.eq(ids.iter().map(|id| Some(id.as_str())));
        let usage = &snapshot["queueUtilization"]["totalCapacityUsage"];
        let idle = usage[0]["capacityUnit"] == "cpu" && usage[0]["quantity"].as_f64() == Some(0.0);
        let updated = ["frontOfQueue", "queueUtilization"].iter().all(|it| snapshot[*it]["lastUpdatedAt"].is_i64());
        Ok(if are && idle && updated { Ok(jobs) } else { Err(snapshot.to_string()) })
    })
    .await
}
