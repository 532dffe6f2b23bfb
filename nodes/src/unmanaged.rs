//! Nodes that users label: the batch taint goes on with the label and off with it.
//!
//! Invariant: only a taint that we put there is taken away (annotation `bulkhead.dev/tainted`). Nothing that ran on the node before is
//! disturbed: the effect is `NoSchedule` at first, and `NoExecute` follows when that harms nothing.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use api::convert::node::NodeRecord;
use api::convert::resident::{daemon, resident};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use model::keys;
use planning::no_execute::obstacle;
use serde_json::{Value, json};
use tokio::time;

use crate::marks;
use crate::shared::{ActError, Shared};

/// Failed writes are tried again after this time.
const RETRY: Duration = Duration::from_secs(2);
/// A node that cannot be closed yet is looked at again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(30);

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

/// Nodes that pods which name them can still use.
#[derive(Default)]
struct Open {
    looked: HashMap<String, Instant>,
    /// Why, by environment's UUID and node.
    why: BTreeMap<(String, String), String>,
}

/// Keeps the taint where the label is, and nowhere else.
pub(crate) async fn run(shared: &Shared) {
    let mut version = shared.index.version();
    let mut open = Open::default();
    loop {
        version.borrow_and_update();
        let uuids: Vec<String> = shared
            .index
            .snapshot(cluster::clock::now())
            .environments
            .into_iter()
            .filter(|environment| environment.scaling.is_none())
            .map(|environment| environment.uuid)
            .collect();
        let mut failed = false;
        let changes: Vec<_> =
            shared.index.node_facts().into_iter().filter_map(|node| Some((change(&node, &uuids)?, node))).collect();
        open.keep(&changes);
        for (change, node) in &changes {
            if let Err(error) = open.carry_out(shared, *change, node).await {
                failed = true;
                let error = cluster::telemetry::chain(&error);
                tracing::warn!(node = node.node.name, error, "cannot change taints");
            }
        }
        shared.index.set_open_nodes(open.texts());
        let pause = match (failed, open.why.is_empty()) {
            (true, _) => RETRY,
            (false, false) => LOOK_AGAIN,
            (false, true) => IDLE,
        };
        tokio::select! {
            _ = version.changed(), if !failed => {}
            () = time::sleep(pause) => {}
        }
    }
}

impl Open {
    /// Forgets the nodes of which nothing is to be done any more.
    fn keep(&mut self, changes: &[(Change, NodeRecord)]) {
        let closes = |name: &String| {
            changes.iter().any(|(change, node)| node.node.name == *name && matches!(change, Change::Close { .. }))
        };
        self.looked.retain(|name, _| closes(name));
        self.why.retain(|(_, name), _| closes(name));
    }

    async fn carry_out(&mut self, shared: &Shared, change: Change, node: &NodeRecord) -> Result<(), ActError> {
        let name = &node.node.name;
        if let Change::Close { since } = change {
            if self.looked.get(name).is_some_and(|last| last.elapsed() < LOOK_AGAIN) {
                return Ok(());
            }
            self.looked.insert(name.clone(), Instant::now());
            let key = (node.node.environment_uuid.clone(), name.clone());
            if let Some(why) = in_the_way(shared, node, since).await? {
                self.why.insert(key, why);
                return Ok(());
            }
            self.why.remove(&key);
        }
        apply(shared, name, change).await
    }

    /// A sentence for each environment that has such nodes, by UUID.
    fn texts(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::<String, Vec<String>>::new();
        for ((uuid, node), why) in &self.why {
            all.entry(uuid.clone()).or_default().push(format!("{node}: {why}"));
        }
        let text = |nodes: Vec<String>| {
            let others = if nodes.len() > 1 { format!(", and {} more", nodes.len() - 1) } else { String::new() };
            let first = nodes.into_iter().next().unwrap_or_default();
            format!("pods that name a node are not evicted everywhere yet ({first}{others})")
        };
        all.into_iter().map(|(uuid, nodes)| (uuid, text(nodes))).collect()
    }
}

/// What `NoExecute` would harm, looked at past all caches.
async fn in_the_way(shared: &Shared, node: &NodeRecord, since: Timestamp) -> Result<Option<String>, ActError> {
    let name = &node.node.name;
    let pods: Api<Pod> = Api::all(shared.clients.once.clone());
    let here = ListParams::default().fields(&format!("spec.nodeName={name}"));
    let residents: Vec<_> = pods.list(&here).await?.iter().filter_map(resident).collect();
    let sets: Api<DaemonSet> = Api::all(shared.clients.once.clone());
    let daemons: Vec<_> =
        sets.list(&ListParams::default()).await?.iter().map(|set| daemon(set, name, &node.node.labels)).collect();
    Ok(obstacle(since, &residents, &daemons))
}

fn change(node: &NodeRecord, unmanaged: &[String]) -> Option<Change> {
    let mark = node.annotations.get(keys::TAINTED);
    match node.environment_uuid() {
        // Which taints it has is not known.
        _ if node.unreadable => None,
        Some(uuid) if unmanaged.iter().any(|one| one == uuid) => {
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
    let Some(node) = api.get_opt(name).await? else { return Ok(()) };
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
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
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
        assert_eq!(change(&node, &["u".to_owned()]), expected);
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
