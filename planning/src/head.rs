//! Keeps room for what waits at the head of a queue, so that what passes it does not delay it.
//!
//! Invariant: what runs on the kept nodes may never end. So a Job with a deadline keeps room for a part of itself for [`PATIENCE`] only; and a
//! head keeps one node at first and one more each time that [`PATIENCE`] has passed, so that sooner or later one is among them that others do
//! leave. Knows nothing about how long things run.

use jiff::{SignedDuration, Timestamp};
use model::snapshot::Job;
use model::status::Code;

use crate::dispatch::Cycle;
use crate::explain::Note;
use crate::order::Demand;
use crate::scale::{make_way, wake};
use crate::together::{self, Taken};

/// So long others are waited for before something else is tried.
pub(crate) const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

impl<'a> Cycle<'a> {
    /// Keeps room for a part of a Job while others may still leave more to it. Returns for how long.
    pub(crate) fn keep_for_a_while(&mut self, job: &'a Job) -> Timestamp {
        let until = self.keep(&job.uid).checked_add(PATIENCE).unwrap_or(Timestamp::MAX);
        // People read it.
        Timestamp::from_second(until.as_second()).unwrap_or(until)
    }

    /// For how long room has been kept for what still waits; `None`: there is none yet.
    pub(crate) fn waits_on(&mut self, demand: &Demand<'a>) -> Option<SignedDuration> {
        let uid = demand.uid()?;
        self.snapshot.kept_since.contains_key(uid).then(|| self.now.duration_since(self.keep(uid)))
    }

    /// Has it remembered that room is kept for this one. Returns since when.
    fn keep(&mut self, uid: &str) -> Timestamp {
        let since = self.snapshot.kept_since.get(uid).map_or(self.now, |since| *since.min(&self.now));
        if self.plan.keeps.insert(uid.to_owned()) {
            let waited = self.now.duration_since(since);
            let next = PATIENCE - SignedDuration::from_secs(waited.as_secs() % PATIENCE.as_secs());
            wake(&mut self.plan.wake_at, self.now.checked_add(next).unwrap_or(Timestamp::MAX));
        }
        since
    }

    /// Keeps room for the head of a queue that has waited for so long. False: neither nodes that others leave nor ones that make way would
    /// help.
    pub(crate) fn reserve(
        &mut self,
        environments: &[Result<usize, Note>],
        demand: &Demand<'a>,
        taken: &Taken,
        waited: Option<SignedDuration>,
    ) -> bool {
        let waited = waited.unwrap_or_default().as_secs() / PATIENCE.as_secs();
        let nodes = usize::try_from(waited).unwrap_or_default().saturating_add(1);
        let mut kept = 0;
        for &environment in environments.iter().flatten() {
            kept += self.keep_nodes(environment, demand, taken, nodes - kept);
        }
        let usable = environments.iter().flatten().filter(|_| kept < nodes);
        let has_way = usable.copied().any(|environment| self.make_way(environment, demand, taken));
        if let (true, Some(uid)) = (kept > 0 || has_way, demand.uid()) {
            self.keep(uid);
        }
        kept > 0 || has_way
    }

    /// Keeps so many of the nodes on which a unit fits when others have left, the emptiest first. Returns how many there are.
    fn keep_nodes(&mut self, environment: usize, demand: &Demand<'a>, taken: &Taken, wanted: usize) -> usize {
        let rooms = &mut self.rooms[environment];
        let of = |index: usize| &rooms.rooms[index];
        // A node that makes way for others is not kept.
        let stays = |&index: &usize| of(index).node.is_some() && !of(index).closed;
        let mut roomier: Vec<usize> =
            together::roomier(rooms, environment, demand.shape, taken).filter(stays).collect();
        let emptiest = |&a: &usize, &b: &usize| (of(b).free.cpu, of(a).name).cmp(&(of(a).free.cpu, of(b).name));
        if roomier.len() > wanted && wanted > 0 {
            roomier.select_nth_unstable_by(wanted - 1, emptiest);
        }
        roomier.truncate(wanted);
        for &room in &roomier {
            rooms.rooms[room].take(demand.shape);
        }
        roomier.len()
    }

    fn make_way(&mut self, environment: usize, demand: &Demand<'a>, taken: &Taken) -> bool {
        let rooms = &mut self.rooms[environment];
        let at_limit = rooms.refused.get(demand.shape).is_some_and(|note| note.code == Code::MaxVcpus);
        at_limit && make_way(rooms, environment, demand.shape, taken, self.now)
    }
}
