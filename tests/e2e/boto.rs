//! boto3, unmodified: its paginators find everything once, and a refusal is the exception that its model names.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{Fixture, Site, eventually};

use crate::{Company, Scenario};

const SCRIPT: &str = include_str!("boto.py");
/// Jobs, and revisions of their definition.
const COUNT: usize = 5;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "boto3 reads jobs and definitions page by page, each once",
        short: "boto",
        company: Company::Others,
        local_only: true,
        run: |fixture| Box::pin(pages(fixture)),
    }]
}

async fn pages(fixture: &Fixture) -> Result<()> {
    let site = Site::without_node(fixture).await?;
    let (aws, definition) = (&site.aws, site.definition("paged"));
    let mut ids = BTreeSet::new();
    for number in 0..COUNT {
        aws.define(&definition, "0.25", "true", &json!({})).await?;
        let name = if number % 2 == 0 { format!("even-{number}") } else { format!("odd-{number}") };
        ids.insert(aws.submit(&site.queue, &definition, &json!({"jobName": name})).await?);
    }
    eventually("all jobs are RUNNABLE", || async {
        let runnable = aws.ids_in(&site.queue, "RUNNABLE").await?;
        Ok(if runnable.len() == COUNT { Ok(()) } else { Err(format!("{runnable:?} are")) })
    })
    .await?;
    let printed = aws.python(SCRIPT, &[&site.queue, &definition]).await?;
    let seen: Value = serde_json::from_str(&printed)?;
    let texts = |name: &str| -> Vec<&str> {
        seen[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>()
    };
    let jobs = texts("jobs");
    ensure!(jobs.len() == COUNT && jobs.iter().all(|id| ids.contains(*id)), "submitted {ids:?}, seen {seen:#}");
    ensure!(seen["pages"] == json!([2, 2, 1]) && seen["revisionPages"] == json!([2, 2, 1]), "pages of two: {seen:#}");
    let mut named = texts("named");
    named.sort_unstable();
    ensure!(named == ["even-0", "even-2", "even-4"], "upper and lower case are alike in a filter: {seen:#}");
    let mut revisions: Vec<u64> =
        seen["revisions"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    revisions.sort_unstable();
    ensure!(revisions == [1, 2, 3, 4, 5], "revisions: {seen:#}");
    // Milliseconds since 1970: thirteen digits until the year 2286.
    let created = seen["created"].as_array().into_iter().flatten();
    let in_ms = created.into_iter().all(|at| at.as_u64().is_some_and(|at| at.ilog10() == 12));
    ensure!(in_ms, "createdAt is in milliseconds: {seen:#}");
    let refused = seen["refused"].as_str().unwrap_or_default();
    ensure!(refused.contains("Job name should match valid pattern"), "a wrong name: {seen:#}");
    Ok(())
}
