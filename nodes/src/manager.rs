//! The loop over all machines: collects what is known of each, and carries out its next step.
//!
//! Invariant: at most one step of a machine is under way; a step that failed is tried again after a growing pause.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use api::BatchNode;
use cluster::client::Clients;
use cluster::clock;
use cluster::events::Events;
use cluster::fault::{self, Point};
use cluster::index::{Index, NotesOf};
use cluster::lease::Tenure;
use cluster::pace;
use cluster::shutdown::Shutdown;
use kube::{Resource as _, ResourceExt as _};
use planning::machine::{self, Facts, NodeState, Phase, Step};
use planning::refusal::Answer;
use tokio::task::JoinSet;
use tokio::time;

use crate::ages::Ages;
use crate::losses::Losses;
use crate::provider::ProviderError;
use crate::shared::{Metrics, Progress, Shared};
use crate::turns::{Told, Turns};
use crate::{act, facts, poll, unmanaged};

/// Nothing is overlooked for longer than this, whatever wake-up was missed.
const TICK: Duration = Duration::from_secs(1);
/// Changes in between are seen together.
pub(crate) const SEEN_TOGETHER: Duration = Duration::from_millis(50);

/// The node manager. Clones share it.
#[derive(Clone)]
pub struct Manager(pub(crate) Arc<Shared>);

impl Manager {
    /// A manager that has not begun. Nothing is asked of a provider when `tenure` is over; the clients see to the rest.
    pub fn new(
        clients: Clients,
        index: Index,
        events: Events,
        tenure: Tenure,
        metrics: Metrics,
    ) -> Result<Self, ProviderError> {
        Ok(Self(Arc::new(Shared::new(clients, index, events, tenure, metrics)?)))
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
        let mut steps: JoinSet<(BatchNode, Result<Progress, Answer>)> = JoinSet::new();
        let mut busy: HashSet<String> = HashSet::new();
        let mut turns = Turns::default();
        let (mut ages, mut losses) = (Ages::default(), Losses::default());
        loop {
            let begun = time::Instant::now();
            version.borrow_and_update();
            let mut machines = facts::collect(&self.0, &mut ages);
            losses.judge(&self.0, &mut machines);
            let environment = |machine: &BatchNode| machine.spec.compute_environment_uuid.clone();
            let environments: HashMap<String, String> =
                machines.iter().map(|(machine, _)| (machine.name_any(), environment(machine))).collect();
            turns.keep(|name| environments.contains_key(name));
            self.0.index.set_node_notes(NotesOf::Machines, turns.notices(&environments));
            for (machine, facts) in machines {
                let name = machine.name_any();
                if busy.contains(&name) || turns.rests(&name, clock::moment()) {
                    continue;
                }
                if self.start(&mut steps, machine, &facts) {
                    busy.insert(name);
                } else {
                    turns.idle(&name);
                }
            }
            let now = clock::moment();
            let apart = pace::apart(SEEN_TOGETHER, begun.elapsed());
            let wake = turns.next(now).map_or(TICK, |next| next.since(now).min(TICK));
            tokio::select! {
                () = pace::change(&mut version, begun + apart) => {}
                () = time::sleep(wake) => {}
                Some(ended) = steps.join_next() => {
                    let others = std::iter::from_fn(|| steps.try_join_next()).collect::<Vec<_>>();
                    for (machine, result) in [ended].into_iter().chain(others).flatten() {
                        busy.remove(&machine.name_any());
                        self.settle(&mut turns, &machine, result);
                    }
                }
            }
        }
    }

    /// Remembers when a machine is looked at again, and tells what hinders it.
    fn settle(&self, turns: &mut Turns, machine: &BatchNode, result: Result<Progress, Answer>) {
        let name = machine.name_any();
        if let Err(answer) = &result {
            tracing::warn!(machine = name, answer = answer.message(), "a step failed; trying again");
        }
        let about = machine.object_ref(&());
        match turns.settle(&name, result, clock::moment()) {
            Some(Told::Refused(why)) => self.0.events.warning(&about, "Refused", why),
            Some(Told::Waiting(why)) => self.0.events.normal(&about, "Waiting", why),
            None => {}
        }
    }

    /// Starts the next step of a machine; false if there is none now.
    fn start(
        &self,
        steps: &mut JoinSet<(BatchNode, Result<Progress, Answer>)>,
        machine: BatchNode,
        facts: &Facts,
    ) -> bool {
        if facts.phase == Phase::Launching && facts.node != NodeState::Absent {
            fault::reach(Point::NodeJoined);
        }
        let step = machine::next(facts);
        if step == Step::Wait && !act::units_changed(&self.0, &machine, facts.age) {
            return false;
        }
        let (manager, facts) = (self.clone(), *facts);
        steps.spawn(async move {
            let words = step.words();
            let result = act::act(&manager.0, &machine, &facts, step).await;
            (machine, result.or_else(|error| error.outcome(&format!("cannot {words}"))))
        });
        true
    }
}
