//! `GetJobQueueSnapshot`: who comes next in a queue, and how much of it has room.
//!
//! Invariant: the order is the planner's where this process plans. Where another does, it is that of the record store, first in first out, and
//! nothing is said of what has room. There are no shares yet, so none are shown.

use jiff::Timestamp;
use model::front::{Fronts, InLine, MOST};
use model::names::ArnBase;
use serde_json::{Map, Value, json};

use super::{demand, recent, request};
use crate::decode;
use crate::failure::{Failure, Invalid};
use crate::names::{Resource, name_of};
use crate::objects::Objects;
use crate::session::Session;

pub(crate) async fn snapshot<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Snapshot = decode::members(body)?;
    let name = name_of(Resource::JobQueue, &request.job_queue)?;
    demand(session, "get", name).await?;
    if recent(session, name).await?.is_none() {
        return Err(Invalid(format!("Job queue {name} does not exist")).into());
    }
    let arn = &session.config.arn;
    if let Some(fronts) = session.fronts() {
        return Ok(planned(&fronts, name, arn));
    }
    let now = Timestamp::now();
    let stored = session.records()?.front(name, u32::try_from(MOST).unwrap_or(u32::MAX)).await?;
    let jobs: Vec<InLine> = stored.into_iter().map(|(job, since)| InLine { job, since }).collect();
    Ok(json!({"frontOfQueue": front(&jobs, now, arn)}))
}

/// As the last plan left it.
fn planned(fronts: &Fronts, name: &str, arn: &ArnBase) -> Value {
    let (jobs, milli) = fronts.queues.get(name).map_or((&[][..], 0), |front| (front.jobs.as_slice(), front.milli_cpu));
    let usage = json!([{"capacityUnit": "cpu", "quantity": f64::from(milli) / 1000.0}]);
    let utilization = json!({"totalCapacityUsage": usage, "lastUpdatedAt": fronts.at.as_millisecond()});
    json!({"frontOfQueue": front(jobs, fronts.at, arn), "queueUtilization": utilization})
}

/// `FrontOfQueueDetail`.
fn front(jobs: &[InLine], at: Timestamp, arn: &ArnBase) -> Value {
    let summary =
        |one: &InLine| json!({"jobArn": arn.job(one.job), "earliestTimeAtPosition": one.since.as_millisecond()});
    json!({"jobs": jobs.iter().map(summary).collect::<Vec<_>>(), "lastUpdatedAt": at.as_millisecond()})
}
