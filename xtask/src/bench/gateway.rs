//! The AWS Batch API of the cluster, called by plain HTTP.
//!
//! Invariant: a call that is not answered with 200 is an error.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use axum::http::StatusCode;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::connection::Connection;
use super::load::{self, Caller, Extent, Failure};

/// Calls under way at the same time, where there are many.
const AT_ONCE: usize = 64;
/// Longer than the gateway takes before it gives up.
const DEADLINE: Duration = Duration::from_secs(25);
/// Until all jobs have ended; a hundred thousand take their time.
const PATIENCE: Duration = Duration::from_mins(10);
/// States in which a job has not ended.
const OPEN: [&str; 5] = ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"];

/// The API at one address.
pub(super) struct Gateway {
    address: SocketAddr,
}

impl Gateway {
    /// At this URL, without a path.
    pub(super) fn at(url: &str) -> Result<Self> {
        let address = url.strip_prefix("http://").and_then(|address| address.parse().ok());
        Ok(Self { address: address.with_context(|| format!("{url} is no URL of the API"))? })
    }

    fn connection(&self) -> Connection {
        Connection::plain(self.address, "bench")
    }

    /// Calls an operation once.
    pub(super) async fn call(&self, operation: &str, body: &Value) -> Result<Value> {
        let answer = post(&mut self.connection(), operation, body.to_string().into_bytes()).await?;
        serde_json::from_slice(&answer)
            .with_context(|| format!("{operation} is answered with something else than JSON"))
    }

    /// Calls an operation so often, with these bodies, many at the same time. Returns how long it took.
    pub(super) async fn each(&self, operation: &str, bodies: &[Value]) -> Result<Duration> {
        let asker = |_| Asker { connection: self.connection(), operation, bodies };
        let mut askers: Vec<Asker> = (0..AT_ONCE).map(asker).collect();
        let outcome = load::run(&mut askers, 0, Extent::Times(bodies.len())).await;
        if let Some(problem) = outcome.problem(operation) {
            bail!(problem);
        }
        Ok(outcome.lasted)
    }

    /// Calls an operation with these bodies, many at the same time, until one is refused because there are too many jobs. Returns how many
    /// were taken.
    pub(super) async fn until_too_many(&self, operation: &str, bodies: &[Value]) -> Result<usize> {
        let mut taken = 0;
        for some in bodies.chunks(AT_ONCE) {
            let answers = join_all(some.iter().map(|body| self.call(operation, body))).await;
            for answer in &answers {
                match answer {
                    Ok(_) => taken += 1,
                    Err(error) if format!("{error:#}").contains("Too Many Requests: ") => {}
                    Err(error) => bail!("{error:#}"),
                }
            }
            if answers.iter().any(Result::is_err) {
                break;
            }
        }
        Ok(taken)
    }

    /// Ends every job of a queue, and waits until they have.
    pub(super) async fn end_all(&self, queue: &str) -> Result<()> {
        let begin = Instant::now();
        let end = |id: &String| json!({"jobId": id, "reason": "the benchmark is over"});
        let mut open = self.open(queue).await?;
        // Once: the request is stored, and a leader takes it in when it can.
        self.each("TerminateJob", &open.iter().map(end).collect::<Vec<_>>()).await?;
        while !open.is_empty() {
            ensure!(begin.elapsed() < PATIENCE, "{} jobs of queue {queue} do not end", open.len());
            tokio::time::sleep(Duration::from_secs(1)).await;
            open = self.open(queue).await?;
        }
        Ok(())
    }

    /// Jobs of a queue that have not ended, children not counted; none if there is no such queue.
    async fn open(&self, queue: &str) -> Result<Vec<String>> {
        let found = self.call("DescribeJobQueues", &json!({"jobQueues": [queue]})).await?;
        let mut open = Vec::new();
        let states = if found["jobQueues"].as_array().is_some_and(|all| !all.is_empty()) { &OPEN[..] } else { &[] };
        for state in states {
            let mut body = json!({"jobQueue": queue, "jobStatus": state});
            loop {
                let answer = self.call("ListJobs", &body).await?;
                let jobs = answer["jobSummaryList"].as_array().context("ListJobs shows no list")?;
                open.extend(jobs.iter().filter_map(|job| job["jobId"].as_str().map(ToOwned::to_owned)));
                match &answer["nextToken"] {
                    Value::Null => break,
                    token => body["nextToken"] = token.clone(),
                }
            }
        }
        Ok(open)
    }
}

/// A connection that calls.
struct Asker<'a> {
    connection: Connection,
    operation: &'a str,
    bodies: &'a [Value],
}

impl Caller for Asker<'_> {
    async fn call(&mut self, number: usize) -> Result<(), Failure> {
        let body = self.bodies[number].to_string().into_bytes();
        let answer = post(&mut self.connection, self.operation, body).await;
        answer.map(drop).map_err(|error| Failure::Failed(format!("{error:#}")))
    }
}

async fn post(connection: &mut Connection, operation: &str, body: Vec<u8>) -> Result<Vec<u8>> {
    let path = format!("/v1/{}", operation.to_lowercase());
    let answer = timeout(DEADLINE, connection.post(&path, body)).await;
    let (code, answer) = answer.with_context(|| format!("{operation} is not answered"))??;
    ensure!(code == StatusCode::OK, "{operation}: {code}: {}", String::from_utf8_lossy(&answer));
    Ok(answer.to_vec())
}
