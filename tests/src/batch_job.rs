//! Jobs of the API as tests follow them: submit, wait for a state, look at how it ended.
//!
//! Invariant: a wait ends at once when its state cannot come any more, and says where the job is and why.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::aws::Aws;
use crate::wait::{eventually, eventually_for};

/// All states of a job, in the order in which it passes them.
pub const STATES: [&str; 7] = ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"];
/// Long enough for a machine to boot, or for a hundred pods one after another.
const PATIENCE: Duration = Duration::from_mins(5);

impl Aws {
    /// Registers a definition of one container that runs `script` in busybox; `more`: further members of the request. Returns
    /// its name.
    pub async fn define(&self, name: &str, cpu: &str, script: &str, more: &Value) -> Result<String> {
        let container = json!({
            "image": "docker.io/library/busybox",
            "command": ["sh", "-c", script],
            "resources": {"requests": {"cpu": cpu, "memory": "16Mi"}},
        });
        let mut body = json!({
            "jobDefinitionName": name, "type": "container", "eksProperties": {"podProperties": {"containers": [container]}},
        });
        add(&mut body, more);
        self.call("RegisterJobDefinition", &body).await?;
        Ok(name.to_owned())
    }

    /// Submits a job that has the name of its definition; `more`: further members of the request. Returns its id.
    pub async fn submit(&self, queue: &str, definition: &str, more: &Value) -> Result<String> {
        let mut body = json!({"jobName": definition, "jobQueue": queue, "jobDefinition": definition});
        add(&mut body, more);
        id_of(&self.call("SubmitJob", &body).await?)
    }

    /// A job or child, as `DescribeJobs` shows it.
    pub async fn job(&self, id: &str) -> Result<Value> {
        let answer = self.call("DescribeJobs", &json!({"jobs": [id]})).await?;
        let jobs = answer["jobs"].as_array().with_context(|| format!("DescribeJobs {id}: {answer}"))?;
        ensure!(jobs.len() == 1, "DescribeJobs {id}: {answer}");
        Ok(jobs[0].clone())
    }

    /// The children of an array job, by index.
    pub async fn children(&self, id: &str, size: usize) -> Result<Vec<Value>> {
        let mut children = Vec::new();
        let ids: Vec<String> = (0..size).map(|index| format!("{id}:{index}")).collect();
        for part in ids.chunks(100) {
            let mut answer = self.call("DescribeJobs", &json!({"jobs": part})).await?;
            let Value::Array(part) = answer["jobs"].take() else { bail!("DescribeJobs: {answer}") };
            children.extend(part);
        }
        // They come in any order.
        children.sort_by_key(|child| child["arrayProperties"]["index"].as_u64());
        let indexes: Vec<Option<u64>> =
            children.iter().map(|child| child["arrayProperties"]["index"].as_u64()).collect();
        ensure!(indexes.iter().copied().eq((0..size as u64).map(Some)), "children of {id}: {indexes:?}");
        Ok(children)
    }

    /// Waits until a job is in a state; fails as soon as it has ended in another.
    pub async fn reaches(&self, id: &str, state: &str) -> Result<Value> {
        let what = format!("job {id} is {state}");
        let job = eventually_for(PATIENCE, &what, || async {
            let job = self.job(id).await?;
            let now = job["status"].as_str().unwrap_or_default();
            let ended = ["SUCCEEDED", "FAILED"].contains(&now);
            Ok(if now == state || ended { Ok(job) } else { Err(brief(&job)) })
        });
        let job = job.await?;
        ensure!(job["status"] == state, "job {id} was to be {state}; it is {}\n{job:#}", brief(&job));
        Ok(job)
    }

    /// Waits until a job that waits or starts says why in `statusReason`: a text that begins like this.
    pub async fn says(&self, id: &str, state: &str, beginning: &str) -> Result<String> {
        eventually(&format!("job {id} is {state} and says {beginning:?}"), || async {
            let job = self.job(id).await?;
            let reason = job["statusReason"].as_str().unwrap_or_default();
            let said = job["status"] == state && reason.starts_with(beginning);
            Ok(if said { Ok(reason.to_owned()) } else { Err(brief(&job)) })
        })
        .await
    }

    /// Ids of the jobs of a queue that are in this state.
    pub async fn ids_in(&self, queue: &str, state: &str) -> Result<Vec<String>> {
        let jobs = self.all("ListJobs", "jobSummaryList", &json!({"jobQueue": queue, "jobStatus": state})).await?;
        Ok(jobs.iter().filter_map(|job| job["jobId"].as_str().map(ToOwned::to_owned)).collect())
    }

    /// Ends every job of a queue and waits until all have ended.
    pub async fn end_all(&self, queue: &str) -> Result<()> {
        eventually(&format!("every job of queue {queue} has ended"), || async {
            let mut open = Vec::new();
            for state in &STATES[..5] {
                open.extend(self.ids_in(queue, state).await?);
            }
            for id in &open {
                self.call("TerminateJob", &json!({"jobId": id, "reason": "the test is over"})).await?;
            }
            Ok(if open.is_empty() { Ok(()) } else { Err(format!("{open:?} have not")) })
        })
        .await
    }
}

/// The id in the answer to `SubmitJob`.
pub fn id_of(answer: &Value) -> Result<String> {
    answer["jobId"].as_str().map(ToOwned::to_owned).with_context(|| format!("SubmitJob: no jobId in {answer}"))
}

/// Attempts of a job that have ended.
pub fn attempts(job: &Value) -> &[Value] {
    job["eksAttempts"].as_array().map_or(&[], Vec::as_slice)
}

/// Exit codes of a job's attempts, of the first container each; `None`: it has none.
pub fn exit_codes(job: &Value) -> Vec<Option<i64>> {
    attempts(job).iter().map(|attempt| attempt["containers"][0]["exitCode"].as_i64()).collect()
}

/// Where a job is and why, in a few words.
pub fn brief(job: &Value) -> String {
    let shown = ["status", "statusReason", "eksAttempts", "arrayProperties"].map(|name| (name, &job[name]));
    let shown = shown.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| format!("{name}: {value}"));
    shown.collect::<Vec<_>>().join(", ")
}

/// Adds the members of one object to another.
fn add(body: &mut Value, more: &Value) {
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
}
