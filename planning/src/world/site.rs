//! An environment as a place: its rooms, and what counts against its limits.
//!
//! Invariant: whatever a plan does to it is in its log, and going back leaves no trace. During a plan room only shrinks, so what did
//! not fit once does not fit later. Knows nothing about queues.

mod hopeless;
mod survey;
mod undo;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use model::snapshot::{Environment, Node, Offer};

use super::amounts::{Amounts, ResourceNames};
use super::class::{ClassId, Classes};
use super::facts::Facts;
use super::kind::{KindId, Kinds};
use super::look::Look;
use super::shelf::{Entry, Shelf};
use crate::explain::Note;
use crate::promise::Promise;
use hopeless::Hopeless;
use survey::Survey;
use undo::Done;

/// A place where units fit: a node, or a machine that is on its way.
#[derive(Debug)]
pub(crate) struct Room {
    /// Name of node and machine; empty for one that this plan launches.
    pub(crate) name: String,
    /// Slot of the node; `None`: it is on its way.
    pub(crate) node: Option<u32>,
    /// What is still to come: all of it, or what a node that has just joined lacks.
    pub(crate) promised: Option<Arc<Promised>>,
    /// Its kind.
    pub(crate) kind: KindId,
    /// Which shelf it is on, of those of nodes or of those of machines on their way.
    shelf: usize,
    /// What units can request in all.
    pub(crate) given: Amounts,
    /// What is left.
    pub(crate) free: Amounts,
    /// vCPUs of its machine as sold, in thousandths; 0: nobody can give it back.
    pub(crate) milli_vcpus: i64,
    /// Units on it.
    pub(crate) units: u32,
    /// It does not go, although no unit is on it: kept for one that kube-scheduler has.
    pub(crate) is_kept: bool,
    /// Somebody wants it in this plan.
    pub(crate) wanted: bool,
    /// It is kept free to make way for a larger machine.
    pub(crate) closed: bool,
}

/// What a node to come, or one that has just joined, can be expected to be.
#[derive(Debug)]
pub(crate) struct Promised {
    pub(crate) promise: Promise,
    /// What it gives to units.
    pub(crate) room: Amounts,
    pub(crate) kind: KindId,
}

/// One of the machines that an environment may launch.
#[derive(Debug)]
pub(crate) struct Sold {
    /// Which of its provider's offers.
    pub(crate) offer: usize,
    pub(crate) promised: Arc<Promised>,
}

/// What counts against limits, in thousandths of a vCPU.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// All its machines, those on their way out included.
    pub(crate) used: i64,
    /// The part of `used` that is not on its way out.
    pub(crate) staying: i64,
    /// The part of `staying` that neither gives room nor goes: nodes that are not Ready.
    pub(crate) stuck: i64,
    /// How many machines are on their way.
    pub(crate) coming: usize,
    /// Its vCPUs are kept for something that needs a larger machine: nothing else is launched.
    pub(crate) makes_way: bool,
}

/// Rooms of one kind: nodes, or machines on their way.
type Shelves = Vec<(KindId, Shelf)>;

/// An environment as a place.
#[derive(Debug, Default)]
pub(crate) struct Site {
    /// Nodes that take work, by name; then machines on their way, by name; then those that this plan launches.
    pub(crate) rooms: Vec<Room>,
    pub(crate) by_name: HashMap<String, u32>,
    /// How many of the rooms are nodes.
    pub(crate) nodes: usize,
    pub(crate) counts: Counts,
    /// What may be launched, in the order of the offers.
    pub(crate) sold: Vec<Sold>,
    ready: Shelves,
    coming: Shelves,
    /// Nodes that have just joined and lack something that will come.
    opening: Vec<u32>,
    /// When it was found, and until when it stays so by itself.
    found: Timestamp,
    pub(crate) until: Option<Timestamp>,
    /// Classes that no node takes any more.
    full: HashSet<ClassId>,
    /// Classes for which no machine can be launched any more, and why.
    refused: HashMap<ClassId, Note>,
    /// What holds before a plan.
    hopeless: Hopeless,
    log: Vec<Done>,
}

impl Site {
    /// As the facts show it at `now`, less what is held for kube-scheduler.
    pub(crate) fn new(
        environment: &Environment,
        facts: &Facts<'_>,
        names: &mut ResourceNames,
        kinds: &mut Kinds,
        now: Timestamp,
    ) -> Self {
        Survey::new(environment, facts, names, kinds, now).site()
    }

    /// Whether a node has a room.
    pub(crate) fn has_node(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|number| self.rooms[*number as usize].node.is_some())
    }

    /// A node [is in the same place](is_same_place): brings its room up to date, if it has one. Returns the classes that no node took before,
    /// and that may fare otherwise now, or be told something else. `None`: the site has to be found anew.
    pub(crate) fn refresh(
        &mut self,
        node: &Node,
        names: &mut ResourceNames,
        look: &mut Look<'_, '_>,
    ) -> Option<Vec<ClassId>> {
        let number = self.by_name.get(&node.name).copied();
        let Some(number) = number.filter(|number| self.rooms[*number as usize].node.is_some()) else {
            return Some(Vec::new());
        };
        if self.rooms[number as usize].promised.is_some() {
            return None;
        }
        let before = self.entry(number);
        let room = &mut self.rooms[number as usize];
        let given = room.given.clone();
        room.fill(node, names);
        room.keep_holds(look.facts);
        let is_given_other = room.given != given;
        self.shift(number, before);
        Some(self.hope(number, is_given_other, look))
    }

    /// Whether time has changed it.
    pub(crate) fn is_stale(&self, now: Timestamp) -> bool {
        now < self.found || self.until.is_some_and(|until| until <= now)
    }

    /// The rooms in which a unit can start, nodes or machines on their way, the fullest of each kind first.
    fn candidates<'s>(
        &'s self,
        on_nodes: bool,
        class: ClassId,
        look: &'s mut Look<'_, '_>,
    ) -> impl Iterator<Item = impl Iterator<Item = u32> + 's> + 's {
        let shelves = if on_nodes { &self.ready } else { &self.coming };
        let suiting: Vec<&Shelf> =
            shelves.iter().filter(|(kind, _)| look.suits_kind(*kind, class)).map(|(_, shelf)| shelf).collect();
        let look: &Look<'_, '_> = look;
        let one = &look.facts.classes[class];
        let is_plain = !one.is_named && !one.need.is_rare();
        suiting.into_iter().map(move |shelf| {
            shelf.fitting(&one.need).map(|entry| entry.room).filter(move |room| {
                let room = &self.rooms[*room as usize];
                one.need.fits(&room.given) && (is_plain || (one.need.fits(&room.free) && look.suits_name(room, one)))
            })
        })
    }

    fn fullness(&self, room: u32) -> (i64, i64, u32) {
        let free = &self.rooms[room as usize].free;
        (free.cpu(), free.memory(), room)
    }

    /// Whether it is known that no node takes a class any more.
    pub(crate) fn is_full(&self, class: ClassId) -> bool {
        self.full.contains(&class) || self.is_hopeless(class)
    }

    /// The node on which a unit starts now: the fullest that takes it, so that others run empty.
    pub(crate) fn ready(&mut self, class: ClassId, look: &mut Look<'_, '_>) -> Option<u32> {
        if self.is_full(class) {
            return None;
        }
        let found = self.candidates(true, class, look).filter_map(|mut rooms| rooms.next());
        let found = found.min_by_key(|room| self.fullness(*room));
        if found.is_none() {
            self.full.insert(class);
            self.log.push(Done::Filled(class));
        }
        found
    }

    /// The machine on its way, or the node that has just joined, that will take a unit, the fullest; `alone`: one that nobody else waits
    /// for.
    pub(crate) fn coming(&self, class: ClassId, alone: bool, look: &mut Look<'_, '_>) -> Option<u32> {
        let is_free = |room: &u32| !alone || !self.rooms[*room as usize].wanted;
        let opening = self.opening.iter().copied().filter(is_free);
        let opening: Vec<u32> = opening.filter(|room| look.will_take(&self.rooms[*room as usize], class)).collect();
        let all = self.candidates(false, class, look).filter_map(|mut rooms| rooms.find(is_free));
        all.chain(opening).min_by_key(|room| self.fullness(*room))
    }

    /// The fullest nodes on which a unit can start, at most so many.
    pub(crate) fn fullest(&self, class: ClassId, most: usize, look: &mut Look<'_, '_>) -> Vec<u32> {
        let mut all: Vec<u32> = self.candidates(true, class, look).flat_map(|rooms| rooms.take(most)).collect();
        all.sort_by_key(|room| self.fullness(*room));
        all.truncate(most);
        all
    }

    /// The emptiest nodes for which `wanted` holds, at most so many, of those that suit a class were they large enough.
    pub(crate) fn emptiest(
        &self,
        class: ClassId,
        most: usize,
        look: &mut Look<'_, '_>,
        wanted: impl Fn(&Look<'_, '_>, u32, &Room) -> bool,
    ) -> Vec<u32> {
        let suiting: Vec<&Shelf> =
            self.ready.iter().filter(|(kind, _)| look.suits_kind(*kind, class)).map(|(_, shelf)| shelf).collect();
        let look: &Look<'_, '_> = look;
        let one = &look.facts.classes[class];
        let is_wanted = |number: &u32| {
            let room = &self.rooms[*number as usize];
            look.suits_name(room, one) && wanted(look, *number, room)
        };
        let emptiest =
            |shelf: &'_ Shelf| shelf.emptiest().map(|entry| entry.room).filter(is_wanted).take(most).collect();
        let mut all: Vec<u32> = suiting.into_iter().flat_map(|shelf| -> Vec<u32> { emptiest(shelf) }).collect();
        all.sort_by_key(|room| std::cmp::Reverse(self.fullness(*room)));
        all.truncate(most);
        all
    }

    /// How many units of a class a room takes now.
    pub(crate) fn capacity(&self, room: u32, class: ClassId, classes: &Classes) -> i64 {
        classes[class].need.capacity(&self.rooms[room as usize].free)
    }

    /// Takes room for units.
    pub(crate) fn take(&mut self, room: u32, class: ClassId, count: i64, classes: &Classes) {
        let before = self.entry(room);
        let one = &mut self.rooms[room as usize];
        self.log.push(Done::Took(room, one.free.clone(), one.wanted));
        one.free.sub(&classes[class].need.takes, count);
        one.wanted = true;
        if !one.closed {
            self.shift(room, before);
        }
    }

    /// Keeps a room free to make way for a larger machine.
    pub(crate) fn close(&mut self, room: u32) {
        if self.rooms[room as usize].closed {
            return;
        }
        let entry = self.entry(room);
        if let Some(shelf) = self.shelf(room) {
            shelf.remove(&entry);
        }
        self.rooms[room as usize].closed = true;
        self.log.push(Done::Closed(room));
    }

    /// Adds the room of a machine that this plan launches.
    pub(crate) fn launch(&mut self, sold: usize, offer: &Offer) -> u32 {
        let promised = self.sold[sold].promised.clone();
        self.count(|counts| {
            counts.used += offer.milli_vcpus;
            counts.staying += offer.milli_vcpus;
            counts.coming += 1;
        });
        self.log.push(Done::Launched);
        let number = u32::try_from(self.rooms.len()).unwrap_or(u32::MAX);
        let place = shelf_of(&mut self.coming, promised.kind);
        self.rooms.push(coming_room(String::new(), promised, place, offer.milli_vcpus));
        let entry = self.entry(number);
        self.coming[place].1.insert(entry);
        number
    }

    /// Changes what counts.
    pub(crate) fn count(&mut self, change: impl FnOnce(&mut Counts)) {
        self.log.push(Done::Counted(self.counts));
        change(&mut self.counts);
    }

    /// Why no machine is launched for a class, if that is known.
    pub(crate) fn refusal(&self, class: ClassId) -> Option<&Note> {
        self.refused.get(&class)
    }

    /// No machine is launched for a class any more.
    pub(crate) fn refuse(&mut self, class: ClassId, note: Note) -> Note {
        self.refused.insert(class, note.clone());
        self.log.push(Done::Refused(class));
        note
    }

    fn entry(&self, room: u32) -> Entry {
        Entry { free: self.rooms[room as usize].free.common, room }
    }

    fn shelf(&mut self, room: u32) -> Option<&mut Shelf> {
        let Room { shelf, node, .. } = &self.rooms[room as usize];
        let shelves = if node.is_some() { &mut self.ready } else { &mut self.coming };
        shelves.get_mut(*shelf).map(|(_, shelf)| shelf)
    }

    /// Puts a room where it belongs by now.
    fn shift(&mut self, room: u32, before: Entry) {
        let after = self.entry(room);
        if let Some(shelf) = self.shelf(room).filter(|_| before != after) {
            shelf.remove(&before);
            shelf.insert(after);
        }
    }
}

/// Whether a node differs from what it was only in what is on it, and since when it is idle.
pub(crate) fn is_same_place(before: &Node, after: &Node) -> bool {
    before.name == after.name
        && before.environment_uuid == after.environment_uuid
        && (before.ready, before.retiring, before.starting_until) == (after.ready, after.retiring, after.starting_until)
        && before.labels == after.labels
        && before.taints == after.taints
        && before.allocatable == after.allocatable
}

impl Room {
    /// What its node gives, and what of that is free.
    fn fill(&mut self, node: &Node, names: &mut ResourceNames) {
        self.given = names.amounts(&node.allocatable);
        self.free = self.given.clone();
        self.given.sub(&names.amounts(&node.foreign), 1);
        self.free.sub(&names.amounts(&node.used), 1);
        self.units = node.units;
        self.is_kept = node.units == 0 && node.idle_since.is_none();
    }

    /// Takes off what is kept for units that kube-scheduler has.
    fn keep_holds(&mut self, facts: &Facts<'_>) {
        self.wanted = false;
        for (class, count) in facts.holds.get(&self.name).into_iter().flatten() {
            self.free.sub(&facts.classes[*class].need.takes, i64::from(*count));
            self.wanted = true;
        }
    }
}

/// Where the rooms of a kind are; there is a shelf for them from now on.
fn shelf_of(shelves: &mut Shelves, kind: KindId) -> usize {
    shelves.iter().position(|(one, _)| *one == kind).unwrap_or_else(|| {
        shelves.push((kind, Shelf::default()));
        shelves.len() - 1
    })
}

fn coming_room(name: String, promised: Arc<Promised>, shelf: usize, milli_vcpus: i64) -> Room {
    Room {
        name,
        node: None,
        kind: promised.kind,
        shelf,
        given: promised.room.clone(),
        free: promised.room.clone(),
        promised: Some(promised),
        milli_vcpus,
        units: 0,
        is_kept: false,
        wanted: false,
        closed: false,
    }
}
