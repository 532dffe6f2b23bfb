//! Starts without a node: each waits until the machine of the one before is gone.

use anyhow::Result;

use super::run::Bench;
use super::scene::Place;
use super::timeline::Timeline;

/// Runs the series. Every machine is new, so every start pulls the image.
pub(super) async fn runs(bench: &mut Bench<'_>, count: usize) -> Result<Vec<Timeline>> {
    let mut cold = Vec::new();
    for number in 1..=count {
        eprintln!("cold start {number} of {count}");
        bench.scene.no_machines().await?;
        cold.push(bench.start(Place::Cold).await?);
    }
    Ok(cold)
}
