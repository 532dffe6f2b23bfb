//! Tests of who comes next in a queue, where this process plans and where it does not.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use model::front::{Front, Fronts, InLine};
use model::job::{Change, JobId, JobRecord};
use model::status::JobState;
use records::Term;
use uuid::Uuid;

use super::*;

/// A time, in milliseconds.
fn at(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + millisecond).unwrap()
}

fn shown(job: JobId, since: Timestamp) -> Value {
    json!({"jobArn": ArnBase::default().job(job), "earliestTimeAtPosition": since.as_millisecond()})
}

impl World {
    async fn snapshot(&self, queue: &str) -> Value {
        self.ok("GetJobQueueSnapshot", json!({"jobQueue": queue})).await
    }
}

#[tokio::test]
async fn where_this_process_plans_a_queue_is_as_the_last_plan_left_it() {
    let world = World::ready().await;
    world.create_queue("Idle").await;
    let array = JobId::new(Uuid::from_u128(1));
    let jobs = vec![
        InLine { job: array.with_child(3), since: at(5) },
        InLine { job: JobId::new(Uuid::from_u128(2)), since: at(7) },
    ];
    let expected: Vec<Value> = jobs.iter().map(|one| shown(one.job, one.since)).collect();
    let queues = BTreeMap::from([("Q".to_owned(), Front { jobs, milli_cpu: 2500, hidden: 0 })]);
    world.fronts.send_replace(Some(Arc::new(Fronts { at: at(9), queues })));
    let answer = |jobs: &[Value], quantity: f64| {
        let (updated, usage) = (at(9).as_millisecond(), json!([{"capacityUnit": "cpu", "quantity": quantity}]));
        json!({"frontOfQueue": {"jobs": jobs, "lastUpdatedAt": updated},
            "queueUtilization": {"totalCapacityUsage": usage, "lastUpdatedAt": updated}})
    };
    assert_eq!(world.snapshot("Q").await, answer(&expected, 2.5));
    assert_eq!(world.snapshot(&ArnBase::default().job_queue("Q")).await, answer(&expected, 2.5));
    assert_eq!(world.snapshot("Idle").await, answer(&[], 0.0));
}

#[tokio::test]
async fn where_another_plans_a_queue_is_as_it_is_stored() {
    let world = World::ready().await;
    let mut ids: Vec<JobId> = Vec::new();
    for _ in 0..3 {
        let body = json!({"jobName": "J", "jobQueue": "Q", "jobDefinition": "D"});
        ids.push(world.ok("SubmitJob", body).await["jobId"].as_str().unwrap().parse().unwrap());
    }
    assert_eq!(world.snapshot("Q").await["frontOfQueue"]["jobs"], json!([]), "they are SUBMITTED");
    let leading = world.records().lead(&Term { lease: "l".to_owned(), turn: 1 }).await.unwrap();
    let change = |(age, id): (i64, &JobId)| {
        let record = JobRecord { state: JobState::Runnable, version: 1, ..JobRecord::submitted(*id, at(-age)) };
        Change { record, at: at(0), attempt: None }
    };
    leading.write(&(0..).zip(&ids[..2]).map(change).collect::<Vec<_>>(), &[]).await.unwrap();
    let before = Timestamp::now().as_millisecond();
    let answer = world.snapshot("Q").await;
    assert_eq!(answer["frontOfQueue"]["jobs"], json!([shown(ids[1], at(-1)), shown(ids[0], at(0))]));
    assert!(answer["frontOfQueue"]["lastUpdatedAt"].as_i64().unwrap() >= before);
    assert_eq!(answer.get("queueUtilization"), None, "only who plans knows");
}

#[tokio::test]
async fn a_queue_is_named_by_something_that_is_one() {
    let world = World::ready().await;
    for (body, message) in [
        (json!({"jobQueue": "X"}), "Job queue X does not exist"),
        (json!({"jobQueue": "arn:aws:batch:eu-west-1:1:job-queue/X"}), "Job queue X does not exist"),
        (
            json!({"jobQueue": "arn:aws:batch:eu-west-1:1:job/Q"}),
            "Provided name arn:aws:batch:eu-west-1:1:job/Q is not supported pattern[a-zA-Z_0-9-]{1,128}",
        ),
        (json!({}), "missing field `jobQueue`"),
    ] {
        assert_eq!(world.call("GetJobQueueSnapshot", body).await, Err(message.to_owned()));
    }
    world.stores.send_replace(None);
    let refused = world.call("GetJobQueueSnapshot", json!({"jobQueue": "Q"})).await.unwrap_err();
    assert!(refused.contains("record store is not open"), "{refused}");
    world.fronts.send_replace(Some(Arc::default()));
    world.snapshot("Q").await;
}
