//! The Job hook: identifies a Job and holds it back until the plan releases it.
//!
//! Invariant: of a Job's spec only `suspend` and the labels and annotations of its template are touched; a Job gets its id once,
//! at creation. Knows nothing about pods: the contract is applied to them, not to the template.

mod ask;
mod create;
mod suspend;
mod update;
mod warn;

use super::Admit;
use super::policy::NamespaceFacts;
use serde_json::Value;

/// What is known about a request for a Job.
#[derive(Debug, Clone)]
pub struct JobContext<'a> {
    /// Id for a Job that is created now.
    pub fresh_id: &'a str,
    /// Its namespace.
    pub namespace: &'a NamespaceFacts,
    /// User name of the requester.
    pub requester: &'a str,
    /// How an existing object is written.
    pub write: Write,
    /// Field manager of the request.
    pub manager: Option<&'a str>,
    /// Whether the queue it would go through is known to exist; when in doubt, yes.
    pub queue_exists: bool,
}

/// How a client writes an existing object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// The whole object, as with `kubectl replace`: what is missing may simply not have been in the manifest.
    Replace,
    /// A change to the object, as with `kubectl apply` or `kubectl annotate`: what is missing was removed on purpose.
    Patch,
}

/// Decides about a Job that is created, or updated if there is an old one.
pub fn mutate(job: &Value, old: Option<&Value>, context: &JobContext) -> Admit {
    match old {
        None => create::create(job, context),
        Some(old) => update::update(job, old, context),
    }
}

/// Where a Job's pod template keeps its labels.
const TEMPLATE_LABELS: [&str; 4] = ["spec", "template", "metadata", "labels"];
/// Where a Job's pod template keeps its annotations.
const TEMPLATE_ANNOTATIONS: [&str; 4] = ["spec", "template", "metadata", "annotations"];

/// Path of a template label.
fn template_label(key: &str) -> [&str; 5] {
    ["spec", "template", "metadata", "labels", key]
}

/// Path of a template annotation.
fn template_annotation(key: &str) -> [&str; 5] {
    ["spec", "template", "metadata", "annotations", key]
}

#[cfg(test)]
mod tests;
