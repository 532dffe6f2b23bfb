//! What the user should hear when they create a Job: here, because at the pod nobody would read it.
//!
//! Invariant: at most one sentence per subject, each says what to do. Changes nothing.

use super::super::edit::{items, text};
use super::template_annotation;
use model::keys;
use serde_json::Value;

/// Variables under this prefix are reserved, as in AWS Batch.
const RESERVED_VARIABLES: &str = "AWS_BATCH_";

pub(super) fn warnings(job: &Value, queue: &str, queue_exists: bool) -> Vec<String> {
    let missing = (!queue_exists).then(|| {
        format!("queue {queue:?} does not exist: the Job waits until it does (kubectl get jobqueues lists them)")
    });
    [missing, reserved_variables(job), unreadable_choice(job)].into_iter().flatten().collect()
}

fn reserved_variables(job: &Value) -> Option<String> {
    let mut names: Vec<&str> = ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| items(job, &["spec", "template", "spec", list]))
        .flat_map(|container| items(container, &["env"]))
        .filter_map(|variable| text(variable, &["name"]))
        .filter(|name| name.starts_with(RESERVED_VARIABLES))
        .collect();
    names.sort_unstable();
    names.dedup();
    let (first, more) = (names.first()?, names.len() - 1);
    let others = if more == 0 { String::new() } else { format!(" and {more} more") };
    Some(format!(
        "variable {first}{others}: names that begin with AWS_BATCH_ are reserved, Bulkhead's values replace yours"
    ))
}

fn unreadable_choice(job: &Value) -> Option<String> {
    let at_template = text(job, &template_annotation(keys::HOST_NETWORK));
    let choice = at_template.or_else(|| text(job, &["metadata", "annotations", keys::HOST_NETWORK]))?;
    (!matches!(choice, "true" | "false")).then(|| {
        format!("annotation {}: {choice:?} is neither \"true\" nor \"false\" and is ignored", keys::HOST_NETWORK)
    })
}
