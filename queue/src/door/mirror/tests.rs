//! Jobs that went while nobody looked, and those whose records retention has removed.

use k8s_openapi::api::batch::v1::Job;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use model::keys;
use model::names::ArnBase;
use model::status::JobState;
use records::{Store, Term};
use serde_json::json;
use uuid::Uuid;

use super::*;

const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

fn at(seconds: i64) -> Timestamp {
    "2026-11-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn id(number: u128) -> JobId {
    JobId::new(Uuid::from_u128(number))
}

/// A Job that was made at 0 s and has ended at 9 s, or runs.
fn job(number: u128, ended: bool) -> Job {
    let conditions = if ended {
        json!([{"type": "Complete", "status": "True", "lastTransitionTime": at(9).to_string()}])
    } else {
        json!([])
    };
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("j{number}"), "namespace": "n", "uid": format!("u{number}"), "creationTimestamp": at(0).to_string(),
            "labels": {keys::QUEUE: "q", keys::JOB_ID: id(number).to_string()},
        },
        "status": {"startTime": at(5).to_string(), "conditions": conditions},
    }))
    .unwrap()
}

fn come(index: &Index, number: u128, ended: bool) {
    index.feed(Event::Apply(DeserializeGuard(Ok(job(number, ended)))));
}

fn go(index: &Index, number: u128, ended: bool) {
    index.feed(Event::Delete(DeserializeGuard(Ok(job(number, ended)))));
}

/// A Job that was made at such a second with the id of job `number`.
fn copy(number: u128, uid: &str, second: i64) -> Job {
    let mut job = job(number, false);
    job.metadata.uid = Some(uid.into());
    job.metadata.name = Some(uid.into());
    job.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(second)));
    job
}

fn come_as(index: &Index, job: Job) {
    index.feed(Event::Apply(DeserializeGuard(Ok(job))));
}

/// Nobody answers there.
fn nowhere() -> Client {
    cluster::client::install_crypto();
    Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap()
}

/// A mirror that knows so many Jobs as open.
fn knowing(index: &Index, count: u128) -> Mirror {
    let mut mirror = Mirror::new(WEEK);
    for number in 1..=count {
        come(index, number, false);
        let mut news = mirror.news(index, &World::default(), at(6));
        let (record, spec) = news.fresh.remove(0);
        mirror.known(record, &spec);
        // The next one is looked at alone.
        index.feed(Event::<DeserializeGuard<Job>>::Init);
        index.feed(Event::<DeserializeGuard<Job>>::InitDone);
    }
    mirror
}

/// Whom nobody has seen to go, and who is not there.
fn missed(mirror: &mut Mirror, index: &Index) -> usize {
    let here = mirror.news(index, &World::default(), at(20)).here;
    mirror.open.keys().filter(|id| !here.contains(id)).count()
}

#[test]
fn however_many_jobs_go_none_is_lost() {
    const ALL: u128 = 10_050;
    let index = Index::new(ArnBase::default());
    let mut mirror = knowing(&index, ALL);
    // A follower keeps none: whoever leads afterwards misses them all, and asks their Events.
    for number in 1..=3 {
        come(&index, number, true);
        go(&index, number, true);
    }
    assert_eq!(missed(&mut mirror, &index), usize::try_from(ALL).unwrap());
    // A leader keeps ten thousand, and misses the others.
    index.keep_departed();
    for number in 1..=ALL {
        come(&index, number, true);
        go(&index, number, true);
    }
    assert_eq!(missed(&mut mirror, &index), 50);
    assert_eq!(mirror.news(&index, &World::default(), at(20)).fresh.len(), MOST, "the rest comes in its turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_does_not_bring_back_what_retention_has_removed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite://{}/records.db", directory.path().display())).await.unwrap();
    let (index, client, all) = (Index::new(ArnBase::default()), nowhere(), [id(1).job, id(2).job]);
    come(&index, 1, true);
    come(&index, 2, false);
    let mut versions = Vec::new();
    for (turn, now) in [(1, at(20)), (2, at(20) + WEEK)] {
        let leading = store.lead(&Term { lease: "uid".into(), turn }).await.unwrap();
        let mut mirror = Mirror::new(WEEK);
        let mut last = None;
        // What a leader that begins reads.
        for (record, spec) in leading.live(None, 10).await.unwrap() {
            last = Some(record.id);
            mirror.known(record, &spec);
        }
        assert_eq!(last.is_some(), turn == 2, "the one that runs is open");
        mirror.update(&index, &client, &World::default(), &leading, now).await.unwrap();
        let kept = leading.jobs(&all.map(JobId::new)).await.unwrap();
        versions.push(kept.iter().map(|kept| (kept.record.id, kept.record.state)).collect::<Vec<_>>());
        leading.retain(at(10), 10).await.unwrap();
    }
    for kept in &mut versions {
        kept.sort();
    }
    let (ended, runs) = ((id(1), JobState::Succeeded), (id(2), versions[1][0].1));
    assert_eq!(versions, [vec![ended, runs], vec![runs]]);
    store.close().await;
}

/// UIDs of those that carry another's id.
fn strangers(mirror: &mut Mirror, index: &Index, of_api: &[u128], all: &[&str]) -> Vec<String> {
    mirror.look(index, |it| of_api.iter().any(|number| id(*number) == it));
    all.iter().filter(|uid| mirror.stranger(uid).is_some()).map(|uid| (*uid).to_owned()).collect()
}

#[test]
fn an_id_is_of_what_is_stored_then_of_who_was_first() {
    let index = Index::new(ArnBase::default());
    let mut mirror = knowing(&index, 1);
    // Of the stored one only a copy is there; of two new ones both; one has the id of a job of the API.
    for (number, uid, second) in
        [(1, "older", -9), (1, "younger", 9), (2, "second", 7), (2, "first", 3), (2, "third", 8), (4, "api", 0)]
    {
        come_as(&index, copy(number, uid, second));
    }
    come(&index, 3, false);
    let all = ["u1", "older", "younger", "first", "second", "third", "u3", "api"];
    assert_eq!(strangers(&mut mirror, &index, &[4], &all), ["older", "younger", "second", "third", "api"]);
    let news = mirror.news(&index, &World::default(), at(20));
    let mut fresh: Vec<_> = news.fresh.iter().map(|(_, spec)| spec.uid.as_deref().unwrap()).collect();
    fresh.sort_unstable();
    assert_eq!((fresh, news.here), (vec!["first", "u3"], [id(2), id(3)].into()), "the stored one is missed");
    come(&index, 1, false);
    assert!(!strangers(&mut mirror, &index, &[], &all).contains(&"u1".to_owned()), "whose it is comes back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_an_id_that_is_stored_as_anothers_has_no_record_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite://{}/records.db", directory.path().display())).await.unwrap();
    let leading = store.lead(&Term { lease: "uid".into(), turn: 1 }).await.unwrap();
    let (index, client) = (Index::new(ArnBase::default()), nowhere());
    let update = async |mirror: &mut Mirror, now| {
        mirror.look(&index, |_| false);
        mirror.update(&index, &client, &World::default(), &leading, now).await.unwrap();
        leading.jobs(&[id(1)]).await.unwrap().remove(0)
    };
    let mut mirror = Mirror::new(WEEK);
    come(&index, 1, true);
    let before = update(&mut mirror, at(20)).await;
    // The Job goes, and comes again with another UID from a copy, twice: before and after another leads.
    go(&index, 1, true);
    assert_eq!(before.record.state, JobState::Succeeded);
    for uid in ["copy", "another"] {
        come_as(&index, copy(1, uid, 30));
        let after = update(&mut mirror, at(40)).await;
        assert_eq!((&after.record, &after.spec), (&before.record, &before.spec), "{uid}");
        assert_eq!(strangers(&mut mirror, &index, &[], &["copy", "another"]).last().map(String::as_str), Some(uid));
        mirror = Mirror::new(WEEK);
    }
    store.close().await;
}
