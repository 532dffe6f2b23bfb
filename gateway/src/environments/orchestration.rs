//! Which of AWS's kinds an environment was asked for as: for Amazon EKS, or for Amazon ECS, whose clients say nothing of a cluster.
//!
//! Invariant: pure. Both run on this cluster, and either kind of job runs in both; what differs is what is asked for and what is shown.

use api::crd::ComputeEnvironmentSpec;
use serde_json::{Map, Value, json};

use super::request::{ComputeResources, Create};

/// The member that is shown of it; it is kept of environments for Amazon ECS alone, so that others are what they were.
const MEMBER: &str = "containerOrchestrationType";

/// In AWS's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orchestration {
    /// With `eksConfiguration`, or made by kubectl.
    Eks,
    /// Without.
    Ecs,
}

impl Orchestration {
    /// Of a request.
    pub(super) fn of(request: &Create) -> Self {
        if request.eks_configuration.is_some() { Self::Eks } else { Self::Ecs }
    }

    /// Of an environment that is there.
    pub(crate) fn of_stored(spec: &ComputeEnvironmentSpec) -> Self {
        let kept = spec.aws.as_ref().and_then(|kept| kept.get(MEMBER));
        if kept == Some(&json!(Self::Ecs.name())) { Self::Ecs } else { Self::Eks }
    }

    /// AWS's word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Eks => "EKS",
            Self::Ecs => "ECS",
        }
    }
}

/// Keeps it with what is echoed.
pub(super) fn mark(mut kept: Map<String, Value>, orchestration: Orchestration) -> Map<String, Value> {
    if orchestration == Orchestration::Ecs {
        kept.insert(MEMBER.to_owned(), json!(orchestration.name()));
    }
    kept
}

/// Whether the provider chooses everything about machines.
pub(super) fn is_fargate(resources: &ComputeResources) -> bool {
    resources.kind.as_deref().is_some_and(is_fargate_type)
}

/// Whether a type of `computeResources` is one of those.
pub(super) fn is_fargate_type(name: &str) -> bool {
    ["FARGATE", "FARGATE_SPOT"].contains(&name)
}

/// Whether an environment that is there is of such a type.
pub(crate) fn is_on_fargate(spec: &ComputeEnvironmentSpec) -> bool {
    kept_type(spec).is_some_and(is_fargate_type)
}

/// `computeResources.type` as it was sent.
pub(super) fn kept_type(spec: &ComputeEnvironmentSpec) -> Option<&str> {
    spec.aws.as_ref()?.get("computeResources")?.get("type")?.as_str()
}
