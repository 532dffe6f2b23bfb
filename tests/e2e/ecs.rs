//! Clients that know AWS Batch on Amazon ECS alone: environments without `eksConfiguration`, definitions with `containerProperties`,
//! submissions with `containerOverrides`; unmodified boto3 and AWS CLI, real kubelets.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::{Fixture, Site, brief, id_of, together};

use crate::{Company, Scenario};

const SCRIPT: &str = include_str!("ecs.py");
/// Fails the first time; the second time it says whether it sees what was written.
const LITERALLY: &str = r#"test "$AWS_BATCH_JOB_ATTEMPT" = 2 || exit 3
test "$0" = '$(word)' && test "$LITERAL" = '$(HOME) $$' && test "$MORE" = more"#;
/// Everything that one container can have, looked at from inside.
const LOOKS: &str = r#"set -ex
test "$(id -u):$(id -g)" = 1234:2345
touch /scratch/yes
if touch /no; then exit 1; fi
if touch /read-only/no; then exit 1; fi
df -m /dev/shm | grep -q ' 16 '
df -m /tmpfs | grep -q ' 8 '
test $$ != 1
test -n "$AWS_BATCH_JOB_ID" && test "$AWS_EXECUTION_ENV" = AWS_ECS_EC2"#;
/// Takes more memory than it may have: a buffer of 64 MiB that is filled.
const TOO_MUCH: [&str; 5] = ["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"];

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "a client that knows Amazon ECS alone makes environment, queue and definition, and its job runs",
            short: "ecs",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(client(fixture)),
        },
        Scenario {
            name: "containerProperties are what a container sees, and its end is told in the words of Amazon ECS",
            short: "cont",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(containers(fixture)),
        },
    ]
}

async fn client(fixture: &Fixture) -> Result<()> {
    let (aws, name) = (tests::Aws::of(&fixture.world).await?, fixture.named("all"));
    // Where the pods of an environment go that names no namespace.
    fixture.world.bulkhead(&["namespace", "enable", "default"]).await?;
    fixture.owns_of_api(&[&name], &[&name]);
    let printed = aws.python(SCRIPT, &[&name, LITERALLY]).await?;
    let seen: Value = serde_json::from_str(&printed)?;
    let (environment, job) = (&seen["environment"], &seen["job"]);
    ensure!(environment["containerOrchestrationType"] == "ECS", "it is {environment:#}");
    ensure!(environment["computeResources"]["type"] == "FARGATE", "it is {environment:#}");
    ensure!(seen["queue"]["jobQueueType"] == "ECS_FARGATE", "it is {:#}", seen["queue"]);
    ensure!(seen["definition"]["containerProperties"]["jobRoleArn"].is_string(), "it is {:#}", seen["definition"]);
    ensure!(job["status"] == "SUCCEEDED", "it is {job:#}");
    let container = &job["container"];
    ensure!(container["command"][3] == "$(word)", "its command: {container:#}");
    ensure!(container["ephemeralStorage"]["sizeInGiB"] == 50, "its disk: {container:#}");
    let environment = json!([{"name": "LITERAL", "value": "$(HOME) $$"}, {"name": "MORE", "value": "more"}]);
    ensure!(container["environment"] == environment, "its environment: {container:#}");
    ensure!(container["exitCode"] == 0 && container["logStreamName"].is_string(), "its container: {container:#}");
    ensure!(codes(job) == [Some(3), Some(0)], "its attempts: {:#}", job["attempts"]);
    ensure!(job["statusReason"] == "Essential container in task exited", "it is {}", brief(job));
    Ok(())
}

/// Exit codes of the attempts.
fn codes(job: &Value) -> Vec<Option<i64>> {
    let attempts = job["attempts"].as_array().into_iter().flatten();
    attempts.map(|attempt| attempt["container"]["exitCode"].as_i64()).collect()
}

async fn containers(fixture: &Fixture) -> Result<()> {
    let site = Site::with_node(fixture, "2", "2Gi").await?;
    together(vec![
        ("what a container sees", Box::pin(sees(&site))),
        ("too much memory", Box::pin(too_much_memory(&site))),
        ("no image", Box::pin(no_image(&site))),
        ("an array", Box::pin(array(&site))),
        ("what cannot be had", Box::pin(refused(&site))),
        ("tags", Box::pin(tags(&site))),
    ])
    .await
}

/// Registers a definition of one container with the AWS CLI, and submits a job of it.
async fn submit(site: &Site, what: &str, container: &Value, more: &Value) -> Result<String> {
    let definition = site.definition(what);
    let mut all = json!({"image": "docker.io/library/busybox", "vcpus": 1, "memory": 32});
    extend(&mut all, container);
    let body = json!({"jobDefinitionName": definition, "type": "container", "containerProperties": all});
    site.aws.run_json("register-job-definition", &body).await?;
    let mut body = json!({"jobName": what, "jobQueue": site.queue, "jobDefinition": definition});
    extend(&mut body, more);
    id_of(&site.aws.run_json("submit-job", &body).await?)
}

fn extend(into: &mut Value, more: &Value) {
    for (name, value) in more.as_object().into_iter().flatten() {
        into[name] = value.clone();
    }
}

async fn sees(site: &Site) -> Result<()> {
    let mount = |volume: &str, path: &str, read_only: bool| json!({"sourceVolume": volume, "containerPath": path, "readOnly": read_only});
    let container = json!({
        "command": ["sh", "-c", LOOKS],
        "user": "1234:2345",
        "readonlyRootFilesystem": true,
        "volumes": [{"name": "My_Scratch", "host": {}}, {"name": "other"}],
        "mountPoints": [mount("My_Scratch", "/scratch", false), mount("other", "/read-only", true)],
        "linuxParameters": {"sharedMemorySize": 16, "initProcessEnabled": true, "tmpfs": [{"containerPath": "/tmpfs", "size": 8}]},
    });
    let id = submit(site, "sees", &container, &json!({})).await?;
    let job = site.aws.reaches(&id, "SUCCEEDED").await?;
    ensure!(job["container"]["user"] == "1234:2345" && job.get("eksProperties").is_none(), "it is {job:#}");
    Ok(())
}

/// It is tried again because of the word that Amazon ECS has for it.
async fn too_much_memory(site: &Site) -> Result<()> {
    let retry = json!({"attempts": 2, "evaluateOnExit": [
        {"onReason": "OutOfMemory*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]});
    let more = json!({"retryStrategy": retry, "containerOverrides": {"memory": 16}});
    let id = submit(site, "memory", &json!({"command": TOO_MUCH}), &more).await?;
    let job = site.aws.reaches(&id, "FAILED").await?;
    ensure!(codes(&job) == [Some(137); 2], "its attempts: {:#}", job["attempts"]);
    let reason = job["container"]["reason"].as_str().context("its container has no reason")?;
    ensure!(reason == "OutOfMemoryError: Container killed due to memory usage", "its reason: {reason}");
    Ok(())
}

async fn no_image(site: &Site) -> Result<()> {
    let id = submit(site, "image", &json!({"image": "docker.io/library/no-such-image:1"}), &json!({})).await?;
    site.aws.says(&id, "STARTING", "CannotPullContainerError").await?;
    // The AWS CLI does not know it yet.
    let answer = site.aws.call("TerminateJobs", &json!({"jobs": [id, "nonsense"], "reason": "enough"})).await?;
    ensure!(answer == json!({"successful": [id, "nonsense"], "errors": []}), "TerminateJobs answered {answer}");
    let job = site.aws.reaches(&id, "FAILED").await?;
    ensure!(job["statusReason"] == "enough", "it is {}", brief(&job));
    Ok(())
}

async fn array(site: &Site) -> Result<()> {
    let command = json!({"command": ["sh", "-c", "exit $AWS_BATCH_JOB_ARRAY_INDEX"]});
    let id = submit(site, "array", &command, &json!({"arrayProperties": {"size": 2}})).await?;
    site.aws.reaches(&id, "FAILED").await?;
    let children = site.aws.children(&id, 2).await?;
    let codes: Vec<Option<i64>> = children.iter().map(|child| child["container"]["exitCode"].as_i64()).collect();
    ensure!(codes == [Some(0), Some(1)], "its children: {children:#?}");
    Ok(())
}

/// Put on and taken off with the AWS CLI, of what kubectl made and of a definition.
async fn tags(site: &Site) -> Result<()> {
    let aws = &site.aws;
    let definition = aws.define(&site.definition("tagged"), "0.25", "true", &json!({})).await?;
    let described = aws.run(&["describe-job-definitions", "--job-definition-name", &definition]).await?;
    let environments = aws.run(&["describe-compute-environments", "--compute-environments", &site.environment]).await?;
    let queues = aws.run(&["describe-job-queues", "--job-queues", &site.queue]).await?;
    let (wanted, left) = (json!({"team": "physics", "cost centre": "42"}), json!({"team": "physics"}));
    for arn in [
        &described["jobDefinitions"][0]["jobDefinitionArn"],
        &environments["computeEnvironments"][0]["computeEnvironmentArn"],
        &queues["jobQueues"][0]["jobQueueArn"],
    ] {
        let arn = arn.as_str().context("there is no ARN")?;
        aws.run(&["tag-resource", "--resource-arn", arn, "--tags", &wanted.to_string()]).await?;
        let listed = aws.run(&["list-tags-for-resource", "--resource-arn", arn]).await?;
        ensure!(listed["tags"] == wanted, "{arn}: {listed}");
        aws.run(&["untag-resource", "--resource-arn", arn, "--tag-keys", "cost centre", "none"]).await?;
        let listed = aws.run(&["list-tags-for-resource", "--resource-arn", arn]).await?;
        ensure!(listed["tags"] == left, "{arn}: {listed}");
    }
    Ok(())
}

/// By name, and nobody reaches the node.
async fn refused(site: &Site) -> Result<()> {
    for (what, container, word) in [
        ("ulimits", json!({"ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 1}]}), "ulimits"),
        ("host", json!({"volumes": [{"name": "root", "host": {"sourcePath": "/"}}]}), "host.sourcePath"),
        ("privileged", json!({"privileged": true}), "privileged"),
        ("vcpus", json!({"vcpus": 0}), "vCPU must be at least 1, got 0."),
    ] {
        let said = submit(site, what, &container, &json!({})).await.err().map(|error| format!("{error:#}"));
        ensure!(said.as_ref().is_some_and(|said| said.contains(word)), "{what}: {said:?}");
    }
    Ok(())
}
