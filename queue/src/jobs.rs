//! What is done to Jobs: let them go, and write state and reason on them.
//!
//! Invariant: a release and the status that belongs to it are one write; a Job that was replaced by another of the same name is
//! not touched, because every patch names the UID.

use futures::FutureExt as _;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{Patch, PatchParams};
use model::keys;
use model::plan::StatusChange;
use model::status::Status;
use serde_json::{Value, json};

use crate::cycle::Context;
use crate::pods::together;
use crate::report;

/// Releases all; false if one failed.
pub(crate) async fn release_all(context: &Context, changes: &[StatusChange]) -> bool {
    let done = together(changes.iter().map(|change| release(context, change).boxed()).collect()).await;
    done.into_iter().all(|done| done)
}

async fn release(context: &Context, change: &StatusChange) -> bool {
    context.index.assume_released(&change.uid, Timestamp::now());
    let patch = json!({
        "metadata": {"uid": change.uid, "annotations": {keys::RELEASED: "true", keys::STATUS: text(&change.status)}},
        "spec": {"suspend": false},
    });
    let done = patch_job(context, change, patch).await;
    if done == Done::Written {
        context.index.assume_status(&change.uid, &change.status, Timestamp::now());
        report::released(context, change);
    }
    done != Done::Failed
}

/// Writes all statuses; false if one failed.
pub(crate) async fn write_all(context: &Context, changes: &[StatusChange]) -> bool {
    let done = together(changes.iter().map(|change| write(context, change).boxed()).collect()).await;
    done.into_iter().all(|done| done)
}

async fn write(context: &Context, change: &StatusChange) -> bool {
    let patch = json!({"metadata": {"uid": change.uid, "annotations": {keys::STATUS: text(&change.status)}}});
    let done = patch_job(context, change, patch).await;
    if done == Done::Written {
        context.index.assume_status(&change.uid, &change.status, Timestamp::now());
        report::waits(context, change);
    }
    done != Done::Failed
}

/// Writes the last status of Jobs that have ended; false if one failed.
pub(crate) async fn finish_all(context: &Context) -> bool {
    let finished = context.index.finished_jobs().into_iter().map(|job| StatusChange {
        job: job.key,
        uid: job.uid,
        status: Status { state: job.state, reason: None },
    });
    write_all(context, &finished.collect::<Vec<_>>()).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    Written,
    /// The Job is not there any more; nothing is left to do.
    Gone,
    Failed,
}

async fn patch_job(context: &Context, change: &StatusChange, patch: Value) -> Done {
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), &change.job.namespace);
    match jobs.patch(&change.job.name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Done::Written,
        // 409: another Job has taken the name.
        Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => {
            context.index.forget(&change.uid);
            Done::Gone
        }
        Err(error) => {
            context.index.forget(&change.uid);
            tracing::warn!(job = %change.job, error = cluster::telemetry::chain(&error), "cannot patch");
            Done::Failed
        }
    }
}

fn text(status: &Status) -> String {
    serde_json::to_string(status).expect("a status is plain data")
}
