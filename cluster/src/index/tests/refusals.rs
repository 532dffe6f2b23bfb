//! Refused pods, namespaces and hooks that are gone: from Events and objects to the snapshot.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Event as CoreEvent;

use super::*;

fn refused(name: &str, job: &str, message: &str, time: Timestamp) -> Value {
    json!({
        "metadata": {"namespace": "n", "name": name, "uid": format!("uid-{name}")},
        "involvedObject": {"kind": "Job", "name": job, "uid": format!("uid-{job}")},
        "reason": "FailedCreate", "message": format!("Error creating: {message}"), "lastTimestamp": time.to_string(),
    })
}

fn refusal(index: &Index, now: Timestamp) -> Option<String> {
    index.snapshot(even(now)).jobs[0].refusal.clone()
}

#[test]
fn the_latest_refusal_counts_until_a_pod_is_made() {
    let index = index();
    apply::<Job>(&index, &job("j"));
    assert_eq!(refusal(&index, at(0)), None);
    apply::<CoreEvent>(&index, &refused("a", "j", "quota", at(0)));
    apply::<CoreEvent>(&index, &refused("b", "j", "policy", at(5)));
    apply::<CoreEvent>(&index, &refused("c", "other", "x", at(9)));
    assert_eq!(refusal(&index, at(10)).as_deref(), Some("policy"));
    assert_eq!(refusal(&index, at(3000)).as_deref(), Some("policy"), "client-go may keep the next ones back");
    apply::<Pod>(&index, &created(pod("p", "j"), at(5)));
    assert_eq!(refusal(&index, at(10)).as_deref(), Some("policy"), "made in the same second: others may be missing");
    apply::<Pod>(&index, &created(pod("q", "j"), at(6)));
    assert_eq!(refusal(&index, at(10)), None, "made afterwards");
}

#[test]
fn a_refusal_does_not_come_back_when_the_pod_that_was_made_has_ended() {
    let index = index();
    apply::<Job>(&index, &job("j"));
    apply::<CoreEvent>(&index, &refused("a", "j", "quota", at(0)));
    apply::<Pod>(&index, &created(pod("p", "j"), at(5)));
    apply::<Pod>(&index, &in_phase(created(on(pod("p", "j"), "n"), at(5)), "Succeeded"));
    assert_eq!(refusal(&index, at(10)), None);
}

#[test]
fn a_refusal_of_a_job_that_was_started_anew_is_of_the_past() {
    let index = index();
    apply::<CoreEvent>(&index, &refused("a", "j", "quota", at(5)));
    for (started, expect) in [(4, Some("quota")), (5, Some("quota")), (6, None)] {
        let mut job = job("j");
        job["status"]["startTime"] = json!(at(started).to_string());
        apply::<Job>(&index, &job);
        assert_eq!(refusal(&index, at(10)).as_deref(), expect, "{started}");
    }
}

#[test]
fn a_refusal_from_another_namespace_is_about_nobody() {
    let index = index();
    apply::<Job>(&index, &job("j"));
    let mut forged = refused("a", "j", "made up", at(5));
    forged["metadata"]["namespace"] = json!("of-another");
    apply::<CoreEvent>(&index, &forged);
    assert_eq!(refusal(&index, at(6)), None);
}

#[test]
fn an_event_that_is_gone_is_no_refusal() {
    let index = index();
    apply::<Job>(&index, &job("j"));
    let event = refused("a", "j", "quota", at(0));
    apply::<CoreEvent>(&index, &event);
    delete::<CoreEvent>(&index, &event);
    assert_eq!(refusal(&index, at(1)), None);
}

#[test]
fn a_namespace_that_is_being_deleted_takes_nothing_any_more() {
    let index = index();
    let there = || index.has_namespace("work");
    assert!(!there());
    let namespace = json!({"metadata": {"name": "work", "uid": "u"}});
    apply::<Namespace>(&index, &namespace);
    assert!(there());
    let mut going = namespace.clone();
    going["metadata"]["deletionTimestamp"] = json!(at(0).to_string());
    apply::<Namespace>(&index, &going);
    assert!(!there());
}

fn hooks(names: &[&str]) -> Value {
    let webhook = |name: &&str| json!({"name": name, "clientConfig": {}, "sideEffects": "None", "admissionReviewVersions": ["v1"]});
    json!({"metadata": {"name": "bulkhead", "uid": "u"}, "webhooks": names.iter().map(webhook).collect::<Vec<_>>()})
}

#[test]
fn hooks_are_missing_only_when_that_has_been_seen() {
    let index = index();
    let missing = || index.snapshot(even(at(0))).hooks_missing;
    assert!(!missing(), "nothing is known yet");
    list::<MutatingWebhookConfiguration>(&index, &[hooks(&["jobs.bulkhead.dev", "pods.bulkhead.dev"])]);
    assert!(!missing());
    apply::<MutatingWebhookConfiguration>(&index, &hooks(&["jobs.bulkhead.dev"]));
    assert!(missing(), "without the hook for pods");
    delete::<MutatingWebhookConfiguration>(&index, &hooks(&[]));
    assert!(missing());
    apply::<MutatingWebhookConfiguration>(&index, &hooks(&["pods.bulkhead.dev"]));
    assert!(!missing());
}

#[test]
fn the_hooks_that_look_at_what_came_later_are_missed_too() {
    let index = index();
    let missing = || index.snapshot(even(at(0))).hooks_missing;
    list::<MutatingWebhookConfiguration>(&index, &[hooks(&["pods.bulkhead.dev"])]);
    let late = |events: Vec<Event<DeserializeGuard<MutatingWebhookConfiguration>>>| {
        for event in events {
            index.feed(Change::LateHooks(Box::new(event)));
        }
    };
    let object = |names: &[&str]| serde_json::from_value(hooks(names)).unwrap();
    late(vec![Event::Init, Event::InitDone]);
    assert!(missing(), "there are none");
    late(vec![Event::Apply(object(&["late-pods.bulkhead.dev"]))]);
    assert!(!missing());
    late(vec![Event::Apply(object(&["late-jobs.bulkhead.dev"]))]);
    assert!(missing(), "without the one for pods");
}
