//! Ids of jobs and of the children of array jobs, in the two forms in which they are written.
//!
//! Invariant: what [`JobId`] prints is what it reads. Knows nothing about jobs.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::{Builder, Uuid};

/// Id of a job, or of one child of an array job: `<uuid>`, `<uuid>:<index>`
/// (<https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId {
    /// The job, or the array job.
    pub job: Uuid,
    /// Index of the child.
    pub child: Option<u32>,
}

/// A text is not the id of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAJobId(pub String);

impl fmt::Display for NotAJobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a job id (<uuid>, or <uuid>:<index>)", self.0)
    }
}

impl std::error::Error for NotAJobId {}

impl JobId {
    /// A job that is no child.
    pub fn new(job: Uuid) -> Self {
        Self { job, child: None }
    }

    /// The id of a job that is made at this time, of a random UUID: AWS's ids are version 4, and so is this one, but it begins with the time
    /// (milliseconds since 1970, as in version 7). Ids that grow are stored side by side, at the end of every index of the record store;
    /// 74 random bits are left.
    pub fn made(random: Uuid, at: Timestamp) -> Self {
        let mut bytes = random.into_bytes();
        bytes[..6].copy_from_slice(&at.as_millisecond().to_be_bytes()[2..]);
        Self::new(Builder::from_random_bytes(bytes).into_uuid())
    }

    /// A child of this job.
    #[must_use]
    pub fn with_child(self, index: u32) -> Self {
        Self { child: Some(index), ..self }
    }

    /// The array job that this is a child of.
    pub fn parent(self) -> Option<Self> {
        self.child.map(|_| Self::new(self.job))
    }

    /// The id as a label value, which allows no colon: `<uuid>`, `<uuid>.<index>`.
    pub fn label(self) -> String {
        self.to_string().replace(':', ".")
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.child {
            None => write!(f, "{}", self.job),
            Some(index) => write!(f, "{}:{index}", self.job),
        }
    }
}

impl FromStr for JobId {
    type Err = NotAJobId;

    fn from_str(text: &str) -> Result<Self, NotAJobId> {
        let wrong = || NotAJobId(text.to_owned());
        let (job, child) = match text.split_once(':') {
            None => (text, None),
            Some((job, child)) => (job, Some(child.parse().map_err(|_| wrong())?)),
        };
        let id = Self { job: Uuid::parse_str(job).map_err(|_| wrong())?, child };
        // Only the form that is printed: no capitals, braces or leading zeros, so that one job has one id.
        if id.to_string() == text { Ok(id) } else { Err(wrong()) }
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_in_the_one_form_it_is_printed_in() {
        let job = "2d044787-c663-4ce6-a6fe-f2baf7e51b04";
        for (text, label) in [(job.to_owned(), job.to_owned()), (format!("{job}:17"), format!("{job}.17"))] {
            let id: JobId = text.parse().unwrap();
            assert_eq!((id.to_string(), id.label()), (text, label));
        }
        for wrong in ["", "x", "2D044787-C663-4CE6-A6FE-F2BAF7E51B04", &format!("{job}:"), &format!("{job}:01")] {
            assert!(wrong.parse::<JobId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn ids_grow_with_the_time_they_are_made_at_and_look_like_those_of_aws() {
        let made =
            |random: u128, at: i64| JobId::made(Uuid::from_u128(random), Timestamp::from_millisecond(at).unwrap());
        let ids = [
            made(u128::MAX, 0),
            made(0, 1),
            made(u128::MAX, 1),
            made(0, 1_800_000_000_000),
            made(0, 1_800_000_000_001),
        ];
        assert!(ids.is_sorted_by(|a, b| a < b && a.to_string() < b.to_string()), "{ids:?}");
        for id in ids {
            assert_eq!((id.job.get_version_num(), id.job.get_variant()), (4, uuid::Variant::RFC4122), "{id}");
        }
        assert_eq!(ids[3].to_string(), "01a3185c-5000-4000-8000-000000000000");
    }

    #[test]
    fn a_child_knows_its_parent() {
        let job = JobId::new(Uuid::nil());
        assert_eq!((job.parent(), job.with_child(3).parent()), (None, Some(job)));
    }
}
