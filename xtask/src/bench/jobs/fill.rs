//! Fills the record store before it is measured.
//!
//! Invariant: what is stored is what the gateway makes of a submission, but for ids and names.

use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use model::job::{JobRecord, Spec};
use records::{Filter, Scope, Store, Submission};
use tower::ServiceExt as _;

use super::super::numbers::grouped;
use super::{sample, server};

/// Submissions under way.
const AT_ONCE: usize = 1024;
/// Far above any answer.
const ANSWER_LIMIT: usize = 1 << 20;

/// Registers the definition and submits a job, through the API; what was stored for it.
pub(super) async fn template(store: &Store) -> Result<Spec> {
    let api = server::api(store.clone());
    call(&api, "/v1/registerjobdefinition", sample::definition().to_string().into_bytes()).await?;
    call(&api, "/v1/submitjob", sample::submission("first", None)).await?;
    let all = Filter { scope: Scope::Queue(sample::NAME.to_owned()), state: None, by: None };
    let page = store.list(&all, None, 1).await?;
    let kept = page.items.into_iter().next().context("the job that was submitted is not there")?;
    Ok(Arc::unwrap_or_clone(kept.spec))
}

async fn call(api: &Router, path: &str, body: Vec<u8>) -> Result<()> {
    let request = Request::post(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Body::from(body))?;
    let response = api.clone().oneshot(request).await?;
    let code = response.status();
    let answer = to_bytes(response.into_body(), ANSWER_LIMIT).await?;
    ensure!(code == StatusCode::OK, "{path}: {code}: {}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// Submits the jobs of these numbers.
pub(super) async fn fill(store: &Store, spec: &Spec, numbers: RangeInclusive<usize>) -> Result<()> {
    let (mut count, all) = (*numbers.start() - 1, *numbers.end());
    let submit = |number: usize| {
        let spec = Spec { name: format!("queued-{number}"), ..spec.clone() };
        let record = JobRecord::submitted(sample::id(number), Timestamp::now());
        store.submit(Submission { record, spec: Arc::new(spec), namespace: "default".to_owned() })
    };
    let mut stored = stream::iter(numbers).map(submit).buffer_unordered(AT_ONCE);
    while stored.try_next().await?.is_some() {
        count += 1;
        if count.is_multiple_of(20_000) || count == all {
            eprintln!("{} of {} jobs stored", grouped(count), grouped(all));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_gateway_takes_what_is_sent_and_the_rest_is_like_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite://{}/x.db", directory.path().display())).await.unwrap();
        let spec = template(&store).await.unwrap();
        for (first, last) in [(1, 3), (4, 3)] {
            fill(&store, &spec, first..=last).await.unwrap();
        }
        let filled = store.jobs(&[1, 2, 3, 4].map(sample::id)).await.unwrap();
        let expect = |number| Spec { name: format!("queued-{number}"), ..spec.clone() };
        assert_eq!(filled.iter().map(|it| (*it.spec).clone()).collect::<Vec<_>>(), [1, 2, 3].map(expect));
        store.close().await;
    }
}
