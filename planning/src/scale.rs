//! Which machines go, and which are kept or launched for `minvCpus`.
//!
//! Invariant: a node with a unit on it, or with room wanted in this cycle, never goes. Knows nothing about how machines are taken down.

use std::collections::HashMap;

use jiff::Timestamp;
use model::placement::Shape;
use model::plan::{Launch, Retire};
use model::snapshot::{Node, Scaling, Stage};

use crate::dispatch::Cycle;
use crate::offers;
use crate::room::{Room, Rooms};
use crate::together::{self, Taken};

/// Launches what is missing to `minvCpus`, as many at a time as may be under way, those that work has asked for included; nothing while the
/// vCPUs are kept for work that needs a larger machine.
pub(crate) fn keep_minimum(cycle: &mut Cycle<'_>) {
    for rooms in cycle.rooms.iter_mut().filter(|rooms| rooms.environment.enabled && !rooms.makes_way) {
        let Some(scaling) = &rooms.environment.scaling else { continue };
        while rooms.staying_milli < scaling.min_milli && rooms.coming < offers::LAUNCHES_IN_FLIGHT {
            let left = scaling.max_milli - rooms.used_milli;
            let Some(offer) = offers::cheapest_of_all(scaling, left, cycle.now) else { break };
            let environment = rooms.environment.name.clone();
            cycle.plan.launch.push(Launch { environment, offer: offer.name.clone(), job: None });
            rooms.launch(offer);
        }
    }
}

/// Retires nodes that have been idle for long enough, and those whose environment is gone, disabled or over its limit.
pub(crate) fn retire_idle(cycle: &mut Cycle<'_>) {
    let snapshot = cycle.snapshot;
    let serving = || snapshot.machines.iter().filter(|machine| machine.stage == Stage::Serving);
    let mut left: HashMap<&str, i64> = HashMap::new();
    for machine in serving() {
        *left.entry(&machine.environment).or_default() += machine.milli_vcpus;
    }
    for machine in serving() {
        let Some(environment) = cycle.rooms.iter().position(|rooms| rooms.environment.name == machine.environment)
        else {
            let gone = format!("its compute environment {} does not exist any more", machine.environment);
            if snapshot.nodes.iter().any(|node| node.name == machine.name && node.units == 0) {
                cycle.plan.retire.push(Retire { machine: machine.name.clone(), reason: gone });
            }
            continue;
        };
        let rooms = &cycle.rooms[environment];
        let Some(scaling) = &rooms.environment.scaling else { continue };
        let Some(left) = left.get_mut(machine.environment.as_str()) else { continue };
        let is_minimum = *left - machine.milli_vcpus < scaling.min_milli;
        let room = rooms.rooms.iter().find(|room| room.name == machine.name);
        let verdict = match room {
            Some(room) => verdict(room, rooms, scaling, is_minimum, cycle.now),
            None => closed_by_hand(&snapshot.nodes, &machine.name, rooms, scaling, cycle.now),
        };
        match verdict {
            Verdict::Stays => {}
            Verdict::StaysUntil(time) => wake(&mut cycle.plan.wake_at, time),
            Verdict::Goes(reason) => {
                cycle.plan.retire.push(Retire { machine: machine.name.clone(), reason });
                // It no longer counts for the machines after it.
                *left -= machine.milli_vcpus;
                cycle.rooms[environment].staying_milli -= machine.milli_vcpus;
            }
        }
    }
}

enum Verdict {
    Stays,
    StaysUntil(Timestamp),
    Goes(String),
}

/// Whether a machine goes. `is_minimum`: without it the machines that serve have less than `minvCpus`; one that is still on its way
/// does not stand in for it.
fn verdict(room: &Room<'_>, rooms: &Rooms<'_>, scaling: &Scaling, is_minimum: bool, now: Timestamp) -> Verdict {
    let idle = room.node.and_then(|node| Some((node, idle_since(node)?)));
    let Some((node, idle_since)) = idle.filter(|_| !room.wanted) else { return Verdict::Stays };
    if room.closed {
        return Verdict::Goes("it makes way for a larger machine".to_owned());
    }
    idle_verdict(node, idle_since, rooms, scaling, is_minimum, now)
}

/// Whether a machine goes whose node takes no work because somebody has closed it (`kubectl cordon`, `kubectl drain`): it serves nobody, and
/// its vCPUs count, so it stands in for no minimum.
fn closed_by_hand(nodes: &[Node], name: &str, rooms: &Rooms<'_>, scaling: &Scaling, now: Timestamp) -> Verdict {
    let node = nodes.iter().find(|node| node.name == name && node.cordoned && !node.retiring);
    match node.and_then(|node| Some((node, idle_since(node)?))) {
        Some((node, idle_since)) => idle_verdict(node, idle_since, rooms, scaling, false, now),
        None => Verdict::Stays,
    }
}

fn idle_since(node: &Node) -> Option<Timestamp> {
    node.idle_since.filter(|_| node.units == 0)
}

fn idle_verdict(
    node: &Node,
    idle_since: Timestamp,
    rooms: &Rooms<'_>,
    scaling: &Scaling,
    is_minimum: bool,
    now: Timestamp,
) -> Verdict {
    if !rooms.environment.enabled {
        return Verdict::Goes("its compute environment is DISABLED".to_owned());
    }
    if rooms.staying_milli > scaling.max_milli {
        return Verdict::Goes("its compute environment is above maxvCpus".to_owned());
    }
    if is_minimum {
        return Verdict::Stays;
    }
    // To save money is no reason to break a promise; the reasons above are.
    let due = idle_since.checked_add(scaling.scale_down_delay).ok().max(node.logs_until);
    match due.filter(|due| *due > now) {
        Some(due) => Verdict::StaysUntil(due),
        None => Verdict::Goes(format!("idle for {}", delay(scaling))),
    }
}

fn delay(scaling: &Scaling) -> String {
    format!("{:#}", scaling.scale_down_delay)
}

/// Brings a time forward.
pub(crate) fn wake(at: &mut Option<Timestamp>, time: Timestamp) {
    *at = Some(at.map_or(time, |at| at.min(time)));
}

/// Closes the emptiest nodes so that a machine for `shape` can have their vCPUs; those on which the demand has room itself stay. False, and
/// nothing is closed, if that does not lead to a launch.
pub(crate) fn make_way(
    rooms: &mut Rooms<'_>,
    environment: usize,
    shape: &Shape,
    taken: &Taken,
    now: Timestamp,
) -> bool {
    let Some(scaling) = &rooms.environment.scaling else { return false };
    let Ok(offers) = offers::available(rooms, scaling, shape, now) else { return false };
    let left = together::left_for(rooms, environment, taken);
    let possible = offers.iter().map(|offer| offer.milli_vcpus).filter(|vcpus| *vcpus <= left);
    let Some(needed) = possible.min() else { return false };
    // What is on its way out already makes way.
    let mut missing = needed - (scaling.max_milli - rooms.staying_milli);
    let goes = |index: &usize| {
        let room = &rooms.rooms[*index];
        room.node.is_some() && room.milli_vcpus > 0 && taken.at(environment, *index) == 0 && !room.is_kept()
    };
    let mut order: Vec<usize> = (0..rooms.rooms.len()).filter(goes).collect();
    order.sort_by_key(|&index| (rooms.rooms[index].node.map(|node| node.units), rooms.rooms[index].name));
    for index in order {
        if missing <= 0 {
            break;
        }
        rooms.rooms[index].closed = true;
        missing -= rooms.rooms[index].milli_vcpus;
    }
    // If something is still missing, machines on their way give it when they are there.
    // Launching for what comes later would take the vCPUs again, and the next cycle would close that machine, too.
    rooms.makes_way = true;
    true
}
