//! The identity of a unit of work: job id, and which child or node of it.
//!
//! Invariant: a raw id and its label form say the same, and the label form is always a legal label value. Makes no random
//! ids: a fresh id is an argument.

use model::keys;
use serde_json::Value;
use uuid::Uuid;

use super::edit::text;

/// Namespace of the ids derived from a Job's UID; an arbitrary constant that must never change.
const DERIVED: Uuid = Uuid::from_u128(0x8d0f_5c1e_6a57_4f0b_9a3d_2f6c_71be_40d5);

/// Which part of a job a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The whole job, or any of its interchangeable pods.
    Whole,
    /// Child of an array job: its index.
    Child(u32),
}

/// Names a unit: a job and a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitName {
    /// The job's id.
    pub job: String,
    /// Which part of it.
    pub part: Part,
}

impl UnitName {
    /// The id as AWS Batch writes it: `<id>`, `<id>:<child>`.
    pub fn raw(&self) -> String {
        match self.part {
            Part::Whole => self.job.clone(),
            Part::Child(index) => format!("{}:{index}", self.job),
        }
    }

    /// The id as a label value, which allows no colon: `<id>`, `<id>.<child>`.
    pub fn label(&self) -> String {
        match self.part {
            Part::Whole => self.job.clone(),
            Part::Child(index) => format!("{}.{index}", self.job),
        }
    }

    /// The unit that a pod of a Job with this id is; the Job controller has put the completion index on it.
    pub fn of_pod(job: &str, pod: &Value) -> Self {
        let index = text(pod, &["metadata", "labels", keys::K8S_COMPLETION_INDEX])
            .or_else(|| text(pod, &["metadata", "annotations", keys::K8S_COMPLETION_INDEX]))
            .and_then(|index| index.parse().ok());
        Self { job: job.to_owned(), part: index.map_or(Part::Whole, Part::Child) }
    }
}

/// The id of a Job that never got one at admission, derived from its UID: all its pods, and everybody who asks, agree on it.
pub fn derived_job_id(job_uid: &str) -> String {
    Uuid::new_v3(&DERIVED, job_uid.as_bytes()).to_string()
}

/// The job id in a label value, without the part.
pub fn job_of_label(label: &str) -> &str {
    label.split(['.', '_']).next().unwrap_or(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn raw_and_label_form_name_the_same_unit() {
        let child = UnitName { job: "j".into(), part: Part::Child(3) };
        assert_eq!((child.raw().as_str(), child.label().as_str()), ("j:3", "j.3"));
        assert_eq!(job_of_label(&child.label()), "j");
        assert_eq!(job_of_label("j_2"), "j");
    }

    #[test]
    fn the_index_is_read_from_label_or_annotation() {
        for place in ["labels", "annotations"] {
            let pod = json!({"metadata": {place: {keys::K8S_COMPLETION_INDEX: "7"}}});
            assert_eq!(UnitName::of_pod("j", &pod).raw(), "j:7");
        }
        assert_eq!(UnitName::of_pod("j", &json!({})).raw(), "j");
    }

    #[test]
    fn a_derived_id_is_the_same_for_everybody() {
        assert_eq!(derived_job_id("uid-1"), derived_job_id("uid-1"));
        assert_ne!(derived_job_id("uid-1"), derived_job_id("uid-2"));
        assert_eq!(derived_job_id("uid-1").len(), 36);
    }
}
