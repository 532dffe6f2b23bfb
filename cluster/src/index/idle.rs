//! Since when nodes have been idle.
//!
//! Invariant: a node becomes idle at the first time given at which it has no units, and stays so until it has one. A node that
//! was replaced under the same name starts anew. What is written is a time on the wall's clock as it goes now, so that it says how long,
//! whatever that clock was set to meanwhile. Does not know what a unit is.

use std::collections::HashMap;

use jiff::Timestamp;
use model::clock::{Moment, Now};
use model::snapshot::Node;

/// Idle nodes by name.
#[derive(Debug, Default)]
pub(super) struct Idle(HashMap<String, Since>);

#[derive(Debug)]
struct Since {
    uid: String,
    at: Moment,
}

impl Idle {
    /// Since when a node has been idle; `busy`: it has or may get units.
    pub(super) fn since(&mut self, node: &Node, busy: bool, now: Now) -> Option<Timestamp> {
        if busy {
            self.forget(&node.name);
            return None;
        }
        if let Some(since) = self.0.get(&node.name).filter(|since| since.uid == node.uid) {
            return Some(now.at(since.at));
        }
        self.0.insert(node.name.clone(), Since { uid: node.uid.clone(), at: now.moment });
        Some(now.at(now.moment))
    }

    /// A node is not there any more, or is none of ours.
    pub(super) fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }
}
