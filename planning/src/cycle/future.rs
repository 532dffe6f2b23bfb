//! Pods that do not exist yet: their Job is released when that is due.
//!
//! Invariant: a Job with a deadline starts with as many units as will ever run together, because its clock starts then. Knows nothing about
//! how Jobs are released.

use model::plan::StatusChange;
use model::snapshot::Job;
use model::status::{JobState, Status};

use super::choose::Market;
use super::place::{Asked, Wait};
use super::row::Ranked;
use super::serve::Blocked;
use super::together::{self, Taken};
use super::{Cycle, Settled};
use crate::explain::{self, Note};
use crate::world::class::ClassId;
use crate::world::facts::together;
use crate::world::lines::Demand;
use crate::world::look::Look;

impl<'w> Cycle<'w, '_> {
    /// Serves the pods of a Job that do not exist yet. `Some` if not all of them have room.
    pub(super) fn serve_future(
        &mut self,
        environments: Asked<'_>,
        turn: usize,
        class: ClassId,
        (rank, demand): Ranked<'w>,
    ) -> Option<Blocked> {
        let Demand::Future(slot, count) = demand else { return None };
        let facts = self.facts;
        let job: &Job = facts.jobs.get(slot)?.job.as_deref()?;
        if self.is_unhooked(demand) {
            let reason = self.say(explain::hooks_missing());
            self.explain(turn, (rank, demand), reason);
            return None;
        }
        let placed = self.place(environments, class, count, &|_| Some(job.uid.clone()));
        let fit = placed.starting();
        let taken = Taken::new(&placed.ready);
        let launching = placed.coming.first().map(|(site, _)| Note::launching(&self.environments[*site].aws_name));
        let launching = launching.map(|note| Wait { reason: explain::reason(&[note]), is_final: false });
        let blocked = launching.or_else(|| placed.rest.clone());
        let is_coming = blocked.as_ref().is_some_and(|wait| !wait.is_final);
        // Its clock starts when it is released. Pods of it that are still there end, or their places are taken again.
        let waits_for_more = job.has_deadline
            && !job.released
            && fit > 0
            && blocked.is_some()
            && (is_coming || count < together(job) || self.more_together(environments, class, &taken));
        let until = waits_for_more.then(|| self.keep_for_a_while(job));
        let waits_for_more = until.is_some_and(|until| is_coming || until > self.now);
        if fit > 0 && !job.released && !waits_for_more {
            self.plan.release.push(released(job));
        }
        let rest = placed.rest.map(|wait| Settled { reason: self.say(wait.reason), is_final: wait.is_final });
        let Wait { reason, is_final } = blocked?;
        let reason = if waits_for_more {
            let until = until.filter(|_| !is_coming);
            explain::not_together(fit, together(job), self.about_together(environments, class, job), until, &reason)
        } else {
            reason
        };
        let reason = self.say(reason);
        self.explain(turn, (rank, demand), reason);
        Some(Blocked { first: demand, stuck: is_final.then_some(demand), taken, rest })
    }

    /// Whether these environments can ever give room to more units of a class than have some now.
    fn more_together(&mut self, environments: Asked<'_>, class: ClassId, taken: &Taken) -> bool {
        environments.iter().flatten().any(|&site| {
            let here = &self.sites[site];
            let mut look = Look { facts: self.facts, kinds: self.kinds };
            together::more(here, Market::of(&self.environments[site], here), (site, class), taken, self.now, &mut look)
        })
    }

    /// About how many units of a Job these environments can ever run together, if those are fewer than all.
    fn about_together(&mut self, environments: Asked<'_>, class: ClassId, job: &Job) -> Option<i64> {
        let wanted = i64::from(together(job));
        let about = environments.iter().flatten().map(|&site| {
            let here = &self.sites[site];
            let mut look = Look { facts: self.facts, kinds: self.kinds };
            together::about(here, Market::of(&self.environments[site], here), class, wanted, &mut look)
        });
        about.sum::<Option<i64>>().filter(|about| *about < wanted)
    }
}

/// What a Job is when it is let go.
pub(super) fn released(job: &Job) -> StatusChange {
    let status = Status { state: JobState::Starting, reason: Some(explain::creating_pods()) };
    StatusChange { job: job.key.clone(), uid: job.uid.clone(), status }
}
