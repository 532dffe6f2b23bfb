//! `bulkhead logs`: what a job of the API has printed, for people without the AWS CLI. Needs nothing but a kubeconfig.
//!
//! Invariant: reads only, and shows what the API shows. Knows nothing about pods: it asks the API, through a port-forward.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;
use kube::Client;
use model::job::JobId;
use model::keys;
use planning::api_pod;
use serde_json::{Value, json};

use crate::connection::{Connection, Refused};
use crate::jobs::say;

/// How often a job that runs is asked for more.
const AGAIN: Duration = Duration::from_secs(1);
/// How long somebody who follows waits for an answer.
const PATIENCE: Duration = Duration::from_mins(2);
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
    let mut reader = Reader { args: &args, id, done: 0, place: None };
    if args.follow {
        return reader.follow(&clients.retrying).await;
    }
    let mut api = Connection::open(&clients.retrying, &args.namespace).await?;
    let job = job(&mut api, id).await?;
    let attempt = chosen(args.attempt, &attempts(&job)).with_context(|| not_chosen(&args, &job))?;
    let stream = stream(&job, id, attempt, args.container.as_deref())?;
    if let Some(tail) = args.tail {
        let answer = api.call_logs("GetLogEvents", &question(&stream, None, Some(tail))).await?;
        print(&answer, args.timestamps)?;
        return Ok(());
    }
    while reader.page(&mut api, &stream).await? == Printed::Some {}
    Ok(())
}

/// What became of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Printed {
    /// It was printed.
    Some,
    /// There is nothing, for now.
    Nothing,
    /// Nobody reads any more.
    ToNobody,
}

/// How far a job was read.
struct Reader<'a> {
    args: &'a LogsArgs,
    id: JobId,
    /// The last attempt of which nothing more comes.
    done: u32,
    /// How far the next one was.
    place: Option<String>,
}

impl Reader<'_> {
    /// Prints the next page.
    async fn page(&mut self, api: &mut Connection, stream: &str) -> anyhow::Result<Printed> {
        let answer = api.call_logs("GetLogEvents", &question(stream, self.place.as_deref(), None)).await?;
        if !print(&answer, self.args.timestamps)? {
            return Ok(Printed::ToNobody);
        }
        self.place = Some(answer["nextForwardToken"].as_str().context("the API answered without a token")?.to_owned());
        let is_empty = answer["events"].as_array().is_none_or(Vec::is_empty);
        Ok(if is_empty { Printed::Nothing } else { Printed::Some })
    }

    /// Prints what comes until the job has ended, or nobody reads any more. What does not answer for now is asked again.
    async fn follow(&mut self, client: &Client) -> anyhow::Result<()> {
        let mut api = Connection::open(client, &self.args.namespace).await?;
        // Since when there was no answer.
        let mut silent: Option<Instant> = None;
        loop {
            let looked = match self.look(&mut api).await {
                // The controller was restarted, perhaps: what was read is known.
                Err(error) if is_away(&error) => match Connection::open(client, &self.args.namespace).await {
                    Ok(again) => {
                        api = again;
                        Err(error)
                    }
                    Err(_) => Err(error),
                },
                looked => looked,
            };
            match looked {
                Ok(Looked::Over) => return Ok(()),
                Ok(Looked::Runs) => silent = None,
                Err(error) if is_away(&error) || passes(&error) => {
                    let since = *silent.get_or_insert_with(|| {
                        eprintln!("{error:#}; trying again");
                        Instant::now()
                    });
                    if since.elapsed() > PATIENCE {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Prints what there is, attempt after attempt. What is gone of one is said, and keeps nobody from the next.
    async fn look(&mut self, api: &mut Connection) -> anyhow::Result<Looked> {
        // First whether it runs: what it printed before that is all there then.
        let job = job(api, self.id).await?;
        let begun = attempts(&job);
        let before = self.done;
        for attempt in begun.iter().copied().filter(|attempt| *attempt > before) {
            let stream = stream(&job, self.id, attempt, self.args.container.as_deref())?;
            let printed = loop {
                match self.page(api, &stream).await {
                    Ok(Printed::Some) => {}
                    other => break other,
                }
            };
            let is_over = has_ended(&job) || begun.last() != Some(&attempt);
            match printed {
                Ok(Printed::ToNobody) => return Ok(Looked::Over),
                Ok(_) if !is_over => return Ok(Looked::Runs),
                Ok(_) => {}
                Err(error) if is_gone(&error) => eprintln!("attempt {attempt}: {error}"),
                Err(error) => return Err(error),
            }
            (self.done, self.place) = (attempt, None);
        }
        if !has_ended(&job) {
            return Ok(Looked::Runs);
        }
        if begun.is_empty() {
            bail!("job {} never began: it is {}", self.id, standing(&job));
        }
        Ok(Looked::Over)
    }
}

/// What became of a look at a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    /// There may be more.
    Runs,
    /// There is no more, or nobody to read it.
    Over,
}

/// The attempt that is asked for, or else the last one; `None`: there is none.
fn chosen(asked: Option<u32>, begun: &[u32]) -> Option<u32> {
    match asked {
        Some(asked) => begun.contains(&asked).then_some(asked),
        None => begun.last().copied(),
    }
}

fn not_chosen(args: &LogsArgs, job: &Value) -> String {
    let (id, is) = (&args.id, standing(job));
    match (args.attempt, attempts(job).last()) {
        (Some(asked), Some(last)) => format!("attempt {asked} of job {id} has not run; the last that has is {last}"),
        _ => format!("job {id} has not begun (--follow waits until it does): it is {is}"),
    }
}

/// Whether the connection to the controller has ended.
fn is_away(error: &anyhow::Error) -> bool {
    error.downcast_ref::<hyper::Error>().is_some() || error.downcast_ref::<axum::Error>().is_some()
}

/// Whether there will be an answer later: a node or the store does not answer now, or too many ask.
fn passes(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    refused.is_some_and(|refused| refused.status >= 500 || refused.kind == "ThrottlingException")
}

fn is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.kind == "ResourceNotFoundException")
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

/// The attempts that have begun, in order; the last one may run.
fn attempts(job: &Value) -> Vec<u32> {
    let lists = ["attempts", "eksAttempts"].map(|list| job[list].as_array().map_or(&[][..], Vec::as_slice));
    let ended = if lists[0].is_empty() { lists[1] } else { lists[0] };
    let begun = (1..).zip(ended).filter(|(_, attempt)| attempt["startedAt"].is_number()).map(|(number, _)| number);
    let runs = (job["status"] == "RUNNING").then(|| u32::try_from(ended.len()).unwrap_or(u32::MAX).saturating_add(1));
    begun.chain(runs).collect()
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

/// False: nobody reads any more.
fn print(answer: &Value, timestamps: bool) -> anyhow::Result<bool> {
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
    fn attempts_are_those_that_have_begun() {
        let one = json!({"startedAt": 5});
        for (job, expect) in [
            (json!({"status": "RUNNABLE"}), &[][..]),
            (json!({"status": "STARTING", "eksAttempts": []}), &[]),
            (json!({"status": "RUNNING", "eksAttempts": []}), &[1]),
            (json!({"status": "RUNNING", "attempts": [one], "eksAttempts": []}), &[1, 2]),
            (json!({"status": "RUNNING", "attempts": [{}], "eksAttempts": []}), &[2]),
            (json!({"status": "RUNNABLE", "eksAttempts": [one]}), &[1]),
            (json!({"status": "FAILED", "eksAttempts": [one, {}]}), &[1]),
            (json!({"status": "FAILED", "attempts": [{}, one]}), &[2]),
            (json!({"status": "FAILED"}), &[]),
        ] {
            assert_eq!(attempts(&job), expect, "{job}");
        }
    }

    #[test]
    fn the_last_attempt_is_shown_unless_another_is_asked_for() {
        for (asked, begun, expect) in [
            (None, &[1, 3][..], Some(3)),
            (Some(1), &[1, 3], Some(1)),
            (Some(2), &[1, 3], None),
            (None, &[], None),
            (Some(1), &[], None),
        ] {
            assert_eq!(chosen(asked, begun), expect, "{asked:?} of {begun:?}");
        }
    }

    #[test]
    fn what_passes_is_waited_for() {
        let refused =
            |status, kind: &str| anyhow::Error::from(Refused { status, kind: kind.to_owned(), message: String::new() });
        for (error, expect) in [
            (refused(503, "ServiceUnavailableException"), (true, false)),
            (refused(400, "ThrottlingException"), (true, false)),
            (refused(400, "ResourceNotFoundException"), (false, true)),
            (refused(400, "AccessDeniedException"), (false, false)),
            (anyhow::anyhow!("the controller does not answer"), (false, false)),
        ] {
            assert_eq!((passes(&error), is_gone(&error)), expect, "{error:?}");
        }
    }

    #[test]
    fn lines_are_as_they_were_printed() {
        let answer = json!({"events": [{"timestamp": 1_000, "message": "a"}, {"timestamp": 2_345, "message": ""}]});
        assert_eq!(lines(&answer, false), "a\n\n");
        assert_eq!(lines(&answer, true), "1970-01-01T00:00:01.000Z a\n1970-01-01T00:00:02.345Z \n");
    }
}
