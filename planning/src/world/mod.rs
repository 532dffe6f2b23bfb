//! The one state that decisions are made on: facts come in, one by one and in any order, and it is asked for a plan.
//!
//! Invariant: the plan hangs on what the facts are by now and on the time, not on how or when they came, and asking for it changes nothing:
//! what is remembered of a plan spares work and says nothing else.
//! Owned by one task; knows no clock.

mod amounts;
pub(crate) mod board;
pub(crate) mod class;
pub(crate) mod environments;
mod fact;
pub(crate) mod facts;
mod front;
pub(crate) mod kept;
pub(crate) mod kind;
pub(crate) mod lines;
pub(crate) mod look;
mod news;
pub(crate) mod rank;
mod shelf;
mod show;
pub(crate) mod site;
pub(crate) mod sites;
mod slots;
pub(crate) mod status;
pub(crate) mod uid;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use model::plan::Plan;
use model::snapshot::{Environment, Node, Snapshot};

use crate::cycle::Cycle;
use board::Board;
use class::ClassId;
pub use fact::{Fact, Thing};
use facts::Facts;
pub use front::Waiting;
use kind::Kinds;
use look::Look;
pub use news::{Changes, News};
use site::Site;
use sites::Sites;
use uid::Uid;

/// The world as it is known.
#[derive(Debug, Default)]
pub struct World<'a> {
    facts: Facts<'a>,
    kinds: Kinds,
    sites: Sites,
    /// Slots of environments whose sites are not as the facts are.
    stale: BTreeSet<usize>,
    /// Classes that may fare otherwise, by either name of the environment where they may; `None`: all.
    news: HashMap<String, Option<BTreeSet<ClassId>>>,
    board: Board,
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
            Fact::KeptSince(since) => {
                if self.facts.kept_since != since {
                    self.facts.kept_since = since;
                    self.facts.is_kept_anew = true;
                }
            }
            Fact::Queue(queue) => self.facts.set_queue(queue),
            Fact::Environment(environment) => {
                let (slot, before) = self.facts.environments.insert(environment);
                self.stale.insert(slot);
                self.was(before.as_deref());
            }
            Fact::Node(node) => self.take_node(node),
            Fact::Machine(machine) => {
                let before = self.facts.remove_machine(&machine.name);
                self.touch_environments(before.into_iter().chain([machine.environment.clone()]));
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
            let of_node: Vec<usize> = self.facts.environments.of_uuid(&node.environment_uuid).collect();
            let name = node.name.clone();
            self.facts.replace_node(node);
            for environment in of_node {
                self.refresh(environment, &name);
            }
            return;
        }
        let before = self.facts.remove_node(&node.name);
        self.touch_uuids(before.into_iter().chain([node.environment_uuid.clone()]));
        self.facts.set_node(node);
    }

    fn forget(&mut self, thing: &Thing<'_>) {
        match thing {
            Thing::Queue(name) => self.facts.remove_queue(name),
            Thing::Environment(name) => {
                if let Some((slot, before)) = self.facts.environments.remove(name) {
                    self.sites.remove(slot);
                    self.was(Some(&before));
                }
            }
            Thing::Node(name) => {
                let before = self.facts.remove_node(name);
                self.touch_uuids(before);
            }
            Thing::Machine(name) => {
                let before = self.facts.remove_machine(name);
                self.touch_environments(before);
            }
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
        let Self { facts, kinds, sites, board, .. } = self;
        let (plan, memory) = Cycle::new(facts, kinds, sites, board, now).plan();
        self.sites.back();
        self.facts.remember(&memory);
        plan
    }

    /// Whether most of the ids that are remembered are of what has gone.
    fn is_littered(&self) -> bool {
        let Facts { classes, namespaces, units, nodes, machines, environments, .. } = &self.facts;
        let scalings = environments.markets().filter_map(|slot| environments[slot].scaling.as_ref());
        let offers = scalings.filter_map(|scaling| Some(scaling.offers.as_ref().ok()?.len()));
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
            self.stale.extend(self.facts.environments.slots());
        }
        self.stale.extend(self.sites.late(now));
        let mut names = std::mem::take(&mut self.facts.names);
        for slot in std::mem::take(&mut self.stale) {
            let environment = &self.facts.environments[slot];
            if self.facts.environments.slot(&environment.name) == Some(slot) {
                let site = Site::new(environment, &self.facts, &mut names, &mut self.kinds, now);
                self.news.insert(environment.aws_name.clone(), None);
                self.news.insert(environment.name.clone(), None);
                self.sites.put(slot, site);
            }
        }
        self.facts.names = names;
        self.wake();
        self.board.settle(&mut self.facts);
        self.sites.find_hopeless(&mut Look { facts: &self.facts, kinds: &mut self.kinds });
    }

    /// Wakes the lanes that may fare otherwise because of what has become of environments of their queues.
    fn wake(&mut self) {
        let news = std::mem::take(&mut self.news);
        let facts = &mut self.facts;
        let affected: BTreeSet<&String> = news.keys().filter_map(|name| facts.queues_of.get(name)).flatten().collect();
        for queue in affected {
            let Some(known) = facts.queues.get(queue) else { continue };
            let news: Vec<_> = known.environments.iter().filter_map(|name| news.get(name)).collect();
            let is_new = |class| news.iter().any(|one| one.as_ref().is_none_or(|classes| classes.contains(&class)));
            facts.lines.wake(queue, is_new);
            if news.iter().any(|one| one.is_none()) {
                // It may have another name, or none.
                facts.lines.touch(queue);
            }
        }
    }

    /// An environment is not what it was: whoever named it so looks again.
    fn was(&mut self, before: Option<&Environment>) {
        let names = before.into_iter().flat_map(|before| [&before.name, &before.aws_name]);
        self.news.extend(names.map(|name| (name.clone(), None)));
    }

    /// The environments with one of these UUIDs are not as they were.
    fn touch_uuids(&mut self, uuids: impl IntoIterator<Item = String>) {
        for uuid in uuids {
            self.stale.extend(self.facts.environments.of_uuid(&uuid));
        }
    }

    /// The environments with one of these object names are not as they were.
    fn touch_environments(&mut self, names: impl IntoIterator<Item = String>) {
        self.stale.extend(names.into_iter().filter_map(|name| self.facts.environments.slot(&name)));
    }

    /// What is kept on these nodes or machines is not as it was.
    fn touch_nodes(&mut self, touched: &[String]) {
        for name in touched {
            let facts = &self.facts;
            let node = facts.nodes.at(name);
            let of_node = node.into_iter().flat_map(|node| facts.environments.of_uuid(&node.environment_uuid));
            let machine = facts.machines.get(name).and_then(|machine| facts.environments.slot(&machine.environment));
            let environments: Vec<usize> = of_node.chain(machine).collect();
            for environment in environments {
                if self.sites.get(environment).is_some_and(|site| site.has_node(name)) {
                    self.refresh(environment, name);
                } else {
                    self.stale.insert(environment);
                }
            }
        }
    }

    /// Brings the room of a node in an environment up to date, if it has one.
    fn refresh(&mut self, environment: usize, node: &str) {
        let Self { facts, sites, stale, kinds, news, .. } = self;
        let Some(site) = sites.get_mut(environment).filter(|_| !stale.contains(&environment)) else { return };
        let mut names = std::mem::take(&mut facts.names);
        let freed = facts.nodes.at(node).map(|node| site.refresh(node, &mut names, &mut Look { facts, kinds }));
        facts.names = names;
        match freed {
            Some(Some(classes)) if classes.is_empty() => {}
            Some(Some(classes)) => {
                let known = &facts.environments[environment];
                for name in [&known.name, &known.aws_name] {
                    if let Some(all) = news.entry(name.clone()).or_insert_with(|| Some(BTreeSet::new())) {
                        all.extend(&classes);
                    }
                }
            }
            Some(None) | None => drop(stale.insert(environment)),
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
