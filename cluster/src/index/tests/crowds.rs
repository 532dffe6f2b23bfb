//! A namespace in which more waits than may, and Jobs that are too large.

use kube::core::error_boundary::InvalidObject;
use model::status::Code;

use super::super::NamespaceLimits;
use super::*;

fn limited(jobs: usize, bytes: usize) -> Index {
    Index::limited(ArnBase::default(), NamespaceLimits { jobs, bytes })
}

/// Names and codes of the Jobs that are not planned for.
fn barred(index: &Index) -> Vec<(String, Code)> {
    let jobs = index.snapshot(even(at(0))).jobs;
    let mut all: Vec<_> = jobs.into_iter().filter_map(|job| Some((job.key.name, job.barred?.code))).collect();
    all.sort();
    all
}

fn selecting(mut job: Value, labels: usize) -> Value {
    for index in 0..labels {
        job["spec"]["template"]["spec"]["nodeSelector"][format!("label-{index}")] = json!("value");
    }
    job
}

#[test]
fn the_oldest_of_a_namespace_are_planned_for_and_others_follow() {
    let index = limited(2, usize::MAX);
    for (name, age) in [("c", 10), ("a", 30), ("b", 20)] {
        apply::<Job>(&index, &created(job(name), at(-age)));
    }
    let mut elsewhere = created(job("d"), at(0));
    elsewhere["metadata"]["namespace"] = json!("other");
    apply::<Job>(&index, &elsewhere);
    assert_eq!(barred(&index), [("c".to_owned(), Code::NamespaceWaiting)]);
    index.assume_released("uid-a", even(at(0)));
    assert_eq!(barred(&index), [], "one has started");
}

#[test]
fn what_they_need_counts_too() {
    let index = limited(usize::MAX, 4000);
    for (name, age) in [("a", 30), ("b", 20), ("c", 10)] {
        apply::<Job>(&index, &created(selecting(job(name), 10), at(-age)));
    }
    assert_eq!(barred(&index), [("c".to_owned(), Code::NamespaceWaiting)]);
    assert_eq!(index.snapshot(even(at(0))).jobs.iter().filter(|job| job.shape.node_selector.is_empty()).count(), 1);
}

#[test]
fn a_job_of_which_too_much_would_be_kept_says_so() {
    let index = index();
    apply::<Job>(&index, &selecting(job("large"), 1000));
    apply::<Job>(&index, &selecting(job("usual"), 20));
    let unread = InvalidObject {
        error: "it is larger than Bulkhead reads".to_owned(),
        metadata: serde_json::from_value(job("huge")["metadata"].clone()).unwrap(),
    };
    index.feed(Event::<DeserializeGuard<Job>>::Apply(DeserializeGuard(Err(unread))));
    let expected = [("huge".to_owned(), Code::JobTooLarge), ("large".to_owned(), Code::JobTooLarge)];
    assert_eq!(barred(&index), expected);
}

fn bare(name: &str, age: i64) -> Value {
    let mut pod = created(pod(name, "none"), at(-age));
    pod["metadata"]["ownerReferences"] = json!([]);
    pod
}

/// A pod that asks for what no other does.
fn unlike(name: &str, age: i64) -> Value {
    let mut pod = bare(name, age);
    for label in 0..10 {
        pod["spec"]["nodeSelector"][format!("label-{label}")] = json!(name);
    }
    pod
}

/// Names of the pods that are planned for, and of those that are barred.
fn planned(index: &Index) -> (Vec<String>, Vec<String>) {
    let name = |unit: &Unit| unit.key.name.clone();
    let (barred, planned): (Vec<Unit>, Vec<Unit>) = units(index).into_iter().partition(|unit| unit.barred.is_some());
    (planned.iter().map(name).collect(), barred.iter().map(name).collect())
}

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_oldest_pods_of_a_namespace_are_planned_for_and_others_follow() {
    let index = limited(2, usize::MAX);
    for (name, age) in [("c", 10), ("a", 30), ("b", 20)] {
        apply::<Pod>(&index, &bare(name, age));
    }
    let mut elsewhere = bare("d", 0);
    elsewhere["metadata"]["namespace"] = json!("other");
    apply::<Pod>(&index, &elsewhere);
    assert_eq!(planned(&index), (names(&["a", "b", "d"]), names(&["c"])));
    assert_eq!(units(&index)[2].barred.as_ref().unwrap().code, Code::NamespaceWaiting);
    apply::<Pod>(&index, &on(bare("a", 30), "n1"));
    assert_eq!(planned(&index), (names(&["a", "b", "c", "d"]), vec![]));
}

#[test]
fn what_pods_need_is_kept_up_to_a_limit_and_the_rest_is_asked_for_when_half_is_free() {
    let index = limited(usize::MAX, 6500);
    let mut wanted = index.pods_wanted();
    let all = ["a", "b", "c", "d", "e"].map(|name| unlike(name, 10));
    list::<Pod>(&index, &all);
    assert_eq!(planned(&index), (names(&["a", "b", "c"]), names(&["d", "e"])));
    assert!(units(&index).iter().all(|unit| unit.barred.is_none() || unit.shape.node_selector.is_empty()));
    list::<Pod>(&index, &all);
    assert_eq!(planned(&index), (names(&["a", "b", "c"]), names(&["d", "e"])), "another list changes nothing");
    delete::<Pod>(&index, &all[0]);
    let _one = planned(&index);
    assert!(!wanted.has_changed().unwrap(), "one is free");
    apply::<Pod>(&index, &on(all[1].clone(), "n1"));
    let _two = planned(&index);
    assert!(wanted.has_changed().unwrap());
    wanted.mark_unchanged();
    list::<Pod>(&index, &[on(all[1].clone(), "n1"), all[2].clone(), all[3].clone(), all[4].clone()]);
    assert_eq!(planned(&index), (names(&["b", "c", "d", "e"]), vec![]));
    let _settled = planned(&index);
    assert!(!wanted.has_changed().unwrap(), "nobody is missing");
}

#[test]
fn ten_thousand_pods_that_need_the_same_count_once() {
    let index = limited(20_000, 5000);
    for number in 0..10_000 {
        let mut pod = unlike("same", 10);
        pod["metadata"]["name"] = json!(number.to_string());
        pod["metadata"]["uid"] = json!(number.to_string());
        apply::<Pod>(&index, &pod);
    }
    let units = units(&index);
    assert!(units.len() == 10_000 && units.iter().all(|unit| unit.barred.is_none()));
    assert!(units.iter().all(|unit| std::sync::Arc::ptr_eq(&unit.shape, &units[0].shape)), "it is kept once");
}
