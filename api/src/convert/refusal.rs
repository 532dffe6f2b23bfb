//! What the Job controller reports when the cluster refuses the pods of a Job.
//!
//! Invariant: two reports of the same refusal give the same text, although each names another pod: a reason is written once, not
//! at every attempt. Does not know whether the Job is in a queue.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;

/// Reason of the Events in question, as the Job controller writes it.
pub const REASON: &str = "FailedCreate";

/// A refusal to make pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Namespace of the Event, and so of the Job that it can be about.
    pub namespace: String,
    /// UID of the Job.
    pub job: String,
    /// Why, in the words of whoever refused.
    pub message: String,
    /// When it happened last (whole seconds).
    pub at: Timestamp,
}

/// The refusal that an Event reports; `None`: it reports something else.
pub fn refusal(event: &Event) -> Option<Refusal> {
    let about = &event.involved_object;
    if event.reason.as_deref() != Some(REASON) || about.kind.as_deref() != Some("Job") {
        return None;
    }
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    let made = event.metadata.creation_timestamp.as_ref().map(|time| time.0);
    Some(Refusal {
        namespace: event.metadata.namespace.clone()?,
        job: about.uid.clone()?,
        message: super::clip(&normal(event.message.as_deref().unwrap_or_default())),
        at: [series, last, first, made].into_iter().flatten().max()?,
    })
}

/// The text without the Job controller's introduction and without the pod's name, part of which is random.
fn normal(message: &str) -> String {
    let message = message.trim();
    let message = message.strip_prefix("Error creating: ").unwrap_or(message);
    for kind in ["pods", "Pod"] {
        let named = message.strip_prefix(kind).and_then(|rest| rest.strip_prefix(" \""));
        if let Some((_, rest)) = named.and_then(|rest| rest.split_once('"')) {
            return format!("{kind}{rest}");
        }
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(message: &str) -> Event {
        serde_json::from_value(json!({
            "metadata": {"name": "e", "namespace": "n", "creationTimestamp": "2026-11-01T12:00:00Z"},
            "involvedObject": {"kind": "Job", "name": "j", "namespace": "n", "uid": "u"},
            "reason": "FailedCreate", "message": message, "count": 3, "lastTimestamp": "2026-11-01T12:00:09Z",
        }))
        .unwrap()
    }

    #[track_caller]
    fn check(message: &str, expect: &str) {
        let seen = refusal(&event(message)).unwrap();
        assert_eq!((seen.job.as_str(), seen.message.as_str()), ("u", expect));
        assert_eq!(seen.at, "2026-11-01T12:00:09Z".parse().unwrap());
    }

    #[test]
    fn the_text_is_the_same_for_every_pod() {
        check(
            "Error creating: pods \"j-0-x7f2k\" is forbidden: exceeded quota: q",
            "pods is forbidden: exceeded quota: q",
        );
        check(
            "Error creating: admission webhook \"a.b\" denied the request: no",
            "admission webhook \"a.b\" denied the request: no",
        );
        check("Error creating: Pod \"j-0-abcde\" is invalid: spec: x", "Pod is invalid: spec: x");
        check("", "");
    }

    #[test]
    fn other_events_are_no_refusals() {
        let other = Event { reason: Some("SuccessfulCreate".to_owned()), ..event("x") };
        assert_eq!(refusal(&other), None);
        let mut replica_set = event("x");
        replica_set.involved_object.kind = Some("ReplicaSet".to_owned());
        assert_eq!(refusal(&replica_set), None);
        let mut nobody = event("x");
        nobody.involved_object.uid = None;
        assert_eq!(refusal(&nobody), None);
    }
}
