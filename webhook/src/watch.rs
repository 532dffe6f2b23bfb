//! The webhook's watches: namespaces, queues and compute environments.
//!
//! Invariant: what is kept of an object is what a review can ask about it.

use std::sync::Arc;

use api::crd::{ComputeEnvironment, JobQueue};
use cluster::admin::Check;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher::Config;
use kube::{Api, Client, ResourceExt as _};

use crate::look_up::{Facts, read_environment, read_namespace, read_queue};

/// Keeps the namespaces up to date; only their metadata is read.
pub(crate) async fn namespaces(client: Client, facts: Facts, complete: Check) {
    let read = |namespace: PartialObjectMeta<Namespace>| {
        let facts = read_namespace(&namespace).map_err(|error| error.to_string());
        (namespace.name_any(), facts.map(Arc::new))
    };
    facts.namespaces.follow(Api::all(client), Config::default(), complete, read).await;
}

/// Keeps the queues up to date.
pub(crate) async fn queues(client: Client, facts: Facts, complete: Check) {
    let read = |queue: DeserializeGuard<JobQueue>| {
        (queue.name_any(), queue.0.map(|queue| Arc::new(read_queue(&queue))).map_err(|error| error.to_string()))
    };
    facts.queues.follow(Api::all(client), Config::default(), complete, read).await;
}

/// Keeps the compute environments up to date.
pub(crate) async fn environments(client: Client, facts: Facts, complete: Check) {
    let read = |environment: DeserializeGuard<ComputeEnvironment>| {
        (environment.name_any(), environment.0.map(|found| read_environment(&found)).map_err(|error| error.to_string()))
    };
    facts.environments.follow(Api::all(client), Config::default(), complete, read).await;
}
