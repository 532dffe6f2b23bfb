//! The loop over all machines: collects what is known of each, and carries out its next step.
//!
//! Invariant: at most one step of a machine is under way; a step that failed is tried again after a growing pause.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::BatchNode;
use cluster::client::Clients;
use cluster::fault::{self, Point};
use cluster::index::Index;
use cluster::lease::Tenure;
use cluster::shutdown::Shutdown;
use kube::ResourceExt as _;
use planning::machine::{self, Facts, NodeState, Phase, Step};
use tokio::task::JoinSet;
use tokio::time;

use crate::ages::Ages;
use crate::losses::Losses;
use crate::provider::ProviderError;
use crate::shared::{ActError, Done, Metrics, Shared};
use crate::{act, facts, poll, unmanaged};

/// Nothing is overlooked for longer than this, whatever wake-up was missed.
const TICK: Duration = Duration::from_secs(1);

/// The node manager. Clones share it.
#[derive(Clone)]
pub struct Manager(pub(crate) Arc<Shared>);

/// Failures of one machine's steps in a row, and when it is tried again.
#[derive(Clone, Copy, Debug)]
struct Pause {
    failures: u32,
    until: Instant,
}

impl Manager {
    /// A manager that has not begun. Nothing is asked of a provider when `tenure` is over; the clients see to the rest.
    pub fn new(clients: Clients, index: Index, tenure: Tenure, metrics: Metrics) -> Result<Self, ProviderError> {
        Ok(Self(Arc::new(Shared::new(clients, index, tenure, metrics)?)))
    }

    /// Asks the providers, and marks nodes of UNMANAGED environments, until `shutdown` stops.
    pub async fn run(self, shutdown: Shutdown) {
        let stopped = shutdown.stopped();
        tokio::select! {
            () = stopped => {}
            () = self.clone().machines() => {}
            () = poll::offers(&self.0) => {}
            () = poll::instances(&self.0) => {}
            () = unmanaged::run(&self.0) => {}
        }
    }

    async fn machines(self) {
        let mut version = self.0.index.version();
        let mut steps: JoinSet<(String, Result<Done, ActError>)> = JoinSet::new();
        let mut busy: HashSet<String> = HashSet::new();
        let mut pauses: HashMap<String, Pause> = HashMap::new();
        let (mut ages, mut losses) = (Ages::default(), Losses::default());
        loop {
            version.borrow_and_update();
            let mut machines = facts::collect(&self.0, &mut ages);
            losses.judge(&self.0, &mut machines);
            pauses.retain(|name, _| machines.iter().any(|(machine, _)| machine.name_any() == *name));
            for (machine, facts) in machines {
                let name = machine.name_any();
                let rests = pauses.get(&name).is_some_and(|pause| pause.until > Instant::now());
                if !busy.contains(&name) && !rests && self.start(&mut steps, machine, &facts) {
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
    fn start(&self, steps: &mut JoinSet<(String, Result<Done, ActError>)>, machine: BatchNode, facts: &Facts) -> bool {
        if facts.phase == Phase::Launching && facts.node != NodeState::Absent {
            fault::reach(Point::NodeJoined);
        }
        let step = machine::next(facts);
        if step == Step::Wait && !act::units_changed(&self.0, &machine, facts.age) {
            return false;
        }
        let (manager, facts) = (self.clone(), *facts);
        steps.spawn(async move {
            let name = machine.name_any();
            let result = act::act(&manager.0, &machine, &facts, step).await;
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
