//! What the cluster reports when a volume of a pod cannot be attached or mounted.
//!
//! Invariant: a report that is repeated stays the same but for its last time. Does not know whose pod it is, nor whether it runs by now.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use model::job::Unmounted;

/// Reason of a kubelet's Events (`FailedMountVolume` in
/// <https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/events/event.go>). It says nothing about a volume that is not attached.
pub const MOUNT: &str = "FailedMount";
/// Reason of Events of the controller that attaches volumes to nodes (`FailedAttachVolume`, there, too).
pub const ATTACH: &str = "FailedAttachVolume";

/// The pod of which an Event reports that a volume cannot be attached or mounted. Its namespace is the Event's own: a UID may be written by
/// whoever makes Events in another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct About {
    /// Namespace.
    pub namespace: String,
    /// UID.
    pub uid: String,
}

/// The pod of which an Event reports that a volume cannot be attached or mounted, and what it says; `None`: it reports something else.
pub fn unmounted(event: &Event) -> Option<(About, Unmounted)> {
    let about = &event.involved_object;
    let reason = event.reason.clone().filter(|reason| [MOUNT, ATTACH].contains(&reason.as_str()))?;
    if about.kind.as_deref() != Some("Pod") {
        return None;
    }
    let first = event.first_timestamp.as_ref().map(|time| time.0);
    let once = event.event_time.as_ref().map(|time| time.0);
    let made = event.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let repeated = event.last_timestamp.as_ref().map(|time| time.0);
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let since: Timestamp = [first, once, made].into_iter().flatten().min()?;
    let last = [repeated, series].into_iter().flatten().max().unwrap_or(since);
    let message = super::clip(event.message.as_deref().unwrap_or_default().trim());
    let about = About { namespace: event.metadata.namespace.clone()?, uid: about.uid.clone()? };
    Some((about, Unmounted { reason, since, last, message }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What an Event says after a member of it, by its path, was changed.
    #[track_caller]
    fn check(path: &str, value: Value, expect: Option<(&str, &str)>) {
        let mut event = json!({
            "metadata": {"name": "e", "namespace": "n", "creationTimestamp": "2026-11-01T12:00:05Z"},
            "involvedObject": {"kind": "Pod", "name": "p", "namespace": "n", "uid": "u"},
            "reason": "FailedMount", "message": "no such claim ",
            "firstTimestamp": "2026-11-01T12:00:05Z", "lastTimestamp": "2026-11-01T12:09:00Z", "count": 9,
        });
        *event.pointer_mut(path).unwrap() = value;
        let found = unmounted(&serde_json::from_value(event).unwrap());
        let found = found.as_ref().map(|(pod, it)| (pod.uid.as_str(), it.message.as_str(), it.since));
        let since = "2026-11-01T12:00:05Z".parse().unwrap();
        assert_eq!(found, expect.map(|(pod, message)| (pod, message, since)), "{path}");
    }

    #[test]
    fn a_report_about_a_pod_says_since_when() {
        check("/count", json!(10), Some(("u", "no such claim")));
        check("/firstTimestamp", Value::Null, Some(("u", "no such claim")));
        check("/message", Value::Null, Some(("u", "")));
        check("/reason", json!("FailedAttachVolume"), Some(("u", "no such claim")));
    }

    #[test]
    fn a_report_says_when_it_was_repeated_last() {
        let event = json!({
            "metadata": {"name": "e", "namespace": "n"}, "involvedObject": {"kind": "Pod", "uid": "u"}, "reason": "FailedMount",
            "firstTimestamp": "2026-11-01T12:00:05Z", "lastTimestamp": "2026-11-01T12:09:00Z",
        });
        let found = unmounted(&serde_json::from_value(event).unwrap()).unwrap().1;
        assert_eq!(found.last, "2026-11-01T12:09:00Z".parse().unwrap());
    }

    #[test]
    fn other_events_say_nothing() {
        check("/reason", json!("Failed"), None);
        check("/involvedObject/kind", json!("Node"), None);
        check("/involvedObject/uid", Value::Null, None);
        check("/metadata/namespace", Value::Null, None);
    }
}
