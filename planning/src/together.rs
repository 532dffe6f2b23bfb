//! Whether more units of a Job could ever run together than have room now: a Job with a deadline starts with as many as ever will.
//!
//! Invariant: what can come is what the rest of the planner brings about: others leave nodes, machines are launched, nodes make way for
//! them. So one that cannot get more does not wait; one that can waits for others to leave for [`PATIENCE`](crate::head::PATIENCE) only, because they may never.
//! Knows nothing about deadlines.

use std::collections::HashMap;

use model::placement::Shape;

use crate::offers::{self, capacity};
use crate::room::Rooms;

/// Where units of one demand have room in this cycle: how many, by room of an environment.
#[derive(Debug, Default)]
pub(crate) struct Taken(HashMap<(usize, usize), i64>);

impl Taken {
    /// One more unit has room.
    pub(crate) fn add(&mut self, environment: usize, room: usize) {
        *self.0.entry((environment, room)).or_default() += 1;
    }

    /// Units of the demand that have room there.
    pub(crate) fn at(&self, environment: usize, room: usize) -> i64 {
        self.0.get(&(environment, room)).copied().unwrap_or(0)
    }
}

/// The rooms on which one more unit of a shape will fit when all others have left, machines on their way included.
pub(crate) fn roomier<'r>(
    rooms: &'r Rooms<'_>,
    environment: usize,
    shape: &'r Shape,
    taken: &'r Taken,
) -> impl Iterator<Item = usize> + 'r {
    let fits = move |(index, room): &(usize, &crate::room::Room<'_>)| {
        room.suits(shape) && capacity(&room.allocatable, shape) > taken.at(environment, *index)
    };
    rooms.rooms.iter().enumerate().filter(fits).map(|(index, _)| index)
}

/// vCPUs (thousandths) that machines of an environment can have when all that can go for a demand has gone.
pub(crate) fn left_for(rooms: &Rooms<'_>, environment: usize, taken: &Taken) -> i64 {
    let Some(scaling) = &rooms.environment.scaling else { return 0 };
    let stays = |(index, room): &(usize, &crate::room::Room<'_>)| taken.at(environment, *index) > 0 || room.is_kept();
    let kept = rooms.rooms.iter().enumerate().filter(stays).map(|(_, room)| room.milli_vcpus).sum::<i64>();
    scaling.max_milli - rooms.stuck_milli - kept
}

/// Whether an environment can ever give room to more units of a shape than have some now. One whose offers have
/// not been known for a moment only may.
pub(crate) fn more(rooms: &Rooms<'_>, environment: usize, shape: &Shape, taken: &Taken) -> bool {
    if roomier(rooms, environment, shape, taken).next().is_some() {
        return true;
    }
    let Some(scaling) = &rooms.environment.scaling else { return false };
    if rooms.unsettled {
        return true;
    }
    let left = left_for(rooms, environment, taken);
    offers::fitting(rooms, scaling, shape).is_ok_and(|fitting| fitting.iter().any(|offer| offer.milli_vcpus <= left))
}

/// About how many units of a shape run together in an environment at most, for people: on the nodes there are, and on machines chosen as
/// they would be launched. `None`: not known.
pub(crate) fn about(rooms: &Rooms<'_>, shape: &Shape, wanted: i64) -> Option<i64> {
    let suits = || rooms.rooms.iter().filter(|room| room.suits(shape));
    let mut all = suits().map(|room| capacity(&room.allocatable, shape)).fold(0, i64::saturating_add);
    let Some(scaling) = &rooms.environment.scaling else { return Some(all) };
    scaling.offers.as_ref().ok()?;
    let mut left = scaling.max_milli - rooms.stuck_milli - suits().map(|room| room.milli_vcpus).sum::<i64>();
    let mut fitting = offers::fitting(rooms, scaling, shape).unwrap_or_default();
    while all < wanted {
        fitting.retain(|offer| offer.milli_vcpus <= left);
        let count = u32::try_from(wanted - all).unwrap_or(u32::MAX);
        let Some(offer) = offers::cheapest(rooms, &fitting, shape, count) else { break };
        let (machine, each) = (offer.milli_vcpus.max(1), capacity(&rooms.promise_of(offer).room, shape).max(1));
        // As many as are surely wanted of this kind; with fewer units to go another may be cheaper.
        let machines = (left / machine).min((wanted - all) / each).max(1);
        left -= machines * machine;
        all = all.saturating_add(machines.saturating_mul(each));
    }
    Some(all)
}
