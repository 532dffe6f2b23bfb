//! How a site is found: from nodes, machines and offers to rooms.
//!
//! Invariant: the same facts give the same site, in the same order. Decides nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use model::resources::Resources;
use model::snapshot::{Environment, Machine, Node, Stage};

use super::super::amounts::{Amounts, ResourceNames};
use super::super::facts::Facts;
use super::super::kind::{KindId, Kinds};
use super::super::shelf::{Entry, Shelf};
use super::{Counts, Promised, Room, Shelves, Site, Sold, coming_room};
use crate::promise::Promise;

/// One site being found.
pub(super) struct Survey<'s, 'a> {
    environment: &'s Environment,
    facts: &'s Facts<'a>,
    names: &'s mut ResourceNames,
    kinds: &'s mut Kinds,
    now: Timestamp,
    until: Option<Timestamp>,
    opening: Vec<u32>,
    nodes: HashMap<KindId, usize>,
    coming: HashMap<KindId, usize>,
    rooms: Vec<Room>,
    counts: Counts,
}

impl<'s, 'a> Survey<'s, 'a> {
    pub(super) fn new(
        environment: &'s Environment,
        facts: &'s Facts<'a>,
        names: &'s mut ResourceNames,
        kinds: &'s mut Kinds,
        now: Timestamp,
    ) -> Self {
        Self {
            environment,
            facts,
            names,
            kinds,
            now,
            until: None,
            opening: Vec::new(),
            nodes: HashMap::new(),
            coming: HashMap::new(),
            rooms: Vec::new(),
            counts: Counts::default(),
        }
    }

    pub(super) fn site(mut self) -> Site {
        let facts = self.facts;
        let machines = facts.machines_of.get(&self.environment.name);
        let machines: BTreeMap<&str, &Machine> = machines
            .into_iter()
            .flatten()
            .filter_map(|name| Some((name.as_str(), &**facts.machines.get(name)?)))
            .collect();
        for (slot, node) in self.own_nodes() {
            self.node(slot, node, machines.get(node.name.as_str()).copied());
        }
        let mut by_name: HashMap<String, u32> =
            (0..).zip(&self.rooms).map(|(number, room)| (room.name.clone(), number)).collect();
        let nodes = self.rooms.len();
        for machine in machines.values() {
            self.machine(machine, by_name.contains_key(&machine.name));
        }
        by_name.extend((0..).zip(&self.rooms).skip(nodes).map(|(number, room)| (room.name.clone(), number)));
        self.keep_holds();
        let sold = self.sold();
        let (ready, coming) = (self.shelves(true), self.shelves(false));
        Site {
            rooms: self.rooms,
            by_name,
            nodes,
            counts: self.counts,
            sold,
            ready,
            coming,
            opening: self.opening,
            found: self.now,
            until: self.until,
            ..Site::default()
        }
    }

    fn own_nodes(&self) -> Vec<(u32, &'s Node)> {
        let facts = self.facts;
        let names = facts.nodes_of.get(&self.environment.uuid).into_iter().flatten();
        let slots = names.filter_map(|name| facts.nodes.find(name));
        slots.filter_map(|slot| Some((slot, &**facts.nodes.get(slot)?))).collect()
    }

    fn node(&mut self, slot: u32, node: &Node, machine: Option<&Machine>) {
        let starting = node.starting_until.filter(|until| *until > self.now);
        self.until = self.until.into_iter().chain(starting).min();
        let going = machine.is_some_and(|machine| machine.stage == Stage::Going);
        if !node.ready || node.retiring || going {
            return;
        }
        let promise =
            machine.filter(|_| starting.is_some()).map(|one| self.promise(&one.offer, &one.allocatable, &one.labels));
        let promise = promise.filter(|promise| promise.is_open(node));
        let kind = self.kinds.of(&node.labels, &node.taints);
        let mut room = Room {
            name: node.name.clone(),
            node: Some(slot),
            promised: None,
            kind,
            shelf: shelf_number(&mut self.nodes, kind),
            given: Amounts::default(),
            free: Amounts::default(),
            milli_vcpus: machine.map_or(0, |machine| machine.milli_vcpus),
            units: 0,
            is_kept: false,
            wanted: false,
            closed: false,
        };
        room.fill(node, self.names);
        if let Some(promise) = promise {
            let mut more = self.names.resources(&room.free);
            promise.add_missing(&node.allocatable, &mut more);
            room.free = self.names.amounts(&more);
            self.opening.push(u32::try_from(self.rooms.len()).unwrap_or(u32::MAX));
            room.promised = Some(self.promised(promise));
        }
        self.rooms.push(room);
    }

    fn machine(&mut self, machine: &Machine, has_room: bool) {
        let node = self.facts.nodes.at(&machine.name).filter(|node| node.environment_uuid == self.environment.uuid);
        let is_retiring = node.is_some_and(|node| node.retiring);
        self.counts.used += machine.milli_vcpus;
        if machine.stage != Stage::Going && !is_retiring {
            self.counts.staying += machine.milli_vcpus;
        }
        match machine.stage {
            Stage::Coming if !has_room => {
                let promise = self.promise(&machine.offer, &machine.allocatable, &machine.labels);
                let promised = self.promised(promise);
                let number = shelf_number(&mut self.coming, promised.kind);
                self.counts.coming += 1;
                self.rooms.push(coming_room(machine.name.clone(), promised, number, machine.milli_vcpus));
            }
            Stage::Serving if !has_room && !is_retiring => self.counts.stuck += machine.milli_vcpus,
            _ => {}
        }
    }

    /// What a node to come of an offer can be expected to be.
    fn promise(&self, offer: &str, room: &Resources, labels: &BTreeMap<String, String>) -> Promise {
        let given = self.environment.scaling.as_ref().and_then(|scaling| scaling.learned.get(offer));
        Promise::new(room, labels, given, &self.environment.uuid)
    }

    fn promised(&mut self, promise: Promise) -> Arc<Promised> {
        let room = self.names.amounts(&promise.room);
        let kind = self.kinds.coming(&promise.labels, &promise.certain, &promise.taints);
        Arc::new(Promised { promise, room, kind })
    }

    fn sold(&mut self) -> Vec<Sold> {
        let offers = self.environment.scaling.as_ref().and_then(|scaling| scaling.offers.as_ref().ok());
        let mut all = Vec::new();
        for (number, offer) in offers.into_iter().flatten().enumerate() {
            let promise = self.promise(&offer.name, &offer.allocatable, &offer.labels);
            all.push(Sold { offer: number, promised: self.promised(promise) });
        }
        all
    }

    fn keep_holds(&mut self) {
        let facts = self.facts;
        if facts.holds.is_empty() {
            return;
        }
        for room in &mut self.rooms {
            room.keep_holds(facts);
        }
    }

    fn shelves(&self, of_nodes: bool) -> Shelves {
        let kinds = if of_nodes { &self.nodes } else { &self.coming };
        let mut shelves: Vec<(KindId, Vec<Entry>)> = kinds.keys().map(|kind| (*kind, Vec::new())).collect();
        shelves.sort_by_key(|(kind, _)| kinds[kind]);
        for (number, room) in (0..).zip(&self.rooms).filter(|(_, room)| room.node.is_some() == of_nodes) {
            shelves[room.shelf].1.push(Entry { free: room.free.common, room: number });
        }
        shelves.into_iter().map(|(kind, entries)| (kind, Shelf::new(entries))).collect()
    }
}

fn shelf_number(kinds: &mut HashMap<KindId, usize>, kind: KindId) -> usize {
    let next = kinds.len();
    *kinds.entry(kind).or_insert(next)
}
