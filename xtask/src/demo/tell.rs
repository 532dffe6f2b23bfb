//! Listens, tells, reads outputs, and knows when it is over or has taken too long.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{FutureExt as _, StreamExt as _};
use kube::Client;
use testbed::Cluster;

use super::look;
use super::story::{Effect, Seen, Story};
use super::voice::Voice;

/// Machines boot and images are pulled on what may be a slow machine that is busy with other things.
const PATIENCE: Duration = Duration::from_mins(5);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Until when is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// All Jobs have ended and all outputs are read.
    AllEnded,
    /// No machine is left anywhere.
    MachinesGone,
}

/// A story that is being told.
pub(super) struct Telling {
    voice: Voice,
    client: Client,
    provider: String,
    story: Story,
    events: BoxStream<'static, Seen>,
    readings: FuturesUnordered<BoxFuture<'static, Seen>>,
    users: BoxFuture<'static, Result<()>>,
}

impl Telling {
    /// Tells of an environment's machines and of the Jobs on them.
    pub(super) fn new(voice: Voice, client: Client, cluster: &Cluster, environment_uuid: String) -> Self {
        Self {
            voice,
            events: look::everything(&client),
            client,
            provider: cluster.provider_url(),
            story: Story::new(environment_uuid),
            readings: FuturesUnordered::new(),
            users: std::future::pending().boxed(),
        }
    }

    /// What users do meanwhile.
    pub(super) fn users(&mut self, users: impl Future<Output = Result<()>> + Send + 'static) {
        self.users = users.boxed();
    }

    /// What was seen.
    pub(super) fn evidence(&self) -> &super::evidence::Evidence {
        &self.story.evidence
    }

    /// Tells what happens until it is over.
    pub(super) async fn tell(&mut self, until: Until) -> Result<()> {
        let began = Instant::now();
        let mut again = tokio::time::interval(LOOK_AGAIN);
        loop {
            tokio::select! {
                Some(seen) = self.events.next() => self.take_in(seen),
                Some(seen) = self.readings.next() => self.take_in(seen),
                done = &mut self.users => {
                    done?;
                    self.users = std::future::pending().boxed();
                }
                _ = again.tick() => {
                    if self.is_over(until).await? {
                        return Ok(());
                    }
                    if began.elapsed() > PATIENCE {
                        bail!("{} within {} s; {}", missing(until), PATIENCE.as_secs(), self.last_seen());
                    }
                }
            }
        }
    }

    fn take_in(&mut self, seen: Seen) {
        for effect in self.story.see(seen) {
            match effect {
                Effect::Say { who, what } => self.voice.say(&who, &what),
                Effect::Read { namespace, name, uid } => {
                    let reading = look::output(self.client.clone(), namespace, name);
                    self.readings.push(reading.map(|output| Seen::Output { uid, output }).boxed());
                }
            }
        }
    }

    async fn is_over(&mut self, until: Until) -> Result<bool> {
        match until {
            Until::AllEnded => Ok(self.story.has_ended()),
            Until::MachinesGone => {
                let evidence = &mut self.story.evidence;
                let left = look::left(&self.client, &evidence.environment_uuid, &self.provider);
                evidence.left = left.await.context("cannot see which machines are left")?;
                // The watches may be a moment behind: wait until they have told it too.
                Ok(evidence.left.is_nothing() && evidence.machines.is_empty())
            }
        }
    }

    fn last_seen(&self) -> String {
        let evidence = &self.story.evidence;
        let jobs = evidence.jobs.iter().map(|(namespace, job)| {
            let ended = job.ended.as_deref().unwrap_or("has not ended");
            format!("{namespace} {ended} (completed indexes `{}`)", job.completed_indexes)
        });
        let jobs = jobs.collect::<Vec<_>>().join(", ");
        format!(
            "last seen: Jobs: [{jobs}]; machines: {:?}; left: {}",
            evidence.machines.keys().collect::<Vec<_>>(),
            evidence.left
        )
    }
}

fn missing(until: Until) -> &'static str {
    match until {
        Until::AllEnded => "not all Jobs ended",
        Until::MachinesGone => "not all machines were gone",
    }
}
