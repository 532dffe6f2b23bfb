//! Watches of everything that a start consists of, as the client sees it.

use std::fmt::Debug;

use api::BatchNode;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerState, Node, Pod};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use model::keys;
use serde::de::DeserializeOwned;

use super::timeline::Seen;

/// Everything, as it changes.
pub(super) fn everything(client: &Client) -> BoxStream<'static, Seen> {
    let streams = [watch(client, job), watch(client, pod), watch(client, machine), watch(client, node)];
    stream::select_all(streams).boxed()
}

fn watch<K>(client: &Client, read: fn(&K) -> Option<Seen>) -> BoxStream<'static, Seen>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let events = watcher(Api::<K>::all(client.clone()), watcher::Config::default()).default_backoff();
    let seen = move |event| match event {
        Ok(Event::Apply(object) | Event::InitApply(object)) => read(&object),
        // A watch that broke is begun again; what it missed is in its next list.
        Ok(_) | Err(_) => None,
    };
    events.filter_map(move |event| std::future::ready(seen(event))).boxed()
}

fn job(job: &Job) -> Option<Seen> {
    let suspended = job.spec.as_ref()?.suspend.unwrap_or_default();
    Some(Seen::Job { name: job.name_any(), suspended })
}

fn pod(pod: &Pod) -> Option<Seen> {
    let job = pod.labels().get(keys::K8S_JOB_NAME)?.clone();
    let bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let started = containers.filter_map(|it| it.state.as_ref()).any(has_started);
    Some(Seen::Pod { job, bound, started })
}

/// Also one that has ended already: it ran, only nobody was told in between.
fn has_started(state: &ContainerState) -> bool {
    state.running.is_some() || state.terminated.is_some()
}

fn machine(machine: &BatchNode) -> Option<Seen> {
    let environment = machine.spec.compute_environment.clone();
    // One on its way out belongs to a start before.
    machine.metadata.deletion_timestamp.is_none().then(|| Seen::Machine { name: machine.name_any(), environment })
}

fn node(node: &Node) -> Option<Seen> {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().any(|it| it.type_ == "Ready" && it.status == "True");
    ready.then(|| Seen::NodeReady { name: node.name_any() })
}
