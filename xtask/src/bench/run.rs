//! One start: creates a Job and watches until its container runs, then removes it.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use super::scene::{Place, Scene};
use super::timeline::{Seen, Step, Timeline};
use super::watch;

/// Longer than any start takes that is worth measuring.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between starts: what one leaves to do is not measured with the next.
const PAUSE: Duration = Duration::from_millis(500);

/// A series of starts, seen by one set of watches.
pub(super) struct Bench<'a> {
    pub(super) scene: &'a Scene,
    events: BoxStream<'static, Seen>,
    number: usize,
}

impl<'a> Bench<'a> {
    /// Begins to watch.
    pub(super) fn new(scene: &'a Scene) -> Self {
        Self { scene, events: watch::everything(scene.client()), number: 0 }
    }

    /// Starts a Job, and removes it once it runs.
    pub(super) async fn start(&mut self, place: Place) -> Result<Timeline> {
        self.settle().await?;
        self.number += 1;
        let name = format!("start-{}", self.number);
        let jobs: Api<Job> = Api::namespaced(self.scene.client().clone(), place.namespace());
        let timeline = self.measured(&jobs, &name, place).await?;
        jobs.delete(&name, &DeleteParams::background().grace_period(0)).await?;
        self.scene.no_pods(place).await?;
        Ok(timeline)
    }

    /// Lets the cluster come to rest; what the watches bring meanwhile is about starts before.
    async fn settle(&mut self) -> Result<()> {
        let mut pause = pin!(tokio::time::sleep(PAUSE));
        loop {
            tokio::select! {
                () = &mut pause => return Ok(()),
                seen = self.events.next() => { seen.context("the watches have ended")?; }
            }
        }
    }

    async fn measured(&mut self, jobs: &Api<Job>, name: &str, place: Place) -> Result<Timeline> {
        let job = job(name)?;
        let mut timeline = Timeline::new(name, place.environment_without_node());
        let parameters = PostParams::default();
        let begin = Instant::now();
        let mut create = pin!(jobs.create(&parameters, &job));
        let mut returned = false;
        let mut too_long = pin!(tokio::time::sleep(PATIENCE));
        while !timeline.is_started() {
            tokio::select! {
                done = &mut create, if !returned => {
                    timeline.note(Step::Created, begin.elapsed());
                    done.context("the Job could not be created")?;
                    returned = true;
                }
                seen = self.events.next() => {
                    timeline.saw(begin.elapsed(), seen.context("the watches have ended")?);
                }
                () = &mut too_long => bail!(
                    "Job {}/{name} has not started within {} s; seen: {:?}; what it waits for: {}",
                    place.namespace(),
                    PATIENCE.as_secs(),
                    timeline.steps(),
                    self.scene.waits_for(place, name).await,
                ),
            }
        }
        Ok(timeline)
    }
}

/// One small container; it runs until it is removed, so that its start is seen.
fn job(name: &str) -> Result<Job> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "backoffLimit": 0,
            "template": {"spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "main",
                    "image": "docker.io/library/busybox",
                    "command": ["sleep", "600"],
                    "resources": {"requests": {"cpu": "100m", "memory": "32Mi"}},
                }],
            }},
        },
    }))?)
}
