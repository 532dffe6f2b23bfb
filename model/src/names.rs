//! Names and identifiers: job ids in their two forms, ARNs, UUIDs of environments, names of objects.
//!
//! Invariant: pure functions of their arguments, so every replica comes to the same name. Knows nothing about the objects.

use uuid::Uuid;

use crate::job::JobId;

/// The account and region that ARNs are made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArnBase {
    /// For example `us-east-1`.
    pub region: String,
    /// Twelve digits.
    pub account: String,
}

impl Default for ArnBase {
    fn default() -> Self {
        Self { region: "us-east-1".to_owned(), account: "123456789012".to_owned() }
    }
}

impl ArnBase {
    /// ARN of a compute environment.
    pub fn compute_environment(&self, aws_name: &str) -> String {
        format!("arn:aws:batch:{}:{}:compute-environment/{aws_name}", self.region, self.account)
    }

    /// ARN of a job queue.
    pub fn job_queue(&self, aws_name: &str) -> String {
        format!("arn:aws:batch:{}:{}:job-queue/{aws_name}", self.region, self.account)
    }

    /// ARN of a revision of a job definition.
    pub fn job_definition(&self, name: &str, revision: u32) -> String {
        format!("arn:aws:batch:{}:{}:job-definition/{name}:{revision}", self.region, self.account)
    }

    /// ARN of all revisions of a job definition.
    pub fn job_definition_name(&self, name: &str) -> String {
        format!("arn:aws:batch:{}:{}:job-definition/{name}", self.region, self.account)
    }

    /// ARN of a job or of a child.
    pub fn job(&self, id: JobId) -> String {
        format!("arn:aws:batch:{}:{}:job/{id}", self.region, self.account)
    }

    /// ARN of a group of logs.
    pub fn log_group(&self, name: &str) -> String {
        format!("arn:aws:logs:{}:{}:log-group:{name}", self.region, self.account)
    }

    /// ARN of a log in a group.
    pub fn log_stream(&self, group: &str, name: &str) -> String {
        format!("{}:log-stream:{name}", self.log_group(group))
    }

    /// ARN of what stands for the Amazon ECS cluster of a compute environment, in AWS's form; there is none.
    pub fn ecs_cluster(&self, aws_name: &str) -> String {
        let uuid = self.compute_environment_uuid(aws_name);
        format!("arn:aws:ecs:{}:{}:cluster/AWSBatch-{aws_name}-{uuid}", self.region, self.account)
    }

    /// UUID (version 3) of a compute environment: that of its ARN in the URL name space.
    pub fn compute_environment_uuid(&self, aws_name: &str) -> String {
        Uuid::new_v3(&Uuid::NAMESPACE_URL, self.compute_environment(aws_name).as_bytes()).to_string()
    }
}

/// Whether a namespace is the system's or Bulkhead's own: no job of the API goes there.
pub fn is_reserved_namespace(name: &str) -> bool {
    name.starts_with("kube-") || name == crate::keys::NAMESPACE
}

/// The object name for an AWS name: the name in lower case with `_` as `-`, plus a short hash if that changed it.
pub fn object_name(aws_name: &str) -> String {
    let lower = aws_name.to_lowercase().replace('_', "-");
    let lower = lower.trim_matches('-');
    if lower == aws_name {
        return lower.to_owned();
    }
    let hash = Uuid::new_v3(&Uuid::NAMESPACE_URL, aws_name.as_bytes()).simple().to_string();
    format!("{}-{}", &lower[..lower.len().min(100)], &hash[..6])
}

/// Name of the pod of an attempt: the same for everybody who makes it, so that making it twice is harmless. Like AWS Batch's it ends in a
/// UUID of version 3.
pub fn pod_name(id: JobId, attempt: u32, placement: u32) -> String {
    let unit = format!("{id}/{attempt}/{placement}");
    format!("aws-batch.{}", Uuid::new_v3(&Uuid::NAMESPACE_OID, unit.as_bytes()))
}

/// Name of a machine, its Node and its BatchNode: the environment's object name (shortened) and a suffix.
pub fn machine_name(environment: &str, suffix: &str) -> String {
    let stem: String = environment.chars().map(|c| if c == '.' { '-' } else { c }).take(40).collect();
    format!("{}-{suffix}", stem.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uuid_of_an_environment_comes_from_its_arn() {
        let base = ArnBase::default();
        assert_eq!(
            base.compute_environment("My-Eks-CE1"),
            "arn:aws:batch:us-east-1:123456789012:compute-environment/My-Eks-CE1"
        );
        let uuid = base.compute_environment_uuid("My-Eks-CE1");
        assert_eq!(uuid, base.compute_environment_uuid("My-Eks-CE1"));
        assert_ne!(uuid, base.compute_environment_uuid("My-Eks-CE2"));
        assert_eq!(uuid.as_bytes()[14], b'3', "version 3");
    }

    #[test]
    fn object_names_are_lower_case_and_do_not_collide() {
        assert_eq!(object_name("my-ce"), "my-ce");
        assert!(object_name("My-CE").starts_with("my-ce-"));
        assert_ne!(object_name("My-CE"), object_name("MY-CE"));
        assert_eq!(machine_name("a.b", "x1"), "a-b-x1");
        assert!(machine_name(&"n".repeat(200), "abcde").len() <= 63);
    }
}
