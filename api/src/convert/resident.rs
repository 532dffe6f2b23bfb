//! What the batch taint with `NoExecute` would mean to a pod on a node, or to a DaemonSet.
//!
//! Invariant: a toleration that ends, or that this version does not understand, is none. Decides nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use model::keys;
use model::placement::{Effect, Taint};
use model::resources::Resources;
use planning::no_execute::{Daemon, Resident};

use super::shape::{shape, toleration};
use super::{annotation, created, key};

/// A pod on a node; `None`: it has ended.
pub fn resident(pod: &Pod) -> Option<Resident> {
    let status = pod.status.as_ref();
    if matches!(status.and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed")) {
        return None;
    }
    let scheduled = status
        .and_then(|status| status.conditions.as_ref())
        .and_then(|all| all.iter().find(|condition| condition.type_ == "PodScheduled" && condition.status == "True"))
        .and_then(|condition| condition.last_transition_time.as_ref())
        .map(|time| time.0);
    let is_static = annotation(&pod.metadata, keys::K8S_MIRROR).is_some();
    Some(Resident {
        name: key(&pod.metadata).to_string(),
        bound: scheduled.unwrap_or_else(|| created(&pod.metadata)),
        withstands: is_static || pod.spec.as_ref().is_some_and(|spec| tolerates(spec, Effect::NoExecute)),
    })
}

/// A DaemonSet, seen from a node.
pub fn daemon(set: &DaemonSet, node: &str, labels: &BTreeMap<String, String>) -> Daemon {
    let spec = set.spec.as_ref().and_then(|spec| spec.template.spec.clone()).unwrap_or_default();
    Daemon {
        name: key(&set.metadata).to_string(),
        selects: shape(&spec, Resources::default(), true).selects(node, labels),
        comes: tolerates(&spec, Effect::NoSchedule),
        withstands: tolerates(&spec, Effect::NoExecute),
    }
}

fn tolerates(spec: &PodSpec, effect: Effect) -> bool {
    let taint = Taint { key: keys::BATCH_TAINT.to_owned(), value: keys::BATCH_TAINT_VALUE.to_owned(), effect };
    let lasting = spec.tolerations.iter().flatten().filter(|raw| raw.toleration_seconds.is_none());
    lasting.filter_map(toleration).any(|one| one.tolerates(&taint))
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(tolerations: Value, comes: bool, withstands: bool) {
        let spec = json!({"containers": [], "tolerations": tolerations, "nodeSelector": {"pool": "a"}});
        let pod = serde_json::from_value(json!({"metadata": {"namespace": "n", "name": "p"}, "spec": spec})).unwrap();
        assert_eq!(resident(&pod).unwrap().withstands, withstands, "{tolerations}");
        let set = json!({"metadata": {"namespace": "n", "name": "d"},
            "spec": {"selector": {}, "template": {"spec": spec}}});
        let set = serde_json::from_value(set).unwrap();
        for (pool, selects) in [("a", true), ("b", false)] {
            let labels = BTreeMap::from([("pool".to_owned(), pool.to_owned())]);
            let expected = Daemon { name: "n/d".to_owned(), selects, comes, withstands };
            assert_eq!(daemon(&set, "node", &labels), expected, "{tolerations}");
        }
    }

    #[test]
    fn tolerations_count_for_their_effect_and_only_if_they_last() {
        let key = keys::BATCH_TAINT;
        check(json!([]), false, false);
        check(json!([{"key": key, "operator": "Exists"}]), true, true);
        check(json!([{"operator": "Exists", "effect": "NoSchedule"}]), true, false);
        check(json!([{"operator": "Exists"}]), true, true);
        check(json!([{"key": key, "value": "true", "effect": "NoExecute"}]), false, true);
        check(json!([{"key": key, "value": "other"}]), false, false);
        check(json!([{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}]), false, false);
    }

    #[test]
    fn a_static_pod_stays_and_one_that_ended_is_not_there() {
        let pod = |metadata: Value, status: Value| {
            let pod = json!({"metadata": metadata, "spec": {"containers": []}, "status": status});
            resident(&serde_json::from_value(pod).unwrap())
        };
        assert!(pod(json!({"annotations": {keys::K8S_MIRROR: "x"}}), json!({})).unwrap().withstands);
        assert_eq!(pod(json!({}), json!({"phase": "Failed"})), None);
        let scheduled = json!({"conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-01T12:00:05Z"}]});
        let seen = pod(json!({"creationTimestamp": "2026-11-01T11:00:00Z"}), scheduled).unwrap();
        assert_eq!(seen.bound, "2026-11-01T12:00:05Z".parse().unwrap());
    }
}
