//! What `statusReason` says, where it is not in the words of the user or the cluster.
//!
//! Invariant: users match these texts from their start (`onStatusReason: Host EC2*`), so a beginning never changes. Where a text of AWS
//! Batch is known, it is that one.

use model::status::Code;

/// A dependency has failed.
pub const DEPENDENT_JOB_FAILED: &str = "Dependent Job failed";
/// Nobody knows how a dependency ended, so that this job was not started.
pub const DEPENDENT_JOB_UNKNOWN: &str =
    "Dependent Job may have succeeded: its outcome is unknown. If it has, submit this job again without the dependency";
/// A child of the array job has failed.
pub const ARRAY_CHILD_FAILED: &str = "Array Child Job failed";
/// The attempt ran longer than `attemptDurationSeconds`.
pub const TIMED_OUT: &str = "Job attempt duration exceeded timeout";
/// A container ended badly.
pub const CONTAINER_EXITED: &str = "Essential container in task exited";
/// No main container ever ran.
pub const FAILED_TO_START: &str = "Task failed to start";
/// The pod was deleted, and not by Bulkhead.
pub const DELETED: &str = "Pod was deleted by somebody else";
/// Begins the text of a pod that the cluster does not take.
pub const NOT_MADE: &str = "The cluster refuses the pod";
/// The pod failed, and nothing says why.
pub const POD_FAILED: &str = "Pod failed";
/// Begins the text of a pod for which room was held on nodes that are gone.
pub const NO_NODE_LEFT: &str = "No node is left for the pod in the compute environment";
/// Begins the text of an evicted pod.
pub const EVICTED: &str = "Evicted";
/// Begins the text of an image that cannot be pulled; the word that Amazon ECS has for it.
pub const CANNOT_PULL: &str = "CannotPullContainerError";
/// A second reason of a container that used too much memory; the word that Amazon ECS has for it.
pub const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";

/// A dependency has failed, or so it must be taken.
pub(super) fn dependent(unknown: bool) -> &'static str {
    if unknown { DEPENDENT_JOB_UNKNOWN } else { DEPENDENT_JOB_FAILED }
}

/// The code with which the reason of a job that waits begins.
pub(crate) fn code(reason: &str) -> &str {
    reason.split_once(" - ").map_or(reason, |(code, _)| code)
}

/// Whether a job waits for machines: one of these codes follows the other at each launch that is tried.
pub(crate) fn for_machines(code: &str) -> bool {
    [Code::InsufficientCapacity, Code::ProviderError, Code::Launching].iter().any(|one| one.as_str() == code)
}

/// It has waited for as long as its queue lets jobs wait for that reason.
pub(crate) fn waited_too_long(code: &str) -> String {
    format!("Canceled by JobStateTimeLimit action due to reason: {code}")
}

/// The node is gone.
pub fn host_terminated(instance: &str) -> String {
    format!("Host EC2 (instance {instance}) terminated.")
}

/// kube-scheduler finds no node for the pod; the text has the form of the other reasons why a job has no node.
pub(super) fn unschedulable(message: &str) -> String {
    clip(&format!("{} - {message}", Code::KubeScheduler.as_str()), LONGEST)
}

/// Most characters of a text that comes from the cluster.
const LONGEST: usize = 1024;

/// A word and what belongs to it, not too long for a record.
pub(super) fn joined(word: &str, rest: Option<&str>) -> String {
    let text = rest.filter(|rest| !rest.is_empty()).map_or_else(|| word.to_owned(), |rest| format!("{word}: {rest}"));
    clip(&text, LONGEST)
}

/// The first characters of a text.
pub(super) fn clip(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}
