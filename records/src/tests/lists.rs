//! Lists: order, pages, filters.

use model::job::{Change, JobId, Spec};
use model::status::JobState;

use super::{array, at, attempt, change, job, spec, submission};
use crate::{By, Error, Filter, Leading, Pattern, Scope, Store};

fn queue(state: Option<JobState>, by: Option<By>) -> Filter {
    Filter { scope: Scope::Queue("queue".to_owned()), state, by }
}

/// All pages; after the first, one more job is submitted.
async fn pages(store: &Store, filter: &Filter, limit: u32) -> Vec<JobId> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(filter, after.as_deref(), limit).await.unwrap();
        assert!(page.items.len() <= limit as usize);
        all.extend(page.items.iter().map(|it| it.record.id));
        match page.next {
            None => return all,
            next => after = next,
        }
        let new = u32::try_from(all.len()).unwrap() + 5000;
        store.submit(submission(new, spec("late"))).await.unwrap();
    }
}

pub(super) async fn pages_are_stable_while_jobs_come(store: Leading) {
    // Three jobs of each millisecond: the time alone is no key.
    for number in 0..30 {
        let mut it = submission(number, spec("a"));
        it.record.created = at(i64::from(number / 3));
        store.submit(it).await.unwrap();
    }
    let all = pages(&store, &queue(None, None), 4).await;
    assert_eq!(all.len(), 30, "none twice, none missed, none that came later");
    let mut expect: Vec<_> = (0..30).map(|it| (it / 3, job(it))).collect();
    expect.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(all, expect.into_iter().map(|it| it.1).collect::<Vec<_>>());
    // A page that is exactly full is the last one if nothing comes after it.
    let exact = store.list(&queue(None, Some(By::Name(exact("a")))), None, 30).await.unwrap();
    assert_eq!((exact.items.len(), exact.next), (30, None));
}

fn exact(text: &str) -> Pattern {
    Pattern::Exact(text.to_owned())
}

fn prefix(text: &str) -> Pattern {
    Pattern::Prefix(text.to_owned())
}

pub(super) async fn filters_select(store: Leading) {
    let arn = |name: &str| format!("arn:aws:batch:us-east-1:000000000000:job-definition/{name}");
    let names =
        [("Align-1", "Bwa:1"), ("align-2", "Bwa:2"), ("ALIGN", "bwa:1"), ("sort", "Sort:1"), ("é-Ü", "Bwa_x:1")];
    for (number, (name, definition)) in (1..).zip(names) {
        let spec = Spec { definition: arn(definition), ..spec(name) };
        store.submit(submission(number, spec)).await.unwrap();
    }
    store.submit(submission(6, Spec { queue: "other".to_owned(), ..spec("align-1") })).await.unwrap();
    store.submit(array(7, 3)).await.unwrap();
    store.write(&[change(job(4), JobState::Running, None, 50)], &[]).await.unwrap();
    let check = async |state: Option<JobState>, by: Option<By>, expect: &[u32]| {
        let said = format!("{state:?} {by:?}");
        let page = store.list(&queue(state, by), None, 100).await.unwrap();
        let found: Vec<_> = page.items.iter().map(|it| it.record.id).collect();
        assert_eq!(found, expect.iter().map(|it| job(*it)).collect::<Vec<_>>(), "{said}");
    };
    // Writing the change of job 4 set its time to that of `change`.
    check(None, None, &[7, 5, 3, 2, 1, 4]).await;
    check(Some(JobState::Running), None, &[4]).await;
    check(Some(JobState::Submitted), None, &[7, 5, 3, 2, 1]).await;
    check(None, Some(By::Name(exact("ALIGN-1"))), &[1]).await;
    check(None, Some(By::Name(prefix("aLign"))), &[3, 2, 1]).await;
    check(None, Some(By::Name(prefix("É-ü"))), &[5]).await;
    check(None, Some(By::Name(prefix(""))), &[7, 5, 3, 2, 1, 4]).await;
    check(None, Some(By::Name(exact("al_gn"))), &[]).await;
    check(None, Some(By::Definition(exact("Bwa"))), &[2, 1]).await;
    check(None, Some(By::Definition(exact("bwa"))), &[3]).await;
    check(None, Some(By::Definition(prefix("Bwa"))), &[5, 2, 1]).await;
    check(None, Some(By::Definition(exact(&arn("Bwa:2")))), &[2]).await;
    check(None, Some(By::CreatedBefore(at(2))), &[1, 4]).await;
    check(None, Some(By::CreatedAfter(at(3))), &[7, 5]).await;
    check(Some(JobState::Running), Some(By::Name(prefix("s"))), &[4]).await;
    let shown = store.list(&queue(None, None), None, 1).await.unwrap();
    assert_eq!(shown.items[0].children, Some([(JobState::Submitted, 3)].into()));
    assert_eq!(shown.items[0].spec.name, "array");
}

pub(super) async fn children_are_listed_by_index(store: Leading) {
    store.submit(array(1, 25)).await.unwrap();
    store.write(&[change(job(1).with_child(3), JobState::Failed, None, 2)], &[]).await.unwrap();
    let children = |state, by| Filter { scope: Scope::Children(job(1).job), state, by };
    let all = pages(&store, &children(None, None), 10).await;
    assert_eq!(all, (0..25).map(|it| job(1).with_child(it)).collect::<Vec<_>>());
    let failed = store.list(&children(Some(JobState::Failed), None), None, 10).await.unwrap();
    assert_eq!(failed.items.iter().map(|it| it.record.id).collect::<Vec<_>>(), [job(1).with_child(3)]);
    let count = async |by| store.list(&children(None, Some(by)), None, 100).await.unwrap().items.len();
    assert_eq!(count(By::Name(exact("Array"))).await, 25, "children have their parent's name");
    assert_eq!(count(By::Name(exact("other"))).await, 0);
    assert_eq!(count(By::Definition(prefix("Hel"))).await, 25);
    assert_eq!(count(By::CreatedAfter(at(0))).await, 24, "one was written with another time");
}

pub(super) async fn a_list_has_the_last_attempt_of_what_has_ended(store: Leading) {
    for it in [submission(1, spec("a")), submission(2, spec("b")), submission(3, spec("c")), array(4, 2)] {
        store.submit(it).await.unwrap();
    }
    let with =
        |id, state, number| Change { attempt: Some(attempt(number)), ..change(id, state, None, i64::from(number)) };
    let child = job(4).with_child(1);
    let changes = [
        with(job(1), JobState::Runnable, 1),
        with(job(1), JobState::Failed, 2),
        with(job(2), JobState::Runnable, 1),
        change(job(3), JobState::Failed, None, 5),
        with(child, JobState::Succeeded, 1),
    ];
    store.write(&changes, &[]).await.unwrap();
    let check = async |scope: Scope, expect: &[(JobId, &[u32])]| {
        let filter = Filter { scope, state: None, by: None };
        let mut found: Vec<_> = store.list(&filter, None, 10).await.unwrap().items;
        found.sort_by_key(|it| expect.iter().position(|(id, _)| *id == it.record.id));
        let numbers: Vec<(JobId, Vec<u32>)> =
            found.iter().map(|it| (it.record.id, it.attempts.iter().map(|it| it.number).collect())).collect();
        assert_eq!(numbers, expect.iter().map(|(id, all)| (*id, all.to_vec())).collect::<Vec<_>>());
    };
    let queue = Scope::Queue("queue".to_owned());
    // The second runs again; the third ended before it began; a parent has none.
    check(queue, &[(job(1), &[2]), (job(2), &[]), (job(3), &[]), (job(4), &[])]).await;
    check(Scope::Children(job(4).job), &[(job(4).with_child(0), &[]), (child, &[1])]).await;
}

pub(super) async fn a_foreign_cursor_is_refused(store: Leading) {
    for cursor in ["", "x", "1", "1.x", "x.2d044787-c663-4ce6-a6fe-f2baf7e51b04"] {
        let result = store.list(&queue(None, None), Some(cursor), 10).await;
        assert!(matches!(result, Err(Error::Invalid(_))), "{cursor}");
    }
    let children = Filter { scope: Scope::Children(job(1).job), state: None, by: None };
    assert!(matches!(store.list(&children, Some("-1"), 10).await, Err(Error::Invalid(_))));
    assert!(matches!(store.definitions(None, None, None, Some("x"), 10).await, Err(Error::Invalid(_))));
}
