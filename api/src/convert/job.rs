//! What is kept of a Job that is in a queue.
//!
//! Invariant: its shape is that of the pods that will be made from it, as far as the template tells; what admission adds to it is applied
//! by [`WatchedJob::size`]. Does not know pods.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::{Job as RawJob, JobCondition, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use model::keys;
use model::placement::Shape;
use model::resources::Resources;
use model::snapshot::Job;
use model::status::{Code, JobState, Reason};

use super::added::{Additions, ClassRecord, Classed};
use super::asked::{Asked, asked};
use super::requests::Requests;
use super::shape::shape;
use super::{LARGEST, Problems, annotation, created, key, label, queue, size, uid};

/// What is kept of a Job that is in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedJob {
    /// As the planner sees it.
    pub job: Job,
    /// How it ended (SUCCEEDED or FAILED); `None`: it has not.
    pub ended: Option<JobState>,
    /// What it is for has succeeded; pods of it may still have to end.
    pub is_met: bool,
    /// It is being deleted.
    pub terminating: bool,
    /// The Job controller counts the failures of each index and writes them on its pods.
    pub counts_indexes: bool,
    /// Its job id, as its label says.
    pub id: String,
    /// What its record shows; `None`: its id is not one of ours.
    pub asked: Option<Asked>,
    /// About how much memory the plan needs for it while it waits.
    pub size: usize,
    template: Requests,
    classed: Option<Box<Classed>>,
}

impl WatchedJob {
    /// Name of the `RuntimeClass` of its pods.
    pub fn runtime_class(&self) -> Option<&str> {
        self.classed.as_ref().map(|classed| classed.class.as_str())
    }

    /// What a pod of it will request with these additions.
    pub fn requests(&self, added: &Additions) -> Resources {
        self.template.effective(added)
    }

    /// Makes its shape that of the pods to come: with these requests, and the placement of their `RuntimeClass`.
    pub fn size(&mut self, requests: Resources, class: Option<&ClassRecord>) {
        let shape = Arc::make_mut(&mut self.job.shape);
        shape.requests = requests;
        if let Some(classed) = &self.classed {
            classed.place(class, shape);
        }
    }
}

/// What is kept of a Job; `None`: it is in no queue.
pub fn job(raw: &RawJob, problems: &mut Problems) -> Option<WatchedJob> {
    let meta = &raw.metadata;
    let queue = queue(meta)?;
    let id = label(meta, keys::JOB_ID)?;
    let (no_spec, no_status) = (JobSpec::default(), JobStatus::default());
    let spec = raw.spec.as_ref().unwrap_or(&no_spec);
    let status = raw.status.as_ref().unwrap_or(&no_status);
    let says = |key| annotation(meta, key) == Some("true");
    let template = spec.template.spec.as_ref();
    let mut requests = template.map(|spec| Requests::of_template(spec, problems)).unwrap_or_default();
    let mut shape = template.map(|spec| template_shape(spec, &requests)).unwrap_or_default();
    let mut size = size::of_shape(&shape) + requests.size();
    let barred = (size > LARGEST).then(|| {
        (requests, shape) = (Requests::default(), Shape::default());
        let what = format!("what its pods ask of nodes takes {size} bytes, and at most {LARGEST} are kept of a Job");
        size = 0;
        too_large(&what)
    });
    let class = template.filter(|_| barred.is_none()).and_then(|spec| spec.runtime_class_name.as_deref());
    let classed = class.map(|class| Box::new(Classed::new(class, &shape)));
    Some(WatchedJob {
        job: Job {
            key: key(meta),
            uid: uid(meta),
            queue: queue.to_owned(),
            created: created(meta),
            held: says(keys::SUSPEND),
            released: says(keys::RELEASED),
            started: status.start_time.as_ref().map(|time| time.0),
            parallelism: count(spec.parallelism.unwrap_or(1)),
            remaining: remaining(spec, status),
            has_deadline: spec.active_deadline_seconds.is_some(),
            shape: Arc::new(shape),
            refusal: None,
            stuck: None,
            barred,
            status: annotation(meta, keys::STATUS).and_then(|text| serde_json::from_str(text).ok()),
        },
        ended: ended(status),
        is_met: is_met(status),
        terminating: meta.deletion_timestamp.is_some(),
        counts_indexes: spec.backoff_limit_per_index.is_some(),
        id: id.to_owned(),
        asked: asked(raw),
        size,
        template: requests,
        classed,
    })
}

/// What is kept of a Job that cannot be read as a whole, so that it can say why it waits.
pub fn unreadable(meta: &ObjectMeta, why: &str) -> Option<WatchedJob> {
    let bare = RawJob { metadata: meta.clone(), ..RawJob::default() };
    let mut record = job(&bare, &mut Problems::new())?;
    record.job.barred = Some(too_large(why));
    Some(record)
}

fn too_large(why: &str) -> Reason {
    let message = format!("{why}; make its pod template smaller");
    Reason { code: Code::JobTooLarge, message }
}

fn template_shape(spec: &PodSpec, requests: &Requests) -> Shape {
    // What cannot be written as JSON cannot have been read from it; kube-scheduler would get such a pod.
    let judged = serde_json::to_value(spec).is_ok_and(|spec| planning::admission::pod::judged(&spec));
    shape(spec, requests.effective(&Additions::default()), judged)
}

fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// Pods still to succeed. A work queue starts no more pods once one of them has succeeded.
fn remaining(spec: &JobSpec, status: &JobStatus) -> Option<u32> {
    let succeeded = count(status.succeeded.unwrap_or(0));
    match spec.completions {
        None if succeeded == 0 => None,
        None => Some(0),
        Some(completions) => {
            let given_up = status.failed_indexes.as_deref().map_or(0, indexes);
            Some(count(completions).saturating_sub(succeeded).saturating_sub(given_up))
        }
    }
}

/// How many indexes a text such as `1,3-5,7` names.
fn indexes(text: &str) -> u32 {
    let size = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let ends = first.trim().parse::<u32>().ok().zip(last.trim().parse::<u32>().ok());
        ends.and_then(|(first, last)| last.checked_sub(first)?.checked_add(1)).unwrap_or(0)
    };
    text.split(',').map(size).fold(0, u32::saturating_add)
}

fn ended(status: &JobStatus) -> Option<JobState> {
    status.conditions.iter().flatten().filter(|condition| condition.status == "True").find_map(|condition| {
        match condition.type_.as_str() {
            "Complete" => Some(JobState::Succeeded),
            "Failed" => Some(JobState::Failed),
            _ => None,
        }
    })
}

/// Its success policy, or its last pod, has decided
/// (<https://kubernetes.io/docs/concepts/workloads/controllers/job/#success-policy>).
fn is_met(status: &JobStatus) -> bool {
    let met = |condition: &JobCondition| condition.type_ == "SuccessCriteriaMet" && condition.status == "True";
    status.conditions.iter().flatten().any(met)
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
