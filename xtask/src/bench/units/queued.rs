//! Many jobs that wait in a queue without nodes: how fast they come in, and what they take of the leader's memory.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use api::JobQueue;
use kube::Api;
use serde_json::Value;

use super::super::controller;
use super::super::machine::{self, Resident};
use super::super::metrics::Histogram;
use super::ARRAYS;
use super::memory::{Cycles, Waiting, text};
use super::place::{EMPTY, Place};
use super::sample;

/// Until all jobs are RUNNABLE.
const PATIENCE: Duration = Duration::from_mins(10);
/// How long the loop goes on before the memory is read; what it counts is of this time.
const SETTLED: Duration = Duration::from_secs(30);

/// Measures single jobs, then as many children of array jobs; returns the table.
pub(super) async fn measure(place: &Place, queued: u32) -> Result<String> {
    let single: Vec<Value> =
        (0..queued).map(|number| sample::submission(EMPTY, &format!("single-{number}"), None)).collect();
    let arrays: Vec<Value> = (0..ARRAYS)
        .map(|number| sample::submission(EMPTY, &format!("array-{number}"), Some(queued / ARRAYS)))
        .collect();
    let single = one(place, queued, &single).await?;
    let arrays = one(place, queued, &arrays).await?;
    Ok(text(queued, ARRAYS, &single, &arrays))
}

async fn one(place: &Place, queued: u32, submissions: &[Value]) -> Result<Waiting> {
    controller::restart(place.ground()).await?;
    let gateway = place.gateway().await?;
    let before = memory(place)?;
    eprintln!("submitting {} jobs", submissions.len());
    let begin = Instant::now();
    let submitted = gateway.each("SubmitJob", submissions).await?;
    waiting(place, queued).await?;
    let runnable = begin.elapsed();
    eprintln!("{queued} wait");
    let earlier = cycles(place).await?;
    tokio::time::sleep(SETTLED).await;
    let cycles = Cycles::of(&cycles(place).await?.since(&earlier), SETTLED);
    let after = memory(place)?;
    eprintln!("ending them");
    let begin = Instant::now();
    gateway.end_all(EMPTY).await?;
    let ended = begin.elapsed();
    Ok(Waiting { before, after, submitted, runnable, cycles, ended })
}

/// Waits until so many wait in the queue.
async fn waiting(place: &Place, queued: u32) -> Result<()> {
    let (begin, objects) = (Instant::now(), Api::<JobQueue>::all(place.ground().client().clone()));
    loop {
        let waiting = objects.get(EMPTY).await?.status.map_or(0, |status| status.waiting);
        if waiting == queued {
            return Ok(());
        }
        ensure!(begin.elapsed() < PATIENCE, "{waiting} of {queued} jobs wait in the queue, and no more come");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn memory(place: &Place) -> Result<Resident> {
    machine::resident(controller::process(place.cluster())?)
}

async fn cycles(place: &Place) -> Result<Histogram> {
    Ok(Histogram::read(&controller::metrics(place.ground()).await?, "bulkhead_queue_plan_seconds", &[]))
}
