//! `bulkhead logs`: what a job of the API has printed, for people without the AWS CLI. Needs nothing but a kubeconfig.
//!
//! Invariant: reads only, and shows what the API shows. Knows nothing about pods: it asks the API, through a port-forward.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;
use model::job::JobId;
use model::keys;
use planning::api_pod;
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::jobs::say;

/// How often a job that runs is asked for more.
const AGAIN: Duration = Duration::from_secs(1);
/// The container of jobs of `containerProperties`.
const DEFAULT: &str = "default";

/// Prints what a job of the AWS Batch API has printed.
///
/// Finds the controller through the kubeconfig and forwards a port to it by itself: whoever may do that (pods/portforward in the namespace of the
/// installation) may use it.
#[derive(Args)]
pub(crate) struct LogsArgs {
    /// Its id; of a child of an array job `<id>:<index>`.
    id: String,
    /// Print what comes, too, until the job has ended: of all attempts.
    #[arg(short, long)]
    follow: bool,
    /// Of this attempt, from 1; without it of the last one.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "follow")]
    attempt: Option<u32>,
    /// Of this container; without it of the first one.
    #[arg(short, long)]
    container: Option<String>,
    /// Only so many lines, the last ones.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=10_000), conflicts_with = "follow")]
    tail: Option<u16>,
    /// Begin each line with the time at which it was printed.
    #[arg(long)]
    timestamps: bool,
    /// Namespace of the installation.
    #[arg(long, default_value = keys::NAMESPACE)]
    namespace: String,
}

/// Prints them.
pub(crate) async fn run(args: LogsArgs, kubeconfig: Option<&Path>) -> anyhow::Result<()> {
    let id: JobId = args.id.parse()?;
    let clients = cluster::client::connect(kubeconfig).await?;
    let mut api = Connection::open(&clients.retrying, &args.namespace).await?;
    let mut reader = Reader { args: &args, id, attempt: 0, place: None };
    if args.follow {
        return reader.follow(&mut api).await;
    }
    let job = job(&mut api, id).await?;
    let attempt = match (args.attempt, last_attempt(&job)) {
        (Some(attempt), _) => attempt,
        (None, Some(last)) => last,
        (None, None) => bail!("job {id} has not begun: it is {}", standing(&job)),
    };
    let stream = stream(&job, id, attempt, args.container.as_deref())?;
    if let Some(tail) = args.tail {
        let answer = api.call_logs("GetLogEvents", &question(&stream, None, Some(tail))).await?;
        return print(&answer, args.timestamps);
    }
    while reader.page(&mut api, &stream).await? {}
    Ok(())
}

/// What was read so far.
struct Reader<'a> {
    args: &'a LogsArgs,
    id: JobId,
    attempt: u32,
    place: Option<String>,
}

impl Reader<'_> {
    /// Prints the next page. False: there is nothing, for now.
    async fn page(&mut self, api: &mut Connection, stream: &str) -> anyhow::Result<bool> {
        let answer = api.call_logs("GetLogEvents", &question(stream, self.place.as_deref(), None)).await?;
        print(&answer, self.args.timestamps)?;
        self.place = Some(answer["nextForwardToken"].as_str().context("the API answered without a token")?.to_owned());
        Ok(answer["events"].as_array().is_some_and(|events| !events.is_empty()))
    }

    /// Prints what comes, attempt after attempt, until the job has ended.
    async fn follow(&mut self, api: &mut Connection) -> anyhow::Result<()> {
        loop {
            // First whether it runs: what it printed before that is all there then.
            let job = job(api, self.id).await?;
            let (last, ended) = (last_attempt(&job), has_ended(&job));
            for attempt in self.attempt.max(1)..=last.unwrap_or(0) {
                if attempt != self.attempt {
                    (self.attempt, self.place) = (attempt, None);
                    if attempt > 1 {
                        eprintln!("attempt {attempt}:");
                    }
                }
                let stream = stream(&job, self.id, attempt, self.args.container.as_deref())?;
                while self.page(api, &stream).await? {}
            }
            if ended {
                return if last.is_some() {
                    Ok(())
                } else {
                    bail!("job {} never began: it is {}", self.id, standing(&job))
                };
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

async fn job(api: &mut Connection, id: JobId) -> anyhow::Result<Value> {
    let mut answer = api.call("describejobs", &json!({"jobs": [id]})).await?;
    let job = answer["jobs"].get_mut(0).map(Value::take);
    let job = job.with_context(|| {
        format!(
            "there is no job {id}: `bulkhead jobs` lists those that there are; records go some days after a job's end"
        )
    })?;
    if job["arrayProperties"]["size"].is_u64() && id.child.is_none() {
        bail!("job {id} is an array job, whose children print: name one, as in {id}:0");
    }
    Ok(job)
}

/// The log of an attempt, by what the API says of the job.
fn stream(job: &Value, id: JobId, attempt: u32, container: Option<&str>) -> anyhow::Result<String> {
    let definition = job["jobDefinition"].as_str().and_then(|arn| arn.rsplit('/').next()?.split(':').next());
    let definition = definition.filter(|name| !name.is_empty());
    let definition = definition
        .with_context(|| format!("job {id} is a Job made with kubectl: kubectl logs job/NAME shows what it printed"))?;
    let pod = &job["eksProperties"]["podProperties"];
    let containers = if pod.is_object() { api_pod::containers(pod) } else { vec![DEFAULT.to_owned()] };
    let container = match container {
        Some(name) if containers.iter().any(|it| it == name) => name,
        Some(name) => bail!("job {id} has no container {name}, but {}", containers.join(", ")),
        None => containers.first().context("the job has no container")?,
    };
    Ok(format!("{definition}/{container}/{}-{attempt}", id.label()))
}

/// The attempt that runs, or was the last to run.
fn last_attempt(job: &Value) -> Option<u32> {
    let lists = ["attempts", "eksAttempts"].map(|list| job[list].as_array().map_or(0, Vec::len));
    let ended = u32::try_from(lists.into_iter().max()?).ok()?;
    let last = if job["status"] == "RUNNING" { ended + 1 } else { ended };
    (last > 0).then_some(last)
}

fn has_ended(job: &Value) -> bool {
    job["status"] == "SUCCEEDED" || job["status"] == "FAILED"
}

fn standing(job: &Value) -> String {
    let status = job["status"].as_str().unwrap_or("in no state");
    job["statusReason"].as_str().map_or_else(|| status.to_owned(), |reason| format!("{status}: {reason}"))
}

fn question(stream: &str, place: Option<&str>, tail: Option<u16>) -> Value {
    let mut question =
        json!({"logGroupName": "/aws/batch/job", "logStreamName": stream, "startFromHead": tail.is_none()});
    if let Some(place) = place {
        question["nextToken"] = place.into();
    }
    if let Some(tail) = tail {
        question["limit"] = tail.into();
    }
    question
}

fn print(answer: &Value, timestamps: bool) -> anyhow::Result<()> {
    say(&lines(answer, timestamps), &mut std::io::stdout())
}

fn lines(answer: &Value, timestamps: bool) -> String {
    let mut out = String::new();
    for event in answer["events"].as_array().into_iter().flatten() {
        if timestamps {
            let time = event["timestamp"].as_i64().and_then(|time| Timestamp::from_millisecond(time).ok());
            out.push_str(&time.map(|time| format!("{time:.3} ")).unwrap_or_default());
        }
        out.push_str(event["message"].as_str().unwrap_or_default());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:batch:r:1:job-definition/Def:3";

    fn id() -> JobId {
        "01a3185c-5000-4000-8000-000000000000:2".parse().unwrap()
    }

    #[test]
    fn a_log_is_called_as_the_api_calls_it() {
        let eks = json!({"jobDefinition": ARN, "eksProperties": {"podProperties": {
            "containers": [{"image": "i"}, {"name": "side", "image": "i"}], "initContainers": [{"image": "i"}], "podName": "p"}}});
        let ecs = json!({"jobDefinition": ARN, "container": {"image": "i"}});
        let job = "01a3185c-5000-4000-8000-000000000000.2-1";
        for (shown, container, expect) in [
            (&eks, None, Some("default")),
            (&eks, Some("side"), Some("side")),
            (&eks, Some("init"), Some("init")),
            (&eks, Some("other"), None),
            (&ecs, None, Some("default")),
            (&ecs, Some("side"), None),
        ] {
            let found = stream(shown, id(), 1, container).ok();
            assert_eq!(found, expect.map(|container| format!("Def/{container}/{job}")), "{container:?}");
        }
        let kube = json!({"jobDefinition": ""});
        assert!(stream(&kube, id(), 1, None).unwrap_err().to_string().contains("kubectl logs"));
    }

    #[test]
    fn the_last_attempt_is_the_one_that_runs() {
        for (job, expect) in [
            (json!({"status": "RUNNABLE"}), None),
            (json!({"status": "STARTING", "eksAttempts": []}), None),
            (json!({"status": "RUNNING", "eksAttempts": []}), Some(1)),
            (json!({"status": "RUNNING", "attempts": [{}], "eksAttempts": []}), Some(2)),
            (json!({"status": "RUNNABLE", "eksAttempts": [{}]}), Some(1)),
            (json!({"status": "FAILED", "eksAttempts": [{}, {}]}), Some(2)),
            (json!({"status": "FAILED"}), None),
        ] {
            assert_eq!(last_attempt(&job), expect, "{job}");
        }
    }

    #[test]
    fn lines_are_as_they_were_printed() {
        let answer = json!({"events": [{"timestamp": 1_000, "message": "a"}, {"timestamp": 2_345, "message": ""}]});
        assert_eq!(lines(&answer, false), "a\n\n");
        assert_eq!(lines(&answer, true), "1970-01-01T00:00:01.000Z a\n1970-01-01T00:00:02.345Z \n");
    }
}
