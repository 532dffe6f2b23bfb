//! The AWS Batch REST API (<https://docs.aws.amazon.com/batch/latest/APIReference/Welcome.html>): what AWS's clients speak.
//!
//! Invariant: decode → decide → act. What is refused, merged or shown is decided by pure functions; the modules named after
//! resources look up, call them and write. Compute environments and job queues are the custom resources, so that kubectl and the
//! API see the same objects; jobs and definitions are records. It starts nothing: what it stores, the queue loop finds.

mod aside;
mod auth;
mod cache;
mod caller;
mod decode;
mod definitions;
mod dispatch;
mod ecs;
mod environments;
mod failure;
mod gateway;
mod jobs;
mod limits;
mod logs;
mod metrics;
mod names;
mod objects;
mod operation;
mod page;
mod privileges;
mod queues;
mod rights;
mod routes;
mod session;
mod stored;
mod tagging;
mod tags;

#[cfg(test)]
mod tests;

pub use auth::{AUDIENCE, Generation, Guard, Judge, KubeJudge, MASTER, Masters, NoRandomness, keep_masters};
pub use caller::Served;
pub use gateway::Config;
pub use metrics::Metrics;
pub use objects::{Kind, KubeObjects, ObjectError, Objects};
pub use routes::{Room, router};
