//! Our own writes, seen before the watches show them.

use super::*;
use model::snapshot::Stage;
use model::status::{JobState, Status};

fn waiting() -> Index {
    let index = index();
    apply::<Node>(&index, &node("n1"));
    apply::<Job>(&index, &job("j"));
    apply::<Pod>(&index, &pod("p", "j"));
    index
}

fn place(index: &Index, seconds: i64) -> Place {
    index.snapshot(even(at(seconds))).units.remove(0).place
}

#[test]
fn a_pod_that_we_bound_is_on_its_node_at_once() {
    let index = waiting();
    index.assume_bound("uid-p", "n1", even(at(0)));
    assert_eq!(place(&index, 1), bound("n1", false));
    let node = only_node(&index, at(1));
    assert_eq!((node.used, node.units, node.idle_since), (cores(1), 1, None));
    assert_eq!(index.units_on("n1"), 1);
}

#[test]
fn an_assumption_outlives_events_that_do_not_show_it() {
    let index = waiting();
    index.assume_bound("uid-p", "n1", even(at(0)));
    apply::<Pod>(&index, &annotated(pod("p", "j"), "other", "x"));
    assert_eq!(place(&index, 29), bound("n1", false));
    list::<Pod>(&index, &[pod("p", "j")]);
    assert_eq!(place(&index, 29), bound("n1", false));
}

#[test]
fn a_place_that_no_watch_shows_is_looked_up_and_not_forgotten() {
    let key = model::snapshot::ObjectKey::new("n", "p");
    let of_another = |mut pod: Value| {
        pod["metadata"]["uid"] = json!("another");
        pod
    };
    let pods = |pod: Value| read::<Pod>(&pod).0.ok();
    for (found, expected) in [
        (pods(on(pod("p", "j"), "n2")), bound("n2", false)),
        (pods(pod("p", "j")), Place::Waiting),
        (pods(of_another(on(pod("p", "j"), "n1"))), Place::Waiting),
        (None, Place::Waiting),
    ] {
        let index = waiting();
        index.assume_bound("uid-p", "n1", even(at(0)));
        assert_eq!(index.unseen(even(at(29))), []);
        assert_eq!(place(&index, 100), bound("n1", false), "the watch is silent");
        assert_eq!(index.unseen(even(at(100))), [(key.clone(), "uid-p".to_owned())]);
        assert_eq!(index.unseen(even(at(104))), [], "it is being looked up");
        assert_eq!(index.unseen(even(at(105))).len(), 1, "there was no answer");
        index.found("uid-p", found.as_ref(), even(at(106)));
        assert_eq!(place(&index, 107), expected);
        assert_eq!(index.unseen(even(at(107))), []);
    }
    let index = waiting();
    index.assume_bound("uid-p", "n1", even(at(0)));
    index.forget("uid-p");
    assert_eq!(place(&index, 1), Place::Waiting);
}

#[test]
fn the_watch_has_the_last_word_about_the_node() {
    let index = waiting();
    index.assume_bound("uid-p", "n1", even(at(0)));
    apply::<Pod>(&index, &on(pod("p", "j"), "n2"));
    assert_eq!(place(&index, 1), bound("n2", false));
    assert_eq!(only_node(&index, at(1)).units, 0);
    apply::<Pod>(&index, &pod("p", "j"));
    assert_eq!(place(&index, 2), Place::Waiting, "nothing is left of the assumption");
}

#[test]
fn a_pod_that_is_gone_takes_its_assumption_along() {
    let index = waiting();
    index.assume_bound("uid-p", "n1", even(at(0)));
    delete::<Pod>(&index, &pod("p", "j"));
    assert_eq!(only_node(&index, at(1)).units, 0);
    apply::<Pod>(&index, &pod("p", "j"));
    assert_eq!(place(&index, 2), Place::Waiting);
}

#[test]
fn a_hold_is_seen_at_once_and_replaced_by_what_the_watch_shows() {
    let index = waiting();
    let held =
        |nodes: &[&str], refused| Place::Held { nodes: nodes.iter().map(ToString::to_string).collect(), refused };
    let shown = |nodes: &str| {
        let mut pod = annotated(pod("p", "j"), keys::HOLD, nodes);
        pod["spec"]["schedulerName"] = json!(keys::SCHEDULER_EXTENDED);
        pod["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]);
        pod
    };
    index.assume_held("uid-p", &["n1".to_owned()], even(at(0)));
    assert_eq!(place(&index, 1), held(&["n1"], false));
    assert_eq!(only_node(&index, at(1)).idle_since, None);
    apply::<Pod>(&index, &shown("n1"));
    assert_eq!(place(&index, 2), held(&["n1"], true));
    index.assume_held("uid-p", &["n1".to_owned(), "n2".to_owned()], even(at(3)));
    assert_eq!(place(&index, 3), held(&["n1", "n2"], false), "the refusal was of the hold before");
    apply::<Pod>(&index, &shown("n1,n2"));
    assert_eq!(place(&index, 5), held(&["n1", "n2"], false), "it may still be");
    assert_eq!((index.next_doubt(even(at(5))), index.next_doubt(even(at(6)))), (Some(even(at(6)).moment), None));
    assert_eq!(place(&index, 6), held(&["n1", "n2"], true));
}

#[test]
fn a_release_and_a_status_are_seen_at_once() {
    let index = waiting();
    let status = Status { state: JobState::Starting, reason: None };
    let seen = |seconds| {
        let job = index.snapshot(even(at(seconds))).jobs.remove(0);
        (job.released, job.status)
    };
    assert_eq!(seen(0), (false, None));
    index.assume_released("uid-j", even(at(0)));
    index.assume_status("uid-j", &status, even(at(0)));
    assert_eq!(seen(1), (true, Some(status.clone())));
    apply::<Job>(&index, &annotated(job("j"), keys::RELEASED, "true"));
    assert_eq!(seen(2), (true, Some(status.clone())), "the status is still to come");
    let both = annotated(annotated(job("j"), keys::RELEASED, "true"), keys::STATUS, r#"{"state":"STARTING"}"#);
    apply::<Job>(&index, &both);
    assert_eq!(seen(3), (true, Some(status)));
    apply::<Job>(&index, &annotated(job("j"), keys::STATUS, r#"{"state":"RUNNABLE"}"#));
    assert_eq!(
        seen(4),
        (false, Some(Status { state: JobState::Runnable, reason: None })),
        "nothing is assumed any more"
    );
}

#[test]
fn assumptions_are_no_change() {
    let index = waiting();
    let before = version(&index);
    index.assume_bound("uid-p", "n1", even(at(0)));
    index.assume_released("uid-j", even(at(0)));
    index.forget("uid-p");
    assert_eq!(version(&index), before);
}

#[test]
fn an_older_version_of_a_batch_node_does_not_come_back() {
    let index = index();
    let stage = || index.batch_nodes().iter().map(BatchNode::phase).collect::<Vec<_>>();
    let read = |object: &Value| serde_json::from_value::<BatchNode>(object.clone()).unwrap();
    index.apply_batch_node(read(&machine("m", "12", "Ready")));
    apply::<BatchNode>(&index, &machine("m", "9", "Pending"));
    assert_eq!(stage(), [api::crd::Phase::Ready]);
    apply::<BatchNode>(&index, &machine("m", "13", "Retiring"));
    index.apply_batch_node(read(&machine("m", "12", "Ready")));
    assert_eq!(stage(), [api::crd::Phase::Retiring]);
    index.remove_batch_node("m");
    apply::<BatchNode>(&index, &machine("m", "13", "Retiring"));
    assert_eq!(stage(), [], "it was seen going");
    delete::<BatchNode>(&index, &machine("m", "14", "Terminating"));
    let mut another = machine("m", "15", "Pending");
    another["metadata"]["uid"] = json!("another");
    apply::<BatchNode>(&index, &another);
    delete::<BatchNode>(&index, &machine("m", "14", "Terminating"));
    assert_eq!(stage(), [api::crd::Phase::Pending], "another one of that name");
}

#[test]
fn a_machine_does_not_stay_while_it_is_written_that_it_retires() {
    let index = index();
    let stages = || {
        let machines = index.snapshot(even(at(0))).machines;
        machines.into_iter().map(|machine| (machine.name, machine.stage)).collect::<Vec<_>>()
    };
    let (m, n) = ("m".to_owned(), "n".to_owned());
    for name in [&m, &n] {
        apply::<BatchNode>(&index, &machine(name, "12", "Ready"));
    }
    index.retires("m");
    assert_eq!(stages(), [(m.clone(), Stage::Going), (n.clone(), Stage::Serving)]);
    let before = version(&index);
    index.retires_no_more("n");
    assert_eq!(version(&index), before);
    // It did not go through.
    index.retires_no_more("m");
    assert!(version(&index) > before, "another may be chosen");
    assert_eq!(stages(), [(m.clone(), Stage::Serving), (n.clone(), Stage::Serving)]);
    index.retires("m");
    apply::<BatchNode>(&index, &machine("m", "13", "Retiring"));
    index.retires_no_more("m");
    assert_eq!(stages(), [(m, Stage::Going), (n, Stage::Serving)]);
}

#[test]
fn a_batch_node_that_was_stored_during_a_list_is_kept() {
    let index = index();
    let read = |object: &Value| serde_json::from_value::<BatchNode>(object.clone()).unwrap();
    index.apply_batch_node(read(&machine("gone", "5", "Ready")));
    index.feed(Event::<DeserializeGuard<BatchNode>>::Init);
    index.apply_batch_node(read(&machine("new", "20", "Pending")));
    index.apply_batch_node(read(&machine("moved", "21", "Ready")));
    index.feed(Event::InitApply(super::read::<BatchNode>(&machine("moved", "11", "Pending"))));
    index.feed(Event::<DeserializeGuard<BatchNode>>::InitDone);
    let mut found: Vec<_> =
        index.batch_nodes().iter().map(|one| (one.metadata.name.clone().unwrap(), one.phase())).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found, [("moved".to_owned(), api::crd::Phase::Ready), ("new".to_owned(), api::crd::Phase::Pending)]);
}
