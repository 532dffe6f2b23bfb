//! What is kept of a node.
//!
//! Invariant: a heartbeat changes nothing of it. Does not know the pods on it: what they use is added by whoever knows them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node as RawNode, Taint as RawTaint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use model::keys;
use model::placement::Taint;
use model::snapshot::Node;

use super::requests::amounts;
use super::shape::effect;
use super::{Problems, created, label, uid};

/// Taints that a node registers with and loses when it can take pods: a moment after its Ready condition, or when a cloud's
/// controller has seen it. Until then its machine is still on its way, or another would be launched in its place
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/>).
const STARTING: [&str; 2] = ["node.kubernetes.io/not-ready", "node.cloudprovider.kubernetes.io/uninitialized"];

/// What is kept of a node.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct NodeRecord {
    /// As the planner sees it; without a compute environment its UUID is empty.
    pub node: Node,
    /// When it was created.
    pub created: Timestamp,
    /// Its Ready condition is True and the cluster has let it take pods; it may be cordoned all the same.
    pub kubelet_ready: bool,
    /// Since when its Ready condition is not True, if it says so.
    pub unready_since: Option<Timestamp>,
    /// It is cordoned.
    pub unschedulable: bool,
    /// It is being deleted.
    pub terminating: bool,
    /// Only its metadata can be read: it takes no work, and nothing else is known of it.
    pub unreadable: bool,
    /// It brought the label of its environment when it registered, and nobody else has set it since.
    pub registered: bool,
    /// All its taints, ours included, as they are.
    pub taints: Vec<RawTaint>,
    /// Its annotations under `bulkhead.dev/`.
    pub annotations: BTreeMap<String, String>,
}

impl NodeRecord {
    /// UUID of the compute environment that its label names.
    pub fn environment_uuid(&self) -> Option<&str> {
        Some(self.node.environment_uuid.as_str()).filter(|uuid| !uuid.is_empty())
    }

    /// Whether it has a taint with this key.
    pub fn has_taint(&self, key: &str) -> bool {
        self.taints.iter().any(|taint| taint.key == key)
    }
}

/// What is kept of a node.
pub fn node(raw: &RawNode, problems: &mut Problems) -> NodeRecord {
    let meta = &raw.metadata;
    let spec = raw.spec.clone().unwrap_or_default();
    let unschedulable = spec.unschedulable == Some(true);
    let terminating = meta.deletion_timestamp.is_some();
    let conditions = raw.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let condition = conditions.into_iter().find(|condition| condition.type_ == "Ready");
    let unready = condition.filter(|condition| condition.status != "True");
    let unready_since = unready.and_then(|condition| condition.last_transition_time.as_ref()).map(|time| time.0);
    let condition = condition.is_some_and(|condition| condition.status == "True");
    let taints = spec.taints.unwrap_or_default();
    let lags = |taint: &&RawTaint| !(condition && is_lagging(taint));
    let starts = |taint: &RawTaint| STARTING.contains(&taint.key.as_str());
    let kubelet_ready = condition && !taints.iter().filter(lags).any(starts);
    let allocatable = raw.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let ours = |(key, _): &(&String, &String)| key.starts_with("bulkhead.dev/");
    NodeRecord {
        node: Node {
            name: meta.name.clone().unwrap_or_default(),
            uid: uid(meta),
            environment_uuid: label(meta, keys::CE_UUID).unwrap_or_default().to_owned(),
            ready: kubelet_ready && !unschedulable && !terminating,
            cordoned: kubelet_ready && unschedulable && !terminating,
            retiring: taints.iter().any(|taint| taint.key == keys::RETIRING_TAINT),
            labels: meta.labels.clone().unwrap_or_default(),
            taints: taints.iter().filter(lags).filter_map(taint).collect(),
            allocatable: amounts(allocatable, "allocatable", problems),
            ..Node::default()
        },
        created: created(meta),
        kubelet_ready,
        unready_since,
        unschedulable,
        terminating,
        unreadable: false,
        registered: registered(meta),
        annotations: meta
            .annotations
            .iter()
            .flatten()
            .filter(ours)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        taints,
    }
}

/// What is kept of a node of which only the metadata can be read: that it is there.
pub fn unreadable(meta: &ObjectMeta) -> NodeRecord {
    let known = node(&RawNode { metadata: meta.clone(), ..RawNode::default() }, &mut Problems::new());
    NodeRecord { unreadable: true, ..known }
}

/// Whether all who have set the label of the environment have set the host's name with it, as only a kubelet does, when it registers.
fn registered(meta: &ObjectMeta) -> bool {
    let label = format!("f:{}", keys::CE_UUID);
    let entries = meta.managed_fields.iter().flatten().filter_map(|entry| entry.fields_v1.as_ref());
    let labels = entries.filter_map(|fields| fields.0.get("f:metadata")?.get("f:labels"));
    let mut setters = labels.filter(|labels| labels.get(&label).is_some()).peekable();
    setters.peek().is_some() && setters.all(|labels| labels.get("f:kubernetes.io/hostname").is_some())
}

/// On a node that is Ready, this taint is about to go. The node controller takes the `NoSchedule` one away when it sees the condition,
/// but the `NoExecute` one only at its next round, up to 5 s later (`--node-monitor-period`). Nothing is evicted for it meanwhile: every
/// pod tolerates it for 300 s (admission plugin `DefaultTolerationSeconds`, on by default).
fn is_lagging(taint: &RawTaint) -> bool {
    taint.key == "node.kubernetes.io/not-ready" && taint.effect == "NoExecute"
}

/// A taint that units may not tolerate: every unit tolerates the batch taint, so it is left out.
fn taint(raw: &RawTaint) -> Option<Taint> {
    let value = raw.value.clone().unwrap_or_default();
    let effect = effect(&raw.effect)?;
    (raw.key != keys::BATCH_TAINT).then(|| Taint { key: raw.key.clone(), value, effect })
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
