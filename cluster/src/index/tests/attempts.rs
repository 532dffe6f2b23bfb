//! Pods of the API's jobs, and what their kubelets say about them.

use k8s_openapi::api::core::v1::Event as CoreEvent;

use super::*;

fn unmounted(name: &str, pod: &str, message: &str, time: Timestamp) -> Change {
    Change::Mount(Box::new(reported("FailedMount", name, pod, message, time)))
}

fn reported(reason: &str, name: &str, pod: &str, message: &str, time: Timestamp) -> Event<DeserializeGuard<CoreEvent>> {
    let event = json!({
        "metadata": {"namespace": "n", "name": name, "uid": format!("uid-{name}")},
        "involvedObject": {"kind": "Pod", "name": pod, "uid": format!("uid-{pod}")},
        "reason": reason, "message": message, "firstTimestamp": time.to_string(),
    });
    Event::Apply(read::<CoreEvent>(&event))
}

fn attempt(name: &str) -> Value {
    let mut made = on(pod(name, "none"), "n");
    made["metadata"]["annotations"] =
        json!({keys::JOB_ID_RAW: "2d044787-c663-4ce6-a6fe-f2baf7e51b04", keys::ATTEMPT: "1", keys::PLACEMENT: "0"});
    made
}

#[test]
fn a_pod_was_deleted_when_that_was_first_asked_for() {
    let index = index();
    let deleting = || index.look(even(at(0))).1[0].deleting;
    let mut made = attempt("p");
    made["spec"]["terminationGracePeriodSeconds"] = json!(30);
    apply::<Pod>(&index, &made);
    assert_eq!(deleting(), None);
    for (over, grace) in [(40, 30), (12, 0)] {
        made["metadata"]["deletionTimestamp"] = json!(at(over).to_string());
        made["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        apply::<Pod>(&index, &made);
        assert_eq!(deleting(), Some(at(10)), "{grace}");
    }
}

#[test]
fn the_first_report_that_a_volume_does_not_mount_is_on_its_pod_alone() {
    let index = index();
    for name in ["p", "q"] {
        apply::<Pod>(&index, &attempt(name));
    }
    index.feed(unmounted("b", "p", "timed out", at(130)));
    index.feed(unmounted("a", "p", "no such secret", at(7)));
    let mut found = index.look(even(at(0))).1;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let found = found.iter().map(|pod| pod.unmounted.as_ref().map(|it| (it.message.as_str(), it.since)));
    assert_eq!(found.collect::<Vec<_>>(), [Some(("no such secret", at(7))), None]);
}

#[test]
fn a_job_is_told_of_a_volume_that_does_not_mount_until_it_is_mounted() {
    let index = index();
    apply::<Job>(&index, &job("j"));
    let ready = |status: &str| {
        let mut made = on(pod("p", "j"), "n");
        made["status"]["conditions"] = json!([{"type": "PodReadyToStartContainers", "status": status}]);
        apply::<Pod>(&index, &made);
    };
    let stuck = || index.snapshot(even(at(0))).jobs[0].stuck.clone();
    ready("False");
    assert_eq!(stuck(), None);
    index.feed(unmounted("a", "p", "no such secret", at(7)));
    assert_eq!(stuck().as_deref(), Some("p: FailedMount: no such secret"));
    ready("True");
    assert_eq!(stuck(), None);
}

#[test]
fn a_report_from_another_namespace_is_about_nobody() {
    let index = index();
    apply::<Pod>(&index, &attempt("p"));
    let Event::Apply(mut event) = reported("FailedMount", "a", "p", "made up", at(7)) else { panic!("an Event") };
    event.0.as_mut().unwrap().metadata.namespace = Some("of-another".to_owned());
    index.feed(Change::Mount(Box::new(Event::Apply(event))));
    assert_eq!(index.look(even(at(0))).1[0].unmounted, None);
}

#[test]
fn what_cannot_be_attached_is_known_beside_what_cannot_be_mounted() {
    let index = index();
    apply::<Pod>(&index, &attempt("p"));
    index.feed(Change::Attach(Box::new(reported("FailedAttachVolume", "a", "p", "attached elsewhere", at(7)))));
    let said = || index.look(even(at(0))).1[0].unmounted.clone().map(|it| (it.reason, it.message, it.since, it.last));
    let first = |last| Some(("FailedAttachVolume".to_owned(), "attached elsewhere".to_owned(), at(7), at(last)));
    assert_eq!(said(), first(7));
    // A new list of the other watch changes nothing about it.
    for event in [Event::Init, Event::InitDone, reported("FailedMount", "b", "p", "timed out", at(90))] {
        index.feed(Change::Mount(Box::new(event)));
    }
    assert_eq!(said(), first(90));
}
