//! For whom a job waits, by what was asked for.
//!
//! Invariant: every child waits for what its array job was asked to wait for. Does not know how anybody is doing.
//! Source: <https://docs.aws.amazon.com/batch/latest/userguide/job_dependencies.html>.

use model::job::{Dependency, DependencyKind, JobId, Spec};

/// The jobs that must succeed before this one. An array job itself waits for its children and for nobody else, but it fails with what
/// all its children wait for.
pub(super) fn of(id: JobId, spec: &Spec) -> Vec<JobId> {
    let one = |dependency: &Dependency| match (dependency.kind, dependency.job_id, id.child) {
        (Some(DependencyKind::Sequential), _, Some(index)) => {
            index.checked_sub(1).map(|before| JobId { child: Some(before), ..id })
        }
        (Some(DependencyKind::NToN), Some(other), Some(index)) => Some(other.with_child(index)),
        (Some(_), _, None) => None,
        (_, other, _) => other,
    };
    let mut all: Vec<JobId> = spec.depends_on.iter().filter_map(one).collect();
    all.sort_unstable();
    all.dedup();
    all
}
