//! Showing a world what is so; and what it knows, for whoever asks.
//!
//! Invariant: afterwards it knows exactly what it was shown, and of nodes, Jobs and units also what it knew before and was not told otherwise.
//! What was known already is no news, so that nothing is made anew for it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use model::snapshot::{Closed, Environment, Job, Machine, Node, Queue, Snapshot};

use super::news::{Changes, News};
use super::uid::Uid;
use super::{Fact, Thing, World};

impl World<'static> {
    /// Takes in what is new of what somebody sees. A [`Snapshot`] is all that is so.
    pub fn show(&mut self, news: impl Into<News>) {
        let news = news.into();
        self.forget_others(&news);
        let News { hooks_missing, closed, queues, environments, machines, refused, kept_since, nodes, jobs, units } =
            news;
        self.take(Fact::HooksMissing(hooks_missing));
        self.take(Fact::Closed(Cow::Owned(closed)));
        self.take(Fact::Refused(Cow::Owned(refused)));
        self.take(Fact::KeptSince(Cow::Owned(kept_since)));
        for one in queues {
            if self.facts.queues.get(&one.name).is_none_or(|known| **known != one) {
                self.take(Fact::Queue(Cow::Owned(one)));
            }
        }
        for one in environments {
            if self.facts.environments.get(&one.name).is_none_or(|known| **known != one) {
                self.take(Fact::Environment(Cow::Owned(one)));
            }
        }
        for one in nodes.things.into_values().flatten() {
            if self.facts.nodes.at(&one.name).is_none_or(|known| **known != one) {
                self.take(Fact::Node(Cow::Owned(one)));
            }
        }
        for one in machines {
            if self.facts.machines.get(&one.name).is_none_or(|known| **known != one) {
                self.take(Fact::Machine(Cow::Owned(one)));
            }
        }
        for one in jobs.things.into_values().flatten() {
            let known = self.facts.jobs.at(&Uid::new(&one.uid)).and_then(|fact| fact.job.as_ref());
            if known.is_none_or(|known| **known != one) {
                self.take(Fact::Job(Cow::Owned(one)));
            }
        }
        for one in units.things.into_values().flatten() {
            if self.facts.units.at(&Uid::new(&one.uid)).is_none_or(|known| *known.unit != one) {
                self.take(Fact::Unit(Cow::Owned(one)));
            }
        }
    }

    /// Forgets what is not there.
    fn forget_others(&mut self, news: &News) {
        let News { queues, environments, machines, nodes, jobs, units, .. } = news;
        let names: HashSet<&str> = queues.iter().map(|one| one.name.as_str()).collect();
        for name in others(self.facts.queues.keys(), &names) {
            self.forget(&Thing::Queue(&name));
        }
        let names: HashSet<&str> = environments.iter().map(|one| one.name.as_str()).collect();
        for name in others(self.facts.environments.keys(), &names) {
            self.forget(&Thing::Environment(&name));
        }
        for name in gone(nodes, self.facts.nodes.iter().map(|(_, node)| &node.name)) {
            self.forget(&Thing::Node(&name));
        }
        let names: HashSet<&str> = machines.iter().map(|one| one.name.as_str()).collect();
        for name in others(self.facts.machines.keys(), &names) {
            self.forget(&Thing::Machine(&name));
        }
        let known = self.facts.jobs.iter().filter_map(|(_, fact)| fact.job.as_ref());
        for uid in gone(jobs, known.map(|job| &job.uid)) {
            self.forget(&Thing::Job(&uid));
        }
        for uid in gone(units, self.facts.units.iter().map(|(_, fact)| &fact.unit.uid)) {
            self.forget(&Thing::Unit(&uid));
        }
    }
}

/// Those of the known that are not there.
fn others<'k>(known: impl Iterator<Item = &'k String>, there: &HashSet<&str>) -> Vec<String> {
    known.filter(|key| !there.contains(key.as_str())).cloned().collect()
}

/// Those that are said not to be there; some of them may never have been.
fn gone<'k, T>(Changes { whole, things }: &Changes<T>, known: impl Iterator<Item = &'k String>) -> Vec<String> {
    if *whole {
        known.filter(|key| !things.get(*key).is_some_and(Option::is_some)).cloned().collect()
    } else {
        things.iter().filter(|(_, thing)| thing.is_none()).map(|(key, _)| key.clone()).collect()
    }
}

impl World<'_> {
    /// All that is known, as a snapshot.
    pub fn snapshot(&self) -> Snapshot {
        let facts = &self.facts;
        let mut nodes: Vec<Node> = facts.nodes.iter().map(|(_, node)| node.clone().into_owned()).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let known = facts.jobs.iter().filter_map(|(_, fact)| fact.job.clone());
        let mut jobs: Vec<_> = known.map(Cow::into_owned).collect();
        jobs.sort_by(|a, b| a.uid.cmp(&b.uid));
        let mut units: Vec<_> = facts.units.iter().map(|(_, fact)| fact.unit.clone().into_owned()).collect();
        units.sort_by(|a, b| a.uid.cmp(&b.uid));
        Snapshot {
            hooks_missing: facts.hooks_missing,
            closed: facts.closed.clone().into_owned(),
            queues: facts.queues.values().cloned().map(Cow::into_owned).collect(),
            environments: facts.environments.values().cloned().map(Cow::into_owned).collect(),
            nodes,
            machines: facts.machines.values().cloned().map(Cow::into_owned).collect(),
            jobs,
            units,
            refused: facts.refused.clone().into_owned(),
            kept_since: facts.kept_since.clone().into_owned(),
        }
    }

    /// Namespaces in which no pod of the API can be made.
    pub fn closed(&self) -> &BTreeMap<String, Closed> {
        &self.facts.closed
    }

    /// A queue, by its object name.
    pub fn queue(&self, name: &str) -> Option<&Queue> {
        self.facts.queues.get(name).map(|one| &**one)
    }

    /// An environment, by its object name.
    pub fn environment(&self, name: &str) -> Option<&Environment> {
        self.facts.environments.get(name).map(|one| &**one)
    }

    /// A node, by its name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.facts.nodes.at(name).map(|one| &**one)
    }

    /// A Job, by its UID.
    pub fn job(&self, uid: &str) -> Option<&Job> {
        self.facts.jobs.at(&Uid::new(uid))?.job.as_deref()
    }

    /// The machines of an environment, by its object name.
    pub fn machines_of(&self, environment: &str) -> impl Iterator<Item = &Machine> {
        let names = self.facts.machines_of.get(environment).into_iter().flatten();
        names.filter_map(|name| self.facts.machines.get(name).map(|one| &**one))
    }

    /// The nodes of an environment, by its UUID.
    pub fn nodes_of(&self, uuid: &str) -> impl Iterator<Item = &Node> {
        let names = self.facts.nodes_of.get(uuid).into_iter().flatten();
        names.filter_map(|name| self.facts.nodes.at(name).map(|one| &**one))
    }
}
