//! Requests that are refused: AWS's words and form, and nothing of them is stored.

mod table;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::{Answer, Aws, Fixture, STATES, Site};

use crate::{Company, Scenario};
use table::{Bad, Names, definition};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "bad requests are refused in AWS's words and form, and nothing of them is stored",
        short: "bad",
        company: Company::Afterwards,
        local_only: true,
        run: |fixture| Box::pin(refused(fixture)),
    }]
}

async fn refused(fixture: &Fixture) -> Result<()> {
    let site = Site::without_node(fixture).await?;
    let names = Names { site: &site, good: fixture.named("good"), bad: fixture.named("bad") };
    // Whatever should not have been made is removed all the same.
    fixture.owns_of_api(&[&names.good, &names.bad], &[&names.bad]);
    let aws = &site.aws;
    accepts_what_the_table_spoils(aws, &names).await?;
    let before = stored(aws, &names).await?;
    let mut wrong = Vec::new();
    for bad in names.table() {
        wrong.extend(check(aws, &bad).await?);
    }
    wrong.extend(malformed(aws).await?);
    wrong.extend(of_pages(aws).await?);
    wrong.extend(by_cli(aws, &names).await?);
    let after = stored(aws, &names).await?;
    let new: Vec<&String> = after.difference(&before).collect();
    if !new.is_empty() {
        wrong.push(format!("stored by requests that were to be refused: {new:?}"));
    }
    ensure!(wrong.is_empty(), "{} of the bad requests:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// The requests that the table changes in one member each are good as they are.
async fn accepts_what_the_table_spoils(aws: &Aws, names: &Names<'_>) -> Result<()> {
    for (operation, body) in [
        ("CreateComputeEnvironment", names.environment(&names.good)),
        ("RegisterJobDefinition", definition(&names.good)),
        ("SubmitJob", names.job()),
    ] {
        aws.call(operation, &body).await?;
    }
    Ok(())
}

/// What is wrong with the answer to a bad request, if anything.
async fn check(aws: &Aws, bad: &Bad) -> Result<Option<String>> {
    let answer = aws.send("POST", &path(bad.operation), bad.body.to_string()).await?;
    let message = answer.message();
    let right = answer.status == 400 && answer.kind == "ClientException" && message.contains(&bad.message);
    let wrong = if right { well_formed(&answer).err() } else { Some(format!("{answer:?}")) };
    Ok(wrong.map(|wrong| format!("{}: {} was expected; {wrong}", bad.operation, bad.message)))
}

fn path(operation: &str) -> String {
    format!("/v1/{}", operation.to_lowercase())
}

/// Whether an answer has the form of an error of AWS.
fn well_formed(answer: &Answer) -> Result<(), String> {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let formed = !answer.kind.is_empty() && !answer.request.is_empty() && body["message"].is_string();
    if formed { Ok(()) } else { Err(format!("this is no error of AWS: {answer:?}")) }
}

/// What is no request at all.
async fn malformed(aws: &Aws) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (method, path, body, statuses) in [
        ("POST", "/v1/submitjob", "{\"jobName\":", [400, 400]),
        ("POST", "/v1/submitjob", "[]", [400, 400]),
        ("POST", "/v1/submitjob", r#"{"jobName": 5, "jobQueue": "q", "jobDefinition": "d"}"#, [400, 400]),
        ("POST", "/v1/submitjob", "", [400, 400]),
        ("POST", "/v1/describejobs", r#"{"jobs": "one"}"#, [400, 400]),
        ("GET", "/v1/submitjob", "", [404, 405]),
        ("POST", "/v1/nonsense", "{}", [404, 400]),
        ("POST", "/", "{}", [404, 400]),
    ] {
        let answer = aws.send(method, path, body.to_owned()).await?;
        let told = format!("{method} {path} {body}");
        if !statuses.contains(&answer.status) {
            wrong.push(format!("{told}: status {statuses:?} was expected; {answer:?}"));
        }
        wrong.extend(well_formed(&answer).err().map(|it| format!("{told}: {it}")));
    }
    Ok(wrong)
}

/// What a web page could send through somebody's port-forward.
async fn of_pages(aws: &Aws) -> Result<Vec<String>> {
    let (json, mut wrong) = (("content-type", "application/json"), Vec::new());
    for (headers, status) in [
        (vec![json, ("host", "page.example")], 403),
        (vec![json, ("origin", "https://page.example")], 403),
        (vec![json, ("sec-fetch-site", "cross-site")], 403),
        (vec![("content-type", "text/plain")], 415),
        (vec![json, ("accept", "text/html")], 406),
    ] {
        let answer = aws.send_with("POST", "/v1/describejobqueues", &headers, "{}".to_owned()).await?;
        if answer.status != status {
            wrong.push(format!("{headers:?}: status {status} was expected; {answer:?}"));
        }
        wrong.extend(well_formed(&answer).err().map(|it| format!("{headers:?}: {it}")));
    }
    Ok(wrong)
}

/// What the AWS CLI prints.
async fn by_cli(aws: &Aws, names: &Names<'_>) -> Result<Vec<String>> {
    let (queue, good) = (names.site.queue.as_str(), names.good.as_str());
    let submit = |name: &'static str, queue, definition| {
        vec!["submit-job", "--job-name", name, "--job-queue", queue, "--job-definition", definition]
    };
    let mut wrong = Vec::new();
    for (args, message) in [
        (submit("no name!", queue, good), "Job name should match valid pattern".to_owned()),
        (submit("job", names.bad.as_str(), good), format!("JobQueue {} not found.", names.bad)),
        (
            submit("job", queue, names.bad.as_str()),
            format!("JobDefinition name {} does not exist or is not in ACTIVE status", names.bad),
        ),
    ] {
        let said = aws.refused(&args).await?;
        let head = "An error occurred (ClientException) when calling the SubmitJob operation: ";
        if !said.contains(head) || !said.contains(&message) {
            wrong.push(format!("aws batch {}: {message} was expected; {said}", args.join(" ")));
        }
    }
    Ok(wrong)
}

/// Names of all that is there and could come from this test.
async fn stored(aws: &Aws, names: &Names<'_>) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for (operation, member, name) in [
        ("DescribeComputeEnvironments", "computeEnvironments", "computeEnvironmentName"),
        ("DescribeJobQueues", "jobQueues", "jobQueueName"),
        ("DescribeJobDefinitions", "jobDefinitions", "jobDefinitionArn"),
    ] {
        for one in aws.all(operation, member, &json!({})).await? {
            let name = one[name].as_str().with_context(|| format!("{operation}: no {name} in {one}"))?;
            all.insert(name.to_owned());
        }
    }
    // The job of the table waits for ever, so none of them is between two states.
    for state in STATES {
        all.extend(aws.ids_in(&names.site.queue, state).await?);
    }
    Ok(all)
}
