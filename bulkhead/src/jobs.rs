//! `bulkhead jobs`: what is in the queues and what became of it, for people without the AWS CLI. Needs nothing but a kubeconfig.
//!
//! Invariant: reads only, and shows what the API shows. Knows nothing about records: it asks the API, through a port-forward.

mod show;

use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use model::keys;
use serde_json::{Value, json};

use crate::connection::Connection;

/// Shows jobs: those of the AWS Batch API and those made with kubectl.
///
/// Finds the controller through the kubeconfig and forwards a port to it by itself: whoever may do that (pods/portforward in the namespace of the
/// installation) may use it.
#[derive(Args)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    command: Option<JobsCommand>,
    /// Print the API's JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// Namespace of the installation.
    #[arg(long, global = true, default_value = keys::NAMESPACE)]
    namespace: String,
}

#[derive(Subcommand)]
enum JobsCommand {
    /// Lists jobs, latest first; without anything else those of all queues.
    List {
        /// Only those of this queue.
        #[arg(long)]
        queue: Option<String>,
        /// Only those in this state, for example RUNNABLE or FAILED.
        #[arg(long, value_parser = STATES)]
        status: Option<String>,
        /// So many of each queue at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=100))]
        limit: u16,
    },
    /// Shows one job: state, reason, pod, attempts.
    Show {
        /// Its id; of a child of an array job `<id>:<index>`.
        id: String,
    },
}

const STATES: [&str; 7] = ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"];

/// Shows jobs.
pub(crate) async fn run(args: JobsArgs, kubeconfig: Option<&Path>) -> anyhow::Result<()> {
    let clients = cluster::client::connect(kubeconfig).await?;
    let mut api = Connection::open(&clients.retrying, &args.namespace).await?;
    let all = JobsCommand::List { queue: None, status: None, limit: 100 };
    let text = match args.command.unwrap_or(all) {
        JobsCommand::List { queue, status, limit } => {
            let jobs = list(&mut api, queue, status.as_deref(), limit).await?;
            if args.json {
                format!("{:#}\n", json!({ "jobSummaryList": jobs }))
            } else {
                show::table(&jobs, Timestamp::now())
            }
        }
        JobsCommand::Show { id } => {
            let answer = api.call("describejobs", &json!({"jobs": [id]})).await?;
            let Some(job) = answer["jobs"].get(0) else {
                bail!(
                    "there is no job {id}: `bulkhead jobs` lists those that there are; records go some days after a job's end"
                );
            };
            if args.json { format!("{job:#}\n") } else { show::job(job) }
        }
    };
    say(&text, &mut std::io::stdout())?;
    Ok(())
}

/// Writes what was asked for. False: who reads has stopped, as `head` does, and has what they wanted.
pub(crate) fn say(text: &str, out: &mut impl Write) -> anyhow::Result<bool> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("cannot write the answer"),
    }
}

async fn list(
    api: &mut Connection,
    queue: Option<String>,
    status: Option<&str>,
    limit: u16,
) -> anyhow::Result<Vec<Value>> {
    let queues = match queue {
        Some(queue) => vec![queue],
        None => queues(api).await?,
    };
    let mut all = Vec::new();
    for queue in queues {
        let mut question = json!({"jobQueue": queue, "maxResults": limit});
        match status {
            Some(status) => question["jobStatus"] = status.into(),
            // Jobs in all states are listed only by a filter; this one lets everything through.
            None => question["filters"] = json!([{"name": "AFTER_CREATED_AT", "values": ["0"]}]),
        }
        let mut answer = api.call("listjobs", &question).await?;
        for mut job in answer["jobSummaryList"].as_array_mut().map(std::mem::take).unwrap_or_default() {
            job["jobQueue"] = queue.as_str().into();
            all.push(job);
        }
    }
    all.sort_by_key(|job| std::cmp::Reverse(job["createdAt"].as_i64()));
    Ok(all)
}

async fn queues(api: &mut Connection) -> anyhow::Result<Vec<String>> {
    let (mut names, mut question) = (Vec::new(), json!({}));
    loop {
        let answer = api.call("describejobqueues", &question).await?;
        let queues = answer["jobQueues"].as_array().context("the API answered without jobQueues")?;
        names.extend(queues.iter().filter_map(|queue| queue["jobQueueName"].as_str()).map(str::to_owned));
        match answer["nextToken"].as_str() {
            Some(token) => question["nextToken"] = token.into(),
            None => return Ok(names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An output that fails when it is written to, or only at the end.
    struct Broken(ErrorKind, bool);

    impl Write for Broken {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.1 { Ok(bytes.len()) } else { Err(self.0.into()) }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_no_failure() {
        let mut all = Vec::new();
        assert!(say("text\n", &mut all).unwrap());
        assert_eq!(all, b"text\n");
        for late in [false, true] {
            assert!(!say("text\n", &mut Broken(ErrorKind::BrokenPipe, late)).unwrap());
            assert!(say("text\n", &mut Broken(ErrorKind::StorageFull, late)).is_err());
        }
    }
}
