//! From what is seen to what is told: pure, one change of an object at a time.
//!
//! Invariant: everything is told once, however often an object is seen; what is told is kept as evidence. Does not know the time.

use std::collections::BTreeSet;

use api::BatchNode;
use api::crd::Phase;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt as _;
use model::keys;
use model::status::{Code, JobState, Status};

use super::evidence::{Evidence, NodeSeen, PodSeen};
use super::forms::{FORMS, JOB, QUEUE};

/// Something that was seen.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// A Job as it is now.
    Job(Box<Job>),
    /// A pod as it is now.
    Pod(Box<Pod>),
    /// A node as it is now.
    Node(Box<Node>),
    /// A node is not there any more.
    NodeGone(String),
    /// A machine's object as it is now.
    Machine(Box<BatchNode>),
    /// A machine's object is not there any more.
    MachineGone(String),
    /// What a pod printed, or why that could not be read.
    Output {
        /// The pod.
        uid: String,
        /// The text.
        output: Result<String, String>,
    },
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Tell it.
    Say {
        /// Whom it is about.
        who: String,
        /// What happened.
        what: String,
    },
    /// Read what this pod printed, before its node goes and the output with it.
    Read { namespace: String, name: String, uid: String },
}

/// The story so far.
#[derive(Debug, Default)]
pub(super) struct Story {
    told: BTreeSet<String>,
    /// What the checks look at.
    pub(super) evidence: Evidence,
}

impl Story {
    /// The story of machines of the environment with this UUID.
    pub(super) fn new(environment_uuid: String) -> Self {
        Self { evidence: Evidence { environment_uuid, ..Evidence::default() }, ..Self::default() }
    }

    /// Whether every Job has ended and what its pods printed has been read.
    pub(super) fn has_ended(&self) -> bool {
        let ended = |namespace| self.evidence.jobs.get(namespace).is_some_and(|job| job.ended.is_some());
        let read = |pod: &PodSeen| pod.ended.is_some() && pod.output.is_some();
        FORMS.iter().all(|form| ended(form.namespace)) && self.evidence.pods.values().all(read)
    }

    /// Takes in what was seen.
    pub(super) fn see(&mut self, seen: Seen) -> Vec<Effect> {
        match seen {
            Seen::Job(job) => self.job(&job),
            Seen::Pod(pod) => self.pod(&pod),
            Seen::Output { uid, output } => self.output(&uid, output),
            Seen::Node(node) => self.node(&node),
            Seen::NodeGone(name) if self.is_batch_node(&name) => self.once(&name, "its node has left the cluster"),
            Seen::NodeGone(_) => Vec::new(),
            Seen::Machine(machine) => self.machine(&machine),
            Seen::MachineGone(name) => {
                self.evidence.machines.remove(&name);
                self.once(&name, "its machine is gone, and with it its BatchNode")
            }
        }
    }

    /// Tells something unless it was told before.
    fn once(&mut self, who: &str, what: &str) -> Vec<Effect> {
        if self.told.insert(format!("{who}: {what}")) {
            vec![Effect::Say { who: who.to_owned(), what: what.to_owned() }]
        } else {
            Vec::new()
        }
    }

    fn job(&mut self, job: &Job) -> Vec<Effect> {
        let namespace = job.namespace().unwrap_or_default();
        if !is_ours(&namespace) || job.name_any() != JOB {
            return Vec::new();
        }
        let suspended = job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true);
        let released = job.annotations().get(keys::RELEASED).is_some_and(|value| value == "true");
        let mut effects = Vec::new();
        if released {
            effects.extend(self.once(&namespace, "there is room: the Job is released, Kubernetes makes its pods"));
        } else if suspended {
            effects.extend(
                self.once(&namespace, &format!("the Job is stored, suspended by Bulkhead: it waits in {QUEUE}")),
            );
        }
        if let Some(reason) = reason(job) {
            effects.extend(self.once(&namespace, &format!("waits: {reason}")));
        }
        let status = job.status.clone().unwrap_or_default();
        let seen = self.evidence.jobs.entry(namespace.clone()).or_default();
        seen.completed_indexes = status.completed_indexes.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let end = conditions.iter().find(|one| one.status == "True" && ["Complete", "Failed"].contains(&&*one.type_));
        if let Some(end) = end {
            seen.ended = Some(end.type_.clone());
            let message = end.message.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
            let text = match &*end.type_ {
                "Complete" => format!("the Job is complete, indexes {}", seen.completed_indexes),
                _ => format!("the Job has failed{message}"),
            };
            effects.extend(self.once(&namespace, &text));
        }
        effects
    }

    fn pod(&mut self, pod: &Pod) -> Vec<Effect> {
        let (namespace, name, uid) =
            (pod.namespace().unwrap_or_default(), pod.name_any(), pod.uid().unwrap_or_default());
        if !is_ours(&namespace) || pod.labels().get(keys::K8S_JOB_NAME).is_none_or(|job| job != JOB) {
            return Vec::new();
        }
        let seen = self.evidence.pods.entry(uid.clone()).or_default();
        let had_ended = seen.ended.is_some();
        seen.update(pod);
        let index = seen.index.map_or_else(|| name.clone(), |index| format!("index {index}"));
        let (node, ended) = (seen.node.clone(), seen.ended.clone());
        let mut effects = Vec::new();
        if let Some(node) = node {
            // Once per pod: an index may have several.
            if self.told.insert(format!("bound {uid}")) {
                let what = format!("{index} goes to {node}");
                effects.push(Effect::Say { who: namespace.clone(), what });
            }
        }
        if ended.is_some() && !had_ended {
            effects.push(Effect::Read { namespace, name, uid });
        }
        effects
    }

    fn output(&mut self, uid: &str, output: Result<String, String>) -> Vec<Effect> {
        let Some(pod) = self.evidence.pods.get_mut(uid) else { return Vec::new() };
        let index = pod.index.map_or_else(|| pod.name.clone(), |index| format!("index {index}"));
        let failed = if pod.ended.as_deref() == Some("Failed") { "failed; it " } else { "" };
        let what = match &output {
            Ok(text) => format!("{index} {failed}printed `{text}`"),
            Err(problem) => format!("{index} {failed}printed something that could not be read: {problem}"),
        };
        pod.output = Some(output);
        vec![Effect::Say { who: pod.namespace.clone(), what }]
    }

    fn is_batch_node(&self, name: &str) -> bool {
        self.evidence.nodes.get(name).is_some_and(|node| node.environment_uuid.is_some())
    }

    fn node(&mut self, node: &Node) -> Vec<Effect> {
        let name = node.name_any();
        let seen = self.evidence.nodes.entry(name.clone()).or_default();
        seen.update(node);
        if seen.environment_uuid.is_none() {
            return Vec::new();
        }
        let mut effects = self.once(&name, "its node has joined, with the environment's label and the batch taint");
        let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        if conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True") {
            effects.extend(self.once(&name, "its node is Ready"));
        }
        effects
    }

    fn machine(&mut self, machine: &BatchNode) -> Vec<Effect> {
        let (name, spec) = (machine.name_any(), &machine.spec);
        if self.evidence.machines.insert(name.clone(), spec.milli_vcpus).is_none() {
            self.evidence.machines_ever += 1;
        }
        let all: u64 = self.evidence.machines.values().sum();
        self.evidence.peak_milli = self.evidence.peak_milli.max(all);
        let vcpus = model::quantity::format_milli(i64::try_from(spec.milli_vcpus).unwrap_or(i64::MAX));
        let mut effects =
            self.once(&name, &format!("a machine is ordered for what waits: {} with {vcpus} vCPUs", spec.offer));
        let status = machine.status.clone().unwrap_or_default();
        let why = status.message.map(|text| format!(": {text}")).unwrap_or_default();
        match status.phase {
            Phase::Retiring => {
                self.told.insert(format!("{name} retires"));
                effects.extend(self.once(&name, &format!("retires and gets no more work{why}")));
            }
            // After a retirement the reason was told already; without one, something went wrong.
            Phase::Terminating => {
                let why = if self.told.contains(&format!("{name} retires")) { "" } else { &why };
                effects.extend(self.once(&name, &format!("is being taken down{why}")));
            }
            Phase::Pending | Phase::Launching | Phase::Ready => {}
        }
        effects
    }
}

fn is_ours(namespace: &str) -> bool {
    FORMS.iter().any(|form| form.namespace == namespace)
}

/// Why a Job waits in its queue, in Bulkhead's words. What it waits for after its release shows at its pods.
fn reason(job: &Job) -> Option<String> {
    let status: Status = serde_json::from_str(job.annotations().get(keys::STATUS)?).ok()?;
    let waits = matches!(status.state, JobState::Submitted | JobState::Pending | JobState::Runnable);
    let reason = status.reason.filter(|reason| waits && reason.code != Code::CreatingPods)?;
    Some(format!("{} ({})", reason.message, reason.code.as_str()))
}

impl PodSeen {
    fn update(&mut self, pod: &Pod) {
        let label = |key| pod.labels().get(key).cloned();
        self.namespace = pod.namespace().unwrap_or_default();
        self.name = pod.name_any();
        self.index = pod.annotations().get(keys::K8S_COMPLETION_INDEX).and_then(|text| text.parse().ok());
        self.node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).filter(|name| !name.is_empty());
        (self.environment_uuid, self.node_uid) = (label(keys::CE_UUID), label(keys::NODE_UID));
        let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
        self.ended = self.ended.take().or(phase.filter(|phase| ["Succeeded", "Failed"].contains(&&**phase)));
    }
}

impl NodeSeen {
    fn update(&mut self, node: &Node) {
        self.uid = node.uid().unwrap_or_default();
        self.environment_uuid = node.labels().get(keys::CE_UUID).cloned();
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
        let written = taints
            .iter()
            .map(|taint| format!("{}={}:{}", taint.key, taint.value.as_deref().unwrap_or_default(), taint.effect));
        self.taints = written.collect();
    }
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
