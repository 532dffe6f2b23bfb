//! Step 3: Jobs and pods that are in a queue.
//!
//! Invariant: no Job stays suspended that its user does not hold, and no pod waits for a scheduler that is gone.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use model::keys;
use planning::removal::{self, Choice, HandBack, JobFate, PodPlace, Then};
use serde_json::Value;

use super::access::{Access, Patched, Target, kind, text};
use super::say;

/// Hands all Jobs back, or cancels them; then deletes what can never start.
pub(super) async fn settle(access: &Access, choice: Choice, leaving: &BTreeSet<String>) -> anyhow::Result<()> {
    let queued = ListParams::default().labels(keys::JOB_ID);
    let (jobs, pods) = (kind::<Job>(), kind::<Pod>());
    let mut restarted = BTreeSet::new();
    let advice = "they are suspended, and their pods do not end: is the cluster's Job controller running?";
    access
        .until_none(advice, async || {
            let found = access.list(&jobs, None, &queued).await?;
            let by_job = removal::pods_by_job(&access.list(&pods, None, &queued).await?, leaving);
            let mut left = Vec::new();
            for job in &found {
                let target = Target::of(&jobs, job);
                let counts = text(job, "/metadata/uid").and_then(|uid| by_job.get(uid)).copied().unwrap_or_default();
                let settled = match removal::job(job, counts, choice) {
                    JobFate::Leave => true,
                    JobFate::Wait => false,
                    JobFate::Restart(patch) => {
                        restart(access, &target, &patch, &mut restarted).await?;
                        false
                    }
                    JobFate::HandBack(back) => hand_back(access, &target, back).await?,
                    JobFate::Cancel => cancel(access, &target, job).await?,
                };
                if !settled {
                    left.push(target.to_string());
                }
            }
            Ok(left)
        })
        .await?;
    delete_stranded(access, leaving).await
}

async fn restart(
    access: &Access,
    target: &Target,
    patch: &Value,
    restarted: &mut BTreeSet<String>,
) -> anyhow::Result<()> {
    match access.patch(target, patch).await? {
        Patched::Done if restarted.insert(target.to_string()) => {
            say::done(&format!(
                "{target}: its pods cannot stay; suspended, to be started again without counting failures"
            ));
        }
        Patched::Done | Patched::Changed => {}
        Patched::Refused(message) => anyhow::bail!("{target} cannot be suspended: {message}"),
    }
    Ok(())
}

/// Whether it is done; else look again.
async fn hand_back(access: &Access, target: &Target, back: HandBack) -> anyhow::Result<bool> {
    let HandBack { patch, without_template, then } = back;
    let mut patched = access.patch(target, &patch).await?;
    let mut rest = "";
    if let (Patched::Refused(_), Some(narrow)) = (&patched, &without_template) {
        // Kubernetes lets the template change only while the Job has never started, and on some versions not even then.
        patched = access.patch(target, narrow).await?;
        rest = "; our labels on its pod template cannot be changed any more and do no harm";
    }
    match patched {
        Patched::Done => {
            let then = match then {
                Then::Starts => "starts now",
                Then::StaysSuspended => "stays suspended, as its user wanted",
                Then::GoesOn => "goes on",
            };
            say::done(&format!("{target}: a plain Job again, {then}{rest}"));
            Ok(true)
        }
        Patched::Changed => Ok(false),
        Patched::Refused(message) => anyhow::bail!("{target} cannot be handed back: {message}"),
    }
}

async fn cancel(access: &Access, target: &Target, job: &Value) -> anyhow::Result<bool> {
    if access.delete(target, text(job, "/metadata/uid")).await? {
        say::done(&format!("deleted {target} with its pods"));
    }
    Ok(true)
}

/// Pods that wait for Bulkhead: of Jobs that have other pods running, of Jobs that were never identified, and bare ones.
async fn delete_stranded(access: &Access, leaving: &BTreeSet<String>) -> anyhow::Result<()> {
    let pods = kind::<Pod>();
    let unbound = ListParams::default().labels(keys::JOB_ID).fields("spec.nodeName=");
    let mut by_job = BTreeMap::<String, usize>::new();
    for pod in access.list(&pods, None, &unbound).await? {
        if removal::place(&pod, leaving) != PodPlace::Unbound || !removal::is_stranded(&pod) {
            continue;
        }
        let target = Target::of(&pods, &pod);
        if !access.delete(&target, text(&pod, "/metadata/uid")).await? {
            continue;
        }
        match removal::owner(&pod) {
            Some((job, _)) => {
                *by_job.entry(format!("{}/{job}", target.namespace.unwrap_or_default())).or_default() += 1;
            }
            None => {
                say::note(&format!("deleted {target}, which waited in a queue and belongs to no Job: create it again"));
            }
        }
    }
    for (job, count) in by_job {
        say::note(&format!(
            "deleted {count} waiting pods of Job {job}, which makes new ones; Kubernetes counts them against its backoffLimit"
        ));
    }
    Ok(())
}
