//! Array jobs and what depends on them: states, counts, exit codes, reasons, attempts, and the order in which children run.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::{Fixture, STATES, Site, attempts, brief, eventually_for, exit_codes, id_of, together};

use crate::{Company, Scenario};

/// Children of the large array.
const SIZE: usize = 100;
/// A hundred pods and more, on one node, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(8);

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "an array of 100 retries its children one by one, and one that fails for good fails the array",
            short: "arr",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(hundred(fixture)),
        },
        Scenario {
            name: "a diamond of dependencies, N_TO_N and SEQUENTIAL run in their order, and a failure goes as far as it should",
            short: "dep",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(dependencies(fixture)),
        },
        Scenario {
            name: "a job behind thousands that no node can run is not kept by them",
            short: "deep",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(behind_thousands(fixture)),
        },
    ]
}

/// More than a plan is shown of one queue.
const THOUSANDS: u64 = 5_000;

async fn behind_thousands(fixture: &Fixture) -> Result<()> {
    let site = Site::with_node(fixture, "1", "1Gi").await?;
    let aws = &site.aws;
    let (huge, small) = (site.definition("huge"), site.definition("small"));
    aws.define(&huge, "400", "true", &json!({})).await?;
    aws.define(&small, "0.25", "true", &json!({})).await?;
    let id = aws.submit(&site.queue, &huge, &json!({"arrayProperties": {"size": THOUSANDS}})).await?;
    aws.reaches(&format!("{id}:{}", THOUSANDS - 1), "RUNNABLE").await?;
    let behind = aws.submit(&site.queue, &small, &json!({})).await?;
    aws.reaches(&behind, "SUCCEEDED").await?;
    let array = aws.job(&id).await?;
    ensure!(count(&array, "RUNNABLE") == THOUSANDS, "the array is {}", brief(&array));
    for (child, expected) in [(0, "can never run it"), (THOUSANDS - 1, "ORDER:BEHIND - ")] {
        tests::eventually(&format!("child {child} says why it waits"), || async {
            let said = aws.job(&format!("{id}:{child}")).await?["statusReason"].to_string();
            Ok(if said.contains(expected) { Ok(()) } else { Err(said) })
        })
        .await?;
    }
    aws.call("TerminateJob", &json!({"jobId": id, "reason": "enough"})).await.map(drop)
}

async fn hundred(fixture: &Fixture) -> Result<()> {
    let site = Site::with_node(fixture, "2", "4Gi").await?;
    let aws = &site.aws;
    // 13 fails in both attempts, 7 and 42 in their first.
    let script = "case $AWS_BATCH_JOB_ARRAY_INDEX in 13) exit 3;; 7|42) test $AWS_BATCH_JOB_ATTEMPT = 2;; esac";
    let definition = site.definition("many");
    aws.define(&definition, "0.25", script, &json!({"retryStrategy": {"attempts": 2}})).await?;
    let input = json!({"jobName": "many", "jobQueue": site.queue, "jobDefinition": definition, "arrayProperties": {"size": SIZE}});
    let id = id_of(&aws.run_json("submit-job", &input).await?)?;
    let parent = eventually_for(PATIENCE, "the array has ended", || async {
        let parent = aws.job(&id).await?;
        let ended = ["SUCCEEDED", "FAILED"].map(Value::from).contains(&parent["status"]);
        // What is wrong for a moment is wrong: it ends the wait.
        match counts_add_up(&parent) {
            Ok(()) if !ended => Ok(Err(brief(&parent))),
            sound => Ok(Ok(sound.map(|()| parent))),
        }
    })
    .await??;
    let told = (&parent["status"], &parent["statusReason"]);
    ensure!(told == (&json!("FAILED"), &json!("Array Child Job failed")), "the array is {}", brief(&parent));
    let counts = (count(&parent, "SUCCEEDED"), count(&parent, "FAILED"));
    ensure!(counts == (99, 1) && attempts(&parent).is_empty(), "the array is {}", brief(&parent));

    for (index, child) in aws.children(&id, SIZE).await?.iter().enumerate() {
        let (state, codes) = match index {
            13 => ("FAILED", vec![Some(3), Some(3)]),
            7 | 42 => ("SUCCEEDED", vec![Some(1), Some(0)]),
            _ => ("SUCCEEDED", vec![Some(0)]),
        };
        ensure!(child["status"] == state && exit_codes(child) == codes, "child {index} is {}", brief(child));
        ensure!(child["jobName"] == "many" && child["jobId"] == format!("{id}:{index}"), "child {index}: {child:#}");
    }
    let failed = aws.job(&format!("{id}:13")).await?;
    let reason = &attempts(&failed)[1]["containers"][0]["reason"];
    ensure!(reason == "Error" && failed["statusReason"] == "Essential container in task exited", "{}", brief(&failed));
    lists_its_children(&site, &id).await
}

/// `aws batch list-jobs --array-job-id`, which asks for page after page by itself.
async fn lists_its_children(site: &Site, id: &str) -> Result<()> {
    let args = ["list-jobs", "--array-job-id", id, "--job-status", "SUCCEEDED", "--page-size", "40"];
    let listed = site.aws.run(&args).await?;
    let indexes = listed["jobSummaryList"].as_array().into_iter().flatten();
    let mut indexes: Vec<u64> = indexes.filter_map(|it| it["arrayProperties"]["index"].as_u64()).collect();
    indexes.sort_unstable();
    let expected: Vec<u64> = (0..SIZE as u64).filter(|index| *index != 13).collect();
    ensure!(indexes == expected, "listed are the children {indexes:?}");
    // Of the queue, the array alone is listed.
    let of_queue = site.aws.ids_in(&site.queue, "FAILED").await?;
    ensure!(of_queue == [id], "FAILED in the queue: {of_queue:?}");
    Ok(())
}

async fn dependencies(fixture: &Fixture) -> Result<()> {
    let site = Site::with_node(fixture, "2", "2Gi").await?;
    site.aws.define(&site.definition("ok"), "0.25", "true", &json!({})).await?;
    // Only the child with index 2 fails.
    let script = "test $AWS_BATCH_JOB_ARRAY_INDEX != 2";
    site.aws.define(&site.definition("two"), "0.25", script, &json!({})).await?;
    together(vec![
        ("a diamond", Box::pin(diamond(&site))),
        ("a failed dependency", Box::pin(failure_spreads(&site))),
        ("one child as a dependency", Box::pin(one_child(&site))),
        ("N_TO_N", Box::pin(n_to_n(&site))),
        ("SEQUENTIAL", Box::pin(sequential(&site))),
    ])
    .await
}

/// a → (b, c) → d, each an array.
async fn diamond(site: &Site) -> Result<()> {
    let a = array(site, "ok", 3, json!([])).await?;
    let b = array(site, "ok", 2, json!([{"jobId": a}])).await?;
    let c = array(site, "ok", 2, json!([{"jobId": a}])).await?;
    let d = array(site, "ok", 2, json!([{"jobId": b}, {"jobId": c}])).await?;
    site.aws.reaches(&d, "SUCCEEDED").await?;
    let mut times = BTreeMap::new();
    for (name, id, size) in [("a", &a, 3), ("b", &b, 2), ("c", &c, 2), ("d", &d, 2)] {
        let parent = site.aws.reaches(id, "SUCCEEDED").await?;
        counts_add_up(&parent)?;
        let children = site.aws.children(id, size).await?;
        let first = children.iter().map(|child| child["startedAt"].as_i64()).min().flatten();
        let last = children.iter().map(|child| child["stoppedAt"].as_i64()).max().flatten();
        times.insert(name, (first.context("startedAt is missing")?, last.context("stoppedAt is missing")?));
    }
    for (before, after) in [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")] {
        ensure!(times[before].1 <= times[after].0, "{after} began before {before} had ended: {times:?}");
    }
    Ok(())
}

/// A failure goes through the jobs that depend on it, and none of them runs.
async fn failure_spreads(site: &Site) -> Result<()> {
    let failing = array(site, "two", 3, json!([])).await?;
    let dependent = array(site, "ok", 2, json!([{"jobId": failing}])).await?;
    let next =
        site.aws.submit(&site.queue, &site.definition("ok"), &json!({"dependsOn": [{"jobId": dependent}]})).await?;
    for id in [&dependent, &next] {
        let job = site.aws.reaches(id, "FAILED").await?;
        ensure!(job["statusReason"] == "Dependent Job failed", "{id} is {}", brief(&job));
        ensure!(attempts(&job).is_empty() && job.get("startedAt").is_none(), "{id} has run: {job:#}");
    }
    let parent = site.aws.job(&dependent).await?;
    counts_add_up(&parent)?;
    for child in site.aws.children(&dependent, 2).await? {
        ensure!(
            child["status"] == "FAILED" && attempts(&child).is_empty(),
            "a child of {dependent}: {}",
            brief(&child)
        );
    }
    Ok(())
}

/// A child alone is a dependency, whatever becomes of its brothers.
async fn one_child(site: &Site) -> Result<()> {
    let failing = array(site, "two", 3, json!([])).await?;
    let depends_on = |index: u32| json!({"dependsOn": [{"jobId": format!("{failing}:{index}")}]});
    let on_good = site.aws.submit(&site.queue, &site.definition("ok"), &depends_on(1)).await?;
    let on_bad = site.aws.submit(&site.queue, &site.definition("ok"), &depends_on(2)).await?;
    site.aws.reaches(&on_good, "SUCCEEDED").await?;
    let failed = site.aws.reaches(&on_bad, "FAILED").await?;
    ensure!(failed["statusReason"] == "Dependent Job failed", "{}", brief(&failed));
    Ok(())
}

async fn n_to_n(site: &Site) -> Result<()> {
    let first = array(site, "two", 4, json!([])).await?;
    let second = array(site, "ok", 4, json!([{"jobId": first, "type": "N_TO_N"}])).await?;
    let parent = site.aws.reaches(&second, "FAILED").await?;
    counts_add_up(&parent)?;
    ensure!(parent["statusReason"] == "Array Child Job failed", "the second array is {}", brief(&parent));
    let (before, after) = (site.aws.children(&first, 4).await?, site.aws.children(&second, 4).await?);
    for (index, (before, after)) in before.iter().zip(&after).enumerate() {
        if index == 2 {
            let told = (&after["status"], &after["statusReason"]);
            ensure!(told == (&json!("FAILED"), &json!("Dependent Job failed")), "child 2 is {}", brief(after));
            ensure!(attempts(after).is_empty(), "child 2 has run: {}", brief(after));
        } else {
            ensure!(after["status"] == "SUCCEEDED", "child {index} is {}", brief(after));
            in_order(before, after)?;
        }
    }
    Ok(())
}

async fn sequential(site: &Site) -> Result<()> {
    let id = array(site, "two", 4, json!([{"type": "SEQUENTIAL"}])).await?;
    let parent = site.aws.reaches(&id, "FAILED").await?;
    counts_add_up(&parent)?;
    let children = site.aws.children(&id, 4).await?;
    let states: Vec<&str> = children.iter().filter_map(|child| child["status"].as_str()).collect();
    ensure!(states == ["SUCCEEDED", "SUCCEEDED", "FAILED", "FAILED"], "its children are {states:?}");
    children[..3].windows(2).try_for_each(|two| in_order(&two[0], &two[1]))?;
    let last = &children[3];
    ensure!(last["statusReason"] == "Dependent Job failed" && attempts(last).is_empty(), "child 3 is {}", brief(last));
    Ok(())
}

/// Submits an array job with the AWS CLI.
async fn array(site: &Site, what: &str, children: u32, depends_on: Value) -> Result<String> {
    let input = json!({
        "jobName": what, "jobQueue": site.queue, "jobDefinition": site.definition(what),
        "arrayProperties": {"size": children}, "dependsOn": depends_on,
    });
    id_of(&site.aws.run_json("submit-job", &input).await?)
}

/// Whether a job began only when another had ended; both are told in whole seconds.
fn in_order(before: &Value, after: &Value) -> Result<()> {
    let (stopped, started) = (before["stoppedAt"].as_i64(), after["startedAt"].as_i64());
    ensure!(stopped.is_some() && stopped <= started, "one stopped at {stopped:?}, the next started at {started:?}");
    Ok(())
}

/// Whether an array job is in a state that array jobs have, and the counts of its children name every state and add up to its size.
fn counts_add_up(parent: &Value) -> Result<()> {
    let states = ["SUBMITTED", "PENDING", "SUCCEEDED", "FAILED"].map(Value::from);
    ensure!(states.contains(&parent["status"]), "an array job is {}", brief(parent));
    let summary = &parent["arrayProperties"]["statusSummary"];
    let total: Option<u64> = STATES.iter().map(|state| summary[state].as_u64()).sum();
    let size = parent["arrayProperties"]["size"].as_u64();
    ensure!(
        size.is_some() && total == size,
        "statusSummary does not add up to the size: {}",
        parent["arrayProperties"]
    );
    Ok(())
}

fn count(parent: &Value, state: &str) -> u64 {
    parent["arrayProperties"]["statusSummary"][state].as_u64().unwrap_or_default()
}
