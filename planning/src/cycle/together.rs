//! Whether more units of a Job could ever run together than have room now: a Job with a deadline starts with as many as ever will.
//!
//! Invariant: what can come is what the rest of the planner brings about: others leave nodes, machines are launched, nodes make way for
//! them. So one that cannot get more does not wait; one that can waits for others to leave for [`PATIENCE`](super::reserve::PATIENCE) only,
//! because they may never. Knows nothing about deadlines.

use std::collections::HashMap;

use jiff::Timestamp;

use super::choose::{Market, cheapest};
use super::place::Chunk;
use crate::world::class::ClassId;
use crate::world::look::Look;
use crate::world::site::{Room, Site};

/// Where units of one demand have room in this cycle: how many, by room of a site.
#[derive(Debug, Default)]
pub(super) struct Taken(HashMap<(usize, u32), i64>);

impl Taken {
    /// There.
    pub(super) fn new(chunks: &[Chunk]) -> Self {
        let mut taken = Self::default();
        for chunk in chunks {
            *taken.0.entry((chunk.site, chunk.room)).or_default() += i64::from(chunk.count);
        }
        taken
    }

    /// Whether none has room.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Units of the demand that have room there.
    pub(super) fn at(&self, site: usize, room: u32) -> i64 {
        self.0.get(&(site, room)).copied().unwrap_or(0)
    }
}

/// Whether one more unit of a class will fit in a room when all others have left.
pub(super) fn is_roomier(room: &Room, class: ClassId, taken: i64, look: &Look<'_, '_>) -> bool {
    let need = &look.facts.classes[class].need;
    need.fits(&room.given) && need.capacity(&room.given) > taken
}

/// vCPUs (thousandths) that machines of an environment can have when all that can go for a demand has gone.
pub(super) fn left_for(market: &Market<'_, '_>, site: usize, taken: &Taken) -> i64 {
    let Market { scaling, site: here, .. } = market;
    let stays = |(number, room): &(u32, &Room)| taken.at(site, *number) > 0 || room.is_kept;
    let kept = (0..).zip(&here.rooms).filter(stays).map(|(_, room)| room.milli_vcpus).sum::<i64>();
    scaling.max_milli - here.counts.stuck - kept
}

/// Whether an environment can ever give room to more units of a class than have some now. One whose offers have not been known for a
/// moment only may.
pub(super) fn more(
    here: &Site,
    market: Option<Market<'_, '_>>,
    (site, class): (usize, ClassId),
    taken: &Taken,
    now: Timestamp,
    look: &mut Look<'_, '_>,
) -> bool {
    let mut rooms = (0..).zip(&here.rooms);
    if rooms.any(|(number, room)| is_roomier(room, class, taken.at(site, number), look) && look.suits(room, class)) {
        return true;
    }
    let Some(market) = market else { return false };
    if market.scaling.unsettled_until.is_some_and(|until| until > now) {
        return true;
    }
    let left = left_for(&market, site, taken);
    market.fitting(class, look).is_ok_and(|fitting| fitting.iter().any(|(_, _, offer)| offer.milli_vcpus <= left))
}

/// About how many units of a class run together in an environment at most, for people: on the nodes there are, and on machines chosen as
/// they would be launched. `None`: not known.
pub(super) fn about(
    here: &Site,
    market: Option<Market<'_, '_>>,
    class: ClassId,
    wanted: i64,
    look: &mut Look<'_, '_>,
) -> Option<i64> {
    let suiting: Vec<&Room> = here.rooms.iter().filter(|room| look.suits(room, class)).collect();
    let need = &look.facts.classes[class].need;
    let mut all = suiting.iter().map(|room| need.capacity(&room.given)).fold(0, i64::saturating_add);
    let Some(market) = market else { return Some(all) };
    market.scaling.offers.as_ref().ok()?;
    let there = suiting.iter().map(|room| room.milli_vcpus).sum::<i64>();
    let mut left = market.scaling.max_milli - here.counts.stuck - there;
    let mut fitting = market.fitting(class, look).unwrap_or_default();
    while all < wanted {
        fitting.retain(|(_, _, offer)| offer.milli_vcpus <= left);
        let Some((_, sold, offer)) = cheapest(&fitting, class, wanted - all, look) else { break };
        let (machine, each) = (offer.milli_vcpus.max(1), need.capacity(&sold.promised.room).max(1));
        // As many as are surely wanted of this kind; with fewer units to go another may be cheaper.
        let machines = (left / machine).min((wanted - all) / each).max(1);
        left -= machines * machine;
        all = all.saturating_add(machines.saturating_mul(each));
    }
    Some(all)
}
