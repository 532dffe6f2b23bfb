//! The life of one machine: from what is known about it, the next step.
//!
//! Invariant: every step may be repeated, and whoever takes over after a crash comes to the same step, because all that counts is
//! stored (phase, finalizer), asked for (instance) or seen (node). A node that is Ready is never given up, whatever its provider says.
//! Time is only what has elapsed, so that no clock that somebody sets ends a machine. Knows nothing about how steps are carried out.

pub mod books;
pub mod drain;
pub mod ending;
pub mod loss;
pub mod setback;

use std::time::Duration;

/// A launch that the provider has not confirmed by then is given up.
const CONFIRM: Duration = Duration::from_mins(5);
/// A machine whose node is not Ready by then is given up.
const JOIN: Duration = Duration::from_mins(10);

/// Where a machine is in its life, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Stored; the provider has not confirmed the launch.
    Pending,
    /// Launched; its node is not Ready yet.
    Launching,
    /// Its node takes work.
    Ready,
    /// It gets no more work.
    Retiring,
    /// It is being taken down.
    Terminating,
}

/// What is known about its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// There is no Node object.
    Absent,
    /// It is there, and nothing else of it can be read.
    Unreadable,
    /// It is there.
    Present {
        /// Condition Ready.
        ready: bool,
        /// It has the environment's label and the batch taints.
        marked: bool,
        /// It has the retiring taint.
        retiring: bool,
    },
}

/// What the provider says about the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instance {
    /// It has not been asked, or not since the launch.
    Unknown,
    /// It is there.
    Alive,
    /// It died or is being taken down.
    Ended,
    /// It is in none of the lists of this time.
    Absent(Duration),
}

impl Instance {
    /// What two providers say together, each of which may have it: what one knows counts, and nobody knows what one does not say.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Alive, _) | (_, Self::Alive) => Self::Alive,
            (Self::Ended, _) | (_, Self::Ended) => Self::Ended,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Absent(a), Self::Absent(b)) => Self::Absent(a.min(b)),
        }
    }
}

/// Everything the next step depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Stored phase.
    pub phase: Phase,
    /// How long it has been seen in this phase.
    pub age: Duration,
    /// Somebody deleted the `BatchNode` object.
    pub deleted: bool,
    /// Its node.
    pub node: NodeState,
    /// Its machine.
    pub instance: Instance,
    /// How long its node has been seen with a Ready condition that is not True.
    pub unready: Option<Duration>,
    /// How long its node has been seen without a Ready condition that is True, or not been seen at all.
    pub quiet: Option<Duration>,
    /// How long ago it was seen waiting for its launch; if it never was, since when it is known.
    pub asked: Duration,
    /// Since when it is known.
    pub known: Duration,
    /// Units are on it, or are about to be.
    pub has_units: bool,
    /// Too many machines of its environment seem lost at once: none of them is given up.
    pub held: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the provider for the machine.
    Launch,
    /// Put label and taints on the node.
    Mark,
    /// Store that it is Ready.
    Serve,
    /// Store that it goes, because somebody deleted its object.
    Retire,
    /// Put the retiring taint on the node.
    Taint,
    /// Look at its pods once more; evict foreign ones; if there are none, store that it is being taken down.
    Drain,
    /// Store that it is being taken down, and why.
    GiveUp(&'static str),
    /// Take it down: machine, then Node, then finalizer.
    Terminate,
    /// Nothing for now.
    Wait,
}

impl Step {
    /// What carrying it out is, for a sentence that says that it cannot be done.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Launch => "launch the machine",
            Self::Mark => "put label and taints on its node",
            Self::Taint => "put the retiring taint on its node",
            Self::Drain => "take the pods off its node",
            Self::Terminate => "take the machine down",
            Self::Serve | Self::Retire | Self::GiveUp(_) | Self::Wait => "write its status",
        }
    }
}

/// The next step of a machine.
pub fn next(facts: &Facts) -> Step {
    match facts.phase {
        Phase::Terminating => Step::Terminate,
        Phase::Pending => pending(facts),
        Phase::Launching => launching(facts),
        Phase::Ready => ready(facts),
        Phase::Retiring => retiring(facts),
    }
}

fn pending(facts: &Facts) -> Step {
    if facts.deleted {
        Step::GiveUp("deleted before its launch")
    } else if facts.age >= CONFIRM {
        Step::GiveUp("the provider did not confirm the launch within 5 minutes")
    } else {
        Step::Launch
    }
}

fn launching(facts: &Facts) -> Step {
    if facts.deleted {
        return Step::Retire;
    }
    match facts.node {
        NodeState::Present { marked: false, .. } => Step::Mark,
        NodeState::Present { ready: true, .. } => Step::Serve,
        // Nothing runs on it yet, so one that failed does not wait for the others.
        _ if loss::cause(facts).is_some() => Step::GiveUp("the machine was lost before its node was Ready"),
        _ if facts.age >= JOIN => Step::GiveUp("its node was not Ready within 10 minutes"),
        _ => Step::Wait,
    }
}

fn ready(facts: &Facts) -> Step {
    match (facts.node, lost(facts)) {
        (_, Some(why)) => Step::GiveUp(why),
        (NodeState::Absent, None) => Step::GiveUp("its Node object was deleted"),
        _ if facts.deleted => Step::Retire,
        (NodeState::Present { marked: false, .. }, None) => Step::Mark,
        (NodeState::Present { .. } | NodeState::Unreadable, None) => Step::Wait,
    }
}

fn retiring(facts: &Facts) -> Step {
    match (facts.node, lost(facts)) {
        (_, Some(why)) => Step::GiveUp(why),
        (NodeState::Absent, None) => Step::GiveUp("retired"),
        (NodeState::Present { retiring: false, .. }, None) => Step::Taint,
        _ if facts.has_units || facts.held && loss::is_doubted(facts) => Step::Wait,
        _ => Step::Drain,
    }
}

/// Why it is to be given up. Whoever deletes its object says that it may go, however many others seem lost.
fn lost(facts: &Facts) -> Option<&'static str> {
    loss::cause(facts).filter(|_| !facts.held || facts.deleted)
}

#[cfg(test)]
mod tests;
