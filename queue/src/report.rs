//! Events on Jobs: each step once, each reason when it changes.
//!
//! Invariant: one Event per Job, step and cycle, however many units it concerns.

use std::collections::BTreeMap;

use model::plan::{Dispatch, Launch, StatusChange};
use model::snapshot::Write;
use model::status::{Code, JobState, Reason};
use planning::refusal::Answer;

use crate::context::Context;

/// Machines are on their way for a Job.
pub(crate) fn launches(context: &Context, launches: &[Launch]) {
    let mut by_job: BTreeMap<&str, BTreeMap<(&str, &str), u32>> = BTreeMap::new();
    for launch in launches {
        if let Some(job) = &launch.job {
            *by_job.entry(job).or_default().entry((&launch.offer.name, &launch.environment)).or_default() += 1;
        }
    }
    for (job, launches) in by_job {
        let Some(about) = context.index.job_reference(job) else { continue };
        let what: Vec<String> = launches
            .iter()
            .map(|((offer, environment), count)| format!("{count} × {offer} in {environment}"))
            .collect();
        context.events.normal(&about, "LaunchingNodes", format!("Launching {}", what.join(", ")));
    }
}

/// Units were bound to nodes.
pub(crate) fn dispatches(context: &Context, dispatches: &[&Dispatch]) {
    let mut by_job: BTreeMap<&str, BTreeMap<(&str, &str), u32>> = BTreeMap::new();
    for dispatch in dispatches {
        if let Some(job) = &dispatch.job {
            *by_job.entry(job).or_default().entry((&dispatch.node, &dispatch.environment)).or_default() += 1;
        }
    }
    for (job, nodes) in by_job {
        let Some(about) = context.index.job_reference(job) else { continue };
        let what: Vec<String> =
            nodes.iter().map(|((node, environment), count)| format!("{count} to {node} ({environment})")).collect();
        context.events.normal(&about, "Dispatched", format!("Dispatched {}", what.join(", ")));
    }
}

/// A Job was released.
pub(crate) fn released(context: &Context, change: &StatusChange) {
    if let Some(about) = context.index.job_reference(&change.uid) {
        context.events.normal(&about, "Released", "There is room: released from the queue");
    }
}

/// A Job's state or reason has changed.
pub(crate) fn waits(context: &Context, change: &StatusChange) {
    let Some(about) = context.index.job_reference(&change.uid) else { return };
    let status = &change.status;
    match (&status.reason, status.state) {
        (Some(reason), _) if reason.code == Code::CreatingPods => {}
        (Some(reason), _) => {
            let note = format!("{}: {}", reason.code.as_str(), reason.message);
            if needs_somebody(reason.code) {
                context.events.warning(&about, "Waiting", note);
            } else {
                context.events.normal(&about, "Waiting", note);
            }
        }
        (None, JobState::Starting) => context.events.normal(&about, "Starting", "Its pods are on their nodes"),
        (None, JobState::Running) => context.events.normal(&about, "Running", "Its containers run"),
        (None, _) => {}
    }
}

/// A Job is found not to be what it says. It may have been released before that was known, and then has no other place to say so.
pub(crate) fn barred(context: &Context, job: &str, reason: &Reason) {
    let Some(about) = context.index.job_reference(job) else { return };
    context.events.warning(&about, "Waiting", format!("{}: {}", reason.code.as_str(), reason.message));
}

/// A write to a Job or to one of its pods did not go through.
pub(crate) fn refused(context: &Context, job: Option<&str>, write: Write, answer: &Answer) {
    let Some(about) = job.and_then(|job| context.index.job_reference(job)) else { return };
    let what = match write {
        Write::Release => "release the Job",
        Write::Status => "write state and reason on the Job",
        Write::Bind => "put a pod on its node",
        Write::Hold => "hand a pod to kube-scheduler",
    };
    context.events.warning(&about, "Refused", format!("Cannot {what}: {}", answer.message()));
}

/// Whether waiting alone will not help.
fn needs_somebody(code: Code) -> bool {
    matches!(
        code,
        Code::QueueNotFound
            | Code::QueueDisabled
            | Code::EnvironmentNotFound
            | Code::EnvironmentDisabled
            | Code::JobTooLarge
            | Code::JobIdTaken
            | Code::MaxResource
            | Code::ResourceRequirement
            | Code::ProviderError
            | Code::PodsRefused
            | Code::WriteRefused
            | Code::HooksMissing
    )
}
