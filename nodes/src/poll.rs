//! Asks the providers: what they offer, and which machines are there.
//!
//! Invariant: an answer replaces the one before as a whole. A provider that fails is asked again as often; its last offers are not
//! used meanwhile, because what it would say now is not known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use api::BatchNode;
use api::provider::{Instance as Listed, InstanceState};
use futures::future::join_all;
use jiff::Timestamp;
use kube::ResourceExt as _;
use planning::machine::Instance;
use tokio::time;

use crate::manager::{Manager, Shared};
use crate::provider::Provider;

/// Offers change rarely; a provider that was down is found again within this time.
const OFFERS: Duration = Duration::from_secs(10);
/// A machine that died is noticed within this time, long before its missing heartbeat.
const INSTANCES: Duration = Duration::from_secs(3);

/// Machines by provider, as last listed.
#[derive(Debug, Default)]
pub(crate) struct Instances(HashMap<String, (Timestamp, HashMap<String, InstanceState>)>);

impl Instances {
    /// What the provider says about a machine that is in its phase since `since`.
    pub(crate) fn of(&self, machine: &BatchNode, since: Timestamp) -> Instance {
        match self.0.get(&key(&machine.spec.provider)) {
            Some((asked, _)) if *asked <= since => Instance::Unknown,
            None => Instance::Unknown,
            Some((_, listed)) => match listed.get(&machine.name_any()) {
                Some(InstanceState::Pending | InstanceState::Running) => Instance::Alive,
                Some(InstanceState::Terminating | InstanceState::Failed) | None => Instance::Lost,
            },
        }
    }

    fn replace(&mut self, provider: String, asked: Timestamp, listed: Vec<Listed>) {
        let states = listed.into_iter().map(|instance| (instance.token, instance.state)).collect();
        self.0.insert(provider, (asked, states));
    }
}

fn key(provider: &api::crd::Provider) -> String {
    serde_json::to_string(provider).unwrap_or_default()
}

/// Keeps the offers of all MANAGED environments. Asks at once when an environment is new or changed.
pub(crate) async fn offers(manager: Manager) {
    let shared = &manager.0;
    let mut version = shared.index.version();
    let mut asked: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let mut due = BTreeMap::new();
        for environment in shared.index.compute_environments() {
            if let Some(provider) = &environment.spec.provider {
                due.insert(environment.name_any(), (key(provider), provider.clone()));
            }
        }
        join_all(due.iter().map(|(name, (key, provider))| {
            let changed = asked.get(name) != Some(key);
            ask(shared, name, provider, changed)
        }))
        .await;
        asked = due.into_iter().map(|(name, (key, _))| (name, key)).collect();
        let deadline = time::Instant::now() + OFFERS;
        loop {
            version.borrow_and_update();
            let known = |name: &str, key: &str| asked.get(name).is_some_and(|before| before == key);
            let news = shared.index.compute_environments().into_iter().any(|environment| {
                environment
                    .spec
                    .provider
                    .as_ref()
                    .is_some_and(|provider| !known(&environment.name_any(), &key(provider)))
            });
            if news {
                break;
            }
            tokio::select! {
                _ = version.changed() => {}
                () = time::sleep_until(deadline) => break,
            }
        }
    }
}

async fn ask(shared: &Shared, environment: &str, provider: &api::crd::Provider, changed: bool) {
    let answer = match Provider::new(provider, &shared.http) {
        Ok(provider) => provider.offers().await,
        Err(error) => Err(error),
    };
    let offers = answer.map_err(|error| cluster::telemetry::chain(&error));
    if let Err(error) = &offers {
        tracing::warn!(environment, error, "its provider's offers are not known");
    }
    if changed {
        shared.index.clear_setbacks(environment);
    }
    shared.index.set_offers(environment, offers);
}

/// Keeps the list of machines of every provider that has some.
pub(crate) async fn instances(manager: Manager) {
    let shared = &manager.0;
    loop {
        let machines = shared.index.batch_nodes();
        let mut seen = BTreeSet::new();
        for machine in machines {
            let key = key(&machine.spec.provider);
            if !seen.insert(key.clone()) {
                continue;
            }
            let asked = Timestamp::now();
            let Ok(provider) = Provider::new(&machine.spec.provider, &shared.http) else { continue };
            match provider.instances().await {
                Ok(listed) => shared.instances().replace(key, asked, listed),
                // Machines are not lost because their provider does not answer.
                Err(error) => {
                    tracing::warn!(error = cluster::telemetry::chain(&error), "machines cannot be listed");
                }
            }
        }
        time::sleep(INSTANCES).await;
    }
}
