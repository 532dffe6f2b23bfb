//! The one state that decisions are made on: facts come in, one by one and in any order, and it is asked for a plan.
//!
//! Invariant: the plan hangs on what the facts are by now and on the time, not on how or when they came, and asking for it changes nothing:
//! what is remembered of a plan spares work and says nothing else.
//! Owned by one task; knows no clock.

mod amounts;
pub(crate) mod class;
mod fact;
pub(crate) mod facts;
mod front;
pub(crate) mod kind;
pub(crate) mod lines;
pub(crate) mod look;
pub(crate) mod rank;
mod shelf;
mod show;
pub(crate) mod site;
mod slots;
pub(crate) mod status;
pub(crate) mod uid;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use model::plan::Plan;
use model::snapshot::{Environment, Node, Snapshot};

use crate::cycle::Cycle;
use class::ClassId;
pub use fact::{Fact, Thing};
use facts::Facts;
pub use front::Waiting;
use kind::Kinds;
use look::Look;
use site::Site;
use uid::Uid;

/// The world as it is known.
#[derive(Debug, Default)]
pub struct World<'a> {
    facts: Facts<'a>,
    kinds: Kinds,
    /// By object name of the environment.
    sites: BTreeMap<String, Site>,
    /// Environments whose sites are not as the facts are.
    stale: BTreeSet<String>,
    /// Classes that may fare otherwise, by either name of the environment where they may; `None`: all.
    news: HashMap<String, Option<BTreeSet<ClassId>>>,
}

/// Ids of what is not there any more are forgotten once there are this many, and more of them than of others.
const SPARE: usize = 1000;

impl<'a> World<'a> {
    /// Of all that a snapshot shows.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        // Without `..`: nothing of it may be forgotten.
        let Snapshot { hooks_missing, closed, queues, environments, nodes, machines, jobs, units, refused, kept_since } =
            snapshot;
        let mut world = Self::default();
        world.take(Fact::HooksMissing(*hooks_missing));
        world.take(Fact::Closed(Cow::Borrowed(closed)));
        world.take(Fact::Refused(Cow::Borrowed(refused)));
        world.take(Fact::KeptSince(Cow::Borrowed(kept_since)));
        world.extend(queues.iter().map(|one| Fact::Queue(Cow::Borrowed(one))));
        world.extend(environments.iter().map(|one| Fact::Environment(Cow::Borrowed(one))));
        world.extend(nodes.iter().map(|one| Fact::Node(Cow::Borrowed(one))));
        world.extend(machines.iter().map(|one| Fact::Machine(Cow::Borrowed(one))));
        world.extend(jobs.iter().map(|one| Fact::Job(Cow::Borrowed(one))));
        world.extend(units.iter().map(|one| Fact::Unit(Cow::Borrowed(one))));
        world
    }

    /// Takes in what is so now.
    pub fn take(&mut self, fact: Fact<'a>) {
        match fact {
            Fact::HooksMissing(missing) => {
                if std::mem::replace(&mut self.facts.hooks_missing, missing) != missing {
                    self.facts.lines.wake_all();
                }
            }
            Fact::Closed(closed) => {
                if self.facts.closed != closed {
                    self.facts.closed = closed;
                    self.facts.lines.wake_all();
                }
            }
            Fact::Refused(refused) => self.facts.refused = refused,
            Fact::KeptSince(since) => self.facts.kept_since = since,
            Fact::Queue(queue) => {
                self.facts.lines.wake(&queue.name, |_| true);
                self.facts.queues.insert(queue.name.clone(), queue);
            }
            Fact::Environment(environment) => {
                self.stale.insert(environment.name.clone());
                let before = self.facts.environments.insert(environment.name.clone(), environment);
                self.was(before.as_deref());
            }
            Fact::Node(node) => self.take_node(node),
            Fact::Machine(machine) => {
                let before = self.facts.remove_machine(&machine.name);
                self.stale.extend(before.into_iter().chain([machine.environment.clone()]));
                self.facts.set_machine(machine);
            }
            Fact::Job(job) => self.facts.set_job(job),
            Fact::Unit(unit) => {
                let nodes = self.facts.set_unit(unit);
                self.touch_nodes(&nodes);
            }
            Fact::Gone(thing) => self.forget(&thing),
        }
    }

    /// Most of what happens to a node is that pods come and go: then its room is brought up to date, and nothing is found anew.
    fn take_node(&mut self, node: Cow<'a, Node>) {
        let known = self.facts.nodes.at(&node.name);
        if known.is_some_and(|known| site::is_same_place(known, &node)) {
            let environments = self.facts.environments.values();
            let of_node: Vec<String> = environments
                .filter(|environment| environment.uuid == node.environment_uuid)
                .map(|environment| environment.name.clone())
                .collect();
            let name = node.name.clone();
            self.facts.replace_node(node);
            for environment in of_node {
                self.refresh(&environment, &name);
            }
            return;
        }
        let before = self.facts.remove_node(&node.name);
        self.touch_uuids(before.into_iter().chain([node.environment_uuid.clone()]));
        self.facts.set_node(node);
    }

    fn forget(&mut self, thing: &Thing<'_>) {
        match thing {
            Thing::Queue(name) => {
                self.facts.lines.wake(name, |_| true);
                self.facts.queues.remove(*name);
            }
            Thing::Environment(name) => {
                let before = self.facts.environments.remove(*name);
                self.sites.remove(*name);
                self.was(before.as_deref());
            }
            Thing::Node(name) => {
                let before = self.facts.remove_node(name);
                self.touch_uuids(before);
            }
            Thing::Machine(name) => self.stale.extend(self.facts.remove_machine(name)),
            Thing::Job(uid) => self.facts.remove_job(&Uid::new(uid)),
            Thing::Unit(uid) => {
                let nodes = self.facts.remove_unit(&Uid::new(uid));
                self.touch_nodes(&nodes);
            }
        }
    }

    /// What is to be done at this time.
    pub fn plan(&mut self, now: Timestamp) -> Plan {
        self.settle(now);
        if self.is_littered() {
            self.renew();
            self.settle(now);
        }
        let marks: Vec<_> = self.sites.values().map(Site::mark).collect();
        let (plan, memory) = Cycle::new(&self.facts, &mut self.kinds, self.sites.values_mut().collect(), now).plan();
        for (site, mark) in self.sites.values_mut().zip(marks) {
            site.back(mark);
        }
        self.facts.remember(&memory);
        plan
    }

    /// Whether most of the ids that are remembered are of what has gone.
    fn is_littered(&self) -> bool {
        let Facts { classes, namespaces, units, nodes, machines, environments, .. } = &self.facts;
        let offers = environments.values().filter_map(|one| Some(one.scaling.as_ref()?.offers.as_ref().ok()?.len()));
        let places = nodes.count() + machines.len() + offers.sum::<usize>();
        let pairs =
            [(classes.len(), classes.needed()), (self.kinds.len(), places), (namespaces.count(), units.count())];
        pairs.into_iter().any(|(all, there)| all > 2 * there + SPARE)
    }

    /// Makes everything anew from what is known, so that nothing of what has gone is remembered.
    pub(crate) fn renew(&mut self) {
        let Facts {
            hooks_missing,
            closed,
            queues,
            environments,
            nodes,
            machines,
            units,
            jobs,
            refused,
            kept_since,
            ..
        } = std::mem::take(self).facts;
        self.take(Fact::HooksMissing(hooks_missing));
        self.take(Fact::Closed(closed));
        self.take(Fact::Refused(refused));
        self.take(Fact::KeptSince(kept_since));
        self.extend(queues.into_values().map(Fact::Queue));
        self.extend(environments.into_values().map(Fact::Environment));
        self.extend(nodes.into_things().map(Fact::Node));
        self.extend(machines.into_values().map(Fact::Machine));
        self.extend(jobs.into_things().filter_map(|fact| fact.job).map(Fact::Job));
        self.extend(units.into_things().map(|fact| Fact::Unit(fact.unit)));
    }

    /// What is known at this time.
    pub(crate) fn facts_at(&mut self, now: Timestamp) -> &Facts<'a> {
        self.facts.at(now);
        &self.facts
    }

    /// Brings everything up to date with the facts and the time.
    fn settle(&mut self, now: Timestamp) {
        self.facts.at(now);
        if self.kinds.read(self.facts.classes.read()) {
            self.stale.extend(self.facts.environments.keys().cloned());
        }
        let late = self.sites.iter().filter(|(_, site)| site.is_stale(now)).map(|(name, _)| name.clone());
        self.stale.extend(late);
        let mut names = std::mem::take(&mut self.facts.names);
        for name in std::mem::take(&mut self.stale) {
            if let Some(environment) = self.facts.environments.get(&name) {
                let site = Site::new(environment, &self.facts, &mut names, &mut self.kinds, now);
                self.news.insert(environment.aws_name.clone(), None);
                self.news.insert(name.clone(), None);
                self.sites.insert(name, site);
            }
        }
        self.facts.names = names;
        self.wake();
        let mut look = Look { facts: &self.facts, kinds: &mut self.kinds };
        self.sites.values_mut().for_each(|site| site.find_hopeless(&mut look));
    }

    /// Wakes the lanes that may fare otherwise because of what has become of environments of their queues.
    fn wake(&mut self) {
        let news = std::mem::take(&mut self.news);
        let queues = self.facts.queues.values().filter(|_| !news.is_empty());
        for queue in queues {
            let news: Vec<_> = queue.environments.iter().filter_map(|name| news.get(name)).collect();
            let is_new = |class| news.iter().any(|one| one.as_ref().is_none_or(|classes| classes.contains(&class)));
            self.facts.lines.wake(&queue.name, is_new);
        }
    }

    /// An environment is not what it was: whoever named it so looks again.
    fn was(&mut self, before: Option<&Environment>) {
        let names = before.into_iter().flat_map(|before| [&before.name, &before.aws_name]);
        self.news.extend(names.map(|name| (name.clone(), None)));
    }

    /// The environments with one of these UUIDs are not as they were.
    fn touch_uuids(&mut self, uuids: impl IntoIterator<Item = String>) {
        let uuids: BTreeSet<String> = uuids.into_iter().collect();
        let touched = self.facts.environments.values().filter(|environment| uuids.contains(&environment.uuid));
        self.stale.extend(touched.map(|environment| environment.name.clone()));
    }

    /// What is kept on these nodes or machines is not as it was.
    fn touch_nodes(&mut self, touched: &[String]) {
        for name in touched {
            let facts = &self.facts;
            let node = facts.nodes.at(name);
            let is_of = |one: &&Cow<'_, Environment>| node.is_some_and(|node| node.environment_uuid == one.uuid);
            let of_node = facts.environments.values().filter(is_of).map(|one| &one.name);
            let machine = facts.machines.get(name).map(|machine| &machine.environment);
            let environments: Vec<String> = of_node.chain(machine).cloned().collect();
            for environment in environments {
                if self.sites.get(&environment).is_some_and(|site| site.has_node(name)) {
                    self.refresh(&environment, name);
                } else {
                    self.stale.insert(environment);
                }
            }
        }
    }

    /// Brings the room of a node in an environment up to date, if it has one.
    fn refresh(&mut self, environment: &str, node: &str) {
        let Self { facts, sites, stale, kinds, news, .. } = self;
        let Some(site) = sites.get_mut(environment).filter(|_| !stale.contains(environment)) else { return };
        let mut names = std::mem::take(&mut facts.names);
        let freed = facts.nodes.at(node).map(|node| site.refresh(node, &mut names, &mut Look { facts, kinds }));
        facts.names = names;
        match freed {
            Some(Some(classes)) if classes.is_empty() => {}
            Some(Some(classes)) => {
                let known = facts.environments.get(environment).into_iter().flat_map(|one| [&one.name, &one.aws_name]);
                for name in known {
                    if let Some(all) = news.entry(name.clone()).or_insert_with(|| Some(BTreeSet::new())) {
                        all.extend(&classes);
                    }
                }
            }
            Some(None) | None => drop(stale.insert(environment.to_owned())),
        }
    }
}

impl<'a> Extend<Fact<'a>> for World<'a> {
    fn extend<T: IntoIterator<Item = Fact<'a>>>(&mut self, facts: T) {
        for fact in facts {
            self.take(fact);
        }
    }
}
