//! Nodes that users label: the batch taint goes on with the label and off with it.
//!
//! Invariant: only a taint that we put there is taken away (annotation `bulkhead.dev/tainted`). Nothing that ran on the node before is
//! disturbed: the effect is `NoSchedule` at first, and `NoExecute` follows when that harms nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use api::convert::node::NodeRecord;
use api::convert::resident::{daemon, resident};
use cluster::index::NotesOf;
use cluster::pace;
use futures::{FutureExt as _, StreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use model::keys;
use planning::no_execute::obstacle;
use planning::refusal::Answer;
use serde_json::{Value, json};
use tokio::time;

use crate::hindered::{Came, Hindered};
use crate::manager::SEEN_TOGETHER;
use crate::shared::{ActError, Shared, answered};
use crate::{marks, pages};

const IDLE: Duration = Duration::from_secs(30);
/// Nodes written at the same time.
const TOGETHER: usize = 16;

/// What is to be done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Keep new pods away.
    Taint,
    /// Keep those away, too, that name the node.
    Close {
        /// Since when others are kept away.
        since: Timestamp,
    },
    Untaint,
}

/// Keeps the taint where the label is, and nowhere else.
pub(crate) async fn run(shared: &Shared) {
    let mut version = shared.index.version();
    let mut hindered = Hindered::default();
    loop {
        let begun = time::Instant::now();
        version.borrow_and_update();
        let uuids = shared.index.unmanaged();
        let changes = shared.index.map_nodes(|node| Some((change(node, &uuids)?, node.clone())));
        hindered.keep(
            |name| changes.iter().any(|(_, node)| node.node.name == name),
            |name| {
                let closes = |change: &Change| matches!(change, Change::Close { .. });
                changes.iter().any(|(change, node)| node.node.name == name && closes(change))
            },
        );
        let now = cluster::clock::moment();
        let rests = |node: &NodeRecord| hindered.rests(&node.node.environment_uuid, &node.node.name, now);
        let due = changes.into_iter().filter(|(_, node)| !rests(node));
        let write =
            |(change, node): (Change, NodeRecord)| async move { (carry_out(shared, change, &node).await, node) };
        let writing: Vec<_> = due.map(|one| write(one).boxed()).collect();
        let ends: Vec<_> = stream::iter(writing).buffer_unordered(TOGETHER).collect().await;
        let now = cluster::clock::moment();
        for (end, node) in ends {
            if let Some(why) = hindered.settle(&node.node.environment_uuid, &node.node.name, end, now) {
                tracing::warn!(node = node.node.name, why, "cannot change taints");
                shared.events.warning(&reference(&node.node), "Refused", why);
            }
        }
        shared.index.set_node_notes(NotesOf::Labelled, hindered.notices());
        let pause = hindered.next(now).map_or(IDLE, |next| next.since(now).min(IDLE));
        tokio::select! {
            () = pace::change(&mut version, begun + SEEN_TOGETHER) => {}
            () = time::sleep(pause) => {}
        }
    }
}

fn reference(node: &model::snapshot::Node) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Node".to_owned()),
        name: Some(node.name.clone()),
        uid: Some(node.uid.clone()),
        ..ObjectReference::default()
    }
}

async fn carry_out(shared: &Shared, change: Change, node: &NodeRecord) -> Result<Came, Answer> {
    let done = async {
        if let Change::Close { since } = change
            && let Some(why) = in_the_way(shared, node, since).await?
        {
            return Ok(Came::Harms(why));
        }
        apply(shared, &node.node.name, change).await.map(|()| Came::Written)
    };
    done.await.or_else(|error: ActError| if error.is_conflict() { Ok(Came::Conflict) } else { Err(error.answer()) })
}

/// What `NoExecute` would harm, looked at past all caches.
async fn in_the_way(shared: &Shared, node: &NodeRecord, since: Timestamp) -> Result<Option<String>, ActError> {
    let name = &node.node.name;
    let pods: Api<Pod> = Api::all(shared.clients.once.clone());
    let here = ListParams::default().fields(&format!("spec.nodeName={name}"));
    let residents = pages::collect(&pods, here, resident).await?;
    let sets: Api<DaemonSet> = Api::all(shared.clients.once.clone());
    let of_set = |set: &DaemonSet| Some(daemon(set, name, &node.node.labels));
    let daemons = pages::collect(&sets, ListParams::default(), of_set).await?;
    Ok(obstacle(since, &residents, &daemons))
}

fn change(node: &NodeRecord, unmanaged: &BTreeSet<String>) -> Option<Change> {
    let mark = node.annotations.get(keys::TAINTED);
    match node.environment_uuid() {
        // Which taints it has is not known.
        _ if node.unreadable => None,
        Some(uuid) if unmanaged.contains(uuid) => {
            let complete = marks::UNMANAGED.iter().all(|effect| marks::has_batch_taint(&node.taints, effect));
            // A mark without a time is an older version's: what is there now counts as having been there before.
            match mark.and_then(|mark| mark.parse().ok()).filter(|_| complete) {
                None => Some(Change::Taint),
                Some(since) => (!marks::has_batch_taint(&node.taints, "NoExecute")).then_some(Change::Close { since }),
            }
        }
        None if mark.is_some() => Some(Change::Untaint),
        _ => None,
    }
}

async fn apply(shared: &Shared, name: &str, change: Change) -> Result<(), ActError> {
    let api: Api<Node> = Api::all(shared.clients.once.clone());
    let Some(node) = answered(api.get_opt(name)).await? else { return Ok(()) };
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let (taints, mark) = match change {
        Change::Taint => (marks::with_batch(&taints, &marks::UNMANAGED), json!(Timestamp::now().to_string())),
        Change::Close { since } => (marks::with_batch(&taints, &marks::MANAGED), json!(since.to_string())),
        Change::Untaint => (marks::without_batch(&taints), Value::Null),
    };
    let patch = json!({
        "metadata": {"resourceVersion": node.metadata.resource_version, "annotations": {keys::TAINTED: mark}},
        "spec": {"taints": taints},
    });
    answered(api.patch(name, &PatchParams::default(), &Patch::Merge(patch))).await?;
    tracing::info!(node = name, ?change, "taints changed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use api::convert::Problems;

    use super::*;

    #[track_caller]
    fn check(label: Option<&str>, mark: Option<&str>, effects: &[&str], expected: Option<Change>) {
        let taints = effects.iter().map(|effect| json!({"key": keys::BATCH_TAINT, "value": "true", "effect": effect}));
        let raw = json!({
            "metadata": {
                "name": "n",
                "labels": label.map_or_else(|| json!({}), |label| json!({keys::CE_UUID: label})),
                "annotations": mark.map_or_else(|| json!({}), |mark| json!({keys::TAINTED: mark})),
            },
            "spec": {"taints": taints.collect::<Vec<_>>()},
        });
        let node = api::convert::node::node(&serde_json::from_value(raw).unwrap(), &mut Problems::new());
        assert_eq!(change(&node, &["u".to_owned()].into()), expected);
    }

    #[test]
    fn a_labelled_node_is_tainted_then_closed_and_both_go_with_the_label() {
        let mark = "2026-11-01T12:00:00Z";
        let since = mark.parse().unwrap();
        let (schedule, both) = (&["NoSchedule"][..], &["NoSchedule", "NoExecute"][..]);
        check(Some("u"), None, &[], Some(Change::Taint));
        check(Some("u"), None, schedule, Some(Change::Taint));
        check(Some("u"), Some("true"), schedule, Some(Change::Taint));
        check(Some("u"), Some(mark), &["NoExecute"], Some(Change::Taint));
        check(Some("u"), Some(mark), schedule, Some(Change::Close { since }));
        check(Some("u"), Some(mark), both, None);
        check(None, Some(mark), both, Some(Change::Untaint));
        check(None, None, both, None);
        check(Some("another"), Some(mark), &[], None);
    }
}
