//! `ListJobs`: what is asked for, and a job as the list shows it.
//!
//! Invariant: pure. Without a status those that run are listed; with a filter all, as AWS does it.

use jiff::Timestamp;
use model::names::ArnBase;
use model::status::JobState;
use records::{By, Filter, Kept, Pattern, Scope};
use serde_json::{Value, json};
use uuid::Uuid;

use super::reason::Known;
use super::request::{List, Named};
use super::show::{Members, array, state};
use crate::ecs;
use crate::failure::Invalid;
use crate::limits::one_of;
use crate::names::{Resource, name_of};
use crate::page;

const STATUSES: [(&str, JobState); 7] = [
    ("SUBMITTED", JobState::Submitted),
    ("PENDING", JobState::Pending),
    ("RUNNABLE", JobState::Runnable),
    ("STARTING", JobState::Starting),
    ("RUNNING", JobState::Running),
    ("SUCCEEDED", JobState::Succeeded),
    ("FAILED", JobState::Failed),
];

/// Which jobs, and how many at once.
pub(crate) fn filter(request: &List) -> Result<(Filter, u32), Invalid> {
    let scope = scope(request)?;
    let by = match request.filters.as_slice() {
        [] => None,
        [one] => Some(by(one)?),
        _ => return Invalid::err("Only one filter is allowed."),
    };
    let size = page::size(request.max_results, if by.is_some() { 100 } else { 1000 })?;
    let status = request.job_status.as_deref().map(|status| one_of("jobStatus", status, &STATUSES)).transpose()?;
    let state = match by {
        None => Some(status.unwrap_or(JobState::Running)),
        Some(_) => None,
    };
    Ok((Filter { scope, state, by }, size))
}

fn scope(request: &List) -> Result<Scope, Invalid> {
    match (&request.job_queue, &request.array_job_id, &request.multi_node_job_id) {
        (Some(queue), None, None) => Ok(Scope::Queue(name_of(Resource::JobQueue, queue)?.to_owned())),
        (None, Some(id), None) => match id.parse() {
            Ok(id) => Ok(Scope::Children(id)),
            // Of no job there are no children.
            Err(_) => Ok(Scope::Children(Uuid::nil())),
        },
        (None, None, Some(_)) => Invalid::err("Multi-node parallel jobs are not supported by Bulkhead yet."),
        _ => Invalid::err("Exactly one of jobQueue, arrayJobId and multiNodeJobId is required."),
    }
}

fn by(given: &Named) -> Result<By, Invalid> {
    let [value] = given.values.as_slice() else { return Invalid::err("A filter must have exactly one value.") };
    let time = || {
        let time = value.parse().ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
        time.ok_or_else(|| Invalid(format!("{value} is not a time in milliseconds since 1970.")))
    };
    match given.name.as_str() {
        "JOB_NAME" => Ok(By::Name(pattern(value))),
        "JOB_DEFINITION" => Ok(By::Definition(pattern(value))),
        "SHARE_IDENTIFIER" => Invalid::err("Filter SHARE_IDENTIFIER is not supported by Bulkhead yet."),
        "BEFORE_CREATED_AT" => time().map(By::CreatedBefore),
        "AFTER_CREATED_AT" => time().map(By::CreatedAfter),
        other => Invalid::err(format!(
            "Filter name must be one of [JOB_NAME, JOB_DEFINITION, BEFORE_CREATED_AT, AFTER_CREATED_AT, \
             SHARE_IDENTIFIER], got {other}."
        )),
    }
}

/// A `*` at the end stands for anything.
fn pattern(value: &str) -> Pattern {
    let prefix = value.strip_suffix('*').map(|prefix| Pattern::Prefix(prefix.to_owned()));
    prefix.unwrap_or_else(|| Pattern::Exact(value.to_owned()))
}

/// `JobSummary`.
pub(crate) fn summary(job: &Kept, arn: &ArnBase, known: &Known<'_>) -> Value {
    let (id, spec) = (job.record.id, &job.spec);
    let mut summary = Members::default();
    summary.put("jobArn", arn.job(id));
    summary.put("jobId", id);
    summary.put("jobName", &spec.name);
    summary.put("jobDefinition", &spec.definition);
    state(&mut summary, job, known);
    summary.maybe("shareIdentifier", spec.share.as_ref());
    summary.maybe("arrayProperties", array(job, false));
    let end = job.attempts.last().filter(|_| job.record.stopped.is_some()).and_then(|last| last.containers.first());
    if let Some(end) = end {
        let mut container = Members::default();
        container.maybe("exitCode", end.exit_code);
        let as_it_is = end.reason.as_deref();
        container.maybe("reason", if spec.container.is_some() { ecs::reason(end) } else { as_it_is });
        summary.put("container", json!(container.0));
    }
    Value::Object(summary.0)
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
