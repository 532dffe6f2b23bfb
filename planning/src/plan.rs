//! One planning cycle from a snapshot: the world that it shows, asked once.
//!
//! Invariant: pure and deterministic. Knows nothing about who executes the plan.

use jiff::Timestamp;
use model::plan::Plan;
use model::snapshot::Snapshot;

use crate::world::World;

/// Plans one cycle.
pub fn plan(snapshot: &Snapshot, now: Timestamp) -> Plan {
    World::of(snapshot).plan(now)
}
