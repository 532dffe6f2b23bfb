//! The series of Bulkhead's API: one array job, whose children are the units.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::bare::gone;
use super::clocks::Clocks;
use super::measured::{Measured, all_run};
use super::place::{Kind, Place, QUEUE};
use super::sample;
use super::sight::Sight;
use super::watch::Watch;

/// Submits, waits until all run, and ends them. Times are from the moment when `SubmitJob` was answered.
pub(super) async fn measure(place: &Place, units: u32) -> Result<Measured> {
    let (kind, gateway) = (Kind::Bulkhead, place.gateway().await?);
    let mut watch = Watch::begin(place.ground().client(), kind.namespace()).await?;
    let (before, mut sight) = (Clocks::read(place.cluster())?, Sight::default());
    gateway.call("SubmitJob", &sample::submission(QUEUE, "units", Some(units))).await?;
    let begin = Instant::now();
    watch.until(begin, &mut sight, all_run(units)).await?;
    let measured = Measured::of(place, kind, units, Duration::ZERO, &sight, &before).await?;
    gateway.end_all(QUEUE).await?;
    gone(place, kind).await?;
    Ok(measured)
}
