//! The vocabulary of Bulkhead: plain data, no I/O, no clock, no randomness.

pub mod clock;
pub mod dump;
pub mod front;
pub mod identity;
pub mod job;
pub mod keys;
pub mod names;
pub mod placement;
pub mod plan;
pub mod quantity;
pub mod resources;
pub mod snapshot;
pub mod status;
