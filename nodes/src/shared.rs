//! What all parts of the node manager share, and what they tell each other.
//!
//! Invariant: holds no lock across a wait. Decides nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster::client::Clients;
use cluster::index::Index;
use cluster::lease::{Over, Tenure};
use model::clock::Moment;
use planning::machine::books::Books;
use planning::machine::drain::Drain;
use planning::machine::ending::Answer;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::patience::Writes;
use crate::provider::ProviderError;

/// What the parts of the node manager share.
pub(crate) struct Shared {
    pub(crate) clients: Clients,
    pub(crate) index: Index,
    pub(crate) tenure: Tenure,
    pub(crate) http: reqwest::Client,
    pub(crate) metrics: Metrics,
    books: Mutex<HashMap<String, Books>>,
    memory: Mutex<HashMap<String, Memory>>,
    writes: Mutex<Writes>,
}

/// What is remembered of a machine from one step to the next.
#[derive(Debug, Default)]
struct Memory {
    /// From the first to the last answer of those in a row by which nobody knows it.
    unknown: Option<(Moment, Moment)>,
    drain: Option<Drain>,
}

impl Shared {
    pub(crate) fn new(clients: Clients, index: Index, tenure: Tenure, metrics: Metrics) -> Result<Self, ProviderError> {
        let http = crate::external::http_client()?;
        Ok(Self {
            clients,
            index,
            tenure,
            http,
            metrics,
            books: Mutex::default(),
            memory: Mutex::default(),
            writes: Mutex::default(),
        })
    }

    /// What the lists of each provider have said.
    pub(crate) fn books(&self) -> MutexGuard<'_, HashMap<String, Books>> {
        // What is in it is changed in one go; a poisoned lock is as good as any other.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Over what time nobody has known a machine, after these answers. Who does not answer changes nothing.
    pub(crate) fn unknown_for(&self, machine: &str, answers: &[Answer]) -> Duration {
        let now = cluster::clock::moment();
        let mut all = self.memory();
        let memory = all.entry(machine.to_owned()).or_default();
        if answers.iter().all(|answer| *answer == Answer::Unknown) {
            memory.unknown = Some((memory.unknown.map_or(now, |(first, _)| first), now));
        } else if answers.iter().any(|answer| matches!(answer, Answer::Ending | Answer::Unclear)) {
            memory.unknown = None;
        }
        memory.unknown.map_or(Duration::ZERO, |(first, last)| last.since(first))
    }

    /// Which of the foreign pods on a machine that retires are to be evicted and waited for.
    pub(crate) fn waits_for(&self, machine: &str, foreign: &[String]) -> Vec<bool> {
        let now = cluster::clock::moment();
        let mut all = self.memory();
        all.entry(machine.to_owned()).or_default().drain.get_or_insert_with(|| Drain::new(now)).waits_for(foreign, now)
    }

    /// Forgets the other machines.
    pub(crate) fn keep(&self, is_there: impl Fn(&str) -> bool) {
        self.memory().retain(|name, _| is_there(name));
    }

    /// What the loop that plans has asked to be written.
    pub(crate) fn writes(&self) -> MutexGuard<'_, Writes> {
        // As above.
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        // As above.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a step was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActError {
    #[error("the Kubernetes API refused")]
    Kube(#[from] kube::Error),
    #[error("the node provider failed")]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Over(#[from] Over),
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It is done; look at the machine again at once.
    Done,
    /// It is under way; look at the machine again after a pause.
    Again(Duration),
}

/// What the node manager counts. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) launched: Counter,
    pub(crate) launch_failures: Counter,
    pub(crate) ready: Counter,
    pub(crate) terminated: Counter,
    pub(crate) given_up: Counter,
}

impl Metrics {
    /// Registers under prefix `nodes`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("nodes");
        registry.register("launched", "Machines that a provider launched", metrics.launched.clone());
        registry.register("launch_failures", "Launches that a provider refused", metrics.launch_failures.clone());
        registry.register("ready", "Machines whose node became Ready", metrics.ready.clone());
        registry.register("terminated", "Machines taken down", metrics.terminated.clone());
        registry.register("given_up", "Machines given up before they were retired", metrics.given_up.clone());
        metrics
    }
}
