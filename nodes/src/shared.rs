//! What all parts of the node manager share, and what they tell each other.
//!
//! Invariant: holds no lock across a wait. Decides nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster::client::Clients;
use cluster::events::Events;
use cluster::index::Index;
use cluster::lease::{Over, Tenure};
use model::clock::Moment;
use planning::machine::books::Books;
use planning::machine::drain::{Drain, Next, Occupant};
use planning::machine::ending::Answer;
use planning::refusal;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::time;

use crate::patience::Writes;
use crate::provider::ProviderError;

/// What the parts of the node manager share.
pub(crate) struct Shared {
    pub(crate) clients: Clients,
    pub(crate) index: Index,
    pub(crate) events: Events,
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
    pub(crate) fn new(
        clients: Clients,
        index: Index,
        events: Events,
        tenure: Tenure,
        metrics: Metrics,
    ) -> Result<Self, ProviderError> {
        let http = crate::external::http_client()?;
        Ok(Self {
            clients,
            index,
            events,
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

    /// What to do about the pods on a machine that retires.
    pub(crate) fn drain(&self, machine: &str, pods: &[Occupant]) -> Next {
        let now = cluster::clock::moment();
        let mut all = self.memory();
        all.entry(machine.to_owned()).or_default().drain.get_or_insert_with(|| Drain::new(now)).next(pods, now)
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

/// Far above what an API server takes that is well; somebody's webhook may keep it for thirty seconds, and nobody is to wait that long
/// without a word.
const PATIENCE: Duration = Duration::from_secs(10);
/// Whoever wrote in between wins, and it is looked at again.
const CONFLICT: Duration = Duration::from_millis(500);

/// The answer to a write, if it comes in time. One that is given up may have been carried out: every step may be repeated.
pub(crate) async fn answered<T>(write: impl Future<Output = kube::Result<T>>) -> Result<T, ActError> {
    match time::timeout(PATIENCE, write).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(ActError::Silent),
    }
}

/// Why a step was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActError {
    #[error("the Kubernetes API refused")]
    Kube(#[from] kube::Error),
    #[error("the API server has not answered for {} s", PATIENCE.as_secs())]
    Silent,
    #[error("pod {pod} cannot be evicted")]
    Evict {
        /// Namespace and name.
        pod: String,
        source: Box<ActError>,
    },
    #[error("the node provider failed")]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Over(#[from] Over),
}

impl ActError {
    /// What came of a step that failed like this; `what` could not be done.
    pub(crate) fn outcome(&self, what: &str) -> Result<Progress, refusal::Answer> {
        match self {
            error if error.is_conflict() => Ok(Progress::Again(CONFLICT)),
            error => Err(error.answer().to(what)),
        }
    }

    /// Whether somebody has written in between.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Kube(kube::Error::Api(answer)) if answer.code == 409)
    }

    /// What it means.
    pub(crate) fn answer(&self) -> refusal::Answer {
        match self {
            Self::Kube(error) => cluster::answer::of(error),
            Self::Evict { pod, source } => source.answer().to(pod),
            // It was given up: nothing of it is under way for long.
            error => refusal::Answer::Unclear(cluster::telemetry::chain(error)),
        }
    }
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It is done; look at the machine again at once.
    Done,
    /// It is under way; look at the machine again after a pause.
    Again(Duration),
    /// The same, and what it waits for.
    Waiting(Duration, String),
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
