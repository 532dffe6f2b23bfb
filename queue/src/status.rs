//! What job queues and compute environments show about themselves.
//!
//! Invariant: written only when it differs from what is stored, and at most once a second per object, whatever happens.

use std::collections::BTreeMap;
use std::time::Duration;

use api::crd::{ComputeEnvironmentStatus, JobQueueStatus, NodeCounts, Validity};
use api::{ComputeEnvironment, JobQueue};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource as _, ResourceExt as _};
use model::clock::Moment;
use model::plan::QueueCounts;
use model::quantity::format_milli;
use model::snapshot::{Environment, Stage};
use planning::health::{self, Health, Hindrances};
use planning::refusal::Answer;
use planning::world::World;
use serde_json::json;

use crate::context::Context;
use crate::write::{Outcome, outcome, patient, slow};

const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// What is refused is tried again this much later, twice as long each time.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// When each object was last written, or why not.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    written: BTreeMap<String, Last>,
}

/// The last write of an object.
#[derive(Clone, Copy, Debug)]
struct Last {
    at: Moment,
    /// How often in a row it did not go through.
    failures: u32,
}

impl Last {
    fn due(&self) -> Moment {
        self.at.plus(MIN_INTERVAL.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE))
    }
}

impl Shown {
    /// Writes what has changed. Returns when to look again, if something was too early to write.
    pub(crate) async fn update(
        &mut self,
        context: &Context,
        world: &World<'_>,
        queues: &[QueueCounts],
        now: Moment,
    ) -> Option<Moment> {
        let mut later = Vec::new();
        for stored in context.index.job_queues() {
            let name = stored.name_any();
            let Some(counts) = queues.iter().find(|counts| counts.queue == name) else { continue };
            let wanted = queue_status(counts);
            if stored.status.as_ref() != Some(&wanted) && self.is_due(&format!("jq/{name}"), now, &mut later) {
                let api: Api<JobQueue> = Api::all(context.client.clone());
                let answer = write(api, &name, json!({ "status": wanted })).await;
                self.judge(context, &format!("jq/{name}"), &stored.object_ref(&()), answer);
            }
        }
        for stored in context.index.compute_environments() {
            let name = stored.name_any();
            let Some(environment) = world.environment(&name) else { continue };
            let (losses, nodes) = (context.index.losses(&name), context.index.node_notes(&environment.uuid));
            let hindrances = Hindrances { losses: losses.as_deref(), nodes: nodes.as_deref() };
            let health = health::of_environment(environment, world.closed(), hindrances);
            let wanted = environment_status(environment, world, health);
            if stored.status.as_ref() != Some(&wanted) && self.is_due(&format!("ce/{name}"), now, &mut later) {
                let said = stored.status.as_ref().and_then(|status| status.status_reason.as_ref());
                if let Some(losses) = losses.filter(|losses| !said.is_some_and(|said| said.starts_with(losses))) {
                    context.events.warning(&stored.object_ref(&()), "MachinesLost", losses);
                }
                let api: Api<ComputeEnvironment> = Api::all(context.client.clone());
                // Fields that are absent now must go: null removes them in a merge patch.
                let mut status = json!(wanted);
                if wanted.status_reason.is_none() {
                    status["statusReason"] = serde_json::Value::Null;
                }
                let answer = write(api, &name, json!({ "status": status })).await;
                self.judge(context, &format!("ce/{name}"), &stored.object_ref(&()), answer);
            }
        }
        later.into_iter().min()
    }

    fn is_due(&mut self, object: &str, now: Moment, later: &mut Vec<Moment>) -> bool {
        let last = self.written.get(object).copied();
        match last.map(|last| last.due()) {
            Some(due) if due > now => {
                later.push(due);
                false
            }
            _ => {
                let failures = last.map_or(0, |last| last.failures);
                self.written.insert(object.to_owned(), Last { at: now, failures });
                true
            }
        }
    }

    /// Takes in what came of a write; what is refused is told about the object itself.
    fn judge(&mut self, context: &Context, object: &str, about: &ObjectReference, answer: Option<Answer>) {
        let Some(last) = self.written.get_mut(object) else { return };
        let Some(answer) = answer else { return last.failures = 0 };
        last.failures = last.failures.saturating_add(1);
        tracing::warn!(object, ?answer, "cannot write status");
        context.events.warning(about, "Refused", format!("Cannot write its status: {}", answer.message()));
    }
}

/// Writes a status. `None`: it is written, or its object is gone.
async fn write<K>(api: Api<K>, name: &str, patch: serde_json::Value) -> Option<Answer>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    let name = name.to_owned();
    let send = async move {
        let answer = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
        outcome(&api, &name, None, answer).await
    };
    match patient(send).await {
        Some(Outcome::Written | Outcome::Gone) => None,
        Some(Outcome::Not(answer)) => Some(answer),
        None => Some(slow()),
    }
}

fn queue_status(counts: &QueueCounts) -> JobQueueStatus {
    let Health { valid, reason } = health::of_queue(counts);
    JobQueueStatus {
        status: Some(validity(valid)),
        status_reason: Some(reason),
        waiting: counts.waiting,
        dispatched: counts.dispatched,
    }
}

fn validity(valid: bool) -> Validity {
    if valid { Validity::Valid } else { Validity::Invalid }
}

fn environment_status(environment: &Environment, world: &World<'_>, health: Health) -> ComputeEnvironmentStatus {
    let machines: Vec<_> = world.machines_of(&environment.name).collect();
    let count = |stage: Stage| u32::try_from(machines.iter().filter(|machine| machine.stage == stage).count());
    let ready = world.nodes_of(&environment.uuid).filter(|node| node.ready);
    let (ready, retiring): (Vec<_>, Vec<_>) = ready.partition(|node| !node.retiring);
    let nodes = NodeCounts {
        ready: u32::try_from(ready.len()).unwrap_or(u32::MAX),
        launching: count(Stage::Coming).unwrap_or(u32::MAX),
        retiring: count(Stage::Going).unwrap_or(u32::MAX).max(u32::try_from(retiring.len()).unwrap_or(u32::MAX)),
    };
    let milli: i64 = machines.iter().map(|machine| machine.milli_vcpus).sum();
    let unmanaged = environment.scaling.is_none();
    ComputeEnvironmentStatus {
        uuid: Some(environment.uuid.clone()),
        status: Some(validity(health.valid)),
        status_reason: Some(health.reason),
        desiredv_cpus: (!unmanaged).then(|| u32::try_from((milli + 999) / 1000).unwrap_or(u32::MAX)),
        vcpus: environment
            .scaling
            .as_ref()
            .map(|scaling| format!("{}/{}", format_milli(milli), format_milli(scaling.max_milli))),
        nodes: Some(nodes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_written_at_most_once_a_second() {
        let at = |millis| Moment::after(Duration::from_millis(millis));
        let mut shown = Shown::default();
        let mut later = Vec::new();
        assert!(shown.is_due("ce/a", at(0), &mut later));
        assert!(!shown.is_due("ce/a", at(999), &mut later));
        assert_eq!(later, [at(1000)]);
        assert!(shown.is_due("ce/a", at(1000), &mut later));
        assert!(shown.is_due("ce/b", at(0), &mut later));
    }

    #[test]
    fn an_object_that_cannot_be_written_is_tried_less_and_less_often() {
        let at = |seconds| Moment::after(Duration::from_secs(seconds));
        for (failures, due) in [(0, 1), (1, 2), (3, 8), (6, 60), (99, 60)] {
            assert_eq!(Last { at: at(0), failures }.due(), at(due), "{failures}");
        }
    }
}
