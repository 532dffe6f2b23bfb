//! Whose output is kept under which name: one object for each container of each attempt of a job.
//!
//! Invariant: two that differ have different names, and of a job all begin alike.

use model::job::JobId;
use object_store::path::Path;

/// One container of one attempt of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The job, or a child.
    pub job: JobId,
    /// From 1.
    pub attempt: u32,
    /// Name of the container in its pod.
    pub container: String,
}

impl Key {
    /// Where it is: `JOB/ATTEMPT/CONTAINER`, or `JOB/INDEX/ATTEMPT/CONTAINER` of a child.
    pub(crate) fn path(&self) -> Path {
        let job = self.job.job.to_string();
        let child = self.job.child.map(|child| child.to_string());
        [job].into_iter().chain(child).chain([self.attempt.to_string(), self.container.clone()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn each_container_of_each_attempt_has_a_name_of_its_own() {
        let job = JobId::new(Uuid::from_u128(7));
        let path = |job, attempt, container: &str| Key { job, attempt, container: container.into() }.path().to_string();
        let seven = "00000000-0000-0000-0000-000000000007";
        for (job, attempt, container, expect) in [
            (job, 1, "main", format!("{seven}/1/main")),
            (job.with_child(1), 1, "main", format!("{seven}/1/1/main")),
            // Nobody leaves the directory, nor reaches another's.
            (job, 2, "..", format!("{seven}/2/%2E%2E")),
            (job, 2, "a/b", format!("{seven}/2/a%2Fb")),
        ] {
            assert_eq!(path(job, attempt, container), expect);
        }
    }
}
