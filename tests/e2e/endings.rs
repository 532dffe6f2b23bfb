//! How jobs end: by themselves, by their time, by their users, by others, and with their nodes.

use anyhow::{Context as _, Result, ensure};
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tests::{Aws, Fixture, Site, attempts, brief, eventually, exit_codes, together};

use crate::{Company, Scenario};

/// Runs until it is told to end, and then ends as if all were well.
const WAITS: &str = "trap 'exit 0' TERM; sleep 600 & wait";
/// The first attempt waits, the next ones succeed.
const WAITS_ONCE: &str = "test $AWS_BATCH_JOB_ATTEMPT != 1 || { trap 'exit 0' TERM; sleep 600 & wait; }";
/// Fails until its third attempt.
const THIRD: &str = "test $AWS_BATCH_JOB_ATTEMPT = 3 || exit 5";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "jobs are retried as their strategy says, and timed out, cancelled, terminated or deleted ones say so",
            short: "end",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(endings(fixture)),
        },
        Scenario {
            name: "jobs on a machine that vanishes are tried again if an attempt is left and `Host EC2*` allows it",
            short: "van",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(vanished(fixture)),
        },
    ]
}

async fn endings(fixture: &Fixture) -> Result<()> {
    let site = Site::with_node(fixture, "2", "2Gi").await?;
    let (aws, site) = (&site.aws, &site);
    for (what, cpu, script) in [
        ("ok", "0.25", "true"),
        ("waits", "0.25", WAITS),
        ("once", "0.25", WAITS_ONCE),
        ("third", "0.25", THIRD),
        ("seven", "0.25", "exit 7"),
        // Larger than the node: it never starts.
        ("large", "64", "true"),
    ] {
        aws.define(&site.definition(what), cpu, script, &json!({})).await?;
    }
    together(vec![
        ("timeout", Box::pin(timeout(site))),
        ("retries", Box::pin(retries(site))),
        ("evaluateOnExit", Box::pin(evaluate_on_exit(site))),
        ("stopped before it starts", Box::pin(stopped_waiting(site))),
        ("stopped while it starts", Box::pin(stopped_starting(site))),
        ("stopped while it runs", Box::pin(stopped_running(site))),
        ("stopped after its end", Box::pin(stopped_ended(site))),
        ("a pod that somebody deletes", Box::pin(deleted(fixture, site))),
        ("a queue that is deleted", Box::pin(without_queue(fixture, site))),
        ("a queue that lets nobody wait for long", Box::pin(too_long(fixture, site))),
    ])
    .await
}

async fn submit(site: &Site, what: &str, more: &Value) -> Result<String> {
    site.aws.submit(&site.queue, &site.definition(what), more).await
}

/// The shortest timeout there is, of a job that has attempts left and ends well when it is told to end.
async fn timeout(site: &Site) -> Result<()> {
    let more = json!({"timeout": {"attemptDurationSeconds": 60}, "retryStrategy": {"attempts": 3}});
    let id = submit(site, "waits", &more).await?;
    let job = site.aws.reaches(&id, "FAILED").await?;
    ensure!(job["statusReason"] == "Job attempt duration exceeded timeout", "it is {}", brief(&job));
    ensure!(attempts(&job).len() == 1, "a timeout is not retried: {}", brief(&job));
    let (started, stopped) = (job["startedAt"].as_i64(), job["stoppedAt"].as_i64());
    let ran = started.zip(stopped).map(|(started, stopped)| stopped - started);
    // Whole seconds at both ends; 30 s to end, and a busy machine.
    ensure!(ran.is_some_and(|ran| (59_000..110_000).contains(&ran)), "it ran for {ran:?} ms");
    Ok(())
}

async fn retries(site: &Site) -> Result<()> {
    let good = submit(site, "third", &json!({"retryStrategy": {"attempts": 3}})).await?;
    let bad = submit(site, "seven", &json!({"retryStrategy": {"attempts": 2}})).await?;
    let once = submit(site, "seven", &json!({})).await?;
    let job = site.aws.reaches(&good, "SUCCEEDED").await?;
    ensure!(exit_codes(&job) == [Some(5), Some(5), Some(0)], "it is {}", brief(&job));
    let mut pods: Vec<&str> = attempts(&job).iter().filter_map(|attempt| attempt["podName"].as_str()).collect();
    pods.sort_unstable();
    pods.dedup();
    ensure!(pods.len() == 3, "every attempt has its own pod: {pods:?}");
    ensure!(job["startedAt"] == attempts(&job)[2]["startedAt"], "startedAt is the last attempt's: {job:#}");
    for (id, codes) in [(&bad, vec![Some(7); 2]), (&once, vec![Some(7)])] {
        let job = site.aws.reaches(id, "FAILED").await?;
        ensure!(exit_codes(&job) == codes, "it is {}", brief(&job));
        let (reason, container) = (&job["statusReason"], &attempts(&job)[0]["containers"][0]);
        ensure!(reason == "Essential container in task exited", "it is {}", brief(&job));
        ensure!(container["reason"] == "Error" && container["name"] == "default", "its container: {container}");
    }
    Ok(())
}

/// All of them exit with 7, in at most three attempts.
async fn evaluate_on_exit(site: &Site) -> Result<()> {
    let cases = [
        (json!([{"onExitCode": "7", "action": "EXIT"}]), 1),
        (json!([{"onExitCode": "1*", "action": "EXIT"}]), 3),
        // The first that matches decides.
        (json!([{"onReason": "Err*", "action": "RETRY"}, {"onExitCode": "*", "action": "EXIT"}]), 3),
        // All conditions of an entry must match; the next one takes the rest.
        (json!([{"onReason": "Error", "onExitCode": "8", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]), 1),
    ];
    let mut submitted = Vec::new();
    for (entries, expected) in cases {
        let more = json!({"retryStrategy": {"attempts": 3, "evaluateOnExit": entries}});
        submitted.push((submit(site, "seven", &more).await?, entries, expected));
    }
    for (id, entries, expected) in submitted {
        let job = site.aws.reaches(&id, "FAILED").await?;
        ensure!(
            attempts(&job).len() == expected,
            "with {entries}: {expected} attempts were due, it is {}",
            brief(&job)
        );
        let shown = &job["retryStrategy"]["evaluateOnExit"][0]["action"];
        let lower = entries[0]["action"].as_str().unwrap_or_default().to_lowercase();
        ensure!(shown == &json!(lower), "the action is echoed in lower case; it is {shown}");
    }
    Ok(())
}

/// RUNNABLE and PENDING, each by both ways.
async fn stopped_waiting(site: &Site) -> Result<()> {
    let blocker = submit(site, "large", &json!({})).await?;
    for (operation, flag) in [("cancel-job", "isCancelled"), ("terminate-job", "isTerminated")] {
        let runnable = submit(site, "large", &json!({})).await?;
        let pending = submit(site, "ok", &json!({"dependsOn": [{"jobId": blocker}]})).await?;
        site.aws.reaches(&runnable, "RUNNABLE").await?;
        site.aws.reaches(&pending, "PENDING").await?;
        for id in [&runnable, &pending] {
            let reason = format!("{operation} says so");
            site.aws.run(&[operation, "--job-id", id, "--reason", &reason]).await?;
            let job = site.aws.reaches(id, "FAILED").await?;
            ensure!(job["statusReason"] == reason && job[flag] == true, "after {operation} it is {job:#}");
            ensure!(attempts(&job).is_empty() && job.get("startedAt").is_none(), "it never ran: {job:#}");
        }
    }
    site.aws.says(&blocker, "RUNNABLE", "MISCONFIGURATION:").await?;
    stop(&site.aws, "TerminateJob", &blocker, "enough").await
}

/// STARTING for ever, because its image is nowhere: a cancellation comes too late.
async fn stopped_starting(site: &Site) -> Result<()> {
    let container = json!({"image": "docker.io/library/no-such-image:1"});
    let more = json!({"eksPropertiesOverride": {"podProperties": {"containers": [container]}}, "retryStrategy": {"attempts": 2}});
    let id = submit(site, "ok", &more).await?;
    site.aws.says(&id, "STARTING", "CannotPullContainerError").await?;
    stop(&site.aws, "CancelJob", &id, "too late").await?;
    site.aws.says(&id, "STARTING", "CannotPullContainerError").await?;
    stop(&site.aws, "TerminateJob", &id, "no image").await?;
    let job = site.aws.reaches(&id, "FAILED").await?;
    ensure!(job["statusReason"] == "no image" && job["isTerminated"] == true, "it is {job:#}");
    ensure!(job.get("startedAt").is_none(), "it never ran: {job:#}");
    Ok(())
}

/// A cancellation comes too late; what is terminated is not tried again.
async fn stopped_running(site: &Site) -> Result<()> {
    let id = submit(site, "waits", &json!({"retryStrategy": {"attempts": 3}})).await?;
    site.aws.reaches(&id, "RUNNING").await?;
    stop(&site.aws, "CancelJob", &id, "too late").await?;
    let job = site.aws.job(&id).await?;
    ensure!(job["status"] == "RUNNING", "after CancelJob it is {}", brief(&job));
    stop(&site.aws, "TerminateJob", &id, "enough").await?;
    let job = site.aws.reaches(&id, "FAILED").await?;
    ensure!(job["statusReason"] == "enough" && job["isTerminated"] == true, "it is {job:#}");
    let [attempt] = attempts(&job) else { anyhow::bail!("one attempt ran: {}", brief(&job)) };
    ensure!(attempt["startedAt"].is_i64() && attempt["stoppedAt"].is_i64(), "its attempt: {attempt}");
    Ok(())
}

/// Neither does anything then, nor with an id that no job has.
async fn stopped_ended(site: &Site) -> Result<()> {
    let id = submit(site, "ok", &json!({})).await?;
    let before = site.aws.reaches(&id, "SUCCEEDED").await?;
    for operation in ["CancelJob", "TerminateJob"] {
        stop(&site.aws, operation, &id, "too late").await?;
        stop(&site.aws, operation, "2d044787-c663-4ce6-a6fe-f2baf7e51b04", "nobody").await?;
    }
    let after = site.aws.job(&id).await?;
    ensure!(before == after, "it was {before:#}, it is {after:#}");
    Ok(())
}

async fn stop(aws: &Aws, operation: &str, id: &str, reason: &str) -> Result<()> {
    let answer = aws.call(operation, &json!({"jobId": id, "reason": reason})).await?;
    ensure!(answer == json!({}), "{operation} answered {answer}");
    Ok(())
}

/// Somebody deletes the pod of a running job: with an attempt left it is tried again.
async fn deleted(fixture: &Fixture, site: &Site) -> Result<()> {
    let again = submit(site, "once", &json!({"retryStrategy": {"attempts": 2}})).await?;
    let last = submit(site, "once", &json!({})).await?;
    for id in [&again, &last] {
        let job = site.aws.reaches(id, "RUNNING").await?;
        let pod = job["eksProperties"]["podProperties"]["podName"].as_str().with_context(|| format!("{job:#}"))?;
        fixture.pods(&site.namespace).delete(pod, &DeleteParams::default()).await?;
    }
    let reason = json!("Pod was deleted by somebody else");
    let job = site.aws.reaches(&again, "SUCCEEDED").await?;
    ensure!(attempts(&job).len() == 2 && attempts(&job)[0]["statusReason"] == reason, "it is {}", brief(&job));
    let job = site.aws.reaches(&last, "FAILED").await?;
    ensure!(attempts(&job).len() == 1 && job["statusReason"] == reason, "it is {}", brief(&job));
    Ok(())
}

/// One job that runs and one that waits, in a queue that goes.
async fn without_queue(fixture: &Fixture, site: &Site) -> Result<()> {
    let queue = fixture.queue("gone", 1, &[&site.environment]).await?;
    fixture.ends_jobs_of(&queue);
    let runs = site.aws.submit(&queue, &site.definition("waits"), &json!({})).await?;
    let waits = site.aws.submit(&queue, &site.definition("large"), &json!({})).await?;
    site.aws.reaches(&runs, "RUNNING").await?;
    let refused = site.aws.refused(&["delete-job-queue", "--job-queue", &queue]).await?;
    ensure!(refused.contains("must be DISABLED first"), "an ENABLED queue: {refused}");
    site.aws.run(&["update-job-queue", "--job-queue", &queue, "--state", "DISABLED"]).await?;
    site.aws.run(&["delete-job-queue", "--job-queue", &queue]).await?;
    for id in [&runs, &waits] {
        let job = site.aws.reaches(id, "FAILED").await?;
        let reason = job["statusReason"].as_str().unwrap_or_default();
        ensure!(reason == format!("JobQueue {queue} was deleted"), "it is {}", brief(&job));
    }
    Ok(())
}

/// The AWS API takes ten minutes and more, which is not waited for here.
async fn too_long(fixture: &Fixture, site: &Site) -> Result<()> {
    let queue = fixture.queue("short", 1, &[&site.environment]).await?;
    fixture.ends_jobs_of(&queue);
    let id = site.aws.submit(&queue, &site.definition("large"), &json!({})).await?;
    let text = site.aws.says(&id, "RUNNABLE", "MISCONFIGURATION:").await?;
    let code = text.split(" - ").next().unwrap_or_default();
    let action = |reason: &str, seconds: u32| json!([{"reason": reason, "state": "RUNNABLE", "maxTimeSeconds": seconds, "action": "CANCEL"}]);
    let update = |actions: &Value| {
        vec![
            "update-job-queue".to_owned(),
            "--job-queue".to_owned(),
            queue.clone(),
            "--job-state-time-limit-actions".to_owned(),
            actions.to_string(),
        ]
    };
    let sent = action(code, 600);
    let args = update(&sent);
    site.aws.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let described = site.aws.run(&["describe-job-queues", "--job-queues", &queue]).await?;
    ensure!(described["jobQueues"][0]["jobStateTimeLimitActions"] == sent, "it is {described:#}");
    let args = update(&action("CAPACITY:RAIN", 600));
    let refused = site.aws.refused(&args.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    ensure!(refused.contains("no job waits for"), "a reason that there is not: {refused}");

    let patch = json!({"spec": {"jobStateTimeLimitActions": action(code, 3)}}).to_string();
    fixture.world.kubectl(&["patch", "jobqueue", &queue, "--type=merge", "-p", &patch]).await?;
    let job = site.aws.reaches(&id, "FAILED").await?;
    let expected = format!("Canceled by JobStateTimeLimit action due to reason: {code}");
    ensure!(job["statusReason"] == expected && job["isCancelled"] == true, "it is {}", brief(&job));
    Ok(())
}

/// Three jobs on one machine, which vanishes.
async fn vanished(fixture: &Fixture) -> Result<()> {
    let site = Site::managed(fixture, 1, "instanceTypes: [local.medium]").await?;
    let aws = &site.aws;
    aws.define(&site.definition("once"), "0.25", WAITS_ONCE, &json!({})).await?;
    let host = |action: &str| json!({"onStatusReason": "Host EC2*", "action": action});
    let strategy = |entries: Value| json!({"retryStrategy": {"attempts": 2, "evaluateOnExit": entries}});
    let again = submit(&site, "once", &strategy(json!([host("RETRY"), {"onReason": "*", "action": "EXIT"}]))).await?;
    let exits = submit(&site, "once", &strategy(json!([host("EXIT")]))).await?;
    let last = submit(&site, "once", &json!({})).await?;
    let mut node = String::new();
    for id in [&again, &exits, &last] {
        let job = aws.reaches(id, "RUNNING").await?;
        let here = job["eksProperties"]["podProperties"]["nodeName"].as_str().with_context(|| format!("{job:#}"))?;
        ensure!(node.is_empty() || node == here, "one machine has room for all; {id} is on {here}, others on {node}");
        here.clone_into(&mut node);
    }
    let vanish = format!("{}/testing/vanish/{node}", fixture.world.local()?.provider_url());
    reqwest::Client::new().post(vanish).send().await?.error_for_status()?;

    for id in [&exits, &last] {
        let job = aws.reaches(id, "FAILED").await?;
        lost(&job, &job["statusReason"])?;
        ensure!(attempts(&job).len() == 1, "no attempt was left or allowed: {}", brief(&job));
    }
    let job = aws.reaches(&again, "SUCCEEDED").await?;
    let [first, second] = attempts(&job) else { anyhow::bail!("two attempts were due: {}", brief(&job)) };
    lost(&job, &first["statusReason"])?;
    ensure!(first["nodeName"] == node.as_str() && second["nodeName"] != first["nodeName"], "it is {}", brief(&job));
    // Nothing of the lost node is left.
    let pods = fixture.pods(&site.namespace);
    eventually("the pods of the lost node are gone", || async {
        let left = pods.list(&kube::api::ListParams::default().fields(&format!("spec.nodeName={node}"))).await?;
        Ok(if left.items.is_empty() { Ok(()) } else { Err(format!("{} left", left.items.len())) })
    })
    .await
}

fn lost(job: &Value, reason: &Value) -> Result<()> {
    let text = reason.as_str().unwrap_or_default();
    let said = text.starts_with("Host EC2 (instance ") && text.ends_with(") terminated.");
    ensure!(said, "the reason is {reason}; the job is {}", brief(job));
    Ok(())
}
