//! The watches that feed the index, one per kind.
//!
//! Invariant: a watch never ends while the process runs: whatever goes wrong (a kind that is not installed yet, a lost
//! connection, an expired version) is logged and tried again with growing pauses. Does not know what is kept of an object.

use std::fmt::Debug;
use std::time::Duration;

use api::convert::mount;
use api::{BatchNode, ComputeEnvironment, JobQueue};
use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as CoreEvent, LimitRange, Namespace, Node, Pod};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::core::DeserializeGuard;
use kube::runtime::watcher as watch;
use kube::runtime::watcher::{self, Config, Event};
use kube::{Api, Client, Resource};
use model::keys;
use serde::de::DeserializeOwned;

use crate::index::{Change, Index};
use crate::shutdown::Shutdown;
use crate::tasks::Tasks;

/// Short: a watch that broke is blindness.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// So that a cluster that comes back, or a manifest that is applied, is seen within seconds.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

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
    watches.spawn::<Namespace>(Config::default());
    // What they add to pods is counted before a Job is released.
    watches.spawn::<LimitRange>(Config::default());
    watches.spawn::<RuntimeClass>(Config::default());
    let refused = format!("reason={},involvedObject.kind=Job", api::convert::refusal::REASON);
    watches.spawn::<CoreEvent>(Config::default().fields(&refused));
    // A field selector knows no "or".
    let about_pods = |reason| Config::default().fields(&format!("reason={reason},involvedObject.kind=Pod"));
    watches.spawn_as::<CoreEvent>(about_pods(mount::MOUNT), |event| Change::Mount(Box::new(event)));
    watches.spawn_as::<CoreEvent>(about_pods(mount::ATTACH), |event| Change::Attach(Box::new(event)));
    let ours = format!("metadata.name={}", keys::WEBHOOK_CONFIGURATION);
    watches.spawn::<MutatingWebhookConfiguration>(Config::default().fields(&ours));
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
        self.spawn_as::<K>(config, Change::from);
    }

    /// Of a kind that is watched more than once.
    fn spawn_as<K>(&mut self, config: Config, change: fn(Event<DeserializeGuard<K>>) -> Change)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let (api, index) = (Api::all(self.client.clone()), self.index.clone());
        let stopped = self.shutdown.stopped();
        let kind = K::kind(&()).into_owned();
        self.tasks.spawn_infallible(&format!("watch of {kind}"), async move {
            tokio::select! {
                () = run::<K>(&kind, api, config, &index, change) => {}
                () = stopped => {}
            }
        });
    }
}

async fn run<K>(
    kind: &str,
    api: Api<DeserializeGuard<K>>,
    config: Config,
    index: &Index,
    change: fn(Event<DeserializeGuard<K>>) -> Change,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut failing = false;
    let mut pause = FIRST_PAUSE;
    let events = watch(api, config);
    pin_mut!(events);
    // The stream goes on after errors and has no end of its own.
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                // A list that only begins proves nothing: the request is still to come.
                if !matches!(event, Event::Init) {
                    pause = FIRST_PAUSE;
                    if std::mem::take(&mut failing) {
                        tracing::info!(kind, "watch works again");
                    }
                }
                index.feed(change(event));
            }
            Err(error) => {
                failing = report(kind, &error, pause) || failing;
                tokio::time::sleep(pause).await;
                pause = longer(pause);
            }
        }
    }
}

/// Logs a failure. Returns whether there was one to log.
fn report(kind: &str, error: &watcher::Error, pause: Duration) -> bool {
    // Versions expire whenever the API server has been busy for a while; the watch lists again by itself.
    if let watcher::Error::WatchError(status) = error
        && status.code == 410
    {
        tracing::debug!(kind, "watch starts again");
        return false;
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
    tracing::warn!(kind, error = %crate::telemetry::chain(error), hint, next_try = ?pause, "watch failed");
    true
}

/// The pause after the next failure in a row.
fn longer(pause: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let pauses: Vec<_> = std::iter::successors(Some(FIRST_PAUSE), |pause| Some(longer(*pause))).take(6).collect();
        assert_eq!(pauses.iter().map(Duration::as_millis).collect::<Vec<_>>(), [500, 1000, 2000, 4000, 8000, 8000]);
    }
}
