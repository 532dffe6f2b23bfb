//! What the Job controller reports when the cluster refuses the pods of a Job.
//!
//! Invariant: two reports of the same refusal give the same text, although each names another pod: a reason is written once, not
//! at every attempt. Does not know whether the Job is in a queue.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;

/// Reason of the Events in question, as the Job controller writes it.
pub const REASON: &str = "FailedCreate";

/// How client-go begins an Event that stands for others that differ in their text, from the tenth of them on (`EventAggregatorByReasonMessageFunc`
/// in <https://github.com/kubernetes/client-go/blob/master/tools/record/events_cache.go>).
const COMBINED: &str = "(combined from similar events): ";
/// How the Job controller begins.
const CREATING: &str = "Error creating: ";
/// What the random end of a pod's name is made of, and how long it is
/// (<https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/apimachinery/pkg/util/rand/rand.go>).
const RANDOM: &str = "bcdfghjklmnpqrstvwxz2456789";
const RANDOM_LENGTH: usize = 5;

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
    let (message, job) = (event.message.as_deref().unwrap_or_default(), about.name.as_deref().unwrap_or_default());
    Some(Refusal {
        namespace: event.metadata.namespace.clone()?,
        job: about.uid.clone()?,
        message: super::clip(&normal(message, job)),
        at: [series, last, first, made].into_iter().flatten().max()?,
    })
}

/// The text without what client-go and the Job controller say first, and without what is random of the pod's name.
fn normal(message: &str, job: &str) -> String {
    let message = message.trim();
    let message = message.strip_prefix(COMBINED).unwrap_or(message);
    let message = nameless(message.strip_prefix(CREATING).unwrap_or(message), job);
    for kind in ["pods", "Pod"] {
        let named = message.strip_prefix(kind).and_then(|rest| rest.strip_prefix(" \""));
        if let Some((_, rest)) = named.and_then(|rest| rest.split_once('"')) {
            return format!("{kind}{rest}");
        }
    }
    message
}

/// The text with one name for all pods of a Job: somebody's webhook names them wherever it likes.
fn nameless(message: &str, job: &str) -> String {
    if job.is_empty() {
        return message.to_owned();
    }
    let start = format!("{job}-");
    let mut parts = message.split(start.as_str());
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = if text.ends_with(is_of_name) { None } else { behind_name(part) };
        text.push_str(&start);
        match rest {
            Some(rest) => text.extend(["…", rest]),
            None => text.push_str(part),
        }
    }
    text
}

/// What comes after the end of a pod's name: its index, if it has one, and what is random.
fn behind_name(text: &str) -> Option<&str> {
    let (end, rest) = text.split_at(text.find(|one| !is_of_name(one)).unwrap_or(text.len()));
    let (index, random) = end.rsplit_once('-').unwrap_or(("", end));
    let is_random = random.len() == RANDOM_LENGTH && random.chars().all(|one| RANDOM.contains(one));
    (is_random && index.chars().all(|one| one.is_ascii_digit())).then_some(rest)
}

fn is_of_name(one: char) -> bool {
    one.is_ascii_alphanumeric() || one == '-'
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
        check(
            "(combined from similar events): Error creating: pods \"j-x7f2k\" is forbidden: exceeded quota: q",
            "pods is forbidden: exceeded quota: q",
        );
        // A policy engine that says of which pod it speaks.
        let denied =
            |pod: &str| format!("admission webhook \"a.b\" denied the request: \n\nresource Pod/n/{pod} was blocked");
        for pod in ["j-x7f2k", "j-7-bcdfg", "j-12-zzzzz"] {
            check(&format!("Error creating: {}", denied(pod)), &denied("j-…"));
        }
        // What only looks alike stays.
        for other in ["j-abcde", "j-x7f2", "j-x-x7f2k", "of-j-x7f2k", "j-x7f2kk", "j"] {
            check(&denied(other), &denied(other));
        }
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
