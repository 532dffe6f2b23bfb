//! Pods created through a real API server, with a queue and without, and what it says itself about our hook.

use anyhow::{Context as _, Result, bail};
use axum::http::Request;
use kube::{Api, Client};

use super::super::load::{self, Extent, Outcome};
use super::super::machine;
use super::super::metrics::{self, Histogram};
use super::creations::{Creator, Show};
use super::place::{PLAIN, Place};
use super::sample::{self, NAMESPACE};
use super::text;

const CREATIONS: usize = 10_000;
const AT_ONCE: usize = 500;
/// Before each series, not counted: every client opens its connection.
const WARM_UP: usize = 1_000;
/// The hook that is called for a pod with a queue.
const HOOK: &str = "pods.bulkhead.dev";

/// What the API server says about a hook.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Admissions {
    pub(super) hook: &'static str,
    pub(super) calls: Histogram,
    /// Calls that failed and were passed over.
    pub(super) fail_open: f64,
    pub(super) rejections: f64,
}

impl Admissions {
    fn read(text: &str) -> Self {
        let (creations, all) = ([("name", HOOK), ("operation", "CREATE")], [("name", HOOK)]);
        Self {
            hook: HOOK,
            calls: Histogram::read(text, "apiserver_admission_webhook_admission_duration_seconds", &creations),
            fail_open: metrics::sum(text, "apiserver_admission_webhook_fail_open_count", &all),
            rejections: metrics::sum(text, "apiserver_admission_webhook_rejection_count", &all),
        }
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            hook: self.hook,
            calls: self.calls.since(&before.calls),
            fail_open: self.fail_open - before.fail_open,
            rejections: self.rejections - before.rejections,
        }
    }
}

/// Measures and prints; returns what was wrong.
pub(super) async fn measure(place: &Place) -> Result<Vec<String>> {
    println!("{}", machine::kubernetes(place.ground()).await?);
    place.make().await?;
    let client = place.ground().client();
    let show = |namespace: &str, queue, is_right| {
        Ok::<_, anyhow::Error>(Show {
            pods: Api::namespaced(client.clone(), namespace),
            pod: sample::written(queue)?,
            is_right,
        })
    };
    let (plain, queued) =
        (show(PLAIN, None, |pod| !sample::is_queued(pod))?, show(NAMESPACE, Some(NAMESPACE), sample::is_queued)?);
    let mut outcomes = Vec::new();
    let mut admissions = Vec::new();
    for (name, show) in [("without a queue", &plain), ("of a queue", &queued)] {
        eprintln!("{CREATIONS} creations {name}");
        create(show, WARM_UP).await;
        let before = admissions_now(client).await?;
        outcomes.push((name, create(show, CREATIONS).await));
        admissions.push(admissions_now(client).await?.since(&before));
    }
    let ([(_, plain), (_, queued)], [_, during]) = (&outcomes[..], &admissions[..]) else { bail!("two series") };
    println!("{}", text::creations(AT_ONCE, plain, queued, during));
    Ok(outcomes.iter().filter_map(|(name, outcome)| outcome.problem(&format!("creations {name}"))).collect())
}

async fn create(show: &Show, count: usize) -> Outcome {
    let mut creators: Vec<Creator> = (0..AT_ONCE).map(|_| Creator(show)).collect();
    load::run(&mut creators, 0, Extent::Times(count)).await
}

async fn admissions_now(client: &Client) -> Result<Admissions> {
    let text = client.request_text(Request::get("/metrics").body(Vec::new())?).await;
    Ok(Admissions::read(&text.context("the API server does not show its metrics")?))
}
