//! Waiting for conditions.
//!
//! Invariant: a wait that ends without success says for what it waited, how long, and what it saw last.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use futures::future::{BoxFuture, join_all};

/// Long enough for a node to boot and a pod to run on a busy machine of two cores.
const PATIENCE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(200);

/// Asks again and again until the answer is `Ok(Ok(value))`. `Ok(Err(text))` is what was seen instead; errors of the API server are
/// seen too, because a test may be killing it.
pub async fn eventually<T, F>(what: &str, check: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Result<T, String>>>,
{
    eventually_for(PATIENCE, what, check).await
}

/// As [`eventually`], with another patience.
pub async fn eventually_for<T, F>(patience: Duration, what: &str, mut check: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Result<T, String>>>,
{
    let begun = Instant::now();
    loop {
        let seen = match check().await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(seen)) => seen,
            Err(error) => format!("{error:#}"),
        };
        if begun.elapsed() > patience {
            bail!("waited {} s until {what}; last seen: {seen}", patience.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks again and again for `how_long` and fails as soon as the answer is not `Ok(())`: for things that must not happen.
pub async fn steadily<F>(how_long: Duration, what: &str, mut check: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<Result<(), String>>>,
{
    let begun = Instant::now();
    while begun.elapsed() < how_long {
        if let Err(seen) = check().await? {
            bail!("it did not stay true that {what}: {seen}");
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Runs checks side by side. All of them come to their end, and each that failed is named.
pub async fn together(checks: Vec<(&str, BoxFuture<'_, Result<()>>)>) -> Result<()> {
    let (names, running): (Vec<&str>, Vec<_>) = checks.into_iter().unzip();
    let ends = names.into_iter().zip(join_all(running).await);
    let failed: Vec<String> =
        ends.filter_map(|(name, end)| end.err().map(|error| format!("{name}: {error:#}"))).collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}
