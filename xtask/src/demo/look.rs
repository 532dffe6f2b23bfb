//! How the demo sees: watches, what pods print, what is left at the end. Decides nothing.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context as _, Result};
use api::BatchNode;
use api::provider::InstanceList;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{ListParams, LogParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use model::keys;
use serde::de::DeserializeOwned;

use super::evidence::Left;
use super::story::Seen;

/// A kubelet may need a moment to let go of an output.
const READ_TRIES: u32 = 10;
const READ_PAUSE: Duration = Duration::from_millis(300);

/// Everything that the story is about, as it changes.
pub(super) fn everything(client: &Client) -> BoxStream<'static, Seen> {
    let jobs = watch::<Job>(client, |job| Some(Seen::Job(Box::new(job))), |_| None);
    let pods = watch::<Pod>(client, |pod| Some(Seen::Pod(Box::new(pod))), |_| None);
    let nodes = watch::<Node>(client, |node| Some(Seen::Node(Box::new(node))), |name| Some(Seen::NodeGone(name)));
    let machines = watch::<BatchNode>(
        client,
        |machine| Some(Seen::Machine(Box::new(machine))),
        |name| Some(Seen::MachineGone(name)),
    );
    stream::select_all([jobs, pods, nodes, machines]).boxed()
}

/// A watch that goes on whatever happens; what it misses in between is seen in the next list, deletions at the end.
fn watch<K>(client: &Client, is: fn(K) -> Option<Seen>, gone: fn(String) -> Option<Seen>) -> BoxStream<'static, Seen>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let api = Api::<K>::all(client.clone());
    let events = watcher(api, watcher::Config::default()).default_backoff();
    let seen = move |event| match event {
        Ok(Event::Apply(object) | Event::InitApply(object)) => is(object),
        Ok(Event::Delete(object)) => gone(object.name_any()),
        Ok(Event::Init | Event::InitDone) | Err(_) => None,
    };
    events.filter_map(move |event| std::future::ready(seen(event))).boxed()
}

/// What a pod printed.
pub(super) async fn output(client: Client, namespace: String, name: String) -> Result<String, String> {
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let mut problem = String::new();
    for _ in 0..READ_TRIES {
        match pods.logs(&name, &LogParams::default()).await {
            Ok(text) => return Ok(text.trim().to_owned()),
            Err(error) => problem = error.to_string(),
        }
        tokio::time::sleep(READ_PAUSE).await;
    }
    Err(problem)
}

/// What is left of the machines of an environment: in the cluster, and at the provider itself.
pub(super) async fn left(client: &Client, environment_uuid: &str, provider: &str) -> Result<Left> {
    let nodes = Api::<Node>::all(client.clone());
    let labelled = ListParams::default().labels(&format!("{}={environment_uuid}", keys::CE_UUID));
    let batch_nodes = Api::<BatchNode>::all(client.clone());
    let nodes = nodes.list(&labelled).await?.iter().map(Node::name_any).collect();
    let batch_nodes = batch_nodes.list(&ListParams::default()).await?.iter().map(BatchNode::name_any).collect();
    let url = format!("{provider}/instances");
    let answer = reqwest::get(&url).await.and_then(reqwest::Response::error_for_status);
    let list: InstanceList =
        answer.context("the node provider does not answer")?.json().await.with_context(|| format!("GET {url}"))?;
    Ok(Left { nodes, batch_nodes, instances: list.instances.into_iter().map(|one| one.token).collect() })
}
