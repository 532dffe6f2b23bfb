//! What the door knows of the API's jobs while its store opens, and while a queue changes.

use std::collections::BTreeMap;

use api::JobQueue;
use cluster::index::Index;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use model::job::{Door, Placed};
use model::names::ArnBase;
use outputs::{Extent, Lines, NoOutput, Whose};
use records::Submission;
use serde_json::json;
use uuid::Uuid;

use super::*;

struct Nothing;

impl Outputs for Nothing {
    fn open(&self, _: Whose, _: Extent) -> BoxFuture<'_, Result<Lines, NoOutput>> {
        async { Err(NoOutput::Gone) }.boxed()
    }
}

fn term() -> Term {
    Term { lease: "uid".into(), turn: 1 }
}

fn job(number: u128) -> JobId {
    JobId::new(Uuid::from_u128(number))
}

fn submission(number: u128) -> Submission {
    let spec = Spec {
        name: "n".into(),
        door: Door::Api,
        queue: "q".into(),
        definition: "d:1".into(),
        namespace: None,
        uid: None,
        pod: json!({"containers": [{"image": "i"}]}),
        retry: None,
        timeout_seconds: None,
        depends_on: Vec::new(),
        container: None,
        array_size: None,
        parameters: BTreeMap::new(),
        tags: BTreeMap::new(),
        share: None,
        priority: None,
        submitter: None,
    };
    let record = JobRecord::submitted(job(number), Timestamp::UNIX_EPOCH);
    Submission { record, spec: Arc::new(spec), namespace: "ns".to_owned() }
}

/// Pods without requests get this much memory in the queue.
fn defaults(index: &Index, memory: &str) {
    let queue: JobQueue = serde_json::from_value(json!({
        "metadata": {"name": "q"},
        "spec": {"priority": 1, "computeEnvironments": [], "defaultRequests": {"memory": memory}},
    }))
    .unwrap();
    index.feed(Event::Apply(DeserializeGuard(Ok(queue))));
}

#[test]
fn a_leader_waits_for_the_jobs_of_the_api_but_not_for_ever() {
    let (_opens, stores) = watch::channel(None);
    let door = |configured| {
        let leading = LeadersStore { stores: stores.clone(), configured, term: term(), kept: None };
        ApiDoor::new(leading, Limits::default(), Arc::new(Nothing))
    };
    let (with, without) = (door(true), door(false));
    assert!(with.is_awaited(Duration::ZERO) && !without.is_awaited(Duration::ZERO));
    assert!(!with.is_awaited(OPENS_WITHIN));
    assert!(with.is_blind() && !without.is_blind(), "until then no node is taken for idle");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_placed_takes_its_room_while_a_changed_queue_is_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite://{}/records.db", directory.path().display())).await.unwrap();
    for number in [1, 2] {
        store.submit(submission(number)).await.unwrap();
    }
    let (index, now) = (Index::new(ArnBase::default()), Timestamp::UNIX_EPOCH);
    defaults(&index, "64Mi");
    let retention = SignedDuration::from_hours(1_000_000);
    let mut open = load::open(index.clone(), store.clone(), term(), retention, now).await.unwrap();
    let place = Placed {
        since: None,
        pod_name: "p".into(),
        namespace: "ns".into(),
        pod_uid: None,
        node: "n".into(),
        node_uid: "u".into(),
        hold: Vec::new(),
        environment: "ce".into(),
        environment_uuid: "ce-uuid".into(),
        trouble: None,
    };
    open.ledger.dispatched(job(1), &place, now);
    assert!(open.store().await);
    defaults(&index, "128Mi");
    let memory = |open: &Open, id| open.ledger.get(id).map(|live| live.shape.requests.memory >> 20);
    assert_eq!((memory(&open, job(1)), memory(&open, job(2))), (Some(64), Some(64)));
    while memory(&open, job(2)) != Some(128) {
        assert!(open.reshape(&index).await);
        assert_eq!(open.ledger.placed().count(), 1, "it is known all the time");
        tokio::task::yield_now().await;
    }
    // Another leader begins: what this one would store does not count any more.
    store.lead(&Term { turn: 2, ..term() }).await.unwrap();
    open.ledger.stop(job(2), &model::job::Stop { kind: model::job::StopKind::Cancel, reason: "r".into() }, now);
    assert!(!open.store().await && open.late);
    store.close().await;
}
