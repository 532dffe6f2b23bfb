//! Labels and annotations that say which unit a pod is and which queue it belongs to.
//!
//! Invariant: no reserved key that the pod brought along survives; the dispatch adds its own later.

use super::super::edit::{Editor, text};
use super::super::identity::Part;
use super::super::policy::Pass;
use super::super::reserved;
use super::PodContext;
use model::keys;

/// Identifies the pod; returns the number of children of its array job.
pub(super) fn apply(editor: &mut Editor, context: &PodContext) -> Option<String> {
    let annotation = ["metadata", "annotations", keys::ARRAY_SIZE];
    let array_size = match context.unit.part {
        Part::Whole => None,
        Part::Child(_) => text(editor.document(), &annotation)
            .map(str::to_owned)
            .or_else(|| context.array_size.map(|size| size.to_string())),
    };
    reserved::strip(editor, &["metadata", "labels"], &[keys::JOB_ID]);
    let network = (context.pass == Pass::Again).then_some(keys::HOST_NETWORK_GIVEN);
    let kept: Vec<&str> = [keys::JOB_ID_RAW, keys::ARRAY_SIZE].into_iter().chain(network).collect();
    reserved::strip(editor, &["metadata", "annotations"], &kept);
    match &array_size {
        Some(size) => editor.set(&annotation, size.as_str()),
        None => editor.unset(&annotation),
    }
    editor.set(&["metadata", "labels", keys::JOB_ID], context.unit.label());
    editor.set(&["metadata", "annotations", keys::JOB_ID_RAW], context.unit.raw());
    match context.queue_label {
        Some(queue) => editor.set(&["metadata", "labels", keys::QUEUE], queue),
        None => editor.unset(&["metadata", "labels", keys::QUEUE]),
    }
    array_size
}
