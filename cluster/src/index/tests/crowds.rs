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
