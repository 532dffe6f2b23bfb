//! Lists that replace what was known, and what counts as a change.

use super::*;

#[tokio::test]
async fn the_index_is_synced_once_every_watch_has_listed() {
    let index = Index::new(ArnBase::default());
    list::<Pod>(&index, &[]);
    list::<Job>(&index, &[]);
    list::<Node>(&index, &[]);
    list::<ComputeEnvironment>(&index, &[]);
    list::<JobQueue>(&index, &[]);
    list::<Namespace>(&index, &[]);
    list::<LimitRange>(&index, &[]);
    list::<RuntimeClass>(&index, &[]);
    index.feed(Event::<DeserializeGuard<BatchNode>>::Init);
    assert!(!index.synced());
    index.feed(Event::<DeserializeGuard<BatchNode>>::InitDone);
    assert!(index.synced());
    index.wait_synced().await;
    index.feed(Event::<DeserializeGuard<BatchNode>>::Init);
    assert!(index.synced(), "a list that is being repeated is no reason to stop");
}

#[test]
fn a_new_list_replaces_the_old_one_when_it_is_complete() {
    let index = index();
    list::<Pod>(&index, &[pod("a", "j"), pod("b", "j")]);
    index.feed(Event::<DeserializeGuard<Pod>>::Init);
    index.feed(Event::InitApply(read::<Pod>(&pod("c", "j"))));
    let names = || units(&index).into_iter().map(|unit| unit.key.name).collect::<Vec<_>>();
    assert_eq!(names(), ["a", "b"]);
    index.feed(Event::<DeserializeGuard<Pod>>::Init);
    index.feed(Event::InitApply(read::<Pod>(&pod("b", "j"))));
    index.feed(Event::<DeserializeGuard<Pod>>::InitDone);
    assert_eq!(names(), ["b"]);
}

#[test]
fn what_was_known_about_a_job_goes_when_a_list_lacks_it() {
    let index = index();
    list::<Job>(&index, &[job("j"), job("k")]);
    apply::<Pod>(&index, &in_phase(pod("j1", "j"), "Failed"));
    apply::<Pod>(&index, &in_phase(pod("k1", "k"), "Failed"));
    list::<Pod>(&index, &[created(pod("j2", "j"), at(9)), created(pod("k2", "k"), at(9))]);
    let attempts = || units(&index).iter().map(|unit| unit.attempt).collect::<Vec<_>>();
    assert_eq!(attempts(), [2, 2]);
    list::<Job>(&index, &[job("k")]);
    assert_eq!(attempts(), [1, 2]);
}

#[test]
fn only_what_matters_is_a_change() {
    let index = index();
    apply::<Node>(&index, &node("n1"));
    apply::<Job>(&index, &job("j"));
    apply::<Pod>(&index, &pod("p", "j"));
    apply::<ComputeEnvironment>(&index, &environment("ce"));
    apply::<BatchNode>(&index, &machine("m", "10", "Pending"));
    let before = version(&index);

    let mut beat = node("n1");
    beat["metadata"]["resourceVersion"] = json!("77");
    beat["status"]["conditions"][0]["lastHeartbeatTime"] = json!(at(9).to_string());
    apply::<Node>(&index, &beat);
    let mut counted = environment("ce");
    counted["metadata"]["resourceVersion"] = json!("77");
    counted["status"] = json!({"vcpus": "2/256"});
    apply::<ComputeEnvironment>(&index, &counted);
    apply::<BatchNode>(&index, &machine("m", "11", "Pending"));
    apply::<Pod>(&index, &annotated(pod("p", "j"), "other", "x"));
    let mut unrelated = foreign("f", "n1");
    unrelated["spec"]["nodeName"] = json!(null);
    apply::<Pod>(&index, &unrelated);
    list::<Node>(&index, &[beat]);
    assert_eq!(version(&index), before);

    let mut tainted = node("n1");
    tainted["spec"]["taints"] = json!([{"key": keys::RETIRING_TAINT, "effect": "NoSchedule"}]);
    apply::<Node>(&index, &tainted);
    apply::<BatchNode>(&index, &machine("m", "12", "Launching"));
    apply::<Pod>(&index, &on(pod("p", "j"), "n1"));
    delete::<Job>(&index, &job("j"));
    assert_eq!(version(&index), before + 4);
}
