//! Types that cross a wire: the CRDs, the node provider's HTTP, and the way between Kubernetes objects and `model`.

pub mod convert;
pub mod crd;
pub mod provider;

pub use crd::{BatchNode, ComputeEnvironment, JobQueue};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// The custom resource definitions, in the order in which they are installed.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![ComputeEnvironment::crd(), JobQueue::crd(), BatchNode::crd()]
}
