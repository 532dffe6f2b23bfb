//! Limits of what is stored of jobs that have not ended, and that what is counted is what is there.

use std::collections::HashMap;

use futures::future::join_all;
use jiff::Timestamp;
use model::job::{Door, JobId, Spec};
use model::status::JobState;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use testbed::Postgresql;

use super::{array, change, job, server, spec, submission, term};
use crate::quota::{Amount, Counted, Quotas};
use crate::usage::{self, Sums};
use crate::{Error, Leading, Metrics, Store, Submission};

/// Those of the stores of these cases.
pub(super) const LIMITS: Quotas =
    Quotas { namespace: Amount { jobs: 100, bytes: 100_000 }, all: Amount { jobs: 150, bytes: 1_000_000 } };

fn of(namespace: &str, submission: Submission) -> Submission {
    Submission { namespace: namespace.to_owned(), ..submission }
}

async fn used(store: &Store, namespaces: &[&str]) -> HashMap<Counted, Amount> {
    let mut transaction = store.database.begin().await.unwrap();
    let mut nothing = Sums::default();
    for namespace in namespaces.iter().chain(&["nobody"]) {
        nothing.come(namespace, &Amount::default());
    }
    let mut used = usage::add(&mut transaction, store.database.dialect, &nothing).await.unwrap();
    used.retain(|of, amount| *of == Counted::All || amount.jobs > 0);
    transaction.rollback().await.unwrap();
    used
}

async fn jobs(store: &Store, namespace: &str) -> u64 {
    used(store, &[namespace]).await.get(&Counted::Namespace(namespace.to_owned())).map_or(0, |it| it.jobs)
}

/// How many of these were stored; the others were refused because of the limit.
fn stored(results: Vec<Result<(), Error>>) -> usize {
    let judged = results.into_iter().map(|result| match result {
        Ok(()) => true,
        Err(Error::Exceeded(_)) => false,
        Err(other) => panic!("{other:?}"),
    });
    judged.filter(|stored| *stored).count()
}

pub(super) async fn one_namespace_is_refused_and_others_are_not(store: Leading) {
    store.submit(of("a", array(0, 90))).await.unwrap();
    let error = store.submit(of("a", array(1, 9))).await.unwrap_err();
    let Error::Exceeded(exceeded) = &error else { panic!("{error:?}") };
    assert_eq!((exceeded.used, exceeded.limit, exceeded.asked), (91, 100, 10));
    // At the same time, from both.
    let all = (2..32).flat_map(|it| [of("a", submission(it, spec("a"))), of("b", submission(100 + it, spec("b")))]);
    let results = join_all(all.map(|it| store.submit(it))).await;
    assert_eq!(stored(results), 9 + 30);
    assert_eq!((jobs(&store, "a").await, jobs(&store, "b").await), (100, 30));
    // All together.
    let results = join_all((200..230).map(|it| store.submit(of("c", submission(it, spec("c")))))).await;
    assert_eq!(stored(results), 20);
    assert_eq!(store.size().await.unwrap().live, 150, "and nothing more is there");
    let long = Spec { name: "x".repeat(100_000), ..spec("") };
    let error = store.submit(of("d", submission(300, long))).await.unwrap_err();
    assert!(matches!(&error, Error::Exceeded(it) if it.is_for_ever()), "{error:?}");
}

pub(super) async fn room_comes_back_when_jobs_have_ended(store: Leading) {
    store.submit(of("a", array(1, 50))).await.unwrap();
    store.submit(of("a", submission(2, spec("a")))).await.unwrap();
    let full = || store.submit(of("a", array(3, 60)));
    assert!(full().await.is_err());
    let children: Vec<_> =
        (0..50).map(|index| change(job(1).with_child(index), JobState::Succeeded, None, 1)).collect();
    // Twice, and with one that only runs.
    for changes in [&children[..20], &children[..], &[change(job(2), JobState::Running, None, 1)]] {
        store.write(changes, &[]).await.unwrap();
    }
    assert_eq!(jobs(&store, "a").await, 2);
    full().await.unwrap();
    store.write(&[change(job(1), JobState::Succeeded, None, 2)], &[]).await.unwrap();
    let bytes =
        serde_json::to_string(&spec("a")).unwrap().len() + serde_json::to_string(&*array(3, 60).spec).unwrap().len();
    let amount = Amount { jobs: 62, bytes: bytes as u64 };
    assert_eq!(used(&store, &["a"]).await[&Counted::Namespace("a".to_owned())], amount);
    assert_eq!(used(&store, &[]).await, HashMap::from([(Counted::All, amount)]));
}

pub(super) async fn who_is_refused_takes_nothing_from_those_beside(store: Leading) {
    let all = [
        of("a", array(1, 99)),
        of("a", submission(2, spec("a"))),
        of("b", submission(1, spec("there already"))),
        of("b", submission(3, spec("b"))),
    ];
    let results = join_all(all.into_iter().map(|it| store.submit(it))).await;
    let kinds: Vec<_> = results.iter().map(|it| it.as_ref().err().map(Error::kind)).collect();
    assert_eq!(kinds, [None, Some("exceeded"), Some("conflict"), None]);
    assert_eq!((jobs(&store, "a").await, jobs(&store, "b").await), (100, 1));
}

/// Whether what is counted is what is there.
async fn assert_counted(store: &Store) {
    let text = "SELECT p.namespace, COUNT(*), CAST(SUM(CASE WHEN j.child = -1 THEN p.bytes ELSE 0 END) AS BIGINT)
        FROM jobs j JOIN jobs p ON p.job = j.job AND p.child = -1
        WHERE j.state NOT IN ('SUCCEEDED', 'FAILED') AND p.door = 'api' GROUP BY p.namespace";
    let number = |row: &sqlx::any::AnyRow, at: usize| u64::try_from(row.get::<i64, _>(at)).unwrap();
    let mut expect: HashMap<Counted, Amount> = HashMap::from([(Counted::All, Amount::default())]);
    for row in sqlx::query(text).fetch_all(&store.database.reads).await.unwrap() {
        let amount = Amount { jobs: number(&row, 1), bytes: number(&row, 2) };
        expect.insert(Counted::Namespace(row.get(0)), amount);
        let all = expect.get_mut(&Counted::All).unwrap();
        *all = Amount { jobs: all.jobs + amount.jobs, bytes: all.bytes + amount.bytes };
    }
    let rows = sqlx::query("SELECT scope, jobs, bytes FROM usage").fetch_all(&store.database.reads).await.unwrap();
    let counted = rows.iter().map(|row| {
        let scope: String = row.get(0);
        let of = scope.strip_prefix("namespace/").map_or(Counted::All, |name| Counted::Namespace(name.to_owned()));
        (of, Amount { jobs: number(row, 1), bytes: number(row, 2) })
    });
    assert_eq!(counted.collect::<HashMap<_, _>>(), expect);
}

/// Jobs come and end in any order, some twice; array jobs before their children and after them; Jobs of the other door beside them.
pub(super) async fn what_is_counted_is_what_is_there(store: Leading) {
    let mut seed = 7u32;
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    };
    for round in 0..60 {
        let number = random(40);
        let namespace = ["a", "b", "c"][number as usize % 3];
        let size = number % 7;
        match random(4) {
            0 | 1 if size > 1 => drop(store.submit(of(namespace, array(number, size))).await),
            0 | 1 => drop(store.submit(of(namespace, submission(number, spec("s")))).await),
            2 => {
                let state = [JobState::Succeeded, JobState::Failed, JobState::Running][random(3) as usize];
                let numbers: Vec<u32> = (0..4).map(|_| random(40)).collect();
                let ids = numbers.iter().flat_map(|it| [job(*it), job(*it).with_child(it % 5)]);
                let changes: Vec<_> = ids.map(|id| change(id, state, None, 1 + round)).collect();
                store.write(&changes, &[]).await.unwrap();
            }
            _ => {
                let kubernetes = Spec { door: Door::Job, namespace: Some("a".to_owned()), ..spec("k") };
                let state = [JobState::Running, JobState::Succeeded][random(2) as usize];
                let record = change(job(1_000 + number), state, None, 1 + round).record;
                store.mirror(&[(record, Some(kubernetes))]).await.unwrap();
            }
        }
        if round % 10 == 9 {
            store.retain(Timestamp::now(), 3).await.unwrap();
        }
        assert_counted(&store).await;
    }
    assert!(store.size().await.unwrap().jobs > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_take_together_what_one_may() {
    let server = Postgresql::start().unwrap();
    let url = server::create(&server, "replicas").await;
    let open = async || Store::open_limited(&url, LIMITS, Metrics::default()).await.unwrap();
    let (first, second) = (open().await, open().await);
    for round in 0..10 {
        let namespace = format!("n{round}");
        let submit = |store: &Store, it: u32| {
            let (store, submission) = (store.clone(), of(&namespace, array(1_000 * round + it, 6)));
            tokio::spawn(async move { store.submit(submission).await })
        };
        let all = (0..40).map(|it| submit(if it % 2 == 0 { &first } else { &second }, it));
        let results = join_all(all).await.into_iter().map(Result::unwrap).collect();
        // 14 arrays of seven each.
        assert_eq!((stored(results), jobs(&first, &namespace).await), (14, 98), "round {round}");
        let leader = first.lead(&term("a", i64::from(round))).await.unwrap();
        let live = leader.live(None, 1_000).await.unwrap();
        let end = |id: JobId| change(id, JobState::Failed, None, 1);
        let (a, b): (Vec<_>, Vec<_>) =
            live.iter().map(|(record, _)| end(record.id)).partition(|it| it.record.id.child.is_none());
        // A leader that stores ends beside submissions waits for them, and they for it; nobody for ever.
        let beside = submit(&second, 500);
        leader.write(&a, &[]).await.unwrap();
        leader.write(&b, &[]).await.unwrap();
        let _late = beside.await.unwrap();
        assert_counted(&first).await;
        let rest: Vec<_> = leader.live(None, 1_000).await.unwrap().iter().map(|(record, _)| end(record.id)).collect();
        leader.write(&rest, &[]).await.unwrap();
    }
    assert_eq!(used(&first, &[]).await, HashMap::from([(Counted::All, Amount::default())]));
    first.close().await;
    second.close().await;
}

/// Makes of a store what the release before left.
const BEFORE: &str = "DROP TABLE usage; ALTER TABLE jobs DROP COLUMN namespace; ALTER TABLE jobs DROP COLUMN bytes;
    ALTER TABLE jobs DROP COLUMN reason_since; ALTER TABLE revisions DROP COLUMN namespace; DELETE FROM _sqlx_migrations WHERE version > 2;";

#[tokio::test(flavor = "multi_thread")]
async fn what_earlier_releases_stored_is_counted_and_a_restart_forgets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let server = Postgresql::start().unwrap();
    let file = format!("sqlite://{}/records.db", directory.path().display());
    for url in [file, server::create(&server, "before").await] {
        let store = Store::open(&url).await.unwrap().lead(&term("a", 1)).await.unwrap();
        // Where one goes was never said; of the other it was, among texts that look like it and a NUL character.
        let named = Spec { name: "\"namespace\":\"x".to_owned(), namespace: Some("own".to_owned()), ..spec("") };
        store.submit(of("default", array(1, 5))).await.unwrap();
        store.submit(of("own", submission(2, named))).await.unwrap();
        store.submit(of("gone", submission(3, spec("c")))).await.unwrap();
        let over = [job(1).with_child(0), job(3)].map(|id| change(id, JobState::Succeeded, None, 1));
        store.write(&over, &[]).await.unwrap();
        store
            .mirror(&[(change(job(9), JobState::Running, None, 1).record, Some(Spec { door: Door::Job, ..spec("k") }))])
            .await
            .unwrap();
        let before = used(&store, &["default", "own", "gone"]).await;
        assert_eq!(before.len(), 3);
        store.close().await;

        let store = Store::open(&url).await.unwrap();
        assert_eq!(used(&store, &["default", "own", "gone"]).await, before);
        store.close().await;

        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
        connection.execute(AssertSqlSafe(BEFORE)).await.unwrap();
        connection.close().await.unwrap();
        let store = Store::open(&url).await.unwrap();
        // Characters were counted, which are a byte each but for one in each job.
        let after = used(&store, &["default", "own", "gone"]).await;
        let counts = |all: &HashMap<Counted, Amount>| {
            all.iter().map(|(of, it)| (of.clone(), it.jobs)).collect::<HashMap<_, _>>()
        };
        assert_eq!(counts(&after), counts(&before));
        assert!(after.iter().all(|(of, it)| it.bytes > 0 && it.bytes <= before[of].bytes));
        assert_counted(&store).await;
        store.close().await;
    }
}
