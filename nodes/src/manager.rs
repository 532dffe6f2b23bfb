//! The loop over all machines: collects what is known of each, and carries out its next step.
//!
//! Invariant: at most one step of a machine is under way; a step that failed is tried again after a growing pause.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::BatchNode;
use cluster::client::Clients;
use cluster::fault::{self, Point};
use cluster::index::Index;
use cluster::shutdown::Shutdown;
use jiff::Timestamp;
use kube::ResourceExt as _;
use planning::machine::{self, NodeState, Phase, Step};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use tokio::time;

use crate::poll::Instances;
use crate::provider::ProviderError;
use crate::{act, facts, poll, unmanaged};

/// Nothing is overlooked for longer than this, whatever wake-up was missed.
const TICK: Duration = Duration::from_secs(1);

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

/// The node manager. Clones share it.
#[derive(Clone)]
pub struct Manager(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) clients: Clients,
    pub(crate) index: Index,
    pub(crate) http: reqwest::Client,
    pub(crate) instances: Mutex<Instances>,
    pub(crate) metrics: Metrics,
}

/// Why a step was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActError {
    #[error("the Kubernetes API refused")]
    Kube(#[from] kube::Error),
    #[error("the node provider failed")]
    Provider(#[from] ProviderError),
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It is done; look at the machine again at once.
    Done,
    /// It is under way; look at the machine again after a pause.
    Again(Duration),
}

/// Failures of one machine's steps in a row, and when it is tried again.
#[derive(Clone, Copy, Debug)]
struct Pause {
    failures: u32,
    until: Instant,
}

impl Manager {
    /// A manager that has not begun.
    pub fn new(clients: Clients, index: Index, metrics: Metrics) -> Result<Self, ProviderError> {
        let http = crate::external::http_client()?;
        let instances = Mutex::new(Instances::default());
        Ok(Self(Arc::new(Shared { clients, index, http, instances, metrics })))
    }

    /// Asks the providers, and marks nodes of UNMANAGED environments, until `shutdown` stops.
    pub async fn run(self, shutdown: Shutdown) {
        let stopped = shutdown.stopped();
        tokio::select! {
            () = stopped => {}
            () = self.clone().machines() => {}
            () = poll::offers(self.clone()) => {}
            () = poll::instances(self.clone()) => {}
            () = unmanaged::run(self.clone()) => {}
        }
    }

    async fn machines(self) {
        let mut version = self.0.index.version();
        let mut steps: JoinSet<(String, Result<Done, ActError>)> = JoinSet::new();
        let mut busy: HashSet<String> = HashSet::new();
        let mut pauses: HashMap<String, Pause> = HashMap::new();
        loop {
            version.borrow_and_update();
            let machines = self.0.index.batch_nodes();
            pauses.retain(|name, _| machines.iter().any(|machine| machine.name_any() == *name));
            for machine in machines {
                let name = machine.name_any();
                let rests = pauses.get(&name).is_some_and(|pause| pause.until > Instant::now());
                if !busy.contains(&name) && !rests && self.start(&mut steps, machine) {
                    busy.insert(name);
                }
            }
            let wake = pauses.values().map(|pause| pause.until).filter(|until| *until > Instant::now()).min();
            let wake = wake.unwrap_or_else(|| Instant::now() + TICK).min(Instant::now() + TICK);
            tokio::select! {
                _ = version.changed() => {}
                () = time::sleep_until(wake.into()) => {}
                Some(ended) = steps.join_next() => {
                    let Ok((name, result)) = ended else { continue };
                    busy.remove(&name);
                    settle(&mut pauses, name, &result);
                }
            }
        }
    }

    /// Starts the next step of a machine; false if there is none now.
    fn start(&self, steps: &mut JoinSet<(String, Result<Done, ActError>)>, machine: BatchNode) -> bool {
        let now = Timestamp::now();
        let facts = facts::collect(&self.0, &machine, now);
        if facts.phase == Phase::Launching && facts.node != NodeState::Absent {
            fault::reach(Point::NodeJoined);
        }
        let step = machine::next(&facts, now);
        if matches!(step, Step::Wait(_)) && !act::units_changed(&self.0, &machine, now) {
            return false;
        }
        let manager = self.clone();
        steps.spawn(async move {
            let name = machine.name_any();
            let result = act::act(&manager.0, &machine, step).await;
            (name, result)
        });
        true
    }
}

/// Remembers when a machine is looked at again.
fn settle(pauses: &mut HashMap<String, Pause>, name: String, result: &Result<Done, ActError>) {
    match result {
        Ok(Done::Done) => drop(pauses.remove(&name)),
        Ok(Done::Again(pause)) => drop(pauses.insert(name, Pause { failures: 0, until: Instant::now() + *pause })),
        Err(error) => {
            let failures = pauses.get(&name).map_or(0, |pause| pause.failures) + 1;
            let pause = Duration::try_from(machine::back_off(failures)).unwrap_or(TICK) / 5;
            tracing::warn!(
                machine = name,
                failures,
                error = cluster::telemetry::chain(error),
                "a step failed; trying again"
            );
            pauses.insert(name, Pause { failures, until: Instant::now() + pause });
        }
    }
}

impl Shared {
    pub(crate) fn instances(&self) -> std::sync::MutexGuard<'_, Instances> {
        // What is in here is replaced as a whole; a poisoned lock is as good as any other.
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
