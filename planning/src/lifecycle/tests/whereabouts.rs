//! Lost or gone.

use super::super::whereabouts::{Whereabouts, whereabouts};
use super::*;

/// A place on `node-1` of UID `node-uid`, whose pod was seen, as `change` makes it.
#[track_caller]
fn check(change: impl FnOnce(&mut Placed), node: Option<&str>, pod: bool, expected: Whereabouts) {
    let mut place = Placed { pod_uid: Some("uid".into()), ..placed(&record(JobState::Runnable)) };
    change(&mut place);
    assert_eq!(whereabouts(&place, node, pod), expected);
}

#[test]
fn a_node_that_is_gone_comes_before_a_pod_that_is_gone() {
    use Whereabouts::{NodeGone, PodGone, There};
    let here = Some("node-uid");
    check(|_| (), here, true, There);
    check(|_| (), here, false, PodGone);
    check(|_| (), None, true, NodeGone);
    check(|_| (), None, false, NodeGone);
    check(|_| (), Some("another"), true, NodeGone);
    // The pod was never seen: it may be made yet.
    check(|place| place.pod_uid = None, here, false, There);
    check(|place| place.pod_uid = None, None, false, NodeGone);
    // kube-scheduler chose the node: its UID is not known.
    check(|place| place.node_uid.clear(), Some("any"), true, There);
    check(|place| place.node_uid.clear(), None, true, NodeGone);
    // It has not chosen one yet.
    let choosing = |place: &mut Placed| (place.node, place.node_uid) = (String::new(), String::new());
    check(choosing, None, true, There);
    check(choosing, None, false, PodGone);
}
