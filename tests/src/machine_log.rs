//! All machines that an environment ever had while a test looked on, and the most vCPUs they had together.
//!
//! Invariant: every state that the API server stored is seen, because it is watched, not asked for. Knows nothing about limits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::BatchNode;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};
use tokio::task::JoinHandle;

use crate::world::World;

/// A look at the machines of one environment, until it is dropped.
pub struct MachineLog {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    /// vCPUs (thousandths) by name of the machines that are there.
    there: BTreeMap<String, u64>,
    highest: u64,
    /// Offer by name, also of those that are gone.
    offers: BTreeMap<String, String>,
}

impl MachineLog {
    /// Begins to watch the machines of an environment.
    pub fn of(world: &World, environment: &str) -> Self {
        let api: Api<BatchNode> = Api::all(world.client.clone());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (shared, environment) = (Arc::clone(&seen), environment.to_owned());
        let task = tokio::spawn(async move {
            let mut events = watcher(api, watcher::Config::default()).into_stream().boxed();
            loop {
                // A watch that broke begins again by itself.
                let Ok(Some(event)) = events.try_next().await else { continue };
                lock(&shared).note(&environment, event);
            }
        });
        Self { seen, task }
    }

    /// The most vCPUs (thousandths) that its machines had at one moment.
    pub fn highest(&self) -> u64 {
        lock(&self.seen).highest
    }

    /// Offers by name of the machines, also of those that are gone.
    pub fn offers(&self) -> BTreeMap<String, String> {
        lock(&self.seen).offers.clone()
    }
}

impl Drop for MachineLog {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    fn note(&mut self, environment: &str, event: Event<BatchNode>) {
        match event {
            Event::Init => self.there.clear(),
            Event::InitApply(machine) | Event::Apply(machine) if machine.spec.compute_environment == environment => {
                self.there.insert(machine.name_any(), machine.spec.milli_vcpus);
                self.offers.insert(machine.name_any(), machine.spec.offer);
                self.highest = self.highest.max(self.there.values().sum());
            }
            Event::Delete(machine) => drop(self.there.remove(&machine.name_any())),
            Event::InitApply(_) | Event::Apply(_) | Event::InitDone => {}
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
