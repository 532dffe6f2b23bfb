//! All pods that a namespace ever had while a test looked on, and which of them ran.
//!
//! Invariant: every state that the API server stored is seen, because it is watched, not asked for. Knows nothing about jobs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};
use tokio::task::JoinHandle;

use crate::world::World;

/// A look at the pods of a namespace, until it is dropped.
pub struct PodLog {
    seen: Arc<Mutex<BTreeMap<String, SeenPod>>>,
    task: JoinHandle<()>,
}

/// What was seen of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenPod {
    /// Its name.
    pub name: String,
    /// Its node.
    pub node: Option<String>,
    /// A container of it ran.
    pub ran: bool,
    /// It was deleted.
    pub gone: bool,
}

impl PodLog {
    /// Begins to watch the pods of a namespace.
    pub fn of(world: &World, namespace: &str) -> Self {
        let api: Api<Pod> = Api::namespaced(world.client.clone(), namespace);
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut events = watcher(api, watcher::Config::default()).into_stream().boxed();
            loop {
                // A watch that broke begins again by itself.
                let Ok(Some(event)) = events.try_next().await else { continue };
                note(&mut lock(&shared), event);
            }
        });
        Self { seen, task }
    }

    /// Pods by UID.
    pub fn pods(&self) -> BTreeMap<String, SeenPod> {
        lock(&self.seen).clone()
    }
}

impl Drop for PodLog {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn note(seen: &mut BTreeMap<String, SeenPod>, event: Event<Pod>) {
    let (pod, gone) = match event {
        Event::Init | Event::InitDone => return,
        Event::InitApply(pod) | Event::Apply(pod) => (pod, false),
        Event::Delete(pod) => (pod, true),
    };
    let entry = seen.entry(pod.uid().unwrap_or_default()).or_default();
    entry.name = pod.name_any();
    entry.node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    entry.ran |= has_run(&pod);
    entry.gone |= gone;
}

/// Whether a container of a pod runs or has run.
fn has_run(pod: &Pod) -> bool {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let began = |state: &Option<ContainerState>| {
        state.as_ref().is_some_and(|state| {
            state.running.is_some() || state.terminated.as_ref().is_some_and(|end| end.started_at.is_some())
        })
    };
    statuses.into_iter().any(|status: &ContainerStatus| began(&status.state) || began(&status.last_state))
}

fn lock(seen: &Mutex<BTreeMap<String, SeenPod>>) -> MutexGuard<'_, BTreeMap<String, SeenPod>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
