//! What came of one run.

use std::time::Duration;

use anyhow::Result;

use super::clocks::Clocks;
use super::place::{Kind, Place};
use super::sight::Sight;

/// One run of one series.
#[derive(Debug)]
pub(super) struct Measured {
    /// When the last request of the client was answered; zero if the time runs from then.
    pub(super) answered: Duration,
    /// When the first and the last pod were seen on a node, and the last RUNNING.
    pub(super) first: Duration,
    pub(super) bound: Duration,
    pub(super) running: Duration,
    /// Until the last ran.
    pub(super) clocks: Clocks,
    pub(super) problems: Vec<String>,
}

impl Measured {
    /// From what was seen, all of it on nodes of this kind.
    pub(super) async fn of(
        place: &Place,
        kind: Kind,
        units: u32,
        answered: Duration,
        sight: &Sight,
        before: &Clocks,
    ) -> Result<Self> {
        let clocks = Clocks::read(place.cluster())?.since(before);
        let (nodes, at) = (place.nodes(kind).await?, |all: &[Duration]| all.iter().max().copied().unwrap_or_default());
        let problems = sight.problems(units as usize, &nodes).into_iter();
        Ok(Self {
            answered,
            first: sight.bound().iter().min().copied().unwrap_or_default(),
            bound: at(sight.bound()),
            running: at(sight.running()),
            clocks,
            problems: problems.map(|problem| format!("{}: {problem}", kind.namespace())).collect(),
        })
    }
}

/// Whether so many run.
pub(super) fn all_run(units: u32) -> impl Fn(&Sight) -> bool {
    move |sight| sight.bound().len() >= units as usize && sight.running().len() >= units as usize
}
