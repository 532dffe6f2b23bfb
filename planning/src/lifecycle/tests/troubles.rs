//! What is said of a pod that does not start.

use super::*;

fn stuck(reason: &str, message: &str) -> PodFacts {
    let state =
        ContainerState::Waiting { reason: Some(reason.into()), message: (!message.is_empty()).then(|| message.into()) };
    PodFacts { containers: vec![container("main", state)], ..pod(&record(JobState::Starting)) }
}

/// What a job says after its pod was seen like this, one after the other; `-`: nothing is written.
#[track_caller]
fn says(seen: &[(&str, &str, &str)]) {
    let mut record = record(JobState::Starting);
    for (reason, message, expected) in seen {
        let expected = if *expected == "-" { "-".into() } else { format!("STARTING 1/0 ({expected})") };
        record = check(&record, &spec(1), &Event::PodSeen(&stuck(reason, message)), &expected);
    }
}

#[test]
fn a_kubelet_that_alternates_is_written_down_once() {
    let error = r#"failed to pull and unpack image "x:1": not found"#;
    let back_off = format!(r#"Back-off pulling image "x:1": ErrImagePull: {error}"#);
    let text = format!("CannotPullContainerError: {error}");
    says(&[("ErrImagePull", error, &text), ("ImagePullBackOff", &back_off, "-"), ("ErrImagePull", error, "-")]);
    says(&[("ImagePullBackOff", &back_off, &text), ("ErrImagePull", error, "-")]);
    // An older kubelet, which forgets the error while it waits.
    let bare = r#"Back-off pulling image "x:1""#;
    says(&[("ErrImagePull", error, &text), ("ImagePullBackOff", bare, "-"), ("ErrImagePull", error, "-")]);
    let first = format!("CannotPullContainerError: {bare}");
    says(&[("ImagePullBackOff", bare, &first), ("ErrImagePull", error, &text), ("ImagePullBackOff", bare, "-")]);
}

#[test]
fn other_troubles_are_in_the_kubelets_words() {
    says(&[("ContainerCreating", "", "-"), ("PodInitializing", "", "-")]);
    says(&[("ErrImageNeverPull", "", "CannotPullContainerError: ErrImageNeverPull")]);
    let text = r#"CreateContainerConfigError: secret "s" not found"#;
    says(&[("CreateContainerConfigError", r#"secret "s" not found"#, text)]);
    let long = "x".repeat(5_000);
    let mut record = record(JobState::Starting);
    let seen = stuck("ErrImagePull", &long);
    record = next(&record, &spec(1), &Event::PodSeen(&seen), at(50)).unwrap().record;
    assert_eq!(record.reason.unwrap().chars().count(), 1024);
}

#[test]
fn a_trouble_that_is_over_is_not_mentioned_any_more() {
    let (record, spec) = (record(JobState::Starting), spec(1));
    let seen = stuck("ErrImagePull", "timeout");
    let troubled = check(&record, &spec, &Event::PodSeen(&seen), "STARTING 1/0 (CannotPullContainerError: timeout)");
    assert_eq!(troubled.placed.as_ref().unwrap().trouble, troubled.reason);
    let well = check(&troubled, &spec, &Event::PodSeen(&pod(&record)), "STARTING 1/0");
    assert_eq!(well.placed.unwrap().trouble, None);
    let running = PodFacts { containers: vec![runs("main")], ..pod(&record) };
    let running = check(&troubled, &spec, &Event::PodSeen(&running), "RUNNING 1/0");
    assert_eq!(running.started, Some(at(10)));
}

#[test]
fn init_containers_are_part_of_starting() {
    let (record, spec) = (record(JobState::Starting), spec(1));
    let seen = |init, main| PodFacts { init_containers: vec![init], containers: vec![main], ..pod(&record) };
    let initializing = waits("main", Some("PodInitializing"));
    check(&record, &spec, &Event::PodSeen(&seen(runs("init"), initializing.clone())), "-");
    let stuck = seen(waits("init", Some("ErrImagePull")), initializing);
    check(&record, &spec, &Event::PodSeen(&stuck), "STARTING 1/0 (CannotPullContainerError: ErrImagePull)");
    check(&record, &spec, &Event::PodSeen(&seen(exits("init", 0, "Completed"), runs("main"))), "RUNNING 1/0");
}

#[test]
fn where_kube_scheduler_chose_another_node_its_uid_is_unknown() {
    let record = record(JobState::Starting);
    let elsewhere = PodFacts { node: Some("node-2".into()), ..pod(&record) };
    let after = check(&record, &spec(1), &Event::PodSeen(&elsewhere), "STARTING 1/0").placed.unwrap();
    assert_eq!((after.node.as_str(), after.node_uid.as_str()), ("node-2", ""));
    let unbound = PodFacts { node: None, ..pod(&record) };
    check(&record, &spec(1), &Event::PodSeen(&unbound), "-");
}
