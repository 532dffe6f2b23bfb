//! The room of one cycle: what is free on each node and on each machine that is on its way.
//!
//! Invariant: room only shrinks during a cycle, so what did not fit once does not fit later. Knows nothing about queues.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use model::placement::Shape;
use model::resources::Resources;
use model::snapshot::{Environment, Machine, Node, Offer, Place, Snapshot, Stage};

use crate::explain::Note;
use crate::promise::Promise;

/// A place where units fit: a node, or a machine that is on its way.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    /// Name of node and machine; empty for one that this plan launches.
    pub(crate) name: &'a str,
    /// The node; `None`: it is on its way.
    pub(crate) node: Option<&'a Node>,
    /// What is still to come: all of it, or what a node that has just joined lacks.
    promise: Option<Promise>,
    /// What pods can request in all.
    pub(crate) allocatable: Resources,
    /// What is left.
    pub(crate) free: Resources,
    /// vCPUs of its machine as sold, in thousandths; 0: nobody can give it back.
    pub(crate) milli_vcpus: i64,
    /// Somebody wants it in this cycle.
    pub(crate) wanted: bool,
    /// It is kept free to make way for a larger machine.
    pub(crate) closed: bool,
}

impl Room<'_> {
    /// Whether a unit may run here at all, were it empty.
    pub(crate) fn suits(&self, shape: &Shape) -> bool {
        match (self.node, &self.promise) {
            (Some(node), _) => {
                shape.requests.fits(&self.allocatable)
                    && shape.selects(&node.name, &node.labels)
                    && shape.kept_away_by(&node.taints).is_none()
            }
            (None, promise) => promise.as_ref().is_some_and(|promise| promise.suits(shape)),
        }
    }

    /// Whether a unit that cannot start here now may do so when the machine has joined, or has started wholly.
    pub(crate) fn will_take(&self, shape: &Shape) -> bool {
        let promised = self.promise.as_ref().is_some_and(|promise| promise.suits(shape));
        promised && !self.closed && shape.requests.fits(&self.free) && (self.node.is_none() || !self.suits(shape))
    }

    /// Whether a unit can start here now.
    pub(crate) fn takes(&self, shape: &Shape) -> bool {
        !self.closed && shape.requests.fits(&self.free) && self.suits(shape)
    }

    /// It does not go, although no unit is on it: kept for one that kube-scheduler has.
    pub(crate) fn is_kept(&self) -> bool {
        self.node.is_some_and(|node| node.units == 0 && node.idle_since.is_none())
    }

    /// Takes room for a unit.
    pub(crate) fn take(&mut self, shape: &Shape) {
        self.free.sub(&shape.requests);
        self.wanted = true;
    }
}

/// The rooms of one environment.
#[derive(Debug)]
pub(crate) struct Rooms<'a> {
    /// The environment.
    pub(crate) environment: &'a Environment,
    /// Nodes that take work, and machines on their way.
    #[allow(clippy::struct_field_names, reason = "a Room is what it is called everywhere")]
    pub(crate) rooms: Vec<Room<'a>>,
    /// vCPUs (thousandths) of all its machines, those on their way out included.
    pub(crate) used_milli: i64,
    /// The part of `used_milli` that is not on its way out.
    pub(crate) staying_milli: i64,
    /// The part of `staying_milli` that neither gives room nor goes: nodes that are not Ready.
    pub(crate) stuck_milli: i64,
    /// Machines on their way.
    pub(crate) coming: usize,
    /// More may be offered in a moment than is now.
    pub(crate) unsettled: bool,
    /// The room that last took a unit of this shape.
    last: HashMap<&'a Shape, usize>,
    /// Shapes that no node takes any more.
    full: HashSet<&'a Shape>,
    /// Its vCPUs are kept for something that needs a larger machine: nothing else is launched.
    pub(crate) makes_way: bool,
    /// Shapes for which no machine can be launched any more, and why.
    pub(crate) refused: HashMap<&'a Shape, Note>,
}

impl<'a> Rooms<'a> {
    /// The rooms of `environment`, as the snapshot shows them at `now`, less what is held for kube-scheduler.
    pub(crate) fn new(environment: &'a Environment, snapshot: &'a Snapshot, now: Timestamp) -> Self {
        let machines: Vec<&Machine> =
            snapshot.machines.iter().filter(|machine| machine.environment == environment.name).collect();
        let nodes = || snapshot.nodes.iter().filter(|node| node.environment_uuid == environment.uuid);
        let retiring: HashSet<&str> = nodes().filter(|node| node.retiring).map(|node| node.name.as_str()).collect();
        let mut rooms = Self {
            environment,
            rooms: Vec::new(),
            used_milli: machines.iter().map(|machine| machine.milli_vcpus).sum(),
            staying_milli: machines
                .iter()
                .filter(|machine| machine.stage != Stage::Going && !retiring.contains(machine.name.as_str()))
                .map(|machine| machine.milli_vcpus)
                .sum(),
            stuck_milli: 0,
            coming: 0,
            unsettled: environment
                .scaling
                .as_ref()
                .is_some_and(|scaling| scaling.unsettled_until.is_some_and(|until| until > now)),
            last: HashMap::new(),
            full: HashSet::new(),
            makes_way: false,
            refused: HashMap::new(),
        };
        let offers: HashMap<&str, &Machine> =
            machines.iter().map(|machine| (machine.name.as_str(), *machine)).collect();
        for node in nodes() {
            rooms.add_node(node, offers.get(node.name.as_str()).copied(), now);
        }
        for machine in machines {
            let has_room = rooms.rooms.iter().any(|room| room.name == machine.name);
            match machine.stage {
                Stage::Coming if !has_room => {
                    let promise = rooms.promise(&machine.offer, &machine.allocatable, &machine.labels);
                    rooms.add_coming(&machine.name, machine.milli_vcpus, promise);
                }
                Stage::Serving if !has_room && !retiring.contains(machine.name.as_str()) => {
                    rooms.stuck_milli += machine.milli_vcpus;
                }
                _ => {}
            }
        }
        rooms.subtract_holds(snapshot);
        rooms
    }

    fn add_node(&mut self, node: &'a Node, machine: Option<&'a Machine>, now: Timestamp) {
        let going = machine.is_some_and(|machine| machine.stage == Stage::Going);
        if !node.ready || node.retiring || going {
            return;
        }
        let mut given = node.allocatable.clone();
        given.sub(&node.foreign);
        let mut free = node.allocatable.clone();
        free.sub(&node.used);
        let starting = machine.filter(|_| node.starting_until.is_some_and(|until| until > now));
        let promise = starting.map(|machine| self.promise(&machine.offer, &machine.allocatable, &machine.labels));
        let promise = promise.filter(|promise| promise.is_open(node));
        if let Some(promise) = &promise {
            promise.add_missing(&node.allocatable, &mut free);
        }
        self.rooms.push(Room {
            name: &node.name,
            node: Some(node),
            promise,
            allocatable: given,
            free,
            milli_vcpus: machine.map_or(0, |machine| machine.milli_vcpus),
            wanted: false,
            closed: false,
        });
    }

    fn add_coming(&mut self, name: &'a str, milli_vcpus: i64, promise: Promise) -> usize {
        self.coming += 1;
        self.rooms.push(Room {
            name,
            node: None,
            allocatable: promise.room.clone(),
            free: promise.room.clone(),
            promise: Some(promise),
            milli_vcpus,
            wanted: false,
            closed: false,
        });
        self.rooms.len() - 1
    }

    /// Adds the room of a machine that this plan launches.
    pub(crate) fn launch(&mut self, offer: &'a Offer) -> usize {
        self.used_milli += offer.milli_vcpus;
        self.staying_milli += offer.milli_vcpus;
        let promise = self.promise_of(offer);
        self.add_coming("", offer.milli_vcpus, promise)
    }

    /// What a node of this offer can be expected to be.
    pub(crate) fn promise_of(&self, offer: &Offer) -> Promise {
        self.promise(&offer.name, &offer.allocatable, &offer.labels)
    }

    fn promise(&self, offer: &str, room: &Resources, labels: &BTreeMap<String, String>) -> Promise {
        let environment = self.environment;
        let given = environment.scaling.as_ref().and_then(|scaling| scaling.learned.get(offer));
        Promise::new(room, labels, given, &environment.uuid)
    }

    fn subtract_holds(&mut self, snapshot: &Snapshot) {
        for unit in &snapshot.units {
            // What kube-scheduler has refused is not kept free for it: it may never come, and it looks at room itself when it does.
            if let Place::Held { nodes, refused: false } = &unit.place {
                for room in self.rooms.iter_mut().filter(|room| nodes.iter().any(|node| node == room.name)) {
                    room.take(&unit.shape);
                }
            }
        }
    }

    /// The node on which a unit starts now: the fullest that takes it, so that others run empty.
    pub(crate) fn ready(&mut self, shape: &'a Shape) -> Option<usize> {
        if self.full.contains(shape) {
            return None;
        }
        if let Some(&last) = self.last.get(shape)
            && self.rooms[last].takes(shape)
        {
            return Some(last);
        }
        let found = self.fullest(|room| room.node.is_some() && room.takes(shape));
        match found {
            Some(found) => drop(self.last.insert(shape, found)),
            None => drop(self.full.insert(shape)),
        }
        found
    }

    /// A machine on its way, or one that has just joined, that will take a unit.
    pub(crate) fn coming(&self, shape: &Shape) -> Option<usize> {
        self.fullest(|room| room.will_take(shape))
    }

    fn fullest(&self, suits: impl Fn(&Room<'_>) -> bool) -> Option<usize> {
        let candidates = self.rooms.iter().enumerate().filter(|(_, room)| suits(room));
        candidates
            .min_by(|(_, a), (_, b)| (a.free.cpu, a.free.memory, a.name).cmp(&(b.free.cpu, b.free.memory, b.name)))
            .map(|(index, _)| index)
    }
}
