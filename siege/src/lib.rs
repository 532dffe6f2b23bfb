//! Hostile input for whatever listens on a port, for tests alone: cases of generated input, JSON in which something else stands in some places, and a siege of real connections.
//!
//! Invariant: what was found can be seen again by its seed. Does not know what the servers do, only what a well-formed HTTP answer is.

mod address;
mod answer;
mod cases;
mod honest;
mod hostile;
pub mod json;
mod processor;
mod run;
mod server;
mod words;

pub use cases::check;
pub use run::{Door, lay};
pub use words::Request;
