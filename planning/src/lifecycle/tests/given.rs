//! Jobs of which kube-scheduler chooses the node, and volumes that do not mount.

use model::job::Unmounted;

use super::super::{duty, trouble};
use super::*;

/// STARTING, with kube-scheduler; its pod has been seen.
fn held() -> JobRecord {
    let record = JobRecord { state: JobState::Starting, ..JobRecord::submitted(id(), at(-100)) };
    JobRecord { placed: Some(Placed { pod_uid: Some("uid".into()), ..given(&record) }), ..record }
}

/// Its pod before kube-scheduler has chosen.
fn unbound() -> PodFacts {
    let hold = vec!["node-1".to_owned(), "node-2".to_owned()];
    PodFacts { node: None, hold, containers: vec![], ..pod(&held()) }
}

fn after(record: &JobRecord, event: &Event) -> JobRecord {
    next(record, &spec(1), event, at(5)).map_or_else(|| record.clone(), |transition| transition.record)
}

#[test]
fn the_node_is_the_one_that_kube_scheduler_chooses() {
    let waits = held();
    assert_eq!(after(&waits, &Event::PodSeen(&unbound())), waits);
    let bound = PodFacts { node: Some("node-2".into()), ..unbound() };
    let placed = after(&waits, &Event::PodSeen(&bound)).placed.unwrap();
    assert_eq!((placed.node.as_str(), placed.node_uid.as_str(), placed.hold.len()), ("node-2", "", 0));
}

#[test]
fn what_kube_scheduler_says_is_the_reason_until_it_has_chosen() {
    let refusal = Some("0/2 nodes are available: 2 had a volume node affinity conflict.".to_owned());
    let refused = PodFacts { unschedulable: refusal, ..unbound() };
    let record = after(&held(), &Event::PodSeen(&refused));
    let expected = "SCHEDULING:KUBE_SCHEDULER - 0/2 nodes are available: 2 had a volume node affinity conflict.";
    assert_eq!(record.reason.as_deref(), Some(expected));
    let bound = PodFacts { node: Some("node-1".into()), unschedulable: None, ..refused };
    assert_eq!(after(&record, &Event::PodSeen(&bound)).reason, None);
}

#[test]
fn other_nodes_of_the_environment_are_stored_and_then_told() {
    let nodes = ["node-1".to_owned(), "node-3".to_owned()];
    let wider = after(&held(), &Event::Held { nodes: &nodes, environment_uuid: "ce-uuid" });
    assert_eq!(wider.placed.as_ref().unwrap().hold, nodes);
    assert_eq!(duty(&held(), Some(&unbound())), Duty::Nothing);
    assert_eq!(duty(&wider, Some(&unbound())), Duty::Hold);
    let stopped = JobRecord { stop: Some(stop(StopKind::Terminate)), ..wider };
    assert_eq!(duty(&stopped, Some(&unbound())), Duty::Delete);
}

#[test]
fn for_nodes_of_another_environment_the_pod_is_made_anew() {
    let nodes = ["node-9".to_owned()];
    let record = after(&held(), &Event::Held { nodes: &nodes, environment_uuid: "other" });
    assert_eq!((record.state, record.attempt, record.placement), (JobState::Runnable, 1, 1));
    assert_eq!(record.reason.as_deref(), Some("No node is left for the pod in the compute environment: CE"));
    assert_eq!(duty(&record, Some(&unbound())), Duty::Delete);
}

#[test]
fn a_place_that_is_chosen_is_not_changed_any_more() {
    let nodes = ["node-9".to_owned()];
    for state in [JobState::Runnable, JobState::Starting, JobState::Running, JobState::Failed] {
        let event = Event::Held { nodes: &nodes, environment_uuid: "other" };
        assert_eq!(next(&record(state), &spec(1), &event, at(5)), None, "{state:?}");
    }
}

/// A volume does not mount since 10 s: the reason, and whether that may end the job.
#[track_caller]
fn unmounted(change: impl FnOnce(&mut PodFacts), reason: Option<&str>, ends: bool) {
    let record = record(JobState::Starting);
    let mut facts = with_volume(&record);
    change(&mut facts);
    assert_eq!(trouble::of_pod(&facts, None).as_deref(), reason);
    let found = trouble::unmounted(&record, &facts);
    assert_eq!(found.as_deref(), reason.filter(|_| ends));
}

/// A pod of which a volume does not mount.
pub(super) fn with_volume(record: &JobRecord) -> PodFacts {
    let unmounted = Unmounted {
        reason: "FailedMount".into(),
        since: at(10),
        last: at(60),
        message: "secret \"s\" not found".into(),
    };
    PodFacts { unmounted: Some(unmounted), ready_to_start: Some(false), unready_since: Some(at(5)), ..pod(record) }
}

#[test]
fn a_job_may_end_while_its_volume_does_not_mount() {
    let reason = Some("FailedMount: secret \"s\" not found");
    unmounted(|_| (), reason, true);
    unmounted(|facts| facts.containers = vec![waits("main", Some("ContainerCreating"))], reason, true);
    // Anybody may write an Event: the pod's own status has to say it, too.
    unmounted(|facts| (facts.ready_to_start, facts.unready_since) = (None, None), reason, false);
    unmounted(|facts| facts.unready_since = None, reason, false);
    // It was mounted after all.
    let pull = |facts: &mut PodFacts| facts.containers = vec![waits("main", Some("ErrImagePull"))];
    unmounted(pull, Some("CannotPullContainerError: ErrImagePull"), false);
    unmounted(|facts| facts.containers = vec![runs("main")], None, false);
    unmounted(|facts| facts.init_containers = vec![exits("init", 0, "Completed")], None, false);
    unmounted(|facts| facts.ready_to_start = Some(true), None, false);
    unmounted(|facts| facts.unmounted = None, None, false);
    let attached = |facts: &mut PodFacts| facts.unmounted.as_mut().unwrap().reason = "FailedAttachVolume".into();
    unmounted(attached, Some("FailedAttachVolume: secret \"s\" not found"), true);
    // The job has left this pod behind.
    unmounted(|facts| facts.placement = 7, reason, false);
    unmounted(|facts| facts.phase = PodPhase::Failed, reason, false);
}

#[test]
fn a_hopeless_job_is_not_tried_again() {
    let record = record(JobState::Starting);
    let stop = Stop { kind: StopKind::Hopeless, reason: "FailedMount: x".into() };
    let stopped = after(&record, &Event::StopAsked(&stop));
    let gone = PodFacts { deleting: Some(at(6)), confirmed: true, ..pod(&stopped) };
    let ended = next(&stopped, &spec(3), &Event::PodSeen(&gone), at(7)).unwrap();
    assert_eq!((ended.record.state, ended.record.reason.as_deref()), (JobState::Failed, Some("FailedMount: x")));
}
