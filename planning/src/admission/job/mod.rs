//! The Job hook: identifies a Job and holds it back until the plan releases it.
//!
//! Invariant: of a Job's spec only `suspend` and the labels and annotations of its template are touched, of its metadata labels,
//! annotations, and who manages `suspend`; a Job gets its id once, at creation. Knows nothing about pods: the contract is applied to them, not to the template.

mod ask;
mod create;
mod owners;
mod suspend;
mod update;
mod warn;

pub use owners::disowned;

use super::Admit;
use super::edit::text;
use super::policy::NamespaceFacts;
use model::keys;
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
    /// Field manager of the request.
    pub manager: Option<&'a str>,
    /// Whether the queue it would go through is known to exist; when in doubt, yes.
    pub queue_exists: bool,
    /// Bytes that its pod template may have.
    pub most_template: usize,
}

/// What an existing object is written from. The request does not say: the API server shows `UpdateOptions` for a patch, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    /// From a manifest, as a whole: what is missing of Bulkhead's was never in there.
    Manifest,
    /// From what is stored, changed: what is missing was removed on purpose.
    Stored,
}

impl Write {
    /// Only what was read from the cluster has the job id.
    fn of(job: &Value) -> Self {
        if text(job, &["metadata", "labels", keys::JOB_ID]).is_some() { Self::Stored } else { Self::Manifest }
    }
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
