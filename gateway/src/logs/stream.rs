//! Names of log streams: one for each container of each attempt of a job.
//!
//! Invariant: what [`Stream`] prints is what it reads. It has AWS's three parts, of which the last is the id of an Amazon ECS task there
//! (<https://docs.aws.amazon.com/batch/latest/userguide/job_states.html>); here it is the job and its attempt, so that who asks for a log is
//! known to ask for that job's.

use std::fmt;
use std::str::FromStr;

use model::job::{JobId, Spec};
use uuid::Uuid;

/// Characters of a definition's name in a stream's.
const DEFINITION: usize = 200;
/// Of a UUID as it is printed.
const UUID: usize = 36;

/// What one container printed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stream {
    /// Name of the job's definition.
    pub(crate) definition: String,
    /// Name of the container.
    pub(crate) container: String,
    pub(crate) job: JobId,
    /// From 1.
    pub(crate) attempt: u32,
}

impl Stream {
    /// Of a job.
    pub(crate) fn of(spec: &Spec, container: &str, job: JobId, attempt: u32) -> Self {
        Self { definition: definition(spec), container: container.to_owned(), job, attempt }
    }
}

/// The beginning of the definition's name.
pub(crate) fn definition(spec: &Spec) -> String {
    let name = spec.definition.rsplit('/').next().unwrap_or_default();
    name.split(':').next().unwrap_or_default().chars().take(DEFINITION).collect()
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}-{}", self.definition, self.container, self.job.label(), self.attempt)
    }
}

/// A text is no name of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoStream;

impl FromStr for Stream {
    type Err = NoStream;

    fn from_str(text: &str) -> Result<Self, NoStream> {
        let mut parts = text.rsplitn(3, '/');
        let mut part = || parts.next().ok_or(NoStream);
        let (last, container, definition) = (part()?, part()?, part()?);
        let (job, attempt) = last.rsplit_once('-').ok_or(NoStream)?;
        let attempt = attempt.parse().map_err(|_| NoStream)?;
        let job = label(job).ok_or(NoStream)?;
        let stream = Self { definition: definition.to_owned(), container: container.to_owned(), job, attempt };
        if stream.to_string() == text { Ok(stream) } else { Err(NoStream) }
    }
}

/// The job of a label value.
fn label(text: &str) -> Option<JobId> {
    match text.split_once('.') {
        None => Some(JobId::new(Uuid::parse_str(text).ok()?)),
        Some((job, child)) => Some(JobId { job: Uuid::parse_str(job).ok()?, child: Some(child.parse().ok()?) }),
    }
}

/// What the beginning of a stream's name names already.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A job, or a child, whose name has ended.
    Attempts(JobId),
    /// A job, or an array job with what begins with its id: its children.
    Job(Uuid),
}

/// Reads a beginning of a name; `None`: it names no job yet.
pub(crate) fn named(prefix: &str) -> Option<Named> {
    let last = prefix.splitn(3, '/').nth(2)?;
    let attempts = last.rsplit_once('-').and_then(|(job, _)| label(job)).map(Named::Attempts);
    let uuid = || Some(Named::Job(Uuid::parse_str(last.get(..UUID)?).ok()?));
    attempts.or_else(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "01a3185c-5000-4000-8000-000000000000";

    #[test]
    fn a_name_reads_back_in_the_one_form_it_is_printed_in() {
        for (text, child, attempt) in
            [(format!("train/default/{JOB}-1"), None, 1), (format!("train/default/{JOB}.17-12"), Some(17), 12)]
        {
            let stream: Stream = text.parse().unwrap();
            assert_eq!((stream.job.child, stream.attempt, stream.to_string()), (child, attempt, text));
        }
        for wrong in [
            String::new(),
            format!("train/default/{JOB}"),
            format!("default/{JOB}-1"),
            format!("train/default/{JOB}-01"),
            format!("train/default/{JOB}.-1"),
            format!("train/default/{JOB}.01-1"),
            format!("train/default/{}-1", JOB.to_uppercase().replace('-', "")),
            format!("train/default/{JOB}-4294967296"),
            "train/default/aws-batch.x-1".to_owned(),
        ] {
            assert_eq!(wrong.parse::<Stream>(), Err(NoStream), "{wrong}");
        }
    }

    #[test]
    fn a_beginning_names_its_job_once_it_is_there() {
        let uuid = Uuid::parse_str(JOB).unwrap();
        let job = JobId::new(uuid);
        for (prefix, expect) in [
            (format!("train/default/{JOB}-"), Some(Named::Attempts(job))),
            (format!("train/default/{JOB}-1"), Some(Named::Attempts(job))),
            (format!("train/default/{JOB}.3-1"), Some(Named::Attempts(job.with_child(3)))),
            (format!("train/default/{JOB}"), Some(Named::Job(uuid))),
            (format!("train/default/{JOB}."), Some(Named::Job(uuid))),
            (format!("train/default/{JOB}.3"), Some(Named::Job(uuid))),
            (format!("train/default/{}", &JOB[..30]), None),
            ("train/default/".to_owned(), None),
            ("train".to_owned(), None),
        ] {
            assert_eq!(named(&prefix), expect, "{prefix}");
        }
    }

    #[test]
    fn a_definition_is_called_by_the_beginning_of_its_name() {
        let spec = |definition: &str| Spec {
            definition: definition.to_owned(),
            ..serde_json::from_value(
                serde_json::json!({"name": "n", "door": "api", "queue": "Q", "definition": "", "pod": {}}),
            )
            .unwrap()
        };
        let arn = "arn:aws:batch:eu-west-1:123456789012:job-definition/Def:3";
        assert_eq!(definition(&spec(arn)), "Def");
        assert_eq!(definition(&spec(&"é".repeat(300))).chars().count(), DEFINITION);
    }
}
