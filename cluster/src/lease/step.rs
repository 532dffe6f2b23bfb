//! What a candidate for leadership does next, decided from what it has seen and its own clock.
//!
//! Invariant: at most one candidate leads at any moment, as long as all writes compare the version they were read at and
//! clocks run at about the same speed. It rests on two rules: a leader stops at `renew_deadline` counted from *before* its
//! last successful write was sent; others take over at `duration` counted from *after* they first read that write. What
//! the clocks say does not matter, only how fast they run.
//!
//! It does not know the API server.

use std::time::{Duration, Instant};

/// How long leadership lasts and how often it is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Others take over when the record has not changed for this long.
    pub duration: Duration,
    /// A leader that could not renew for this long gives up; shorter than `duration`.
    pub renew_deadline: Duration,
    /// The leader renews this often.
    pub renew_every: Duration,
    /// Waiting candidates look this often; a released lease is taken within this time.
    pub look_every: Duration,
}

impl Default for Timing {
    /// The defaults of Kubernetes' own components (15 s, 10 s, 2 s); looking every second is one cheap read.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            renew_every: Duration::from_secs(2),
            look_every: Duration::from_secs(1),
        }
    }
}

impl Timing {
    /// Whether the times can work together; the error says which cannot.
    pub fn validate(&self) -> Result<(), TimingError> {
        if self.duration < Duration::from_secs(1) {
            Err(TimingError::Short(self.duration))
        } else if self.renew_deadline >= self.duration {
            Err(TimingError::Deadline(self.renew_deadline, self.duration))
        } else if self.renew_every * 2 > self.renew_deadline {
            Err(TimingError::Renew(self.renew_every, self.renew_deadline))
        } else if self.renew_every.is_zero() || self.look_every.is_zero() {
            Err(TimingError::Zero)
        } else {
            Ok(())
        }
    }

    /// A request that takes longer is given up, early enough for another try before the deadline.
    pub(super) fn request_timeout(&self) -> Duration {
        self.renew_deadline / 2
    }
}

/// Why a [`Timing`] cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// A Lease counts whole seconds.
    #[error("the lease duration {0:?} is too short: it must be at least 1 s")]
    Short(Duration),
    /// A leader would still lead when others may take over.
    #[error("the renew deadline {0:?} must be shorter than the lease duration {1:?}")]
    Deadline(Duration, Duration),
    /// One failed renewal would end leadership.
    #[error("renewing every {0:?} leaves no second try before the renew deadline {1:?}: choose at most half of it")]
    Renew(Duration, Duration),
    /// An interval of zero would never rest.
    #[error("intervals of a lease must be longer than zero")]
    Zero,
}

/// The record as one candidate has seen it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Who holds it; `None` when there is no record or nobody holds it.
    pub holder: Option<String>,
    /// How long the holder promised to be trusted, if the record says so.
    pub promised: Option<Duration>,
    /// The version at the API server; `None` when there is no record.
    pub version: Option<String>,
    /// When this candidate first saw this version, after the answer had arrived.
    pub since: Instant,
}

/// Who decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    /// Unique per process.
    pub identity: String,
    /// The times this candidate goes by.
    pub timing: Timing,
    /// While leading: when the last successful write was about to be sent.
    pub renewed: Option<Instant>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is no record: create it with oneself as the holder.
    Create,
    /// Write oneself as the holder over the version that was read.
    Acquire,
    /// Write again over the version that was read.
    Renew,
    /// Nothing for this long; then look again.
    Wait(Duration),
    /// Stop leading, at once.
    StepDown(Lost),
}

/// Why leadership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The record could not be renewed in time.
    #[error("leadership lost: the lease could not be renewed before its deadline")]
    Deadline,
    /// The record names somebody else or is gone.
    #[error("leadership lost: the lease was taken or removed by somebody else")]
    Taken,
}

/// Decides what `me` does at `now`, having seen `observed`.
pub fn step(observed: &Observed, me: &Me, now: Instant) -> Step {
    let mine = is_mine(observed, me);
    match me.renewed {
        Some(renewed) => lead(mine, renewed, &me.timing, now),
        None => wait_or_take(observed, mine, &me.timing, now),
    }
}

/// Whether the record names `me`. Only then may it be given back: it could be another's by now.
pub(super) fn is_mine(observed: &Observed, me: &Me) -> bool {
    observed.holder.as_deref() == Some(me.identity.as_str())
}

fn lead(mine: bool, renewed: Instant, timing: &Timing, now: Instant) -> Step {
    let age = now.saturating_duration_since(renewed);
    if age >= timing.renew_deadline {
        Step::StepDown(Lost::Deadline)
    } else if !mine {
        Step::StepDown(Lost::Taken)
    } else if age >= timing.renew_every {
        Step::Renew
    } else {
        Step::Wait(timing.renew_every.saturating_sub(age))
    }
}

fn wait_or_take(observed: &Observed, mine: bool, timing: &Timing, now: Instant) -> Step {
    if observed.version.is_none() {
        return Step::Create;
    }
    // A write of ours whose answer was lost: nobody else can hold it, so it is simply written again.
    if observed.holder.is_none() || mine {
        return Step::Acquire;
    }
    // The holder may have been started with a longer duration than ours.
    let trusted = observed.promised.map_or(timing.duration, |promised| promised.max(timing.duration));
    let left = trusted.saturating_sub(now.saturating_duration_since(observed.since));
    if left.is_zero() { Step::Acquire } else { Step::Wait(left.min(timing.look_every)) }
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
