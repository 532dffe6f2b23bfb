//! The node manager: machines of MANAGED environments from launch to end, and the marks on nodes of UNMANAGED ones.
//!
//! Invariant: no machine without a stored `BatchNode`, which keeps a finalizer until the machine is gone, so none leaks whoever dies
//! when. Knows nothing about jobs: what to launch and what to retire is decided elsewhere.

mod act;
mod ages;
pub mod external;
mod facts;
mod hindered;
mod losses;
mod manager;
mod marks;
mod orders;
mod pages;
mod patience;
mod phases;
mod poll;
pub mod provider;
mod shared;
mod terminate;
mod turns;
mod unmanaged;
mod whose;

pub use manager::Manager;
pub use shared::Metrics;
