//! Room for the head of a queue that waits: kept on nodes that others leave, or made by nodes that go.
//!
//! Invariant: what is kept or made would help. What runs on the kept nodes may never end: so a head keeps one node at first and one more each
//! time that [`PATIENCE`] has passed, up to a part of them, so that one may be among them that others do leave; and a Job with a deadline keeps room for
//! a part of itself for [`PATIENCE`] only. Knows nothing about how long things run.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use model::snapshot::Job;

use super::Cycle;
use super::choose::Market;
use super::place::{Asked, is_at_limit};
use super::together::{self, Taken, is_roomier};
use crate::explain::Note;
use crate::world::class::ClassId;
use crate::world::facts::JobFact;
use crate::world::lines::Demand;
use crate::world::look::Look;
use crate::world::site::Room;
use crate::world::uid::Uid;

/// A head keeps no more than one node in so many, or two: whoever wants what no node will ever have again must not starve the others.
const PART: usize = 4;
/// So long others are waited for before something else is tried.
pub(crate) const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// The first of a queue that waits.
type Head = (ClassId, Demand);

/// Room that is kept although it has not been found out which.
#[derive(Default)]
pub(super) struct Owed {
    /// For these, in order, in these environments.
    heads: Vec<(Vec<Result<usize, Note>>, Head)>,
    /// All of the environments.
    sites: HashSet<usize>,
}

impl Cycle<'_, '_> {
    /// Keeps room for a part of a Job while others may still leave more to it. Returns for how long.
    pub(super) fn keep_for_a_while(&mut self, job: &Job) -> Timestamp {
        let until = self.keep(&job.uid).checked_add(PATIENCE).unwrap_or(Timestamp::MAX);
        // People read it.
        Timestamp::from_second(until.as_second()).unwrap_or(until)
    }

    /// Has it remembered that room is kept for this one. Returns since when.
    fn keep(&mut self, uid: &str) -> Timestamp {
        let since = self.facts.kept_since.get(uid).map_or(self.now, |since| *since.min(&self.now));
        if self.plan.keeps.insert(uid.to_owned()) {
            let waited = self.now.duration_since(since);
            let next = PATIENCE - SignedDuration::from_secs(waited.as_secs() % PATIENCE.as_secs());
            self.wake(self.now.checked_add(next).unwrap_or(Timestamp::MAX));
        }
        since
    }

    /// What room has been kept for and still waits is not forgotten, also where others are before it now.
    pub(super) fn remember_kept(&mut self) {
        let facts = self.facts;
        for uid in facts.kept_since.keys() {
            let known = Uid::new(uid);
            let waits = match (facts.jobs.find(&known), facts.units.find(&known)) {
                (Some(job), _) => self.of_job.contains_key(&job) || (self.is_whole(job) && !self.is_released_now(uid)),
                (None, Some(unit)) => facts.in_line(unit).is_some() && !self.starts(uid),
                (None, None) => false,
            };
            if waits {
                self.keep(uid);
            }
        }
    }

    /// Whether a Job waits as a whole: if it is not let go, it has a reason, also where that is said already.
    fn is_whole(&self, job: u32) -> bool {
        self.facts.jobs.get(job).is_some_and(JobFact::is_whole)
    }

    fn is_released_now(&self, job: &str) -> bool {
        self.plan.release.iter().any(|change| change.uid == job)
    }

    fn starts(&self, unit: &str) -> bool {
        let plan = &self.plan;
        plan.dispatch.iter().any(|dispatch| dispatch.uid == unit) || plan.hold.iter().any(|hold| hold.uid == unit)
    }

    /// Keeps room for the head of a queue that waits, so that what passes it does not delay it.
    /// False: neither a node that others leave nor one that makes way would help.
    pub(super) fn reserve(&mut self, environments: Asked<'_>, (class, first): Head, taken: &Taken) -> bool {
        let Some(uid) = self.uid(first) else { return false };
        let since = self.facts.kept_since.get(uid).copied().unwrap_or(self.now);
        let times = self.now.duration_since(since).as_secs() / PATIENCE.as_secs();
        let wanted = usize::try_from(times).unwrap_or_default().saturating_add(1);
        let nodes: usize = environments.iter().flatten().map(|&site| self.sites[site].nodes).sum();
        let most = wanted.min((nodes / PART).max(2));
        let mut kept = 0;
        for &site in environments.iter().flatten() {
            kept += self.keep_nodes(site, class, taken, most - kept);
        }
        let has_way = kept < wanted
            && environments.iter().flatten().any(|&site| {
                self.sites[site].refusal(class).is_some_and(is_at_limit) && self.make_way(site, class, taken)
            });
        if kept > 0 || has_way {
            self.keep(uid);
        }
        kept > 0 || has_way
    }

    /// Keeps room for the head of a queue of which all lanes sleep. It is known that there is some: which, is found out when somebody else looks.
    pub(super) fn owe(&mut self, environments: Vec<Result<usize, Note>>, head: Head) {
        let Some(uid) = self.uid(head.1) else { return };
        self.keep(uid);
        for site in environments.iter().flatten() {
            self.owed.sites.insert(*site);
        }
        self.owed.heads.push((environments, head));
    }

    /// Somebody looks at these environments: finds out which room is kept there.
    pub(super) fn pay(&mut self, environments: Asked<'_>) {
        if !environments.iter().flatten().any(|site| self.owed.sites.contains(site)) {
            return;
        }
        for (environments, head) in std::mem::take(&mut self.owed).heads {
            self.reserve(&environments, head, &Taken::default());
        }
    }

    /// Keeps the emptiest nodes on which a unit fits when others have left, at most so many. Returns how many.
    fn keep_nodes(&mut self, site: usize, class: ClassId, taken: &Taken, most: usize) -> usize {
        let mut look = Look { facts: self.facts, kinds: self.kinds };
        if !self.sites[site].has_home(class, &mut look) {
            return 0;
        }
        // A node that makes way for others is on no shelf, and is not kept.
        let wanted =
            |look: &Look<'_, '_>, number: u32, room: &Room| is_roomier(room, class, taken.at(site, number), look);
        let emptiest = self.sites[site].emptiest(class, most, &mut look, wanted);
        for room in &emptiest {
            self.sites[site].take(*room, class, 1, &self.facts.classes);
        }
        emptiest.len()
    }

    /// Closes the emptiest nodes so that a machine for a class can have their vCPUs; those on which the demand has room itself stay. False,
    /// and nothing is closed, if that does not lead to a launch.
    fn make_way(&mut self, site: usize, class: ClassId, taken: &Taken) -> bool {
        let here = &*self.sites[site];
        let Some(market) = Market::of(self.environments[site], here) else { return false };
        let mut look = Look { facts: self.facts, kinds: self.kinds };
        let Ok(offers) = market.available(class, self.now, &mut look) else { return false };
        let left = together::left_for(&market, site, taken);
        let possible = offers.iter().map(|(_, _, offer)| offer.milli_vcpus).filter(|vcpus| *vcpus <= left);
        let Some(needed) = possible.min() else { return false };
        // What is on its way out already makes way.
        let mut missing = needed - (market.scaling.max_milli - here.counts.staying);
        let nodes = (0..).zip(&here.rooms[..here.nodes]);
        let goes = nodes.filter(|(number, room)| room.milli_vcpus > 0 && taken.at(site, *number) == 0 && !room.is_kept);
        let mut order: Vec<(u32, u32, i64)> =
            goes.map(|(number, room)| (room.units, number, room.milli_vcpus)).collect();
        order.sort_unstable();
        for (_, room, vcpus) in order {
            if missing <= 0 {
                break;
            }
            self.sites[site].close(room);
            missing -= vcpus;
        }
        // If something is still missing, machines on their way give it when they are there.
        // Launching for what comes later would take the vCPUs again, and the next cycle would close that machine, too.
        self.sites[site].count(|counts| counts.makes_way = true);
        true
    }
}
