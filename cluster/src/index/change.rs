//! An event of one of the watches that feed the index.
//!
//! Invariant: every kind that is watched has a variant, so a new one cannot be forgotten. Knows nothing about what is kept.

use api::{BatchNode, ComputeEnvironment, JobQueue};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as CoreEvent, LimitRange, Namespace, Node, Pod};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;

use crate::lean::{Lean, map};

/// An event of one of the watches.
#[derive(Debug)]
pub enum Change {
    /// Of a pod.
    Pod(Box<Event<Lean<Pod>>>),
    /// Of a Job.
    Job(Box<Event<DeserializeGuard<Job>>>),
    /// Of a node.
    Node(Box<Event<DeserializeGuard<Node>>>),
    /// Of a compute environment.
    ComputeEnvironment(Box<Event<DeserializeGuard<ComputeEnvironment>>>),
    /// Of a job queue.
    JobQueue(Box<Event<DeserializeGuard<JobQueue>>>),
    /// Of a `BatchNode`.
    BatchNode(Box<Event<DeserializeGuard<BatchNode>>>),
    /// Of a namespace.
    Namespace(Box<Event<DeserializeGuard<Namespace>>>),
    /// Of a `LimitRange`.
    LimitRange(Box<Event<DeserializeGuard<LimitRange>>>),
    /// Of a `RuntimeClass`.
    RuntimeClass(Box<Event<DeserializeGuard<RuntimeClass>>>),
    /// Of an Event that may report refused pods.
    Event(Box<Event<DeserializeGuard<CoreEvent>>>),
    /// Of an Event that may report a volume that cannot be mounted.
    Mount(Box<Event<DeserializeGuard<CoreEvent>>>),
    /// Of an Event that may report a volume that cannot be attached.
    Attach(Box<Event<DeserializeGuard<CoreEvent>>>),
    /// Of the first webhook configuration.
    Hooks(Box<Event<DeserializeGuard<MutatingWebhookConfiguration>>>),
    /// Of the last one.
    LateHooks(Box<Event<DeserializeGuard<MutatingWebhookConfiguration>>>),
}

impl From<Event<DeserializeGuard<Pod>>> for Change {
    fn from(event: Event<DeserializeGuard<Pod>>) -> Self {
        Self::Pod(Box::new(map(event, Lean::from)))
    }
}

impl From<Event<DeserializeGuard<Job>>> for Change {
    fn from(event: Event<DeserializeGuard<Job>>) -> Self {
        Self::Job(Box::new(event))
    }
}

impl From<Event<DeserializeGuard<Node>>> for Change {
    fn from(event: Event<DeserializeGuard<Node>>) -> Self {
        Self::Node(Box::new(event))
    }
}

impl From<Event<DeserializeGuard<ComputeEnvironment>>> for Change {
    fn from(event: Event<DeserializeGuard<ComputeEnvironment>>) -> Self {
        Self::ComputeEnvironment(Box::new(event))
    }
}

impl From<Event<DeserializeGuard<JobQueue>>> for Change {
    fn from(event: Event<DeserializeGuard<JobQueue>>) -> Self {
        Self::JobQueue(Box::new(event))
    }
}

impl From<Event<DeserializeGuard<BatchNode>>> for Change {
    fn from(event: Event<DeserializeGuard<BatchNode>>) -> Self {
        Self::BatchNode(Box::new(event))
    }
}

impl From<Event<DeserializeGuard<Namespace>>> for Change {
    fn from(event: Event<DeserializeGuard<Namespace>>) -> Self {
        Self::Namespace(Box::new(event))
    }
}

impl From<Event<DeserializeGuard<LimitRange>>> for Change {
    fn from(event: Event<DeserializeGuard<LimitRange>>) -> Self {
        Self::LimitRange(Box::new(event))
    }
}

impl From<Event<DeserializeGuard<RuntimeClass>>> for Change {
    fn from(event: Event<DeserializeGuard<RuntimeClass>>) -> Self {
        Self::RuntimeClass(Box::new(event))
    }
}

/// Of an Event on a Job. Those on pods come from watches of their own: [`Change::Mount`], [`Change::Attach`].
impl From<Event<DeserializeGuard<CoreEvent>>> for Change {
    fn from(event: Event<DeserializeGuard<CoreEvent>>) -> Self {
        Self::Event(Box::new(event))
    }
}

/// Of the first one. The last comes from a watch of its own: [`Change::LateHooks`].
impl From<Event<DeserializeGuard<MutatingWebhookConfiguration>>> for Change {
    fn from(event: Event<DeserializeGuard<MutatingWebhookConfiguration>>) -> Self {
        Self::Hooks(Box::new(event))
    }
}
