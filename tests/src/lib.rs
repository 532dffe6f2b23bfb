//! What end-to-end tests are made of: a cluster with Bulkhead in it, fixtures that clean up, and waiting for conditions.
//!
//! Invariant: a test waits for a condition, never for time, and says what it saw last when the condition does not come. Everything
//! a fixture makes carries its name and is removed after the test, also when it failed.

mod aws;
mod batch_job;
mod fixture;
mod forward;
mod look;
mod machine_log;
mod manifests;
mod pod_log;
mod site;
mod wait;
mod world;

pub use aws::{Answer, Aws};
pub use batch_job::{STATES, attempts, brief, exit_codes, id_of};
pub use fixture::Fixture;
pub use forward::Forward;
pub use look::{JobStatus, env_of, pod_index, ready};
pub use machine_log::MachineLog;
pub use manifests::{FORM_1, FORM_2, FORM_3, job, job_with};
pub use pod_log::{PodLog, SeenPod};
pub use site::Site;
pub use wait::{eventually, eventually_for, steadily, together};
pub use world::World;
