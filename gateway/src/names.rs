//! Names and ARNs in requests.
//!
//! Invariant: an ARN may name any region and account, its resource decides. Knows the forms, not the resources.

use model::job::JobId;

use crate::failure::Invalid;

/// What an ARN is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    ComputeEnvironment,
    JobQueue,
    JobDefinition,
    Job,
    SchedulingPolicy,
}

impl Resource {
    fn as_str(self) -> &'static str {
        match self {
            Self::ComputeEnvironment => "compute-environment",
            Self::JobQueue => "job-queue",
            Self::JobDefinition => "job-definition",
            Self::Job => "job",
            Self::SchedulingPolicy => "scheduling-policy",
        }
    }
}

/// The name in a name or ARN.
pub(crate) fn name_of(resource: Resource, given: &str) -> Result<&str, Invalid> {
    if !given.starts_with("arn:") {
        return Ok(given);
    }
    in_arn(resource, given)
        .ok_or_else(|| Invalid(format!("Provided name {given} is not supported pattern[a-zA-Z_0-9-]{{1,128}}")))
}

/// The name in an ARN of this kind; `None` for everything else.
pub(crate) fn in_arn(resource: Resource, given: &str) -> Option<&str> {
    let mut parts = given.splitn(6, ':');
    let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let [_region, _account] = [parts.next()?, parts.next()?];
    let name = parts.next()?.strip_prefix(resource.as_str())?.strip_prefix('/')?;
    (arn == "arn" && partition.starts_with("aws") && service == "batch" && !name.is_empty()).then_some(name)
}

/// A job definition in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DefinitionName {
    pub(crate) name: String,
    pub(crate) revision: Option<u32>,
}

/// Reads `name`, `name:revision`, or an ARN of either.
pub(crate) fn definition(given: &str) -> Result<DefinitionName, Invalid> {
    let text = name_of(Resource::JobDefinition, given)?;
    let (name, revision) = match text.split_once(':') {
        None => (text, None),
        Some((name, revision)) => match revision.parse() {
            Ok(revision) => (name, Some(revision)),
            Err(_) => return Invalid::err(format!("{given} does not end in the number of a revision")),
        },
    };
    Ok(DefinitionName { name: name.to_owned(), revision })
}

/// The job in an id or ARN; `None` for what is the id of no job.
pub(crate) fn job(given: &str) -> Option<JobId> {
    in_arn(Resource::Job, given).unwrap_or(given).parse().ok()
}

/// Names of environments, queues and definitions: 1 to 128 letters, digits, hyphens and underscores. The custom resources want a
/// letter or digit first.
pub(crate) fn is_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    first && name.len() <= 128 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_of_every_region_and_account_are_accepted_and_other_kinds_refused() {
        let queue = |given| name_of(Resource::JobQueue, given).map_err(|Invalid(message)| message);
        assert_eq!(queue("q"), Ok("q"));
        assert_eq!(queue("arn:aws:batch:eu-west-1:1:job-queue/q"), Ok("q"));
        assert_eq!(queue("arn:aws-cn:batch:cn-north-1:1:job-queue/q"), Ok("q"));
        for wrong in [
            "arn:aws:batch:us-east-1:1:compute-environment/q",
            "arn:aws:eks:us-east-1:1:job-queue/q",
            "arn:aws:batch:us-east-1:1:job-queue/",
            "arn:aws",
        ] {
            let message = format!("Provided name {wrong} is not supported pattern[a-zA-Z_0-9-]{{1,128}}");
            assert_eq!(queue(wrong), Err(message));
        }
    }

    #[test]
    fn definitions_have_three_forms() {
        let read = |given| definition(given).map(|it| (it.name, it.revision)).ok();
        for (given, expected) in [
            ("d", Some(("d".to_owned(), None))),
            ("d:3", Some(("d".to_owned(), Some(3)))),
            ("arn:aws:batch:x:1:job-definition/d:3", Some(("d".to_owned(), Some(3)))),
            ("arn:aws:batch:x:1:job-definition/d", Some(("d".to_owned(), None))),
            ("d:x", None),
            ("arn:aws:batch:x:1:job-queue/d", None),
        ] {
            assert_eq!(read(given), expected, "{given}");
        }
    }

    #[test]
    fn jobs_are_named_by_id_or_arn() {
        let id = "2d044787-c663-4ce6-a6fe-f2baf7e51b04:3";
        assert_eq!(job(id).map(|id| id.to_string()).as_deref(), Some(id));
        assert_eq!(job(&format!("arn:aws:batch:us-east-1:1:job/{id}")), job(id));
        assert_eq!(job("nonsense"), None);
    }

    #[test]
    fn names_have_a_pattern() {
        for (name, expected) in [("a", true), ("A_b-9", true), ("", false), ("-a", false), ("a.b", false), ("é", false)]
        {
            assert_eq!(is_name(name), expected, "{name}");
        }
        assert!(is_name(&"a".repeat(128)) && !is_name(&"a".repeat(129)));
    }
}
