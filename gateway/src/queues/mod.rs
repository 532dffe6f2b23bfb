//! Operations on job queues: look up, decide, write.
//!
//! Invariant: what is written was decided on what was read, and is not written if that has changed meanwhile.

mod decide;
mod front;
mod request;
mod show;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::{ComputeEnvironment, JobQueue};
use kube::ResourceExt as _;
use model::job::{Stop, StopKind};
use planning::access::Ask;
use serde_json::{Map, Value, json};

use crate::cache::{AGE, Listed};
use crate::decode;
use crate::failure::{Failure, Invalid};
use crate::gateway::Gateway;
use crate::limits::TIME_LIMIT;
use crate::names::{Resource, name_of};
use crate::objects::Objects;
use crate::page;
use crate::session::Session;
use crate::stored::{self, find};
pub(crate) use front::snapshot;

/// After the first of these no cache has a queue any more that was deleted, after the second no request that found it is under way.
const LATE: [Duration; 2] = [AGE, TIME_LIMIT];

pub(crate) async fn create<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Create = decode::members(body)?;
    demand(session, "create", &request.job_queue_name).await?;
    let environments = session.objects.list().await?;
    let wanted = decide::queue(&request, body, &environments)?;
    let name = wanted.aws_name().to_owned();
    let taken = Invalid(format!("Job queue {name} already exists"));
    let created = stored::create(&session.objects, wanted, taken).await;
    session.queues.forget();
    created.map(|()| named(session, &name))
}

pub(crate) async fn describe<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Describe = decode::members(body)?;
    let size = page::size(request.max_results, 100)?;
    let mut all: Vec<JobQueue> = session.objects.list().await?;
    if !request.job_queues.is_empty() {
        let named = request.job_queues.iter().map(|given| name_of(Resource::JobQueue, given));
        let named = named.collect::<Result<Vec<_>, _>>()?;
        all.retain(|queue| named.contains(&queue.aws_name()));
    }
    let mut all = session.seen(all, |it| Ask::queue("get", &it.name_any())).await?;
    all.sort_by(|a, b| a.aws_name().cmp(b.aws_name()));
    let environments = session.objects.list().await?;
    let (shown, next) = page::cut(all, |it| it.aws_name(), request.next_token.as_deref(), size);
    let shown = shown.iter().map(|queue| show::detail(queue, &environments, &session.config.arn)).collect();
    Ok(page::answer("jobQueues", shown, next))
}

pub(crate) async fn update<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Update = decode::members(body)?;
    let given = name_of(Resource::JobQueue, &request.job_queue)?;
    demand(session, "update", given).await?;
    let decide = |stored: &JobQueue, environments: &[ComputeEnvironment]| {
        let wanted = decide::changed(stored, &request, body, environments)?;
        Ok(Some(wanted).filter(|wanted| wanted.spec != stored.spec))
    };
    let updated = stored::update(&session.objects, given, decide).await;
    session.queues.forget();
    updated.map(|()| named(session, given))
}

pub(crate) async fn delete<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Delete = decode::members(body)?;
    let given = name_of(Resource::JobQueue, &request.job_queue)?;
    demand(session, "delete", given).await?;
    let allow = |stored: &JobQueue, _: &[ComputeEnvironment]| decide::may_delete(stored);
    let deleted = stored::delete(&session.objects, given, allow).await;
    session.queues.forget();
    if deleted? {
        tokio::spawn(end_late_jobs(session.gateway.clone(), given.to_owned(), LATE));
    }
    // What is gone is deleted; who died before its jobs were told asks again.
    end_jobs(session, given).await
}

/// The jobs of a queue that is deleted end with it
/// (<https://docs.aws.amazon.com/batch/latest/APIReference/API_DeleteJobQueue.html>). Without records there are none.
async fn end_jobs<O: Objects>(gateway: &Gateway<O>, name: &str) -> Result<Value, Failure> {
    if let Ok(records) = gateway.records() {
        let stop = Stop { kind: StopKind::Terminate, reason: format!("JobQueue {name} was deleted") };
        records.request_stop_of_queue(name, &stop).await?;
    }
    Ok(json!({}))
}

/// A submission that found the queue before it went, here or on another replica, may be stored after its jobs were told. They are told
/// again when no cache has the queue any more, and when no request that found it can still be under way; the answer does not wait for that.
pub(crate) async fn end_late_jobs<O: Objects>(gateway: Arc<Gateway<O>>, name: String, waits: [Duration; 2]) {
    for wait in waits {
        tokio::time::sleep(wait).await;
        if let Err(failure) = end_jobs_if_gone(&gateway, &name).await {
            tracing::warn!(queue = name, ?failure, "jobs that came late into a deleted queue may be left");
        }
    }
}

/// The jobs of another queue that was made under the same name are its own.
async fn end_jobs_if_gone<O: Objects>(gateway: &Gateway<O>, name: &str) -> Result<(), Failure> {
    let all: Vec<JobQueue> = gateway.objects.list().await?;
    if find(&all, name).is_none() {
        end_jobs(gateway, name).await?;
    }
    Ok(())
}

/// A queue among those that were read together.
pub(crate) struct Recent {
    listed: Arc<Listed>,
    place: usize,
}

impl Recent {
    pub(crate) fn queue(&self) -> &JobQueue {
        &self.listed.queues[self.place]
    }

    /// Where its pods go that say nothing themselves.
    pub(crate) fn namespace(&self) -> String {
        decide::namespace(self.queue(), &self.listed.environments)
    }

    /// All namespaces to which the plan may send these: which environment they get it says later.
    pub(crate) fn namespaces(&self) -> BTreeSet<String> {
        decide::namespaces(self.queue(), &self.listed.environments).collect()
    }
}

/// The queue of an AWS name, as it was at most two seconds ago.
pub(crate) async fn recent<O: Objects>(gateway: &Gateway<O>, name: &str) -> Result<Option<Recent>, Failure> {
    let begun = Instant::now();
    let (known, generation) = gateway.queues.get(begun);
    let in_it = |listed: Arc<Listed>| {
        let place = listed.queues.iter().position(|it| it.aws_name() == name)?;
        Some(Recent { listed, place })
    };
    if let Some(found) = known.and_then(in_it) {
        return Ok(Some(found));
    }
    let queues: Vec<JobQueue> = gateway.objects.list().await?;
    if find(&queues, name).is_none() {
        return Ok(None);
    }
    let listed = Arc::new(Listed { queues, environments: gateway.objects.list().await? });
    gateway.queues.put(begun, generation, listed.clone());
    Ok(in_it(listed))
}

/// Refuses whoever may not do this with a queue (AWS name).
pub(crate) async fn demand<O: Objects>(session: &Session<O>, verb: &'static str, name: &str) -> Result<(), Failure> {
    let arn = session.config.arn.job_queue(name);
    session.demand_of::<JobQueue>(name, |object| Ask::queue(verb, object), &arn).await
}

fn named<O>(gateway: &Gateway<O>, name: &str) -> Value {
    json!({"jobQueueName": name, "jobQueueArn": gateway.config.arn.job_queue(name)})
}
