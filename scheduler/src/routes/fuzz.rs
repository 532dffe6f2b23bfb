//! Hostile clients at the extender's port: whoever shares the pod's network reaches it. Every test here is a target.
//!
//! Invariant: kube-scheduler is answered all the same.

use super::tests::{NAMES, extender};

#[path = "../../../cluster/src/serve/siege.rs"]
mod siege;

#[test]
fn hostile_connections() {
    siege::lay(|| super::router(extender(false, vec![])), "/filter", NAMES);
}
