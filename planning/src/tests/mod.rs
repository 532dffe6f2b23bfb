//! Tests of one planning cycle: a world in a few words, the plan as text.

mod admission;
pub(crate) mod any;
mod asleep;
mod attempts;
mod bare;
pub(crate) mod build;
mod cases;
mod deadlines;
mod facts;
mod front;
mod given;
mod heads;
mod limits;
mod liveness;
mod properties;
mod refused;
mod rights;
mod told;
mod trust;
