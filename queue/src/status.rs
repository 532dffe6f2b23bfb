//! What job queues and compute environments show about themselves.
//!
//! Invariant: written only when it differs from what is stored, and at most once a second per object, whatever happens.

use std::collections::BTreeMap;

use api::crd::{ComputeEnvironmentStatus, JobQueueStatus, NodeCounts, Validity};
use api::{ComputeEnvironment, JobQueue};
use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource as _, ResourceExt as _};
use model::plan::QueueCounts;
use model::quantity::format_milli;
use model::snapshot::{Environment, Snapshot, Stage};
use serde_json::json;

use crate::cycle::Context;

const MIN_INTERVAL: SignedDuration = SignedDuration::from_secs(1);

/// When each object was last written.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    written: BTreeMap<String, Timestamp>,
}

impl Shown {
    /// Writes what has changed. Returns when to look again, if something was too early to write.
    pub(crate) async fn update(
        &mut self,
        context: &Context,
        snapshot: &Snapshot,
        queues: &[QueueCounts],
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut later = Vec::new();
        for stored in context.index.job_queues() {
            let name = stored.name_any();
            let Some(counts) = queues.iter().find(|counts| counts.queue == name) else { continue };
            let wanted = queue_status(counts);
            if stored.status.as_ref() != Some(&wanted) && self.is_due(&format!("jq/{name}"), now, &mut later) {
                let api: Api<JobQueue> = Api::all(context.client.clone());
                write(&api, &name, json!({ "status": wanted })).await;
            }
        }
        for stored in context.index.compute_environments() {
            let name = stored.name_any();
            let Some(environment) = snapshot.environments.iter().find(|one| one.name == name) else { continue };
            let losses = context.index.losses(&name);
            let wanted = environment_status(environment, snapshot, losses.as_ref());
            if stored.status.as_ref() != Some(&wanted) && self.is_due(&format!("ce/{name}"), now, &mut later) {
                let said = stored.status.as_ref().and_then(|status| status.status_reason.as_ref());
                if let Some(losses) = losses.filter(|losses| said != Some(losses)) {
                    context.events.warning(&stored.object_ref(&()), "MachinesLost", losses);
                }
                let api: Api<ComputeEnvironment> = Api::all(context.client.clone());
                // Fields that are absent now must go: null removes them in a merge patch.
                let mut status = json!(wanted);
                if wanted.status_reason.is_none() {
                    status["statusReason"] = serde_json::Value::Null;
                }
                write(&api, &name, json!({ "status": status })).await;
            }
        }
        later.into_iter().min()
    }

    fn is_due(&mut self, object: &str, now: Timestamp, later: &mut Vec<Timestamp>) -> bool {
        let due = self.written.get(object).and_then(|last| last.checked_add(MIN_INTERVAL).ok());
        match due {
            Some(due) if due > now => {
                later.push(due);
                false
            }
            _ => {
                self.written.insert(object.to_owned(), now);
                true
            }
        }
    }
}

async fn write<K>(api: &Api<K>, name: &str, patch: serde_json::Value)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    if let Err(error) = api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        tracing::warn!(object = name, error = cluster::telemetry::chain(&error), "cannot write status");
    }
}

fn queue_status(counts: &QueueCounts) -> JobQueueStatus {
    let status = if counts.problem.is_some() { Validity::Invalid } else { Validity::Valid };
    let reason = counts.problem.clone().unwrap_or_else(|| "JobQueue Healthy".to_owned());
    JobQueueStatus {
        status: Some(status),
        status_reason: Some(reason),
        waiting: counts.waiting,
        dispatched: counts.dispatched,
    }
}

/// `losses`: so many of its machines seem lost that none is given up; it can be used all the same.
fn environment_status(
    environment: &Environment,
    snapshot: &Snapshot,
    losses: Option<&String>,
) -> ComputeEnvironmentStatus {
    let machines: Vec<_> = snapshot.machines.iter().filter(|machine| machine.environment == environment.name).collect();
    let count = |stage: Stage| u32::try_from(machines.iter().filter(|machine| machine.stage == stage).count());
    let ready = snapshot.nodes.iter().filter(|node| node.environment_uuid == environment.uuid && node.ready);
    let (ready, retiring): (Vec<_>, Vec<_>) = ready.partition(|node| !node.retiring);
    let nodes = NodeCounts {
        ready: u32::try_from(ready.len()).unwrap_or(u32::MAX),
        launching: count(Stage::Coming).unwrap_or(u32::MAX),
        retiring: count(Stage::Going).unwrap_or(u32::MAX).max(u32::try_from(retiring.len()).unwrap_or(u32::MAX)),
    };
    let milli: i64 = machines.iter().map(|machine| machine.milli_vcpus).sum();
    let offers = environment.scaling.as_ref().and_then(|scaling| scaling.offers.as_ref().err());
    let problem = environment.problem.as_ref().or(offers).cloned();
    let unmanaged = environment.scaling.is_none();
    ComputeEnvironmentStatus {
        uuid: Some(environment.uuid.clone()),
        status: Some(if problem.is_some() { Validity::Invalid } else { Validity::Valid }),
        status_reason: problem.or(losses.cloned()).or_else(|| Some("ComputeEnvironment Healthy".to_owned())),
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
        let now: Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
        let mut shown = Shown::default();
        let mut later = Vec::new();
        assert!(shown.is_due("ce/a", now, &mut later));
        assert!(!shown.is_due("ce/a", now + SignedDuration::from_millis(999), &mut later));
        assert_eq!(later, [now + MIN_INTERVAL]);
        assert!(shown.is_due("ce/a", now + MIN_INTERVAL, &mut later));
        assert!(shown.is_due("ce/b", now, &mut later));
    }

    #[test]
    fn an_environment_that_cannot_be_used_is_invalid_and_lost_machines_are_told() {
        let environment = |problem: Option<&str>| Environment {
            name: "ce".into(),
            aws_name: "CE".into(),
            uuid: "u".into(),
            enabled: true,
            problem: problem.map(str::to_owned),
            scaling: None,
        };
        let lost = "5 of its 6 machines seem lost".to_owned();
        for (problem, losses, validity, reason) in [
            (None, None, Validity::Valid, "ComputeEnvironment Healthy"),
            (None, Some(&lost), Validity::Valid, lost.as_str()),
            (Some("no namespace"), None, Validity::Invalid, "no namespace"),
            (Some("no namespace"), Some(&lost), Validity::Invalid, "no namespace"),
        ] {
            let status = environment_status(&environment(problem), &Snapshot::default(), losses);
            assert_eq!((status.status, status.status_reason.as_deref()), (Some(validity), Some(reason)));
        }
    }

    #[test]
    fn a_queue_without_an_environment_says_so() {
        let counts =
            QueueCounts { queue: "q".into(), waiting: 1, dispatched: 2, problem: Some("ce x is missing".into()) };
        let status = queue_status(&counts);
        assert_eq!(status.status, Some(Validity::Invalid));
        assert_eq!(status.status_reason.as_deref(), Some("ce x is missing"));
    }
}
