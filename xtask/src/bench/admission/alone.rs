//! One review after the other, without a socket: what decoding, deciding and answering take.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::runtime::Builder;

use super::super::numbers::Quantiles;
use super::{sample, server, text};

const WARM_UP: usize = 5_000;
const REVIEWS: usize = 50_000;

/// Asks the routes, and beside each review only reads and writes its JSON; prints how long both took.
pub(super) fn measure(core: usize) -> Result<()> {
    let runtime =
        Builder::new_current_thread().enable_all().build().context("cannot start the asynchronous runtime")?;
    let (json, review) = runtime.block_on(timed())?;
    let sizes = (sample::of_a_job().to_string().len(), sample::review()?.with(&sample::uid(0)).len());
    print!("{}", text::alone(core, REVIEWS, sizes, json, review));
    Ok(())
}

async fn timed() -> Result<(Quantiles, Quantiles)> {
    let (router, review) = (server::webhook()?, sample::review()?);
    let first = server::ask(&router, review.with(&sample::uid(0))).await?;
    let right = sample::right_answer(&first, &sample::uid(0))?;
    let (mut json, mut reviews) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + REVIEWS {
        let uid = sample::uid(number);
        let body = review.with(&uid);
        let only_json = read_and_write(&body)?;
        let begin = Instant::now();
        let answer = server::ask(&router, body).await?;
        let took = begin.elapsed();
        ensure!(right.is(&answer, &uid), "review {number} is answered differently");
        if number >= WARM_UP {
            json.push(only_json);
            reviews.push(took);
        }
    }
    Ok((Quantiles::of(json).context("nothing was measured")?, Quantiles::of(reviews).context("nothing was measured")?))
}

/// The baseline: what nobody can do without who gets JSON and gives JSON.
fn read_and_write(body: &[u8]) -> Result<Duration> {
    let begin = Instant::now();
    let read: Value = serde_json::from_slice(black_box(body))?;
    black_box(serde_json::to_vec(&read)?);
    drop(read);
    Ok(begin.elapsed())
}
