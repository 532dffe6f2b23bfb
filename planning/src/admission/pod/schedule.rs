//! Who places a pod, and that it may go to batch nodes.
//!
//! Invariant: a queued pod belongs to a scheduler that does nothing until the plan dispatches the pod, and [`judged`] gives the
//! same answer for a Job's template as for its pods.

use super::super::edit::{Editor, at, has_any, items, text};
use super::super::policy::Pass;
use super::CONTAINER_LISTS;
use model::keys;
use serde_json::{Value, json};

pub(super) fn apply(editor: &mut Editor, pass: Pass) {
    tolerate(editor);
    // A pod of nobody's that names a node was left outside: this is named by somebody else, of a pod that goes through the queue.
    editor.unset(&["spec", "nodeName"]);
    let gates = ["spec", "schedulingGates"];
    let is_ours = |gate: &Value| text(gate, &["name"]) == Some(keys::GATE);
    // Ports that are added after the last look are seen by kube-scheduler alone.
    if pass != Pass::Late && at(editor.document(), &["spec"]).is_some_and(judged) {
        editor.set(&["spec", "schedulerName"], keys::SCHEDULER_DIRECT);
        editor.drop_items(&gates, is_ours);
    } else {
        editor.set(&["spec", "schedulerName"], keys::SCHEDULER_EXTENDED);
        if !items(editor.document(), &gates).iter().any(is_ours) {
            editor.append(&gates, json!({"name": keys::GATE}));
        }
    }
}

/// One toleration without an effect covers `NoSchedule` and `NoExecute`. Of all that match a taint the shortest time counts, so none that
/// matches ours may have one, or the pod is evicted from its own node when it is over.
fn tolerate(editor: &mut Editor) {
    let ours = json!({"key": keys::BATCH_TAINT, "operator": "Exists"});
    let path = ["spec", "tolerations"];
    editor.drop_items(&path, |one| text(one, &["key"]) == Some(keys::BATCH_TAINT) && *one != ours);
    let ends = |one: &Value| {
        text(one, &["key"]).is_none_or(str::is_empty)
            && text(one, &["operator"]) == Some("Exists")
            && !at(one, &["tolerationSeconds"]).is_none_or(Value::is_null)
    };
    let all = items(editor.document(), &path);
    let ending: Vec<String> =
        all.iter().enumerate().filter(|(_, one)| ends(one)).map(|(place, _)| place.to_string()).collect();
    for place in ending {
        editor.unset(&[path[0], path[1], &place, "tolerationSeconds"]);
    }
    if !items(editor.document(), &path).contains(&ours) {
        editor.append(&path, ours);
    }
}

/// Volume sources that tie a pod to certain nodes or exclude each other on one node.
const PLACED_VOLUMES: [&str; 9] = [
    "persistentVolumeClaim",
    "ephemeral",
    "awsElasticBlockStore",
    "azureDisk",
    "cinder",
    "gcePersistentDisk",
    "iscsi",
    "rbd",
    "vsphereVolume",
];

/// Whether the planner itself judges where a pod with this spec fits. What depends on other pods, on volumes or on devices is
/// left to kube-scheduler. A declared port counts too: with the host network, which may be injected later, it is a host port, and
/// of two pods with the same one the kubelet refuses the second.
pub fn judged(pod_spec: &Value) -> bool {
    let has = |path: &[&str]| has_any(pod_spec, path);
    let affinity = ["podAffinity", "podAntiAffinity"].into_iter().any(|kind| {
        ["requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"]
            .into_iter()
            .any(|strength| has(&["affinity", kind, strength]))
    });
    let volumes = items(pod_spec, &["volumes"])
        .iter()
        .any(|volume| PLACED_VOLUMES.into_iter().any(|source| at(volume, &[source]).is_some()));
    let ports = CONTAINER_LISTS
        .into_iter()
        .flat_map(|list| items(pod_spec, &[list]))
        .any(|container| has_any(container, &["ports"]));
    let elsewhere = has(&["topologySpreadConstraints"]) || has(&["resourceClaims"]) || has(&["schedulingGroup"]);
    !(affinity || volumes || ports || elsewhere)
}
