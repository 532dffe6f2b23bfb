//! Job definitions and their revisions.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sqlx::Row as _;

use super::at;
use crate::definitions::page;
use crate::{Definition, Leading, Store};

pub(super) async fn revisions_are_given_out_once(store: Leading) {
    let body = json!({"type": "container", "text": "a\u{0}\"é"});
    let all = (0..20).map(|_| store.register("hello", &body, at(1), None));
    let revisions: BTreeSet<u32> = futures::future::join_all(all).await.into_iter().map(|it| it.unwrap()).collect();
    assert_eq!(revisions, (1..=20).collect());
    assert_eq!(store.register("Hello", &body, at(1), None).await.unwrap(), 1, "another name");
    let found = store.definition("hello", Some(20)).await.unwrap();
    let expect =
        Definition { name: "hello".to_owned(), revision: 20, active: true, body, created: at(1), namespace: None };
    assert_eq!(found, Some(expect.into()));
}

pub(super) async fn a_definition_is_found_until_it_is_purged(store: Leading) {
    let now = Timestamp::now();
    let days = |it: i64| now - SignedDuration::from_hours(it * 24);
    for _ in 0..3 {
        store.register("a", &json!({}), days(300), None).await.unwrap();
    }
    let latest = async || store.definition("a", None).await.unwrap().map(|it| it.revision);
    assert_eq!(latest().await, Some(3));
    store.deregister("a", 3, days(181)).await.unwrap();
    // A second time changes nothing, not even when it was.
    store.deregister("a", 3, now).await.unwrap();
    store.deregister("a", 2, days(179)).await.unwrap();
    store.deregister("unknown", 1, now).await.unwrap();
    assert_eq!(latest().await, Some(1));
    assert_eq!(store.definition("a", Some(3)).await.unwrap().map(|it| it.active), Some(false));
    store.retain(at(0), 10).await.unwrap();
    assert_eq!(store.definition("a", Some(3)).await.unwrap(), None);
    assert_eq!(store.definition("a", Some(2)).await.unwrap().map(|it| it.active), Some(false));
    assert_eq!(store.register("a", &json!({}), now, None).await.unwrap(), 4, "a number is not given out again");
}

pub(super) async fn definitions_of_a_name_belong_to_the_namespace_of_the_first(store: Leading) {
    let register = async |name: &str, namespace| store.register(name, &json!({}), at(1), namespace).await;
    assert_eq!(store.namespace_of_definition("a").await.unwrap(), None);
    assert_eq!(register("a", Some("team")).await.unwrap(), 1);
    assert_eq!(register("a", Some("team")).await.unwrap(), 2);
    for other in [Some("other"), None] {
        assert!(matches!(register("a", other).await, Err(crate::Error::Conflict(_))), "{other:?}");
    }
    assert_eq!(store.namespace_of_definition("a").await.unwrap(), Some(Some("team".to_owned())));
    assert_eq!(register("a", Some("team")).await.unwrap(), 3, "what was refused took no number");
    assert_eq!(register("b", None).await.unwrap(), 1);
    assert!(matches!(register("b", Some("team")).await, Err(crate::Error::Conflict(_))));
    assert_eq!(store.namespace_of_definition("b").await.unwrap(), Some(None));
    let all = store.definitions(None, None, None, None, 10).await.unwrap().items;
    let of: Vec<_> = all.iter().map(|it| (it.name.as_str(), it.revision, it.namespace.as_deref())).collect();
    assert_eq!(of, [("a", 3, Some("team")), ("a", 2, Some("team")), ("a", 1, Some("team")), ("b", 1, None)]);
    let found = store.definition("a", None).await.unwrap().unwrap();
    assert_eq!(found.namespace.as_deref(), Some("team"));
}

pub(super) async fn changes_of_a_definition_come_one_after_the_other(store: Leading) {
    store.register("a", &json!({"tags": {}}), at(1), None).await.unwrap();
    let add = |number: usize| {
        store.change_definition("a", 1, move |body| {
            let mut body = body.clone();
            body["tags"][number.to_string()] = json!("x\u{0}");
            Some(body)
        })
    };
    let all = futures::future::join_all((0..20).map(add)).await;
    assert!(all.into_iter().all(|found| found.unwrap()));
    let tags = async || store.definition("a", Some(1)).await.unwrap().unwrap().body["tags"].as_object().unwrap().len();
    assert_eq!(tags().await, 20, "none is lost");
    assert!(store.change_definition("a", 1, |_| None).await.unwrap());
    assert_eq!(tags().await, 20);
    for (name, revision) in [("a", 2), ("b", 1)] {
        assert!(!store.change_definition(name, revision, |_| panic!("there is none")).await.unwrap());
    }
}

pub(super) async fn pages_of_definitions(store: Leading) {
    for name in ["b", "a.c", "a", "B"] {
        for _ in 0..3 {
            store.register(name, &json!({"n": name}), at(1), None).await.unwrap();
        }
    }
    store.deregister("a", 2, at(2)).await.unwrap();
    let check =
        async |ids: Option<&[(String, Option<u32>)]>, name: Option<&str>, active: Option<bool>, expect: &str| {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let page = store.definitions(ids, name, active, after.as_deref(), 2).await.unwrap();
                all.extend(page.items.iter().map(|it| format!("{}:{}", it.name, it.revision)));
                match page.next {
                    None => break,
                    next => after = next,
                }
            }
            assert_eq!(all.join(" "), expect);
        };
    check(None, None, None, "B:3 B:2 B:1 a:3 a:2 a:1 a.c:3 a.c:2 a.c:1 b:3 b:2 b:1").await;
    check(None, Some("a"), None, "a:3 a:2 a:1").await;
    check(None, Some("a"), Some(true), "a:3 a:1").await;
    check(None, None, Some(false), "a:2").await;
    let ids = [("b".to_owned(), Some(2)), ("a".to_owned(), None), ("x".to_owned(), Some(1))];
    check(Some(&ids), None, None, "a:3 a:2 a:1 b:2").await;
    check(Some(&ids), None, Some(true), "a:3 a:1 b:2").await;
    // One that is named twice is there once.
    let twice = [&ids[..], &[("a".to_owned(), Some(3)), ("b".to_owned(), Some(2))]].concat();
    check(Some(&twice), None, None, "a:3 a:2 a:1 b:2").await;
    check(Some(&[]), None, None, "").await;
}

#[tokio::test]
async fn definitions_that_are_named_are_looked_up_and_not_searched_for() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite://{}/records.db", directory.path().display())).await.unwrap();
    let ids = [("a".to_owned(), Some(3)), ("b".to_owned(), None)];
    let (text, arguments) = page(Some(&ids), None, Some(true), None, 100).unwrap();
    let text = store.database.dialect.sql(&format!("EXPLAIN QUERY PLAN {text}"));
    let rows = sqlx::query_with(text, arguments).fetch_all(&store.database.reads).await.unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
    let of_definitions: Vec<&String> = plan.iter().filter(|line| line.contains(" d ")).collect();
    assert_eq!(of_definitions.len(), 1, "{plan:#?}");
    let index = "(name=? AND revision>? AND revision<?)";
    assert!(of_definitions[0].starts_with("SEARCH d USING INDEX") && of_definitions[0].ends_with(index), "{plan:#?}");
    store.close().await;
}
