//! Asks the providers: what they offer, and which machines are there.
//!
//! Invariant: an answer replaces the one before as a whole. A provider that fails is asked again as often; its last offers are not
//! used meanwhile, because what it would say now is not known.

use std::collections::BTreeMap;
use std::time::Duration;

use api::crd::Phase;
use cluster::pace;
use futures::future::join_all;
use kube::ResourceExt as _;
use tokio::time;

use crate::manager::SEEN_TOGETHER;
use crate::provider::{List, Provider};
use crate::shared::Shared;
use crate::whose::Whose;

/// Offers change rarely; a provider that was down is found again within this time.
const OFFERS: Duration = Duration::from_secs(10);
/// A machine that died is noticed within this time, long before its missing heartbeat.
const INSTANCES: Duration = Duration::from_secs(3);

/// Keeps the offers of all MANAGED environments. Asks at once when an environment is new or changed.
pub(crate) async fn offers(shared: &Shared) {
    let mut version = shared.index.version();
    let mut asked: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let mut due = BTreeMap::new();
        for environment in shared.index.compute_environments() {
            if let Some(provider) = &environment.spec.provider {
                due.insert(environment.name_any(), (provider.key(), provider.clone()));
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
            let begun = time::Instant::now();
            version.borrow_and_update();
            let known = |name: &str, key: &str| asked.get(name).is_some_and(|before| before == key);
            let news = shared.index.compute_environments().into_iter().any(|environment| {
                environment
                    .spec
                    .provider
                    .as_ref()
                    .is_some_and(|provider| !known(&environment.name_any(), &provider.key()))
            });
            if news {
                break;
            }
            tokio::select! {
                () = pace::change(&mut version, begun + SEEN_TOGETHER) => {}
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
    shared.index.set_offers(environment, offers, cluster::clock::now());
}

/// Keeps what the lists of every provider that has machines say.
pub(crate) async fn instances(shared: &Shared) {
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    loop {
        let mut providers: BTreeMap<String, (api::crd::Provider, Vec<String>)> = BTreeMap::new();
        let whose = Whose::read(&shared.index);
        for machine in shared.index.batch_nodes() {
            for provider in whose.of(&machine) {
                let (_, launched) = providers.entry(provider.key()).or_insert_with(|| (provider, Vec::new()));
                if machine.phase() != Phase::Pending {
                    launched.push(machine.name_any());
                }
            }
        }
        shared.books().retain(|key, _| providers.contains_key(key));
        // Side by side: one that does not answer does not keep the others from being asked.
        let asked = providers.iter().map(|(key, (provider, launched))| list(shared, key, provider, launched));
        let problems = join_all(asked).await;
        for (key, problems) in providers.into_keys().zip(problems) {
            let Some(problems) = problems else { continue };
            if told.get(&key) != Some(&problems) {
                for problem in &problems {
                    tracing::warn!(provider = key, problem, "a list of machines is not understood completely");
                }
                told.insert(key, problems);
            }
        }
        time::sleep(INSTANCES).await;
    }
}

/// Takes in a provider's list; what of it could not be understood. `None`: there is no list.
async fn list(shared: &Shared, key: &str, provider: &api::crd::Provider, launched: &[String]) -> Option<Vec<String>> {
    let asked = cluster::clock::moment();
    match Provider::new(provider, &shared.http).ok()?.instances().await {
        Ok(List { machines, problems }) => {
            shared.books().entry(key.to_owned()).or_default().take(asked, launched, &machines);
            Some(problems)
        }
        // Machines are not lost because their provider does not answer.
        Err(error) => {
            tracing::warn!(error = cluster::telemetry::chain(&error), "machines cannot be listed");
            None
        }
    }
}
