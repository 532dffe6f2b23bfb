//! Which pods are on which node, or of which Job, as the watch shows them.
//!
//! Invariant: the same as looking at every pod. Does not know what was decided a moment ago.

use std::collections::{BTreeSet, HashMap};

/// UIDs of pods by the name of their node, or the UID of their Job.
#[derive(Debug, Default)]
pub(super) struct Residents(HashMap<String, BTreeSet<String>>);

impl Residents {
    /// A pod was of one, and is of another.
    pub(super) fn moved(&mut self, uid: &str, before: Option<&str>, after: Option<&str>) {
        if before == after {
            return;
        }
        if let Some(node) = before
            && let Some(uids) = self.0.get_mut(node)
        {
            uids.remove(uid);
            if uids.is_empty() {
                self.0.remove(node);
            }
        }
        if let Some(node) = after {
            self.0.entry(node.to_owned()).or_default().insert(uid.to_owned());
        }
    }

    /// Begins anew, with all pods that are of some.
    pub(super) fn replace<'a>(&mut self, all: impl Iterator<Item = (&'a str, &'a str)>) {
        self.0.clear();
        for (uid, node) in all {
            self.moved(uid, None, Some(node));
        }
    }

    /// The pods of one.
    pub(super) fn of<'a>(&'a self, node: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.get(node).into_iter().flatten().map(String::as_str)
    }
}
