//! A Job is updated: Bulkhead's own values are kept, and `suspend` follows its rules.
//!
//! Invariant: what Bulkhead put on a Job and its template comes back byte for byte from the old object, so the API server sees
//! an unchanged template. Jobs that never got an id (they are older than the label, opted out, or outside) only keep what was put
//! on their template.

use super::super::edit::{Editor, at, is_true, items, text};
use super::super::policy::array_size;
use super::super::{Admit, Outcome, reserved, size};
use super::ask::asks_to_suspend;
use super::suspend::{Suspension, decide};
use super::{JobContext, TEMPLATE_ANNOTATIONS, TEMPLATE_LABELS, Write, owners, template_annotation, template_label};
use model::keys;
use serde_json::Value;

pub(super) fn update(job: &Value, old: &Value, context: &JobContext) -> Admit {
    let mut editor = Editor::new(job.clone());
    if context.requester == keys::CONTROLLER_USER {
        owners::disown(&mut editor);
        return Admit::edited(Outcome::Kept, editor, Vec::new());
    }
    reserved::restore(&mut editor, old, &["metadata", "labels"], &[]);
    reserved::restore(&mut editor, old, &["metadata", "annotations"], &[]);
    reserved::restore(&mut editor, old, &TEMPLATE_LABELS, &[]);
    reserved::restore(&mut editor, old, &TEMPLATE_ANNOTATIONS, &[keys::ARRAY_SIZE]);
    reserved::restore_one(&mut editor, old, &template_label(keys::QUEUE));
    if text(old, &["metadata", "labels", keys::JOB_ID]).is_none() {
        if names_another_queue(job, old) {
            reserved::restore_one(&mut editor, old, &["metadata", "labels", keys::QUEUE]);
        }
        return Admit::edited(Outcome::LeftAlone, editor, changed_queue(job, old, NEVER_QUEUED));
    }
    if let Some(refusal) = size::of_job(job, Some(old), context.most_template) {
        return Admit::Refused(refusal);
    }
    reserved::restore_one(&mut editor, old, &["metadata", "labels", keys::QUEUE]);
    keep_stamps(&mut editor, job, old);
    if !finished(old) {
        let (write, mut wish) = (Write::of(job), read(job));
        wish.held |= asks_to_suspend(job, old, write, context.manager);
        apply(&mut editor, decide(read(old), wish, write));
    }
    owners::disown(&mut editor);
    Admit::edited(Outcome::Kept, editor, changed_queue(job, old, ALREADY_QUEUED))
}

const NEVER_QUEUED: &str = "has no effect on a Job that exists already";
const ALREADY_QUEUED: &str = "cannot be changed once the Job is in a queue";

/// Keeps what was read from the Job at its creation and stamped on its template.
fn keep_stamps(editor: &mut Editor, job: &Value, old: &Value) {
    if at(job, &template_annotation(keys::HOST_NETWORK)).is_none() {
        reserved::restore_one(editor, old, &template_annotation(keys::HOST_NETWORK));
    }
    // The number of children may follow the Job only while the API server lets the template change.
    let mutable = is_true(old, &["spec", "suspend"]) && at(old, &["status", "startTime"]).is_none();
    match array_size(job).filter(|size| mutable && array_size(old) != Some(*size)) {
        Some(size) => editor.set(&template_annotation(keys::ARRAY_SIZE), size.to_string()),
        None => reserved::restore_one(editor, old, &template_annotation(keys::ARRAY_SIZE)),
    }
}

/// Whether a Job that runs outside would be stored as one of a queue.
fn names_another_queue(job: &Value, old: &Value) -> bool {
    let queue = |job| text(job, &["metadata", "labels", keys::QUEUE]).filter(|queue| *queue != keys::QUEUE_NONE);
    queue(job).is_some() && queue(job) != queue(old)
}

/// Warns whoever tries to move a Job to another queue.
fn changed_queue(job: &Value, old: &Value, why: &str) -> Vec<String> {
    let queue = |job| text(job, &["metadata", "labels", keys::QUEUE]);
    match queue(job) {
        Some(wanted) if queue(old) != Some(wanted) => {
            vec![format!("label {}={wanted} {why}; delete the Job and create it again", keys::QUEUE)]
        }
        _ => Vec::new(),
    }
}

fn finished(job: &Value) -> bool {
    items(job, &["status", "conditions"]).iter().any(|condition| {
        matches!(text(condition, &["type"]), Some("Complete" | "Failed"))
            && text(condition, &["status"]) == Some("True")
    })
}

fn read(job: &Value) -> Suspension {
    let annotated = |key| text(job, &["metadata", "annotations", key]) == Some("true");
    Suspension {
        suspend: is_true(job, &["spec", "suspend"]),
        held: annotated(keys::SUSPEND),
        released: annotated(keys::RELEASED),
    }
}

/// Writes what differs; the released mark has been restored to its old value before.
fn apply(editor: &mut Editor, stored: Suspension) {
    let now = read(editor.document());
    if now.suspend != stored.suspend {
        editor.set(&["spec", "suspend"], stored.suspend);
    }
    match (now.held, stored.held) {
        (false, true) => editor.set(&["metadata", "annotations", keys::SUSPEND], "true"),
        (true, false) => editor.unset(&["metadata", "annotations", keys::SUSPEND]),
        _ => {}
    }
    if now.released && !stored.released {
        editor.unset(&["metadata", "annotations", keys::RELEASED]);
    }
}
