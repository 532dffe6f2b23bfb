//! What the store promises, checked on both databases by the same cases.
//!
//! Invariant: each case has a store of its own. All cases run, and those that failed are named together.

mod definitions;
mod faults;
mod front;
mod jobs;
mod lead;
mod leader;
mod lists;
mod plan;
mod quota;
mod server;
mod writer;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use model::job::{Attempt, Change, ContainerEnd, Door, JobId, JobRecord, Spec};
use model::status::JobState;
use serde_json::json;
use uuid::Uuid;

use crate::{Leading, Metrics, Quotas, Store, Submission, Term};
use testbed::Postgresql;

type Case = fn(Leading) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Names of functions as cases.
macro_rules! cases {
    ($($module:ident: $($case:ident),+;)+) => {
        &[$($((concat!(stringify!($module), "::", stringify!($case)), |store| Box::pin($module::$case(store)))),+),+]
    };
}

const CASES: &[(&str, Case)] = cases! {
    jobs: everything_reads_back, a_job_comes_with_all_its_children, unknown_jobs_are_left_out, a_mirrored_job_is_one_job,
        an_id_belongs_to_what_was_stored_with_it_first;
    writer: who_submits_at_the_same_time_shares_transactions, one_that_cannot_be_stored_fails_alone,
        what_was_handed_over_is_stored_before_it_closes, what_nobody_waits_for_any_more_is_not_stored,
        texts_that_cannot_be_stored_are_refused;
    lead: who_leads_later_is_the_leader, what_a_late_leader_has_begun_comes_before_or_not_at_all;
    leader: what_was_written_twice_is_written_once, what_has_ended_never_changes, an_inbox_has_new_jobs_and_requests, a_request_is_for_a_job_that_lives,
        all_jobs_of_a_queue_that_live_can_be_told_to_end,
        what_lives_is_read_with_shared_specs, large_jobs_are_taken_up_a_few_at_a_time, old_jobs_go_with_everything, ten_thousand_changes_are_one_write;
    lists: pages_are_stable_while_jobs_come, filters_select, children_are_listed_by_index, a_list_has_the_last_attempt_of_what_has_ended,
        a_foreign_cursor_is_refused;
    front: the_first_of_a_queue_are_told_in_order;
    quota: one_namespace_is_refused_and_others_are_not, room_comes_back_when_jobs_have_ended, what_is_counted_is_what_is_there,
        who_is_refused_takes_nothing_from_those_beside;
    definitions: revisions_are_given_out_once, a_definition_is_found_until_it_is_purged, pages_of_definitions,
        definitions_of_a_name_belong_to_the_namespace_of_the_first,
        changes_of_a_definition_come_one_after_the_other;
};

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_all_promises() {
    let directory = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite://{}/{}.db", directory.path().display(), name.replace("::", "-"));
    run(async |name| url(name)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_keeps_all_promises() {
    let server = Postgresql::start().unwrap();
    run(async |name| server::create(&server, &name.replace("::", "_")).await).await;
}

async fn run(url: impl AsyncFn(&str) -> String) {
    let mut failed = Vec::new();
    for (name, case) in CASES {
        let quotas = if name.starts_with("quota::") { quota::LIMITS } else { Quotas::NONE };
        let store = Store::open_limited(&url(name).await, quotas, Metrics::default()).await.unwrap();
        let store = store.lead(&term("a", 1)).await.unwrap();
        if tokio::spawn(case(store.clone())).await.is_err() {
            failed.push(*name);
        }
        store.close().await;
    }
    assert!(failed.is_empty(), "these failed, each says why above: {failed:#?}");
}

fn term(lease: &str, turn: i64) -> Term {
    Term { lease: lease.to_owned(), turn }
}

/// A time, in milliseconds.
fn at(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + millisecond).unwrap()
}

/// An id, always the same for a number.
fn job(number: u32) -> JobId {
    JobId::new(Uuid::new_v3(&Uuid::NAMESPACE_OID, &number.to_le_bytes()))
}

fn spec(name: &str) -> Spec {
    Spec {
        name: name.to_owned(),
        door: Door::Api,
        queue: "queue".to_owned(),
        definition: "arn:aws:batch:us-east-1:000000000000:job-definition/Hello:3".to_owned(),
        namespace: None,
        uid: None,
        pod: json!({"containers": [{"image": "busybox", "command": ["echo", "a\u{0}b", "é"]}]}),
        retry: None,
        timeout_seconds: Some(60),
        depends_on: Vec::new(),
        container: None,
        array_size: None,
        parameters: [("a".to_owned(), "b".to_owned())].into(),
        tags: [("c".to_owned(), "d".to_owned())].into(),
        share: None,
        submitter: None,
        priority: Some(-1),
    }
}

/// A submission of job `number`, at that millisecond.
fn submission(number: u32, spec: Spec) -> Submission {
    let record = JobRecord::submitted(job(number), at(i64::from(number)));
    Submission { record, spec: Arc::new(spec), namespace: "default".to_owned() }
}

fn array(number: u32, size: u32) -> Submission {
    submission(number, Spec { array_size: Some(size), ..spec("array") })
}

/// The change of a job that takes it to a state; its number is the millisecond.
fn change(id: JobId, state: JobState, reason: Option<&str>, millisecond: i64) -> Change {
    let mut record = JobRecord::submitted(id, at(0));
    record.state = state;
    record.reason = reason.map(ToOwned::to_owned);
    record.stopped = crate::rows::ended(state).then(|| at(millisecond));
    record.version = u64::try_from(millisecond).unwrap();
    Change { record, at: at(millisecond), attempt: None }
}

/// An attempt that failed.
fn attempt(number: u32) -> Attempt {
    Attempt {
        number,
        containers: vec![ContainerEnd { name: "main".to_owned(), exit_code: Some(1), ..ContainerEnd::default() }],
        init_containers: vec![],
        pod_name: "pod".to_owned(),
        namespace: "here".to_owned(),
        node: "node".to_owned(),
        started: None,
        stopped: at(6),
        reason: Some("bad\u{0}".to_owned()),
    }
}
