//! `dependsOn` (<https://docs.aws.amazon.com/batch/latest/userguide/job_dependencies.html>).
//!
//! Invariant: pure. A job depends only on jobs that are there, so a mistyped id is an error at once and not a job that waits for ever.

use model::job::{Dependency, DependencyKind, JobId};
use records::Kept;

use super::request::{DependsOn, Submit};
use super::submit::array_size;
use crate::failure::Invalid;
use crate::names;

const KINDS: [(&str, DependencyKind); 2] =
    [("N_TO_N", DependencyKind::NToN), ("SEQUENTIAL", DependencyKind::Sequential)];

/// Ids of the jobs that are named.
pub(crate) fn ids(given: &[DependsOn]) -> Result<Vec<JobId>, Invalid> {
    if given.len() > 20 {
        return Invalid::err("Job cannot have more than 20 dependencies");
    }
    given.iter().filter_map(|it| it.job_id.as_deref()).map(id).collect()
}

fn id(given: &str) -> Result<JobId, Invalid> {
    names::job(given).ok_or_else(|| Invalid(format!("dependsOn: {given} is not the id of a job")))
}

/// Reads the dependencies against the jobs that are there.
pub(crate) fn check(request: &Submit, there: &[Kept]) -> Result<Vec<Dependency>, Invalid> {
    let size = array_size(request)?;
    request.depends_on.iter().map(|it| one(it, size, there)).collect()
}

fn one(given: &DependsOn, size: Option<u32>, there: &[Kept]) -> Result<Dependency, Invalid> {
    let kind = given.kind.as_deref().map(|kind| crate::limits::one_of("dependsOn.type", kind, &KINDS)).transpose()?;
    if kind.is_some() && size.is_none() {
        return Invalid::err("dependsOn: only array jobs can have a dependency of type N_TO_N or SEQUENTIAL");
    }
    let Some(named) = &given.job_id else {
        return match kind {
            Some(DependencyKind::Sequential) => Ok(Dependency { job_id: None, kind }),
            _ => Invalid::err("dependsOn: jobId is required unless the type is SEQUENTIAL"),
        };
    };
    if kind == Some(DependencyKind::Sequential) {
        return Invalid::err(
            "dependsOn: a dependency of type SEQUENTIAL is between the children of the job itself and has no jobId",
        );
    }
    let id = id(named)?;
    let Some(kept) = there.iter().find(|kept| kept.record.id == id) else {
        return Invalid::err(format!("dependsOn: job {id} does not exist"));
    };
    let other = kept.spec.array_size.filter(|_| id.child.is_none());
    if kind == Some(DependencyKind::NToN) && other != size {
        let (size, other) = (size.unwrap_or(1), other.unwrap_or(1));
        return Invalid::err(format!(
            "dependsOn: an N_TO_N dependency is between array jobs of the same size: this one has {size}, {id} has {other}"
        ));
    }
    Ok(Dependency { job_id: Some(id), kind })
}
