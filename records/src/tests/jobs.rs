//! Jobs are stored whole and read back as they were.

use std::collections::BTreeMap;

use model::job::{Change, Door, JobRecord, OUTCOME_UNKNOWN, Outcome, Placed, Spec, Stop, StopKind};
use model::status::JobState;

use super::{array, at, attempt, change, job, spec, submission};
use crate::{Leading, Request};

pub(super) async fn everything_reads_back(store: Leading) {
    let submitted = submission(1, spec("Hello"));
    store.submit(submitted.clone()).await.unwrap();
    let kept = store.jobs(&[job(1)]).await.unwrap().remove(0);
    assert_eq!((&kept.record, &kept.spec), (&submitted.record, &submitted.spec));
    assert_eq!((kept.attempts, kept.children, kept.requested), (vec![], None, None));

    let record = JobRecord {
        state: JobState::Running,
        reason: Some("it's \"so\": é\n".to_owned()),
        reason_since: Some(at(3)),
        started: Some(at(5)),
        attempt: 2,
        placement: 3,
        not_before: Some(at(4)),
        placed: Some(Placed {
            since: None,
            pod_name: "pod".to_owned(),
            namespace: "here".to_owned(),
            pod_uid: Some("u".to_owned()),
            node: "node".to_owned(),
            node_uid: "n".to_owned(),
            hold: vec![],
            environment: "e".to_owned(),
            environment_uuid: "eu".to_owned(),
            trouble: None,
        }),
        stop: Some(Stop { kind: StopKind::Terminate, reason: "enough".to_owned() }),
        ..submitted.record.clone()
    };
    let step = |version, number| {
        let record = JobRecord { version, ..record.clone() };
        Change { record, at: at(6), attempt: Some(attempt(number)) }
    };
    store.write(&[step(1, 2), step(2, 1)], &[]).await.unwrap();
    let kept = store.jobs(&[job(1)]).await.unwrap().remove(0);
    assert_eq!(kept.record, JobRecord { version: 2, ..record.clone() });
    assert_eq!(kept.attempts, [attempt(1), attempt(2)]);
    let history = store.history(job(1)).await.unwrap();
    let running = (at(6), JobState::Running, record.reason.clone());
    assert_eq!(history, [(at(1), JobState::Submitted, None), running]);
    assert!(store.history(job(9)).await.unwrap().is_empty());
}

pub(super) async fn a_job_comes_with_all_its_children(store: Leading) {
    let submitted = array(1, 10_000);
    store.submit(submitted.clone()).await.unwrap();
    let child = job(1).with_child(9_999);
    let kept = store.jobs(&[job(1), child, job(1).with_child(10_000)]).await.unwrap();
    assert_eq!(kept.iter().map(|it| it.record.id).collect::<Vec<_>>(), [job(1), child]);
    assert_eq!(kept[0].children, Some(BTreeMap::from([(JobState::Submitted, 10_000)])));
    assert_eq!((kept[1].children.clone(), &kept[1].spec), (None, &submitted.spec));
    assert_eq!(kept[1].record, JobRecord::submitted(child, at(1)));
    store.write(&[change(child, JobState::Failed, None, 2)], &[]).await.unwrap();
    let kept = store.jobs(&[job(1)]).await.unwrap();
    let expect = BTreeMap::from([(JobState::Submitted, 9_999), (JobState::Failed, 1)]);
    assert_eq!(kept[0].children, Some(expect));
    // Children of an array job that succeeded are not counted: they are taken to have done so.
    store.write(&[change(job(1), JobState::Succeeded, None, 3)], &[]).await.unwrap();
    let kept = store.jobs(&[job(1), child]).await.unwrap();
    assert_eq!(kept[0].children, Some(BTreeMap::from([(JobState::Succeeded, 10_000)])));
    assert_eq!((kept[1].record.state, kept[1].children.clone()), (JobState::Failed, None));
}

pub(super) async fn unknown_jobs_are_left_out(store: Leading) {
    store.submit(submission(1, spec("a"))).await.unwrap();
    let kept = store.jobs(&[job(2), job(1), job(1)]).await.unwrap();
    assert_eq!(kept.iter().map(|it| it.record.id).collect::<Vec<_>>(), [job(1), job(1)]);
    assert!(store.jobs(&[]).await.unwrap().is_empty());
    let found = store.outcomes(&[job(1), job(2)]).await.unwrap();
    assert_eq!(found, [(job(1), JobState::Submitted.into())].into());
    // Changes of unknown jobs are left out too.
    store.write(&[change(job(2), JobState::Failed, None, 1)], &[]).await.unwrap();
    assert!(store.jobs(&[job(2)]).await.unwrap().is_empty());
    store.request_stop(&Request { id: job(2), stop: stop() }).await.unwrap();
    assert!(store.inbox(10).await.unwrap().requests.is_empty());
}

fn stop() -> Stop {
    Stop { kind: StopKind::Cancel, reason: "x".to_owned() }
}

pub(super) async fn a_mirrored_job_is_one_job(store: Leading) {
    let door = Spec { door: Door::Job, definition: String::new(), ..spec("kubectl") };
    let mut record = JobRecord::submitted(job(1), at(1));
    store.mirror(&[(record.clone(), Some(door.clone()))]).await.unwrap();
    assert!(store.inbox(10).await.unwrap().submitted.is_empty(), "the API's jobs alone are taken up");
    record.state = JobState::Pending;
    for _ in 0..2 {
        store.mirror(&[(record.clone(), Some(door.clone()))]).await.unwrap();
    }
    record.state = JobState::Succeeded;
    record.stopped = Some(at(9));
    let other = Spec { name: "renamed".to_owned(), ..door.clone() };
    let twice = [(record.clone(), Some(door)), (record.clone(), Some(other.clone()))];
    store.mirror(&twice).await.unwrap();
    // What is stored already is not needed again.
    store.mirror(&[(record.clone(), None)]).await.unwrap();
    let kept = store.jobs(&[job(1)]).await.unwrap().remove(0);
    assert_eq!((&JobRecord { version: 0, ..kept.record }, &*kept.spec), (&record, &other));
    let history = store.history(job(1)).await.unwrap();
    let states: Vec<_> = history.iter().map(|it| it.1).collect();
    assert_eq!(states, [JobState::Submitted, JobState::Pending, JobState::Succeeded]);
    assert!(history[2].0 >= history[1].0, "it was seen to be PENDING after its end");
    // Nobody knows how it ended.
    let reason = Some(format!("{OUTCOME_UNKNOWN}: x"));
    let lost = JobRecord { id: job(3), state: JobState::Failed, reason, ..record.clone() };
    store.mirror(&[(lost, Some(other.clone()))]).await.unwrap();
    let lost = Outcome { state: JobState::Failed, unknown: true };
    let expect = [(job(1), JobState::Succeeded.into()), (job(3), lost)];
    assert_eq!(store.outcomes(&[job(1), job(3)]).await.unwrap(), expect.into());
    // Seen for the first time after its end.
    store.mirror(&[(JobRecord { id: job(2), ..record }, Some(other))]).await.unwrap();
    assert_eq!(store.history(job(2)).await.unwrap()[1].0, at(9));
}

pub(super) async fn an_id_belongs_to_what_was_stored_with_it_first(store: Leading) {
    let of = |uid: Option<&str>| Spec {
        door: Door::Job,
        name: format!("{uid:?}"),
        uid: uid.map(ToOwned::to_owned),
        ..spec("kubectl")
    };
    let seen = |number, state, spec| (change(job(number), state, None, 9).record, spec);
    store.submit(submission(1, spec("a"))).await.unwrap();
    let earlier = [(2, Some("u2")), (3, Some("u3")), (4, None)];
    let first: Vec<_> = earlier.iter().map(|(number, uid)| seen(*number, JobState::Running, Some(of(*uid)))).collect();
    assert!(store.mirror(&first).await.unwrap().is_empty());
    store.mirror(&[seen(3, JobState::Succeeded, None)]).await.unwrap();
    let before = store.jobs(&[job(1), job(2), job(3)]).await.unwrap();
    let used = store.size().await.unwrap();
    // They come with the ids of a job of the API, of a Job, of one that has ended, and beside them some that may.
    let mut forged: Vec<_> = (1..=3).map(|number| seen(number, JobState::Failed, Some(of(Some("forged"))))).collect();
    forged.extend([5, 4].map(|number| seen(number, JobState::Running, Some(of(Some("own"))))));
    assert_eq!(store.mirror(&forged).await.unwrap(), [job(1), job(2), job(3)].into());
    assert_eq!(store.mirror(&[seen(1, JobState::Failed, None)]).await.unwrap(), [job(1)].into());
    let after = store.jobs(&[job(1), job(2), job(3)]).await.unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&after.record, &after.spec), (&before.record, &before.spec));
        assert_eq!(store.history(after.record.id).await.unwrap().last().unwrap().1, before.record.state);
    }
    let kept = store.jobs(&[job(4), job(5)]).await.unwrap();
    assert!(kept.iter().all(|kept| kept.spec.uid.as_deref() == Some("own")), "of the first no UID was stored");
    assert_eq!(store.size().await.unwrap().live, used.live + 1);
    // Whose it was still ends as it does, and once its record is removed the id is free.
    assert!(store.mirror(&[seen(2, JobState::Succeeded, Some(of(Some("u2"))))]).await.unwrap().is_empty());
    assert_eq!(store.jobs(&[job(2)]).await.unwrap()[0].record.state, JobState::Succeeded);
    store.retain(at(1_000), 10).await.unwrap();
    assert!(store.mirror(&[seen(2, JobState::Running, Some(of(Some("forged"))))]).await.unwrap().is_empty());
}
