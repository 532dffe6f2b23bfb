//! Starts with a node that waits, beside the baseline: alternately, so that both see the same machine.

use anyhow::Result;

use super::run::Bench;
use super::scene::Place;
use super::timeline::Timeline;

/// Runs both series; the first start of each only pulls the image.
pub(super) async fn runs(bench: &mut Bench<'_>, count: usize) -> Result<(Vec<Timeline>, Vec<Timeline>)> {
    let (mut plain, mut warm) = (Vec::new(), Vec::new());
    if count > 0 {
        eprintln!("pulling the image to both nodes");
        bench.start(Place::Plain).await?;
        bench.start(Place::Warm).await?;
    }
    for number in 1..=count {
        eprintln!("baseline and warm start {number} of {count}");
        plain.push(bench.start(Place::Plain).await?);
        warm.push(bench.start(Place::Warm).await?);
    }
    Ok((plain, warm))
}
