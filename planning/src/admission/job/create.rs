//! A Job is created: it gets an id, its queue's name, and is suspended until the plan releases it.
//!
//! Invariant: a copied manifest never brings another Job's identity or state with it.

use super::super::edit::{Editor, at, is_true, text};
use super::super::policy::{JobRoute, array_size, route_job};
use super::super::{Admit, Outcome, Refusal, reserved, size};
use super::{JobContext, TEMPLATE_ANNOTATIONS, TEMPLATE_LABELS, owners, template_annotation, template_label, warn};
use crate::admission::pod::host_network;
use model::keys;
use serde_json::Value;

pub(super) fn create(job: &Value, context: &JobContext) -> Admit {
    match route_job(job, context.namespace) {
        // It may not even be stored, but somebody could still give it a queue, and it would look as we leave one.
        JobRoute::Unqueued | JobRoute::OptedOut if brings_id(job) => Admit::refused(403, RESERVED),
        JobRoute::Unqueued => Admit::unchanged(Outcome::LeftAlone),
        JobRoute::OptedOut => opt_out(job),
        JobRoute::Outside(reason) => leave_outside(job, reason),
        JobRoute::Queue(queue) => match unfit(job, context) {
            Some(refusal) => Admit::Refused(refusal),
            None => enqueue(job, &queue, context),
        },
    }
}

/// What is said to whoever brings an id along and names no queue.
const RESERVED: &str =
    "label batch.amazonaws.com/job-id of a Job is reserved for Bulkhead; leave it out of a new Job, or name a queue";

/// A Job that says `none` passes that on to its pods, so that no hook is called for them.
fn opt_out(job: &Value) -> Admit {
    let mut editor = Editor::new(job.clone());
    editor.set(&template_label(keys::QUEUE), keys::QUEUE_NONE);
    Admit::edited(Outcome::OptedOut, editor, Vec::new())
}

/// A Job that stays outside names no queue: what is stored counts. Nor does it send its pods in, as a copied template would, or
/// onto batch nodes.
fn leave_outside(job: &Value, reason: String) -> Admit {
    let mut editor = Editor::new(job.clone());
    strip(&mut editor, &[], &[], &[]);
    reserved::close(&mut editor, &["spec", "template", "spec", "tolerations"]);
    editor.unset(&["metadata", "labels", keys::QUEUE]);
    editor.unset(&template_label(keys::QUEUE));
    Admit::edited(Outcome::LeftOutside, editor, vec![reason])
}

fn enqueue(job: &Value, queue: &str, context: &JobContext) -> Admit {
    let mut editor = Editor::new(job.clone());
    let held = asks_for_suspension(job);
    strip(&mut editor, &[keys::JOB_ID], &[keys::QUEUED], &[keys::QUEUED, keys::ARRAY_SIZE]);
    editor.set(&["metadata", "labels", keys::JOB_ID], context.fresh_id);
    editor.set(&["metadata", "labels", keys::QUEUE], queue);
    editor.set(&template_label(keys::JOB_ID), context.fresh_id);
    editor.set(&template_label(keys::QUEUE), queue);
    editor.set(&["metadata", "annotations", keys::QUEUED], context.fresh_id);
    editor.set(&template_annotation(keys::QUEUED), context.fresh_id);
    if held {
        editor.set(&["metadata", "annotations", keys::SUSPEND], "true");
    }
    if at(job, &template_annotation(keys::HOST_NETWORK)).is_none()
        && let Some(choice) = host_network::choice_of_job(job)
    {
        editor.set(&template_annotation(keys::HOST_NETWORK), choice.to_string());
    }
    match array_size(job) {
        Some(size) => editor.set(&template_annotation(keys::ARRAY_SIZE), size.to_string()),
        None => editor.unset(&template_annotation(keys::ARRAY_SIZE)),
    }
    editor.set(&["spec", "suspend"], true);
    owners::disown(&mut editor);
    Admit::edited(Outcome::Queued, editor, warn::warnings(job, queue, context.queue_exists))
}

/// Removes what a copied manifest brought along, except what gets its value next: these labels, these annotations of the Job, and these of the
/// template.
fn strip(editor: &mut Editor, labels: &[&str], own: &[&str], of_template: &[&str]) {
    reserved::strip(editor, &["metadata", "labels"], labels);
    reserved::strip(editor, &["metadata", "annotations"], own);
    reserved::strip(editor, &TEMPLATE_LABELS, labels);
    reserved::strip(editor, &TEMPLATE_ANNOTATIONS, of_template);
}

/// Whether the user asked for suspension. In a copy of a queued Job it was Bulkhead that had suspended it; the user's own
/// suspension shows in the annotation there.
fn asks_for_suspension(job: &Value) -> bool {
    is_true(job, &["spec", "suspend"]) && !brings_id(job)
}

fn brings_id(job: &Value) -> bool {
    text(job, &["metadata", "labels", keys::JOB_ID]).is_some()
}

/// Why a Job that belongs to a queue is not let in, if so.
fn unfit(job: &Value, context: &JobContext) -> Option<Refusal> {
    let selected = selected_reserved_label(job).map(|key| Refusal {
        code: 422,
        message: format!("spec.selector uses label {key:?}, which Bulkhead sets itself; select by another label"),
    });
    selected.or_else(|| size::of_job(job, None, context.most_template))
}

/// A label that the Job's own selector matches and that is not the user's to use.
fn selected_reserved_label(job: &Value) -> Option<String> {
    let labels = at(job, &["spec", "selector", "matchLabels"])?.as_object()?;
    labels.keys().find(|key| reserved::is_reserved(key) || *key == keys::QUEUE).cloned()
}
