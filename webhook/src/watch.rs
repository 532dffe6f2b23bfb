//! The webhook's watches: namespaces, queues and compute environments.
//!
//! Invariant: an object that cannot be decoded is logged and left out; it never holds up the watch. Once a cache has been
//! complete it is used, also while its watch is interrupted.

use std::fmt::Debug;
use std::sync::Arc;

use api::crd::{ComputeEnvironment, JobQueue};
use cluster::admin::Check;
use cluster::telemetry::chain;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::cache::{Cache, Feed};
use crate::look_up::{Facts, read_environment, read_namespace, read_queue};

/// Keeps the namespaces up to date; only their metadata is read.
pub(crate) async fn namespaces(client: Client, facts: Facts, complete: Check) {
    let read = |namespace: PartialObjectMeta<Namespace>| {
        let facts = read_namespace(&namespace).map_err(|error| error.to_string());
        (namespace.name_any(), facts.map(Arc::new))
    };
    follow(Api::all(client), facts.namespaces, complete, read).await;
}

/// Keeps the queues up to date.
pub(crate) async fn queues(client: Client, facts: Facts, complete: Check) {
    let read = |queue: DeserializeGuard<JobQueue>| {
        (queue.name_any(), queue.0.map(|queue| Arc::new(read_queue(&queue))).map_err(|error| error.to_string()))
    };
    follow(Api::all(client), facts.queues, complete, read).await;
}

/// Keeps the compute environments up to date.
pub(crate) async fn environments(client: Client, facts: Facts, complete: Check) {
    let read = |environment: DeserializeGuard<ComputeEnvironment>| {
        (environment.name_any(), environment.0.map(|found| read_environment(&found)).map_err(|error| error.to_string()))
    };
    follow(Api::all(client), facts.environments, complete, read).await;
}

async fn follow<K, V>(api: Api<K>, cache: Cache<V>, complete: Check, read: impl Fn(K) -> (String, Result<V, String>))
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    V: Clone,
{
    let kind = K::kind(&()).into_owned();
    let mut feed = Feed::new(cache);
    let events = watcher(api, Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                if feed.take(readable(&kind, event, &read)) {
                    complete.set(true);
                }
            }
            // The watcher recovers by itself, with a back-off.
            Err(error) => tracing::warn!(kind, error = %chain(&error), "watch interrupted"),
        }
    }
}

/// The event about facts instead of an object; no facts if the object cannot be read.
fn readable<K, V>(
    kind: &str,
    event: Event<K>,
    read: impl Fn(K) -> (String, Result<V, String>),
) -> Event<(String, Option<V>)> {
    let read = |object| {
        let (name, facts) = read(object);
        let facts =
            facts.inspect_err(|error| tracing::warn!(kind, name, error, "object cannot be read and is left out"));
        (name, facts.ok())
    };
    match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(object) => Event::InitApply(read(object)),
        Event::Apply(object) => Event::Apply(read(object)),
        Event::Delete(object) => Event::Delete(read(object)),
    }
}
