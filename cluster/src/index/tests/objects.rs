//! Jobs, custom resources, and what nobody can read.

use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::error_boundary::InvalidObject;
use model::snapshot::{Offer, Setback, Stage};
use model::status::JobState;

fn broken<K>(name: &str) -> DeserializeGuard<K> {
    let metadata =
        ObjectMeta { name: Some(name.to_owned()), uid: Some(format!("uid-{name}")), ..ObjectMeta::default() };
    DeserializeGuard(Err(InvalidObject { error: "missing field `spec`".to_owned(), metadata }))
}

fn ended(mut job: Value, condition: &str) -> Value {
    job["status"]["conditions"] = json!([{"type": condition, "status": "True"}]);
    job
}

#[test]
fn a_job_that_ended_is_no_longer_planned_until_its_status_says_so() {
    let index = index();
    apply::<Job>(&index, &ended(job("j"), "Failed"));
    apply::<Job>(&index, &ended(annotated(job("k"), keys::STATUS, r#"{"state":"SUCCEEDED"}"#), "Complete"));
    apply::<Job>(&index, &job("open"));
    assert_eq!(index.snapshot(even(at(0))).jobs.len(), 1);
    let finished = index.finished_jobs(even(at(0)).moment);
    assert_eq!(finished.len(), 1);
    assert_eq!((finished[0].key.name.as_str(), finished[0].state), ("j", JobState::Failed));
    let written = model::status::Status { state: JobState::Failed, reason: None };
    index.assume_status("uid-j", &written, even(at(0)));
    assert_eq!(index.finished_jobs(even(at(0)).moment), []);
    assert_eq!(index.job_reference("uid-j").unwrap().name.as_deref(), Some("j"));
    assert!(index.job_reference("uid-nobody").is_none());
}

#[test]
fn a_job_that_is_being_deleted_is_not_planned() {
    let index = index();
    let mut deleting = job("j");
    deleting["metadata"]["deletionTimestamp"] = json!(at(0).to_string());
    apply::<Job>(&index, &deleting);
    assert_eq!(index.snapshot(even(at(0))).jobs, []);
}

#[test]
fn jobs_that_go_are_kept_for_the_leader_and_for_nobody_else() {
    let index = index();
    let come_and_go = |name: &str| {
        apply::<Job>(&index, &job(name));
        delete::<Job>(&index, &ended(job(name), "Complete"));
    };
    let taken = || index.take_departed().into_iter().map(|it| (it.job.key.name, it.ended)).collect::<Vec<_>>();
    come_and_go("before");
    assert_eq!(taken(), []);
    index.keep_departed();
    come_and_go("a");
    apply::<Job>(&index, &job("open"));
    delete::<Job>(&index, &job("open"));
    assert_eq!(taken(), [("a".to_owned(), Some(JobState::Succeeded)), ("open".to_owned(), None)]);
    come_and_go("b");
    index.keep_departed();
    assert_eq!(taken().len(), 1);
    for number in 0..10_001 {
        come_and_go(&number.to_string());
    }
    assert_eq!(taken().len(), 10_000);
}

#[test]
fn the_requests_of_jobs_follow_the_defaults_of_their_queue() {
    let index = index();
    apply::<Job>(&index, &job("j"));
    let requests = || index.snapshot(even(at(0))).jobs.remove(0).shape.requests.clone();
    assert_eq!(requests(), Resources::default().with("pods", 1), "no queue, no defaults");
    apply::<JobQueue>(&index, &queue("q"));
    assert_eq!(requests(), Resources::new(250, 256 << 20).with("pods", 1));
    let mut other = queue("q");
    other["spec"]["defaultRequests"] = json!({"cpu": "1"});
    apply::<JobQueue>(&index, &other);
    assert_eq!(requests(), Resources::new(1000, 0).with("pods", 1));
    delete::<JobQueue>(&index, &other);
    other["metadata"]["name"] = json!("another-name");
    other["spec"]["name"] = json!("q");
    apply::<JobQueue>(&index, &other);
    assert_eq!(requests(), Resources::new(1000, 0).with("pods", 1), "found by its AWS name");
    list::<Job>(&index, &[job("k")]);
    assert_eq!(requests(), Resources::new(1000, 0).with("pods", 1), "also for Jobs that come later");
}

#[test]
fn custom_resources_come_by_name() {
    let index = index();
    list::<JobQueue>(&index, &[queue("q2"), queue("q1")]);
    list::<ComputeEnvironment>(&index, &[environment("ce")]);
    list::<BatchNode>(&index, &[machine("m", "1", "Retiring")]);
    let snapshot = index.snapshot(even(at(0)));
    let queues: Vec<_> = snapshot.queues.iter().map(|queue| queue.name.as_str()).collect();
    assert_eq!(queues, ["q1", "q2"]);
    assert_eq!(snapshot.environments[0].uuid, ArnBase::default().compute_environment_uuid("ce"));
    assert_eq!(snapshot.machines[0].stage, Stage::Going);
    assert_eq!(index.compute_environments().len() + index.job_queues().len(), 3);
    assert!(index.batch_node("m").is_some());
}

#[test]
fn a_shorter_list_of_offers_is_believed_when_it_lasts_and_silence_when_it_does() {
    let index = index();
    apply::<ComputeEnvironment>(&index, &environment("ce"));
    let until = |seconds| {
        let scaling = index.snapshot(even(at(seconds))).environments.remove(0).scaling.unwrap();
        scaling.unsettled_until
    };
    let offer = |name: &str| Offer {
        name: name.to_owned(),
        milli_vcpus: 1000,
        allocatable: Resources::new(1000, 1000),
        price_micros: 1,
        spot: false,
        labels: std::collections::BTreeMap::new(),
    };
    assert_eq!(until(0), Some(at(300)), "nobody has asked yet");
    assert_eq!(until(300), None);
    index.set_offers("ce", Ok(vec![offer("large"), offer("small")]), even(at(301)));
    assert_eq!(until(301), None);
    index.set_offers("ce", Ok(vec![offer("small")]), even(at(310)));
    index.set_offers("ce", Ok(vec![offer("small")]), even(at(340)));
    assert_eq!((until(369), until(370)), (Some(at(370)), None));
    index.set_offers("ce", Ok(vec![offer("small"), offer("large")]), even(at(380)));
    assert_eq!(until(380), None);
    index.set_offers("ce", Err("away".to_owned()), even(at(400)));
    index.set_offers("ce", Err("still away".to_owned()), even(at(500)));
    assert_eq!((until(699), until(700)), (Some(at(700)), None));
    index.set_offers("ce", Ok(vec![]), even(at(710)));
    assert_eq!((until(769), until(770)), (Some(at(770)), None), "what was sold before the silence counts");
}

#[test]
fn offers_and_setbacks_are_those_of_their_environment() {
    let index = index();
    apply::<ComputeEnvironment>(&index, &environment("ce"));
    let scaling = |seconds| index.snapshot(even(at(seconds))).environments.remove(0).scaling.unwrap();
    assert_eq!(scaling(0).offers, Err("the provider has not answered yet".to_owned()));
    let before = version(&index);
    index.set_offers("ce", Ok(Vec::new()), even(at(0)));
    index.set_offers("ce", Ok(Vec::new()), even(at(0)));
    assert_eq!(version(&index), before + 1, "the same answer again is no change");
    assert_eq!(scaling(0).offers, Ok(Vec::new()));
    let setback = |offer: Option<&str>, until| Setback {
        offer: offer.map(str::to_owned),
        until: at(until),
        message: "no capacity".to_owned(),
        capacity: true,
    };
    index.add_setback("ce", setback(Some("m5.large"), 5), 1, even(at(0)));
    index.add_setback("ce", setback(Some("m5.large"), 10), 2, even(at(0)));
    index.add_setback("ce", setback(None, 20), 1, even(at(0)));
    assert_eq!(scaling(9).setbacks, [setback(Some("m5.large"), 10), setback(None, 20)]);
    assert_eq!(scaling(10).setbacks, [setback(None, 20)]);
    index.clear_setbacks("ce");
    assert_eq!(scaling(9).setbacks, []);
    delete::<ComputeEnvironment>(&index, &environment("ce"));
    apply::<ComputeEnvironment>(&index, &environment("ce"));
    assert!(scaling(0).offers.is_err(), "another environment of that name has its own provider");
}

#[test]
fn a_provider_is_trusted_for_what_it_has_delivered_since_it_last_failed() {
    let index = index();
    apply::<ComputeEnvironment>(&index, &environment("ce"));
    apply::<ComputeEnvironment>(&index, &environment("other"));
    let provider = index.compute_environments()[0].spec.provider.clone().unwrap();
    let delivered = || {
        let environments = index.snapshot(even(at(0))).environments;
        let all: Vec<u32> = environments.iter().map(|one| one.scaling.as_ref().unwrap().delivered).collect();
        assert!(all.iter().all(|one| *one == all[0]), "environments with the same provider count together: {all:?}");
        all[0]
    };
    assert_eq!(delivered(), 0);
    index.deliver(&provider);
    index.deliver(&provider);
    assert_eq!(delivered(), 2);
    index.distrust(&provider);
    assert_eq!(delivered(), 0);
    index.deliver(&provider);
    assert_eq!(delivered(), 1);
}

/// Ten launches that meet the same moment of trouble are one failure, however many of them it takes.
#[test]
fn launches_that_fail_together_count_once() {
    let index = index();
    apply::<ComputeEnvironment>(&index, &environment("ce"));
    let fails = |offer: Option<&str>, begun: i64, second: i64| {
        let now = even(at(second));
        let failures = index.setback_count("ce", offer, even(at(begun)).moment);
        let until = at(second + 5 * i64::from(failures));
        let offer = offer.map(str::to_owned);
        index.add_setback("ce", Setback { offer, until, message: "no".to_owned(), capacity: true }, failures, now);
        failures
    };
    // A wave; one of them is slow, and one was stored a moment later than the first failed.
    let wave = [(0, 0), (0, 1), (1, 1), (0, 4)].map(|(begun, second)| fails(Some("a"), begun, second));
    assert_eq!(wave, [1; 4]);
    assert_eq!(fails(None, 0, 4), 1, "of another kind");
    assert_eq!([fails(Some("a"), 10, 10), fails(Some("a"), 10, 11)], [2, 2], "the next wave");
    assert_eq!(fails(Some("a"), 30, 31), 3);
    index.clear_setbacks("ce");
    assert_eq!(fails(Some("a"), 30, 32), 1, "a node became Ready meanwhile");
}

#[test]
fn an_object_that_cannot_be_read_is_absent_and_named() {
    let index = index();
    apply::<ComputeEnvironment>(&index, &environment("ce"));
    index.feed(Event::Apply(broken::<ComputeEnvironment>("ce")));
    index.feed(Event::Apply(broken::<JobQueue>("q")));
    index.feed(Event::Apply(broken::<BatchNode>("m")));
    index.feed(Event::Apply(broken::<Pod>("p")));
    index.feed(Event::Apply(broken::<Job>("j")));
    index.feed(Event::Apply(broken::<Node>("n")));
    assert_eq!(index.snapshot(even(at(0))), model::snapshot::Snapshot::default());
    let unreadable = index.unreadable();
    assert_eq!(unreadable.len(), 3);
    assert_eq!(
        unreadable[&("ComputeEnvironment", "ce".to_owned())],
        "compute environment ce cannot be read: missing field `spec`"
    );
    apply::<ComputeEnvironment>(&index, &environment("ce"));
    assert_eq!(index.unreadable().len(), 2, "correcting it is enough");
}
