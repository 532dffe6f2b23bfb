//! Tests of what is seen of the pod of an attempt.

use super::*;
use serde_json::{Value, json};

const ID: &str = "2d044787-c663-4ce6-a6fe-f2baf7e51b04:7";

fn seen(change: impl FnOnce(&mut Value)) -> Option<PodFacts> {
    let mut object = json!({
        "metadata": {
            "namespace": "n", "name": "p", "uid": "u",
            "finalizers": [keys::RECORD_FINALIZER],
            "annotations": {keys::JOB_ID_RAW: ID, keys::ATTEMPT: "2", keys::PLACEMENT: "1"},
        },
        "spec": {"nodeName": "node", "containers": [{"name": "c"}]},
        "status": {"phase": "Running"},
    });
    change(&mut object);
    facts(&serde_json::from_value(object).unwrap())
}

fn container(state: &Value) -> ContainerState {
    let status = json!([{"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]);
    seen(|pod| pod["status"]["containerStatuses"] = status).unwrap().containers[0].state.clone()
}

#[test]
fn a_pod_says_which_attempt_it_is() {
    let facts = seen(|_| ()).unwrap();
    assert_eq!((facts.job.to_string().as_str(), facts.attempt, facts.placement), (ID, 2, 1));
    assert_eq!((facts.node.as_deref(), facts.phase, facts.kept), (Some("node"), PodPhase::Running, true));
    assert_eq!((facts.deleting, facts.confirmed), (None, false));
}

#[test]
fn a_pod_that_lacks_its_marks_is_nobodys_attempt() {
    for key in [keys::JOB_ID_RAW, keys::ATTEMPT, keys::PLACEMENT] {
        let without = |pod: &mut Value| drop(pod["metadata"]["annotations"].as_object_mut().unwrap().remove(key));
        assert_eq!(seen(without), None, "{key}");
        assert_eq!(seen(|pod| pod["metadata"]["annotations"][key] = json!("x")), None, "{key}");
    }
}

#[test]
fn a_deletion_is_confirmed_when_its_grace_period_is_zero() {
    let deleted = |grace| {
        move |pod: &mut Value| {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
            pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        }
    };
    let asked = seen(deleted(30)).unwrap();
    assert_eq!((asked.confirmed, asked.deleting), (false, Some("2026-01-02T03:03:35Z".parse().unwrap())));
    let confirmed = seen(deleted(0)).unwrap();
    assert_eq!((confirmed.confirmed, confirmed.deleting), (true, Some("2026-01-02T03:04:05Z".parse().unwrap())));
    // Nobody saw when it was asked for: at most its own grace period before.
    let late = seen(|pod| {
        deleted(0)(pod);
        pod["spec"]["terminationGracePeriodSeconds"] = json!(20);
    });
    assert_eq!(late.unwrap().deleting, Some("2026-01-02T03:03:45Z".parse().unwrap()));
}

#[test]
fn containers_wait_run_and_end() {
    let at = "2026-01-02T03:04:05Z";
    let time: Timestamp = at.parse().unwrap();
    let words = |text: &str| Some(text.to_owned());
    assert_eq!(container(&json!({})), ContainerState::Waiting { reason: None, message: None });
    assert_eq!(
        container(&json!({"waiting": {"reason": "ImagePullBackOff", "message": "m"}})),
        ContainerState::Waiting { reason: words("ImagePullBackOff"), message: words("m") }
    );
    assert_eq!(container(&json!({"running": {"startedAt": at}})), ContainerState::Running { since: Some(time) });
    assert_eq!(
        container(&json!({"terminated": {"exitCode": 3, "reason": "Error", "startedAt": null, "finishedAt": at}})),
        ContainerState::Ended {
            exit_code: 3,
            reason: words("Error"),
            message: None,
            started: None,
            finished: Some(time)
        }
    );
}

#[test]
fn a_disruption_counts_only_while_it_is_true() {
    let disrupted = |status: &'static str| {
        move |pod: &mut Value| {
            pod["status"]["conditions"] =
                json!([{"type": "DisruptionTarget", "status": status, "reason": "DeletionByPodGC"}]);
        }
    };
    assert_eq!(seen(disrupted("True")).unwrap().disruption.as_deref(), Some("DeletionByPodGC"));
    assert_eq!(seen(disrupted("False")).unwrap().disruption, None);
}
