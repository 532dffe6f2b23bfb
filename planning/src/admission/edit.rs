//! Edits over a received JSON object, collected as a JSON patch.
//!
//! Invariant: the patch applies to exactly the object received: parents come first, nothing absent is removed, and an edit
//! that would change nothing is no operation, so that a second pass over the result is empty. Never a typed round trip:
//! what this code does not know is not touched. Knows nothing about Kubernetes.

use json_patch::{AddOperation, PatchOperation, RemoveOperation, jsonptr::PointerBuf};
use serde_json::{Map, Value};

/// The object is not shaped as Kubernetes defines it: where, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// JSON pointer of the place.
    pub(crate) path: String,
    /// What should be there.
    pub(crate) expected: &'static str,
}

/// Each removal costs whoever applies the patch a copy of the rest of the list; by the ten thousand they take seconds.
const FEW_REMOVALS: usize = 16;

/// The received object as changed so far, and the operations that led there.
pub(crate) struct Editor {
    document: Value,
    operations: Vec<PatchOperation>,
    fault: Option<Fault>,
}

impl Editor {
    /// Starts from the object as received. Whoever still needs that gives a copy.
    pub(crate) fn new(received: Value) -> Self {
        Self { document: received, operations: Vec::new(), fault: None }
    }

    /// The object with all edits so far.
    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    /// Sets a member of an object, making the parents that are absent.
    pub(crate) fn set(&mut self, path: &[&str], value: impl Into<Value>) {
        let value = value.into();
        if at(&self.document, path) == Some(&value) {
            return;
        }
        for length in 1..path.len() {
            if at(&self.document, &path[..length]).is_none() {
                self.put(&path[..length], Value::Object(Map::new()));
            }
        }
        self.put(path, value);
    }

    /// Removes a member of an object, if it is there.
    pub(crate) fn unset(&mut self, path: &[&str]) {
        let Some((last, parent)) = path.split_last() else { return };
        if let Some(Value::Object(members)) = find_mut(&mut self.document, parent)
            && members.remove(*last).is_some()
        {
            self.record_removal(pointer(path));
        }
    }

    /// Inserts into a list before `index` (at the end if the list is shorter), making the list if it is absent.
    pub(crate) fn insert(&mut self, path: &[&str], index: usize, value: impl Into<Value>) {
        if at(&self.document, path).is_none() {
            return self.set(path, Value::Array(vec![value.into()]));
        }
        match find_mut(&mut self.document, path) {
            Some(Value::Array(items)) => {
                let index = index.min(items.len());
                let value = value.into();
                items.insert(index, value.clone());
                self.record_addition(pointer_to(path, index), value);
            }
            _ => self.mark(path, "a list"),
        }
    }

    /// Appends to a list, making it if it is absent.
    pub(crate) fn append(&mut self, path: &[&str], value: impl Into<Value>) {
        self.insert(path, usize::MAX, value);
    }

    /// Removes the items of a list that nobody wants: a few one by one, many by writing the list anew.
    pub(crate) fn drop_items(&mut self, path: &[&str], unwanted: impl Fn(&Value) -> bool) {
        let Some(Value::Array(items)) = find_mut(&mut self.document, path) else { return };
        let gone: Vec<usize> =
            items.iter().enumerate().filter(|(_, item)| unwanted(item)).map(|(index, _)| index).collect();
        if gone.is_empty() {
            return;
        }
        items.retain(|item| !unwanted(item));
        if gone.len() > FEW_REMOVALS {
            let rest = Value::Array(items.clone());
            // To add a member that is there replaces it.
            return self.record_addition(pointer(path), rest);
        }
        for index in gone.into_iter().rev() {
            self.record_removal(pointer_to(path, index));
        }
    }

    /// The patch, or the first place that made an edit impossible.
    pub(crate) fn finish(self) -> Result<Vec<PatchOperation>, Fault> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.operations),
        }
    }

    /// Marks the object as misshapen; the first mark is kept.
    pub(crate) fn mark(&mut self, path: &[&str], expected: &'static str) {
        self.fault.get_or_insert_with(|| Fault { path: pointer(path).to_string(), expected });
    }

    fn put(&mut self, path: &[&str], value: Value) {
        let Some((last, parent)) = path.split_last() else { return };
        match find_mut(&mut self.document, parent) {
            Some(Value::Object(members)) => {
                members.insert((*last).to_owned(), value.clone());
                self.record_addition(pointer(path), value);
            }
            _ => self.mark(parent, "an object"),
        }
    }

    fn record_addition(&mut self, path: PointerBuf, value: Value) {
        self.operations.push(PatchOperation::Add(AddOperation { path, value }));
    }

    fn record_removal(&mut self, path: PointerBuf) {
        self.operations.push(PatchOperation::Remove(RemoveOperation { path }));
    }
}

/// The value at a path; `null` counts as absent, as it does for Kubernetes.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter()
        .try_fold(value, |value, token| match value {
            Value::Object(members) => members.get(*token),
            Value::Array(items) => items.get(token.parse::<usize>().ok()?),
            _ => None,
        })
        .filter(|value| !value.is_null())
}

/// The string at a path, if there is one that is not empty.
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(value, path).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Whether the value at a path is exactly `true`.
pub(crate) fn is_true(value: &Value, path: &[&str]) -> bool {
    at(value, path) == Some(&Value::Bool(true))
}

/// The items of the list at a path; none if there is no list.
pub(crate) fn items<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether the list or map at a path has anything in it.
pub(crate) fn has_any(value: &Value, path: &[&str]) -> bool {
    match at(value, path) {
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(members)) => !members.is_empty(),
        _ => false,
    }
}

fn find_mut<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, token| match value {
        Value::Object(members) => members.get_mut(*token),
        Value::Array(items) => items.get_mut(token.parse::<usize>().ok()?),
        _ => None,
    })
}

fn pointer(path: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(path.iter().copied())
}

fn pointer_to(path: &[&str], index: usize) -> PointerBuf {
    let mut pointer = pointer(path);
    pointer.push_back(index);
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(before: Value, edit: impl FnOnce(&mut Editor), after: &Value, operations: usize) {
        let mut editor = Editor::new(before.clone());
        edit(&mut editor);
        let patch = editor.finish().expect("the object is well shaped");
        assert_eq!(patch.len(), operations, "{patch:?}");
        let mut patched = before;
        json_patch::patch(&mut patched, &patch).expect("the patch applies");
        assert_eq!(&patched, after);
    }

    #[test]
    fn absent_and_null_parents_are_made_first() {
        let after = json!({"metadata": {"labels": {"a/b~c": "x"}}});
        for before in [json!({}), json!({"metadata": null})] {
            check(before, |e| e.set(&["metadata", "labels", "a/b~c"], "x"), &after, 3);
        }
        check(json!({"metadata": {"labels": null}}), |e| e.set(&["metadata", "labels", "a/b~c"], "x"), &after, 2);
    }

    #[test]
    fn what_is_already_so_is_no_operation() {
        let same = json!({"a": {"b": 1}, "c": [1]});
        check(same.clone(), |e| e.set(&["a", "b"], 1), &same, 0);
        check(same.clone(), |e| e.unset(&["a", "z"]), &same, 0);
        check(same.clone(), |e| e.drop_items(&["c"], |item| item == 7), &same, 0);
        check(same.clone(), |e| e.drop_items(&["z"], |_| true), &same, 0);
    }

    #[test]
    fn lists_grow_at_the_place_asked_for() {
        check(json!({}), |e| e.append(&["a", "b"], 1), &json!({"a": {"b": [1]}}), 2);
        check(json!({"l": [1, 3]}), |e| e.insert(&["l"], 1, 2), &json!({"l": [1, 2, 3]}), 1);
        check(json!({"l": [1, 2, 1, 3]}), |e| e.drop_items(&["l"], |item| item == 1), &json!({"l": [2, 3]}), 2);
    }

    #[test]
    fn many_items_go_at_once() {
        let list = |count: usize| json!({"l": (0..count).map(|index| json!(index % 2)).collect::<Vec<_>>()});
        check(list(32), |e| e.drop_items(&["l"], |item| item == 1), &json!({"l": vec![0; 16]}), 16);
        check(list(34), |e| e.drop_items(&["l"], |item| item == 1), &json!({"l": vec![0; 17]}), 1);
    }

    #[test]
    fn a_misshapen_object_is_a_fault_and_names_the_place() {
        let mut editor = Editor::new(json!({"metadata": {"labels": "x"}}));
        editor.set(&["metadata", "labels", "a"], "b");
        assert_eq!(editor.finish().unwrap_err(), Fault { path: "/metadata/labels".into(), expected: "an object" });
    }
}
