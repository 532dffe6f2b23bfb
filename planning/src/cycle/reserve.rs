//! Room for the head of a queue that waits: kept on nodes that others leave, or made by nodes that go.
//!
//! Invariant: what is kept or made would help. What runs on the kept nodes may never end: so a head keeps one node at first and one more each
//! time that [`PATIENCE`] has passed, up to a part of them, so that one may be among them that others do leave; and a Job with a deadline keeps room for
//! a part of itself for [`PATIENCE`] only. Knows nothing about how long things run.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use model::snapshot::Job;

use super::Cycle;
use super::choose::Market;
use super::place::{Asked, is_at_limit};
use super::together::{self, Taken, is_roomier};
use crate::world::board::{Head, Precedence};
use crate::world::class::ClassId;
use crate::world::facts::JobFact;
use crate::world::kept;
pub(crate) use crate::world::kept::PATIENCE;
use crate::world::lines::Demand;
use crate::world::look::Look;
use crate::world::site::Room;
use crate::world::uid::Uid;

/// A head keeps no more than one node in so many, or two: whoever wants what no node will ever have again must not starve the others.
const PART: usize = 4;
/// Room that is kept for heads of queues although it has not been found out which.
#[derive(Default)]
pub(super) struct Owed {
    /// Heads that were looked at in this plan.
    heads: BTreeMap<Precedence, Arc<Head>>,
    /// Queues of theirs, by environment.
    at_sites: HashMap<usize, BTreeSet<Precedence>>,
    /// Queues that sleep and for whose heads it has been found out.
    paid: HashSet<Precedence>,
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
        if self.keeps.insert(uid.to_owned()) {
            self.wake(kept::next(since, self.now));
        }
        since
    }

    /// What room has been kept for and still waits is not forgotten, also where others are before it now.
    pub(super) fn remember_kept(&mut self) {
        let facts = self.facts;
        let others: Vec<String> = self.board.kept.others().cloned().collect();
        for uid in &others {
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
    pub(super) fn reserve(
        &mut self,
        (at, environments): (&Precedence, Asked<'_>),
        (class, first): (ClassId, Demand),
        taken: &Taken,
    ) -> bool {
        let facts = self.facts;
        let Some(uid) = facts.uid(first) else { return false };
        let sites: Vec<usize> = environments.iter().flatten().copied().collect();
        let is_market = |site: &usize| self.environments[*site].scaling.is_some();
        let is_kept = if taken.is_empty() && !sites.iter().any(is_market) {
            // Some is kept, if there is any: which, is found out when somebody looks there.
            let has_home = self.has_home(environments, class);
            if has_home {
                self.owe(at, Head::new(class, sites, uid, None));
            }
            has_home
        } else {
            for site in &sites {
                self.pay(*site);
            }
            self.keep_room(&sites, (class, uid), taken)
        };
        if is_kept {
            self.keep(uid);
        }
        is_kept
    }

    fn keep_room(&mut self, sites: &[usize], (class, uid): (ClassId, &str), taken: &Taken) -> bool {
        let since = self.facts.kept_since.get(uid).copied().unwrap_or(self.now);
        let times = self.now.duration_since(since).as_secs() / PATIENCE.as_secs();
        let wanted = usize::try_from(times).unwrap_or_default().saturating_add(1);
        let nodes: usize = sites.iter().map(|&site| self.sites[site].nodes).sum();
        let most = wanted.min((nodes / PART).max(2));
        let mut kept = 0;
        for &site in sites {
            kept += self.keep_nodes(site, class, taken, most - kept);
        }
        let has_way = kept < wanted
            && sites.iter().any(|&site| {
                self.sites[site].refusal(class).is_some_and(is_at_limit) && self.make_way(site, class, taken)
            });
        kept > 0 || has_way
    }

    fn owe(&mut self, at: &Precedence, head: Head) {
        for site in &head.sites {
            self.owed.at_sites.entry(*site).or_default().insert(at.clone());
        }
        self.owed.heads.insert(at.clone(), Arc::new(head));
    }

    /// Whether room is kept in an environment of which it may not have been found out which.
    fn owes(&self, site: usize, at: &Precedence) -> bool {
        self.owed.at_sites.contains_key(&site) || self.board.heads_before(site, at).next().is_some()
    }

    /// Somebody looks at this environment: finds out which room is kept there for the heads of queues that come before, and for whom else that
    /// hangs on it.
    pub(super) fn pay(&mut self, site: usize) {
        let Some(at) = self.pending.at().filter(|at| self.owes(site, at)) else { return };
        let Owed { heads, at_sites, paid } = &mut self.owed;
        let (mut due, mut seen, mut next) = (BTreeMap::new(), HashSet::from([site]), vec![site]);
        while let Some(site) = next.pop() {
            let awake = at_sites.remove(&site).unwrap_or_default().into_iter();
            let awake = awake.filter_map(|at| heads.get(&at).cloned().map(|head| (at, head)));
            let asleep = self.board.heads_before(site, at).filter(|at| !paid.contains(*at));
            let asleep = asleep.filter_map(|at| Some((at.clone(), self.board.head(at)?.clone())));
            for (at, head) in awake.chain(asleep) {
                next.extend(head.sites.iter().filter(|site| seen.insert(**site)));
                due.insert(at, head);
            }
        }
        for (at, head) in due {
            if self.owed.heads.remove(&at).is_none() {
                self.owed.paid.insert(at);
            }
            self.keep_room(&head.sites, (head.class, &head.uid), &Taken::default());
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
        let here = &self.sites[site];
        let Some(market) = Market::of(&self.environments[site], here) else { return false };
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
