//! Which keys are Bulkhead's and which are the user's, and how reserved keys are stripped or put back.
//!
//! Invariant: a key under our prefixes is reserved unless it is listed in [`keys`] as the user's.

use super::edit::{Editor, at, text};
use model::keys;
use serde_json::Value;

/// Whether the key is reserved: under one of our prefixes and not the user's to set.
pub(crate) fn is_reserved(key: &str) -> bool {
    keys::RESERVED_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
        && key != keys::QUEUE
        && !keys::USER_ANNOTATIONS.contains(&key)
}

/// Removes the reserved keys from the map at `path`, except those in `keep`.
pub(crate) fn strip(editor: &mut Editor, path: &[&str], keep: &[&str]) {
    for key in keys_at(editor.document(), path) {
        if is_reserved(&key) && !keep.contains(&key.as_str()) {
            editor.unset(&[path, &[key.as_str()]].concat());
        }
    }
}

/// Removes the tolerations of our taints from the list at `path`. Those that name no taint are the user's.
pub(crate) fn close(editor: &mut Editor, path: &[&str]) {
    let ours = [keys::BATCH_TAINT, keys::RETIRING_TAINT];
    editor.drop_items(path, |one| text(one, &["key"]).is_some_and(|key| ours.contains(&key)));
}

/// Gives every reserved key in the map at `path`, except those in `skip`, the value it has in `old`: set, or absent.
pub(crate) fn restore(editor: &mut Editor, old: &Value, path: &[&str], skip: &[&str]) {
    let mut all = keys_at(editor.document(), path);
    all.extend(keys_at(old, path));
    all.sort_unstable();
    all.dedup();
    for key in all.iter().map(String::as_str).filter(|key| is_reserved(key) && !skip.contains(key)) {
        restore_one(editor, old, &[path, &[key]].concat());
    }
}

/// Gives the member at `path` the value it has in `old`: set, or absent.
pub(crate) fn restore_one(editor: &mut Editor, old: &Value, path: &[&str]) {
    match at(old, path) {
        Some(value) => editor.set(path, value.clone()),
        None => editor.unset(path),
    }
}

fn keys_at(value: &Value, path: &[&str]) -> Vec<String> {
    at(value, path).and_then(Value::as_object).map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_documented_keys_are_the_users() {
        for key in [keys::QUEUE, keys::SUSPEND, keys::GANG, "example.com/x", "batch.kubernetes.io/job-name"] {
            assert!(!is_reserved(key), "{key}");
        }
        for key in keys::RESERVED.into_iter().chain(["bulkhead.dev/anything"]) {
            assert!(is_reserved(key), "{key}");
        }
    }
}
