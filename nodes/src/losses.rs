//! Keeps environments from losing a large part of their machines at once, until that turns out to be a mistake or an admin says that it is
//! none.
//!
//! Invariant: an admin's word counts for one time. It is taken off the environment when it has not been needed for a while, so that it does
//! not lie in wait for the next mistake. What is too large a part is decided in `planning`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use api::{BatchNode, ComputeEnvironment};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use model::clock::Moment;
use model::keys;
use planning::machine::Facts;
use planning::machine::loss::Tally;
use serde_json::json;

use crate::shared::Shared;

/// An admin's word is taken off when it has not been needed for so long.
const WORD: Duration = Duration::from_mins(10);

/// Since when an admin's word has not been needed, by object name of the environment.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    unneeded: HashMap<String, Moment>,
}

/// What is to be said and done about environments, by object name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Judgement {
    /// None of their machines is given up, and why.
    held: BTreeMap<String, String>,
    /// The admin's word comes off.
    over: Vec<String>,
}

impl Losses {
    /// Notes on the machines whether they are held, says so on their environments, and takes words off that are not needed any more.
    pub(crate) fn judge(&mut self, shared: &Arc<Shared>, machines: &mut [(BatchNode, Facts)]) {
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        for (machine, facts) in &*machines {
            tallies.entry(machine.spec.compute_environment.clone()).or_default().add(facts);
        }
        // Whoever deletes an environment says that its machines may go, and there is nowhere to ask.
        tallies.retain(|name, _| shared.index.has_environment(name));
        let environments = shared.index.compute_environments();
        let words = environments.iter().filter(|one| {
            one.annotations().get(keys::LOST_MACHINES).is_some_and(|word| word == keys::LOST_MACHINES_GONE)
        });
        let Judgement { held, over } =
            self.decide(&tallies, &words.map(kube::ResourceExt::name_any).collect(), cluster::clock::moment());
        for (machine, facts) in machines {
            facts.held = held.contains_key(&machine.spec.compute_environment);
        }
        for environment in &environments {
            let name = environment.name_any();
            shared.index.set_losses(&name, held.get(&name).cloned());
        }
        for environment in over {
            tokio::spawn(take_off(shared.clone(), environment));
        }
    }

    fn decide(&mut self, tallies: &BTreeMap<String, Tally>, words: &BTreeSet<String>, now: Moment) -> Judgement {
        let mut judgement = Judgement::default();
        self.unneeded.retain(|name, _| words.contains(name));
        for (name, tally) in tallies.iter().filter(|(_, tally)| tally.is_mass()) {
            if words.contains(name) {
                self.unneeded.remove(name);
            } else {
                judgement.held.insert(name.clone(), tally.notice(name));
            }
        }
        for name in words.iter().filter(|name| !tallies.get(*name).is_some_and(|tally| tally.is_mass())) {
            let since = self.unneeded.entry(name.clone()).or_insert(now);
            if now.since(*since) >= WORD {
                // Should that fail, it is tried again after the same time.
                *since = now;
                judgement.over.push(name.clone());
            }
        }
        judgement
    }
}

async fn take_off(shared: Arc<Shared>, environment: String) {
    let api: Api<ComputeEnvironment> = Api::all(shared.clients.once.clone());
    let patch = json!({"metadata": {"annotations": {keys::LOST_MACHINES: null}}});
    if let Err(error) = api.patch(&environment, &PatchParams::default(), &Patch::Merge(patch)).await {
        let error = cluster::telemetry::chain(&error);
        tracing::warn!(environment, error, "an annotation that has served its turn cannot be taken off");
    }
}

#[cfg(test)]
mod tests {
    use planning::machine::{Instance, NodeState, Phase};

    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn tally(serving: usize, doubted: usize) -> Tally {
        let mut tally = Tally::default();
        for number in 0..serving {
            tally.add(&Facts {
                phase: Phase::Ready,
                age: S(1),
                deleted: false,
                node: NodeState::Present { ready: true, marked: true, retiring: false },
                instance: if number < doubted { Instance::Absent(S(0)) } else { Instance::Alive },
                unready: None,
                quiet: None,
                asked: S(1),
                known: S(1),
                has_units: true,
                held: false,
            });
        }
        tally
    }

    #[test]
    fn an_admins_word_counts_until_it_has_not_been_needed_for_a_while() {
        let mut losses = Losses::default();
        let word = BTreeSet::from(["ce".to_owned()]);
        let many = BTreeMap::from([("ce".to_owned(), tally(5, 4)), ("other".to_owned(), tally(5, 3))]);
        let few = BTreeMap::from([("ce".to_owned(), tally(2, 1))]);
        let mut decide = |tallies, words: &BTreeSet<String>, seconds| {
            let Judgement { held, over } = losses.decide(tallies, words, Moment::after(S(seconds)));
            (held.into_keys().collect::<Vec<_>>(), over)
        };
        let (nobody, ce) = (Vec::<String>::new(), vec!["ce".to_owned()]);
        assert_eq!(decide(&many, &BTreeSet::new(), 0), (ce.clone(), nobody.clone()), "no word");
        assert_eq!(decide(&many, &word, 10), (nobody.clone(), nobody.clone()), "the word");
        assert_eq!(decide(&few, &word, 20), (nobody.clone(), nobody.clone()));
        assert_eq!(decide(&many, &word, 900), (nobody.clone(), nobody.clone()), "more are lost: it still counts");
        assert_eq!(decide(&few, &word, 1000), (nobody.clone(), nobody.clone()));
        assert_eq!(decide(&few, &word, 1600), (nobody.clone(), ce.clone()), "it has served its turn");
        assert_eq!(decide(&many, &BTreeSet::new(), 1700), (ce, nobody), "the next time it is asked for again");
    }
}
