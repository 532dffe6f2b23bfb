//! Since when nodes have been idle.
//!
//! Invariant: a node becomes idle at the first time given at which it has no units, and stays so until it has one. A node that
//! was replaced under the same name starts anew. What is written is a time on the wall's clock as it goes now, so that it says how long,
//! whatever that clock was set to meanwhile. Does not know what a unit is.

use std::collections::HashMap;

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
    /// Brings everything up to date and writes it on the nodes. `busy` says which ones have or may get units.
    pub(super) fn update(&mut self, nodes: &mut [Node], now: Now, busy: impl Fn(&Node) -> bool) {
        let mut before = std::mem::take(&mut self.0);
        for node in nodes {
            if busy(node) {
                node.idle_since = None;
                continue;
            }
            let known = before.remove(&node.name).filter(|since| since.uid == node.uid);
            let since = known.unwrap_or_else(|| Since { uid: node.uid.clone(), at: now.moment });
            node.idle_since = Some(now.at(since.at));
            self.0.insert(node.name.clone(), since);
        }
    }
}
