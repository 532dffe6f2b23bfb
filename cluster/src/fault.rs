//! Named points at which a test can kill or stop the process, to prove that another finishes what was begun, and that one which goes on
//! late spoils nothing.
//!
//! Invariant: without `BULKHEAD_FAULT` nothing happens. A point lies between two steps that are stored or seen elsewhere; killing
//! there must lose nothing. Does not know what the steps are.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

/// Environment variable with the name of the point at which to die; followed by [`STOP`], at which to stop, once, until somebody sends
/// SIGCONT.
pub const VARIABLE: &str = "BULKHEAD_FAULT";
/// Behind the name of a point at which to stop.
pub const STOP: &str = ":stop";
/// Exit code of a process that died at a point, so that a test can tell it from other ends.
pub const EXIT_CODE: i32 = 86;

/// A point at which the process can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The `BatchNode` is stored, nothing has been asked of the provider.
    BatchNodeStored,
    /// The provider has launched the machine, which is not stored.
    Launched,
    /// The launch is stored, the node is not there.
    LaunchStored,
    /// The node has joined, nothing has been done to it.
    NodeJoined,
    /// The node is Ready, which is not stored.
    NodeReady,
    /// Retirement is stored, the node is not tainted.
    RetireStored,
    /// The node is empty, which is not stored.
    Drained,
    /// The machine is gone, its Node is there.
    Terminated,
    /// The Node is gone, the `BatchNode` is there.
    NodeDeleted,
    /// A job of the API is stored, whoever submitted it has no answer.
    JobStored,
    /// A job's dispatch is stored, its pod is not made.
    DispatchStored,
    /// A job's pod is made, which is not seen.
    PodMade,
    /// A job's pod runs, which is not stored.
    PodRuns,
    /// A job's outcome is stored, its pod is still kept.
    OutcomeStored,
    /// A Job's release is decided, not written.
    ReleaseDecided,
    /// A Job is released, which is not seen.
    Released,
    /// The node of a Job's pod is decided, not written.
    BindingDecided,
    /// A Job's pod is bound, which is not seen.
    Bound,
}

impl Point {
    /// The points that a machine passes, in order.
    pub const MACHINE: [Self; 9] = [
        Self::BatchNodeStored,
        Self::Launched,
        Self::LaunchStored,
        Self::NodeJoined,
        Self::NodeReady,
        Self::RetireStored,
        Self::Drained,
        Self::Terminated,
        Self::NodeDeleted,
    ];

    /// The points that a job of the API passes, in order.
    pub const JOB: [Self; 5] =
        [Self::JobStored, Self::DispatchStored, Self::PodMade, Self::PodRuns, Self::OutcomeStored];

    /// The points that a Job made with kubectl passes, in order.
    pub const KUBECTL_JOB: [Self; 4] = [Self::ReleaseDecided, Self::Released, Self::BindingDecided, Self::Bound];

    /// Its name, as the variable names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BatchNodeStored => "batch-node-stored",
            Self::Launched => "launched",
            Self::LaunchStored => "launch-stored",
            Self::NodeJoined => "node-joined",
            Self::NodeReady => "node-ready",
            Self::RetireStored => "retire-stored",
            Self::Drained => "drained",
            Self::Terminated => "terminated",
            Self::NodeDeleted => "node-deleted",
            Self::JobStored => "job-stored",
            Self::DispatchStored => "dispatch-stored",
            Self::PodMade => "pod-made",
            Self::PodRuns => "pod-runs",
            Self::OutcomeStored => "outcome-stored",
            Self::ReleaseDecided => "release-decided",
            Self::Released => "released",
            Self::BindingDecided => "binding-decided",
            Self::Bound => "bound",
        }
    }
}

/// Dies here, at once and without cleaning up, or stops, if the variable says so.
pub fn reach(point: Point) {
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    static STOPPED: AtomicBool = AtomicBool::new(false);
    let Some(chosen) = CHOSEN.get_or_init(|| std::env::var(VARIABLE).ok()) else { return };
    if chosen == point.name() {
        tracing::error!(point = point.name(), "dying, because {VARIABLE} says so");
        std::process::exit(EXIT_CODE);
    }
    if chosen.strip_suffix(STOP) == Some(point.name()) && !STOPPED.swap(true, Ordering::Relaxed) {
        tracing::error!(point = point.name(), "stopping, because {VARIABLE} says so");
        if let Err(error) = kill_process(getpid(), Signal::STOP) {
            tracing::error!(%error, "cannot stop");
        }
        // Another thread may get the signal; it takes a moment until this one stands still, too.
        std::thread::sleep(Duration::from_millis(200));
        tracing::error!(point = point.name(), "going on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct() {
        let all = || Point::MACHINE.iter().chain(&Point::JOB).chain(&Point::KUBECTL_JOB).map(|point| point.name());
        assert_eq!(all().collect::<std::collections::BTreeSet<_>>().len(), all().count());
    }
}
