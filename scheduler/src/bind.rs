//! Carries out a binding that has been decided.
//!
//! Invariant: a pod is bound at most once and only if it is the very pod that was asked about (UID precondition); asking
//! again after a lost answer gives the same answer. What is cached suffices for a yes, never for a no. Decides nothing about where pods go.

use std::time::Duration;

use cluster::client::Clients;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use serde_json::Value;

use crate::decide;
use crate::facts::WaitingPod;
use crate::watch::{Caches, pod_key};
use crate::wire::BindingArgs;

/// Within the scheduler's own timeout for an extender (5 s by default), so that it gets our answer and not its own.
const BIND_TIMEOUT: Duration = Duration::from_secs(4);

/// Binds pods.
#[derive(Clone)]
pub(crate) struct Binder {
    /// How the API server is reached.
    pub(crate) clients: Clients,
}

impl Binder {
    /// Binds a pod; an error is a sentence for the pod's events.
    pub(crate) async fn bind(&self, order: &BindingArgs, caches: &Caches) -> Result<(), String> {
        let bound = tokio::time::timeout(BIND_TIMEOUT, self.bind_in_time(order, caches)).await;
        bound.unwrap_or_else(|_| Err("the API server did not answer in time".to_owned()))
    }

    async fn bind_in_time(&self, order: &BindingArgs, caches: &Caches) -> Result<(), String> {
        let key = pod_key(&order.pod_namespace, &order.pod_name);
        let node = caches.nodes.get(&order.node);
        let seen = caches.pods.get(&key).filter(|pod| pod.uid == order.pod_uid);
        let decided = seen.and_then(|pod| decide::bind(order, &pod, node.as_ref()).ok());
        let binding = match decided {
            Some(binding) => binding,
            // Bound already, gone, or newer than our watch: kube-scheduler's, on which the filter answered, may be ahead of it.
            None => match self.look_up(order).await? {
                Found::BoundHere => return Ok(()),
                Found::Waiting(pod) => decide::bind(order, &pod, node.as_ref())?,
            },
        };
        let api: Api<Pod> = Api::namespaced(self.clients.once.clone(), &order.pod_namespace);
        let posted: kube::Result<Value> =
            api.create_subresource("binding", &order.pod_name, &PostParams::default(), &binding).await;
        match posted {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_conflict() => match self.look_up(order).await {
                Ok(Found::BoundHere) => {}
                Ok(Found::Waiting(_)) => return Err(status.message),
                Err(error) => return Err(error),
            },
            Err(kube::Error::Api(status)) => return Err(status.message),
            Err(error) => return Err(cluster::telemetry::chain(&error)),
        }
        tracing::info!(pod = key, uid = order.pod_uid, node = order.node, "bound");
        Ok(())
    }

    async fn look_up(&self, order: &BindingArgs) -> Result<Found, String> {
        let BindingArgs { pod_name, pod_namespace, pod_uid, node } = order;
        let api: Api<Pod> = Api::namespaced(self.clients.once.clone(), pod_namespace);
        let found = api.get_opt(pod_name).await.map_err(|error| cluster::telemetry::chain(&error))?;
        let pod = found.ok_or_else(|| format!("pod {pod_namespace}/{pod_name} is gone"))?;
        let bound_to = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).filter(|name| !name.is_empty());
        match bound_to {
            Some(name) if name == node && pod.metadata.uid.as_ref() == Some(pod_uid) => Ok(Found::BoundHere),
            Some(name) => Err(format!("pod {pod_namespace}/{pod_name} is on node {name} already")),
            None => Ok(Found::Waiting(WaitingPod::read(&pod.metadata))),
        }
    }
}

enum Found {
    BoundHere,
    Waiting(WaitingPod),
}
