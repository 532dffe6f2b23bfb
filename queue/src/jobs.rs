//! What is done to Jobs: let them go, and write state and reason on them.
//!
//! Invariant: a release and the status that belongs to it are one write; a Job that was replaced by another of the same name is
//! not touched, because every patch names the UID. What is refused is remembered, so that the plan passes it.

use std::collections::HashSet;

use cluster::clock;
use cluster::fault::{self, Point};
use futures::FutureExt as _;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use model::keys;
use model::plan::StatusChange;
use model::snapshot::Write;
use model::status::Status;
use planning::refusal::Answer;
use serde_json::{Value, json};

use crate::context::Context;
use crate::pods::together;
use crate::report;
use crate::write::{self, Clogged, Outcome, patient};

/// Releases all.
pub(crate) async fn release_all(context: &Context, changes: &[StatusChange]) {
    let clogged = Clogged::default();
    together(changes.iter().map(|change| one(context, change, What::Release, &clogged).boxed()).collect()).await;
}

/// Tries, without effect, whether Jobs can be released whose release was refused.
pub(crate) async fn probe_all(context: &Context, changes: &[StatusChange]) {
    let clogged = Clogged::default();
    together(changes.iter().map(|change| one(context, change, What::Probe, &clogged).boxed()).collect()).await;
}

/// Writes all statuses.
pub(crate) async fn write_all(context: &Context, changes: &[StatusChange]) {
    let clogged = Clogged::default();
    together(changes.iter().map(|change| one(context, change, What::Status, &clogged).boxed()).collect()).await;
}

/// Writes the last status of Jobs that have ended.
pub(crate) async fn finish_all(context: &Context) {
    let finished = context.index.finished_jobs(clock::moment()).into_iter().map(|job| StatusChange {
        job: job.key,
        uid: job.uid,
        status: Status { state: job.state, reason: None },
    });
    write_all(context, &finished.collect::<Vec<_>>()).await;
}

/// Shows all that is to be written on Jobs and, for now, is not tried: in Events, and to whoever asks the index. Of Jobs that are not among those nor
/// among what is written next, what is written is so.
pub(crate) fn show_only(context: &Context, changes: &[StatusChange], next: &[StatusChange]) {
    let all: HashSet<&str> = changes.iter().chain(next).map(|change| change.uid.as_str()).collect();
    context.index.shows_instead_only(|uid| all.contains(uid));
    show_all(context, changes);
}

fn show_all(context: &Context, changes: &[StatusChange]) {
    for change in changes {
        if context.index.show_instead(&change.uid, &change.status) {
            report::waits(context, change);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Release,
    /// As a release, but the API server is to change nothing.
    Probe,
    Status,
}

impl What {
    fn write(self) -> Write {
        match self {
            Self::Release | Self::Probe => Write::Release,
            Self::Status => Write::Status,
        }
    }
}

async fn one(context: &Context, change: &StatusChange, what: What, clogged: &Clogged) {
    if what == What::Release {
        context.index.assume_released(&change.uid, clock::now());
    }
    let namespace = &change.job.namespace;
    let sent = match clogged.why(namespace) {
        Some(answer) => Err(answer),
        None => patient(send(context.clone(), change.clone(), what)).await.ok_or_else(write::slow),
    };
    match sent {
        Ok(None) => {}
        Ok(Some(answer)) => clogged.learn(namespace, &answer),
        Err(answer) => {
            clogged.learn(namespace, &answer);
            give_up(context, change, what, &answer);
        }
    }
}

/// Sends a write and takes in the answer, however late. `None`: it went through, or the Job is gone.
async fn send(context: Context, change: StatusChange, what: What) -> Option<Answer> {
    match patch(&context, &change, what).await {
        Outcome::Written => {
            done(&context, &change, what);
            None
        }
        Outcome::Gone => {
            context.index.forget(&change.uid);
            None
        }
        Outcome::Not(answer) => {
            give_up(&context, &change, what, &answer);
            Some(answer)
        }
    }
}

fn done(context: &Context, change: &StatusChange, what: What) {
    match what {
        What::Probe => return context.index.tried(&change.uid, Write::Release),
        What::Release => {
            context.index.accepted(&change.uid, Write::Release);
            report::released(context, change);
        }
        What::Status => report::waits(context, change),
    }
    context.index.accepted(&change.uid, Write::Status);
    context.index.assume_status(&change.uid, &change.status, clock::now());
}

fn give_up(context: &Context, change: &StatusChange, what: What, answer: &Answer) {
    context.index.forget(&change.uid);
    write::note(context, &change.uid, Some(&change.uid), what.write(), answer);
    if what == What::Status {
        show_all(context, std::slice::from_ref(change));
    }
}

async fn patch(context: &Context, change: &StatusChange, what: What) -> Outcome {
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), &change.job.namespace);
    let params = PatchParams { dry_run: what == What::Probe, ..PatchParams::default() };
    if what == What::Release {
        fault::reach(Point::ReleaseDecided);
    }
    let answer = jobs.patch(&change.job.name, &params, &Patch::Merge(body(change, what))).await;
    if let Ok(job) = &answer
        && what == What::Release
    {
        fault::reach(Point::Released);
        disown(&jobs, job).await;
    }
    write::outcome(&jobs, &change.job.name, Some(&change.uid), answer).await
}

/// Nobody owns `suspend`: the next apply of the user's manifest would be a conflict with the release. The webhook has seen to that
/// within the release, unless it was not there. If this fails, too, the next write that the webhook sees mends it.
async fn disown(jobs: &Api<Job>, job: &Job) {
    let owners = json!({"metadata": {
        "managedFields": job.metadata.managed_fields,
        "resourceVersion": job.metadata.resource_version,
    }});
    let Some(patch) = planning::admission::job::disowned(&owners) else { return };
    let (name, patch) = (job.name_any(), Patch::<()>::Json(patch));
    if let Err(error) = jobs.patch(&name, &PatchParams::default(), &patch).await {
        let error = cluster::telemetry::chain(&error);
        tracing::warn!(job = name, error, "the release is listed as an owner of suspend");
    }
}

fn body(change: &StatusChange, what: What) -> Value {
    let status = serde_json::to_string(&change.status).expect("a status is plain data");
    let mut patch = json!({"metadata": {"uid": change.uid, "annotations": {keys::STATUS: status}}});
    if what != What::Status {
        patch["metadata"]["annotations"][keys::RELEASED] = json!("true");
        patch["spec"] = json!({"suspend": false});
    }
    patch
}
