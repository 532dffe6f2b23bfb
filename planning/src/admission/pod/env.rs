//! Bulkhead's variables, in front of the user's in every container and init container.
//!
//! Invariant: the user's variables keep their order and their bytes; of theirs only those named like one of our `AWS_BATCH_*`
//! variables go. Ours come first, because `$(NAME)` inside a value refers to what was defined before it.

use super::super::edit::{Editor, items, text};
use super::super::identity::Part;
use super::{PodContext, container_paths};
use model::keys;
use serde_json::{Value, json};

/// The variable that the Job controller itself adds, at the end, to containers of an Indexed Job.
const COMPLETION_INDEX: &str = "JOB_COMPLETION_INDEX";

pub(super) fn apply(editor: &mut Editor, context: &PodContext, array_size: Option<String>) {
    let ours = variables(context, array_size);
    for (list, index) in container_paths(editor.document()) {
        if !editor.document()["spec"][list][index.parse::<usize>().unwrap_or_default()].is_object() {
            editor.mark(&["spec", list, &index], "a container");
            continue;
        }
        put_in_front(editor, &["spec", list, &index, "env"], &ours, context.unit.part);
    }
}

/// The variables of the contract. What is not known before the dispatch refers to annotations that the dispatch writes.
fn variables(context: &PodContext, array_size: Option<String>) -> Vec<Value> {
    let mut variables = vec![
        literal("AWS_BATCH_JOB_ID", &context.unit.raw()),
        literal("AWS_BATCH_JQ_NAME", &context.queue.name),
        reference("AWS_BATCH_CE_NAME", keys::COMPUTE_ENVIRONMENT),
        reference("AWS_BATCH_JOB_ATTEMPT", keys::ATTEMPT),
        reference("AWS_BATCH_JOB_KUBERNETES_NODE_UID", keys::NODE_UID),
    ];
    if let Part::Child(index) = context.unit.part {
        variables.push(literal("AWS_BATCH_JOB_ARRAY_INDEX", &index.to_string()));
        variables.extend(array_size.map(|size| literal("AWS_BATCH_JOB_ARRAY_SIZE", &size)));
    }
    variables
}

fn literal(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

/// With the version that the API server would add, so that a second pass finds the variable as it left it.
fn reference(name: &str, annotation: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": format!("metadata.annotations['{annotation}']")}}})
}

fn put_in_front(editor: &mut Editor, path: &[&str], ours: &[Value], part: Part) {
    let env = items(editor.document(), path);
    let index = match part {
        Part::Child(index) => completion_index(env, index),
        Part::Whole => None,
    };
    let ours: Vec<&Value> = ours.iter().chain(&index).collect();
    let names: Vec<&str> = ours.iter().filter_map(|variable| text(variable, &["name"])).collect();
    let is_ours = |variable: &Value| text(variable, &["name"]).is_some_and(|name| names.contains(&name));
    let (front, rest) = env.split_at(ours.len().min(env.len()));
    if front.iter().eq(ours.iter().copied()) && !rest.iter().any(is_ours) {
        return;
    }
    editor.drop_items(path, is_ours);
    for (place, variable) in ours.into_iter().enumerate() {
        editor.insert(path, place, variable.clone());
    }
}

/// The entry for the completion index: the Job controller's own if it is there, none if the user has defined the name.
fn completion_index(env: &[Value], index: u32) -> Option<Value> {
    let mut defined = env.iter().filter(|variable| text(variable, &["name"]) == Some(COMPLETION_INDEX));
    match defined.next() {
        None => Some(literal(COMPLETION_INDEX, &index.to_string())),
        Some(first) if is_the_index(first, index) && defined.all(|other| is_the_index(other, index)) => {
            Some(first.clone())
        }
        Some(_) => None,
    }
}

/// Whether an entry takes its value from where the Job controller puts the index, or is the index itself.
fn is_the_index(variable: &Value, index: u32) -> bool {
    let source = text(variable, &["valueFrom", "fieldRef", "fieldPath"]);
    let places = ["labels", "annotations"].map(|place| format!("metadata.{place}['{}']", keys::K8S_COMPLETION_INDEX));
    source.is_some_and(|source| places.iter().any(|place| place == source))
        || *variable == literal(COMPLETION_INDEX, &index.to_string())
}
