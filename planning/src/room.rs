//! The room of one cycle: what is free on each node and on each machine that is on its way.
//!
//! Invariant: room only shrinks during a cycle, so what did not fit once does not fit later. Knows nothing about queues.

use std::collections::{BTreeMap, HashMap, HashSet};

use model::placement::{Shape, Taint};
use model::resources::Resources;
use model::snapshot::{Environment, Machine, Node, Offer, Place, Snapshot, Stage};

use crate::explain::Note;
use crate::labels;

/// A place where units fit: a node, or a machine that is on its way.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    /// Name of node and machine; empty for one that this plan launches.
    pub(crate) name: &'a str,
    /// The node; `None`: it is on its way.
    pub(crate) node: Option<&'a Node>,
    labels: BTreeMap<String, String>,
    taints: &'a [Taint],
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
        shape.requests.fits(&self.allocatable)
            && shape.selects(self.name, &self.labels)
            && shape.kept_away_by(self.taints).is_none()
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
    /// What nodes of an offer really gave, where less than promised.
    pub(crate) learned: HashMap<&'a str, Resources>,
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
    /// The rooms of `environment`, as the snapshot shows them, less what is held for kube-scheduler.
    pub(crate) fn new(environment: &'a Environment, snapshot: &'a Snapshot) -> Self {
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
            learned: HashMap::new(),
            last: HashMap::new(),
            full: HashSet::new(),
            makes_way: false,
            refused: HashMap::new(),
        };
        let offers: HashMap<&str, &Machine> =
            machines.iter().map(|machine| (machine.name.as_str(), *machine)).collect();
        for node in nodes() {
            rooms.add_node(node, offers.get(node.name.as_str()).copied());
        }
        // What is there now says more than what is remembered.
        for (offer, given) in environment.scaling.iter().flat_map(|scaling| &scaling.learned) {
            rooms.learned.entry(offer).or_insert_with(|| given.room.clone());
        }
        for machine in machines {
            let has_room = rooms.rooms.iter().any(|room| room.name == machine.name);
            match machine.stage {
                Stage::Coming if !has_room => {
                    let (offer, vcpus) = (&machine.offer, machine.milli_vcpus);
                    rooms.add_coming(&machine.name, offer, vcpus, &machine.allocatable, &machine.labels);
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

    fn add_node(&mut self, node: &'a Node, machine: Option<&'a Machine>) {
        let mut given = node.allocatable.clone();
        given.sub(&node.foreign);
        // A kubelet that has just registered has not yet said all it has to give.
        if let Some(machine) = machine.filter(|_| node.ready) {
            let learned = self.learned.entry(machine.offer.as_str()).or_insert_with(|| given.clone());
            *learned = learned.least(&given);
        }
        let going = machine.is_some_and(|machine| machine.stage == Stage::Going);
        if !node.ready || node.retiring || going {
            return;
        }
        let mut free = node.allocatable.clone();
        free.sub(&node.used);
        self.rooms.push(Room {
            name: &node.name,
            node: Some(node),
            labels: node.labels.clone(),
            taints: &node.taints,
            allocatable: given,
            free,
            milli_vcpus: machine.map_or(0, |machine| machine.milli_vcpus),
            wanted: false,
            closed: false,
        });
    }

    fn add_coming(
        &mut self,
        name: &'a str,
        offer: &str,
        milli_vcpus: i64,
        promised: &Resources,
        labels: &BTreeMap<String, String>,
    ) -> usize {
        let room = self.learned.get(offer).map_or_else(|| promised.clone(), |learned| learned.least(promised));
        let labels = self.labels(offer, labels);
        self.coming += 1;
        self.rooms.push(Room {
            name,
            node: None,
            labels,
            taints: &[],
            allocatable: room.clone(),
            free: room,
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
        self.add_coming("", &offer.name, offer.milli_vcpus, &offer.allocatable, &offer.labels)
    }

    /// What a node of this offer can be expected to give, and whether a unit of this shape fits onto an empty one.
    pub(crate) fn offer_suits(&self, offer: &Offer, shape: &Shape) -> bool {
        shape.requests.fits(&self.expected(offer)) && shape.selects("", &self.labels(&offer.name, &offer.labels))
    }

    /// Labels of a node to come of this offer.
    fn labels(&self, offer: &str, promised: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let given = self.environment.scaling.as_ref().and_then(|scaling| scaling.learned.get(offer));
        labels::expected(promised, given, &self.environment.uuid)
    }

    /// What a node of this offer can be expected to give to units.
    pub(crate) fn expected(&self, offer: &Offer) -> Resources {
        self.learned
            .get(offer.name.as_str())
            .map_or_else(|| offer.allocatable.clone(), |learned| learned.least(&offer.allocatable))
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

    /// A machine on its way that will take a unit.
    pub(crate) fn coming(&self, shape: &Shape) -> Option<usize> {
        self.fullest(|room| room.node.is_none() && room.takes(shape))
    }

    fn fullest(&self, suits: impl Fn(&Room<'_>) -> bool) -> Option<usize> {
        let candidates = self.rooms.iter().enumerate().filter(|(_, room)| suits(room));
        candidates
            .min_by(|(_, a), (_, b)| (a.free.cpu, a.free.memory, a.name).cmp(&(b.free.cpu, b.free.memory, b.name)))
            .map(|(index, _)| index)
    }
}
