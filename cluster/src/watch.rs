//! The watches that feed the index, one per kind.
//!
//! Invariant: a watch never ends while the process runs: whatever goes wrong (a kind that is not installed yet, a lost
//! connection, an expired version) is logged and tried again with growing pauses. Does not know what is kept of an object.

use std::fmt::Debug;

use api::{BatchNode, ComputeEnvironment, JobQueue};
use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Config, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Client, Resource};
use model::keys;
use serde::de::DeserializeOwned;

use crate::index::{Change, Index};
use crate::shutdown::Shutdown;
use crate::tasks::Tasks;

/// Starts all watches. Readers wait for [`Index::wait_synced`].
pub fn spawn_watches(client: &Client, index: &Index, shutdown: &Shutdown, tasks: &mut Tasks) {
    let mut watches = Watches { client, index, shutdown, tasks };
    // All pods, not only those of queues: others take room on batch nodes too; and ended ones, because failures are counted.
    watches.spawn::<Pod>(Config::default());
    watches.spawn::<Job>(Config::default().labels(keys::QUEUE));
    watches.spawn::<Node>(Config::default());
    watches.spawn::<ComputeEnvironment>(Config::default());
    watches.spawn::<JobQueue>(Config::default());
    watches.spawn::<BatchNode>(Config::default());
}

struct Watches<'a> {
    client: &'a Client,
    index: &'a Index,
    shutdown: &'a Shutdown,
    tasks: &'a mut Tasks,
}

impl Watches<'_> {
    fn spawn<K>(&mut self, config: Config)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
        Change: From<Event<DeserializeGuard<K>>>,
    {
        let (api, index) = (Api::all(self.client.clone()), self.index.clone());
        let stopped = self.shutdown.stopped();
        let kind = K::kind(&()).into_owned();
        self.tasks.spawn_infallible(&format!("watch of {kind}"), async move {
            tokio::select! {
                () = run::<K>(&kind, api, config, &index) => {}
                () = stopped => {}
            }
        });
    }
}

async fn run<K>(kind: &str, api: Api<DeserializeGuard<K>>, config: Config, index: &Index)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    Change: From<Event<DeserializeGuard<K>>>,
{
    let mut failing = false;
    let events = watch(api, config).default_backoff();
    pin_mut!(events);
    // The stream goes on after errors and has no end of its own.
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                if matches!(event, Event::InitDone) && std::mem::take(&mut failing) {
                    tracing::info!(kind, "watch works again");
                }
                index.feed(event);
            }
            Err(error) => {
                failing = true;
                report(kind, &error);
            }
        }
    }
}

fn report(kind: &str, error: &watcher::Error) {
    // Versions expire whenever the API server has been busy for a while; the watch lists again by itself.
    if let watcher::Error::WatchError(status) = error
        && status.code == 410
    {
        tracing::debug!(kind, "watch starts again");
        return;
    }
    let hint = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404 => {
            "this kind is not installed: apply Bulkhead's manifest"
        }
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403 => {
            "the service account may not list it: apply Bulkhead's manifest"
        }
        _ => "",
    };
    tracing::warn!(kind, error = %crate::telemetry::chain(error), hint, "watch failed and is tried again");
}
