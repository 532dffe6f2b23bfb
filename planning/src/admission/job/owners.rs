//! Nobody owns `spec.suspend` of a Job of a queue.
//!
//! Stored it is Bulkhead's brake, and every write of a user's is a wish about it. Whoever is listed as its manager would make the
//! next server-side apply of anybody else a conflict, the same manifest's under another name too
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts>).
//!
//! Invariant: of `metadata.managedFields` nothing but this one field goes, with the parents and entries that are empty without it:
//! an empty `f:spec` would mean the whole spec.

use super::super::edit::{Editor, at, items};
use json_patch::Patch;
use serde_json::{Value, json};

const FIELDS: [&str; 2] = ["metadata", "managedFields"];
const SPEC: [&str; 2] = ["fieldsV1", "f:spec"];
const SUSPEND: [&str; 3] = ["fieldsV1", "f:spec", "f:suspend"];

/// More entries than this are written anew at once: each removal costs whoever applies the patch a look through the list.
const FEW: usize = 16;

/// Takes the field out of every entry.
pub(super) fn disown(editor: &mut Editor) {
    let entries = items(editor.document(), &FIELDS);
    let owning: Vec<usize> =
        entries.iter().enumerate().filter(|(_, entry)| owns(entry)).map(|(index, _)| index).collect();
    if owning.len() > FEW {
        let rest: Vec<Value> = entries.iter().map(without).filter(|entry| !is_empty(entry)).collect();
        return editor.set(&FIELDS, rest);
    }
    for index in &owning {
        let index = index.to_string();
        let alone = at(editor.document(), &[&FIELDS[..], &[&index], &SPEC].concat()).is_some_and(is_last);
        let path = if alone { &SPEC[..] } else { &SUSPEND };
        editor.unset(&[&FIELDS[..], &[&index], path].concat());
    }
    if !owning.is_empty() {
        editor.drop_items(&FIELDS, is_empty);
    }
}

/// A patch that takes the field out of every entry of a stored Job and applies to this version of it only; `None`: nobody owns it.
pub fn disowned(job: &Value) -> Option<Patch> {
    let mut editor = Editor::new(job.clone());
    disown(&mut editor);
    let mut patch = editor.finish().ok().filter(|patch| !patch.is_empty())?;
    let version = at(job, &["metadata", "resourceVersion"])?;
    let test = json!({"op": "test", "path": "/metadata/resourceVersion", "value": version});
    patch.insert(0, serde_json::from_value(test).ok()?);
    Some(Patch(patch))
}

fn owns(entry: &Value) -> bool {
    at(entry, &SUSPEND).is_some()
}

fn is_last(spec: &Value) -> bool {
    spec.as_object().is_some_and(|fields| fields.len() == 1)
}

/// An entry whose manager owns nothing. Only one that we have emptied is: the API server keeps none.
fn is_empty(entry: &Value) -> bool {
    at(entry, &["fieldsV1"]).and_then(Value::as_object).is_some_and(serde_json::Map::is_empty)
}

fn without(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(Value::Object(fields)) = entry.get_mut("fieldsV1")
        && let Some(Value::Object(spec)) = fields.get_mut("f:spec")
        && spec.remove("f:suspend").is_some()
        && spec.is_empty()
    {
        fields.remove("f:spec");
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, fields: &Value) -> Value {
        json!({"manager": manager, "operation": "Update", "apiVersion": "batch/v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    #[track_caller]
    fn check(entries: &[Value], expect: &[Value]) {
        let job = json!({"metadata": {"resourceVersion": "9", "managedFields": entries}, "spec": {"suspend": true}});
        let mut patched = job.clone();
        let patch = disowned(&job);
        if let Some(patch) = &patch {
            json_patch::patch(&mut patched, patch).expect("the patch applies");
        }
        assert_eq!(patch.is_some(), entries != expect, "{patch:?}");
        assert_eq!(patched["metadata"]["managedFields"], json!(expect));
        assert_eq!(disowned(&patched), None, "once is enough");
    }

    #[test]
    fn the_field_goes_from_every_entry_and_nothing_else() {
        let spec = json!({"f:suspend": {}, "f:completions": {}});
        let rest = json!({"f:completions": {}});
        let labels = json!({"f:labels": {"f:app": {}}});
        let both = |spec: &Value| json!({"f:metadata": labels, "f:spec": spec});
        check(
            &[entry("a", &both(&spec)), entry("b", &both(&rest)), entry("c", &both(&spec))],
            &[entry("a", &both(&rest)), entry("b", &both(&rest)), entry("c", &both(&rest))],
        );
    }

    #[test]
    fn parents_and_entries_that_are_empty_without_it_go_too() {
        let only = json!({"f:spec": {"f:suspend": {}}});
        let labels = json!({"f:metadata": {"f:labels": {}}});
        let mut with_labels = labels.clone();
        with_labels["f:spec"] = json!({"f:suspend": {}});
        check(&[entry("a", &only), entry("b", &with_labels), entry("c", &only)], &[entry("b", &labels)]);
        let dot = json!({"f:spec": {".": {}, "f:suspend": {}}});
        check(&[entry("a", &dot)], &[entry("a", &json!({"f:spec": {".": {}}}))]);
    }

    #[test]
    fn many_entries_are_written_at_once() {
        let entries = |fields: &Value| (0..40).map(|number| entry(&number.to_string(), fields)).collect::<Vec<_>>();
        let (before, after) = (json!({"f:spec": {"f:suspend": {}, "f:x": {}}}), json!({"f:spec": {"f:x": {}}}));
        check(&entries(&before), &entries(&after));
        check(&entries(&json!({"f:spec": {"f:suspend": {}}})), &[]);
    }

    #[test]
    fn what_is_not_shaped_like_an_entry_stays() {
        check(
            &[json!("x"), json!({"fieldsV1": []}), json!({"fieldsV1": {"f:spec": "x"}})],
            &[json!("x"), json!({"fieldsV1": []}), json!({"fieldsV1": {"f:spec": "x"}})],
        );
        assert_eq!(disowned(&json!({})), None);
    }
}
