//! Operations on jobs: look up, decide, store.
//!
//! Invariant: a submission is stored as a whole or not at all; an end is only asked for, the queue loop carries it out.

mod dependencies;
mod list;
mod merge;
mod parameters;
mod reason;
mod request;
mod show;
mod stop;
mod submit;

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::fault::{self, Point};
use futures::future::try_join_all;
use jiff::Timestamp;
use model::job::{JobId, JobRecord, StopKind, Submitter};
use planning::access::{Ask, to_run};
use records::Submission;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::auth::Caller;
use crate::decode;
use crate::definitions::Body;
use crate::failure::{Failure, Invalid};
use crate::names::{self, Resource, name_of};
use crate::objects::Objects;
use crate::page;
use crate::privileges;
use crate::queues::{Recent, demand, recent};
use crate::rights::about;
use crate::session::Session;
use reason::Known;
pub(crate) use show::Members;

pub(crate) async fn submit<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Submit = decode::members(body)?;
    let (records, arn) = (session.records()?, &session.config.arn);
    submit::precheck(&request)?;
    let queue_name = name_of(Resource::JobQueue, &request.job_queue)?;
    demand(session, "use", queue_name).await?;
    let recent = recent(session, queue_name).await?;
    let queue = submit::queue(&request, recent.as_ref().map(Recent::queue))?;
    let wanted = names::definition(&request.job_definition)?;
    let found = records.definition(&wanted.name, wanted.revision).await?;
    if let Some(found) = &found {
        let ask = Ask::definitions("get", found.namespace.as_deref());
        session.demand(&ask, &arn.job_definition(&found.name, found.revision)).await?;
    }
    let definition = submit::definition(&request, found)?;
    let kept: Body = Body::deserialize(&definition.body).map_err(|error| Failure::Unavailable {
        message: "The job definition is stored in a form that this version cannot read".to_owned(),
        cause: cluster::telemetry::chain(&error),
    })?;
    let ids = dependencies::ids(&request.depends_on)?;
    let there = if ids.is_empty() { Vec::new() } else { records.jobs(&ids).await? };
    let there = session.seen(there, |kept| about("get", kept)).await?;
    let depends_on = dependencies::check(&request, &there)?;
    let definition = arn.job_definition(&definition.name, definition.revision);
    let mut spec = submit::spec(&request, kept, definition, queue.aws_name().to_owned(), depends_on)?;
    let is_container = spec.container.is_some();
    let asked = if is_container { privileges::asked_of_container(&spec.pod) } else { privileges::asked(&spec.pod) };
    if !asked.is_empty() {
        privileges::may_submit(&asked, queue, &session.objects.list().await?)?;
    }
    // Which environment it gets only the plan will say: it counts for where it goes if there is room in the first.
    let namespace = spec.namespace.clone().or(recent.as_ref().map(Recent::namespace)).unwrap_or_default();
    let places = recent.as_ref().map(Recent::namespaces).unwrap_or_default();
    let places = spec.namespace.clone().map_or(places, |own| BTreeSet::from([own]));
    // Where no environment is left, it waits for one.
    let places = if places.is_empty() { BTreeSet::from([namespace.clone()]) } else { places };
    for ask in places.iter().flat_map(|place| to_run(&spec.pod, !asked.is_empty(), place)) {
        session.demand(&ask, &arn.job_queue(queue_name)).await?;
    }
    if let Caller::Known(identity) = &session.caller {
        spec.submitter = Some(Submitter { identity: identity.clone(), namespace: namespace.clone() });
    }
    let now = Timestamp::now();
    let id = JobId::made(Uuid::new_v4(), now);
    let answer = json!({"jobArn": arn.job(id), "jobName": spec.name, "jobId": id});
    let record = JobRecord::submitted(id, now);
    records.submit(Submission { record, spec: Arc::new(spec), namespace }).await?;
    fault::reach(Point::JobStored);
    Ok(answer)
}

pub(crate) async fn describe<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Describe = decode::members(body)?;
    if request.jobs.len() > 100 {
        // Two spaces, as AWS writes it.
        return Err(Invalid::new("Maximum number of jobs supported is  100 .").into());
    }
    let mut ids: Vec<JobId> = request.jobs.iter().filter_map(|given| names::job(given)).collect();
    ids.sort_unstable();
    ids.dedup();
    let kept = session.records()?.jobs(&ids).await?;
    let kept = session.seen(kept, |kept| about("get", kept)).await?;
    let fronts = session.fronts();
    let known = Known { now: Timestamp::now(), fronts: fronts.as_deref() };
    let shown = kept.iter().map(|job| show::detail(job, &session.config.arn, &known)).collect();
    Ok(page::answer("jobs", shown, None))
}

pub(crate) async fn list<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::List = decode::members(body)?;
    let (filter, size) = list::filter(&request)?;
    let after = session.page_in(request.next_token.as_deref())?;
    let page = session.records()?.list(&filter, after.as_deref(), size).await?;
    let seen = session.seen(page.items, |kept| about("list", kept)).await?;
    let fronts = session.fronts();
    let known = Known { now: Timestamp::now(), fronts: fronts.as_deref() };
    let shown = seen.iter().map(|job| list::summary(job, &session.config.arn, &known)).collect();
    Ok(page::answer("jobSummaryList", shown, session.page_out(page.next)))
}

pub(crate) async fn cancel<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    stop(session, body, StopKind::Cancel).await
}

pub(crate) async fn terminate<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    stop(session, body, StopKind::Terminate).await
}

async fn stop<O: Objects>(session: &Session<O>, body: &Map<String, Value>, kind: StopKind) -> Result<Value, Failure> {
    let request: request::Stop = decode::members(body)?;
    stop::validate(&request.reason)?;
    ask(session, std::slice::from_ref(&request.job_id), kind, &request.reason).await?;
    Ok(json!({}))
}

pub(crate) async fn cancel_all<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    stop_all(session, body, StopKind::Cancel).await
}

pub(crate) async fn terminate_all<O: Objects>(
    session: &Session<O>,
    body: &Map<String, Value>,
) -> Result<Value, Failure> {
    stop_all(session, body, StopKind::Terminate).await
}

async fn stop_all<O: Objects>(
    session: &Session<O>,
    body: &Map<String, Value>,
    kind: StopKind,
) -> Result<Value, Failure> {
    let request: request::StopAll = decode::members(body)?;
    stop::validate_all(&request)?;
    // One for which it cannot be stored fails all; asking again for the others is harmless.
    ask(session, &request.jobs, kind, &request.reason).await?;
    Ok(json!({"successful": request.jobs, "errors": []}))
}

/// Asks for the end of jobs. An id that names no job is taken like one whose job has ended.
async fn ask<O: Objects>(session: &Session<O>, jobs: &[String], kind: StopKind, reason: &str) -> Result<(), Failure> {
    let records = session.records()?;
    let mut ids: Vec<JobId> = jobs.iter().filter_map(|given| names::job(given)).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(());
    }
    let kept = records.jobs(&ids).await?;
    for kept in &kept {
        let ask = about("delete", kept);
        session.demand(&ask, &session.config.arn.job(kept.record.id)).await?;
    }
    let wanted: Vec<_> = kept.iter().filter_map(|kept| stop::wanted(&kept.record, kind, reason)).collect();
    // At the same time, so that they share transactions.
    try_join_all(wanted.iter().map(|wanted| records.request_stop(wanted))).await?;
    Ok(())
}
