//! The life of one machine: from what is known about it, the next step.
//!
//! Invariant: every step may be repeated, and whoever takes over after a crash comes to the same step, because all that counts is
//! stored (phase, finalizer), asked for (instance) or seen (node). Knows nothing about how steps are carried out.

use jiff::{SignedDuration, Timestamp};

/// A launch that the provider has not confirmed by then is given up.
const CONFIRM: SignedDuration = SignedDuration::from_mins(5);
/// A machine whose node stays without a Ready condition for this long is given up. Kubernetes evicts its pods after 5 minutes.
const LOST_TOUCH: SignedDuration = SignedDuration::from_mins(6);
/// A machine whose node is not Ready by then is given up.
const JOIN: SignedDuration = SignedDuration::from_mins(10);

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
    /// It died, or is not listed any more.
    Lost,
}

/// Everything the next step depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Stored phase.
    pub phase: Phase,
    /// Since when it is in this phase.
    pub since: Timestamp,
    /// Somebody deleted the `BatchNode` object.
    pub deleted: bool,
    /// Its node.
    pub node: NodeState,
    /// Its machine.
    pub instance: Instance,
    /// Since when its node is not Ready, if it is not.
    pub unready_since: Option<Timestamp>,
    /// Units are on it, or are about to be.
    pub has_units: bool,
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
    /// Nothing, until something changes or this time comes.
    Wait(Option<Timestamp>),
}

/// The next step of a machine.
pub fn next(facts: &Facts, now: Timestamp) -> Step {
    match facts.phase {
        Phase::Terminating => Step::Terminate,
        Phase::Pending => pending(facts, now),
        Phase::Launching => launching(facts, now),
        Phase::Ready => ready(facts, now),
        Phase::Retiring => retiring(facts, now),
    }
}

fn pending(facts: &Facts, now: Timestamp) -> Step {
    let deadline = facts.since.checked_add(CONFIRM).unwrap_or(facts.since);
    if facts.deleted {
        Step::GiveUp("deleted before its launch")
    } else if now >= deadline {
        Step::GiveUp("the provider did not confirm the launch within 5 minutes")
    } else {
        Step::Launch
    }
}

fn launching(facts: &Facts, now: Timestamp) -> Step {
    let deadline = facts.since.checked_add(JOIN).unwrap_or(facts.since);
    if facts.deleted {
        return Step::Retire;
    }
    if facts.instance == Instance::Lost {
        return Step::GiveUp("the machine was lost before its node was Ready");
    }
    match facts.node {
        NodeState::Present { marked: false, .. } => Step::Mark,
        NodeState::Present { ready: true, .. } => Step::Serve,
        _ if now >= deadline => Step::GiveUp("its node was not Ready within 10 minutes"),
        _ => Step::Wait(Some(deadline)),
    }
}

fn ready(facts: &Facts, now: Timestamp) -> Step {
    if facts.instance == Instance::Lost {
        return Step::GiveUp("the machine was lost");
    }
    match facts.node {
        NodeState::Absent => Step::GiveUp("its Node object was deleted"),
        _ if silent(facts, now) => Step::GiveUp("its node was not Ready for 6 minutes"),
        _ if facts.deleted => Step::Retire,
        NodeState::Present { marked: false, .. } => Step::Mark,
        NodeState::Present { .. } => Step::Wait(None),
    }
}

/// Whether nothing has been heard of its node for too long.
fn silent(facts: &Facts, now: Timestamp) -> bool {
    facts.unready_since.is_some_and(|since| now.duration_since(since) >= LOST_TOUCH)
}

fn retiring(facts: &Facts, now: Timestamp) -> Step {
    match facts.node {
        _ if facts.instance == Instance::Lost => Step::GiveUp("the machine was lost"),
        NodeState::Absent => Step::GiveUp("retired"),
        _ if silent(facts, now) => Step::GiveUp("its node was not Ready for 6 minutes"),
        NodeState::Present { retiring: false, .. } => Step::Taint,
        NodeState::Present { .. } if facts.has_units => Step::Wait(None),
        NodeState::Present { .. } => Step::Drain,
    }
}

/// How long to wait after the `failures`-th failure in a row of the same kind: 5 s, doubled up to 5 minutes.
pub fn back_off(failures: u32) -> SignedDuration {
    let seconds = 5_i64 << failures.saturating_sub(1).min(6);
    SignedDuration::from_secs(seconds.min(300))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-01T12:00:00Z".parse().unwrap()
    }

    fn facts(phase: Phase, age: i64) -> Facts {
        Facts {
            phase,
            since: now() - SignedDuration::from_secs(age),
            deleted: false,
            node: NodeState::Absent,
            instance: Instance::Alive,
            unready_since: None,
            has_units: false,
        }
    }

    const JOINED: NodeState = NodeState::Present { ready: false, marked: true, retiring: false };
    const SERVES: NodeState = NodeState::Present { ready: true, marked: true, retiring: false };
    const BARE: NodeState = NodeState::Present { ready: true, marked: false, retiring: false };
    const GOES: NodeState = NodeState::Present { ready: true, marked: true, retiring: true };

    #[test]
    fn a_machine_goes_from_stored_to_gone() {
        let deadline = |age| Some(now() + JOIN - SignedDuration::from_secs(age));
        for (name, facts, expected) in [
            ("a stored one is launched", facts(Phase::Pending, 0), Step::Launch),
            ("a launched one waits for its node", facts(Phase::Launching, 1), Step::Wait(deadline(1))),
            ("its node joins", Facts { node: JOINED, ..facts(Phase::Launching, 2) }, Step::Wait(deadline(2))),
            ("a node without our marks gets them", Facts { node: BARE, ..facts(Phase::Launching, 2) }, Step::Mark),
            ("a Ready node serves", Facts { node: SERVES, ..facts(Phase::Launching, 2) }, Step::Serve),
            ("it goes on serving", Facts { node: SERVES, ..facts(Phase::Ready, 9999) }, Step::Wait(None)),
            ("marks are put back", Facts { node: BARE, ..facts(Phase::Ready, 1) }, Step::Mark),
            ("a retiring one is tainted", Facts { node: SERVES, ..facts(Phase::Retiring, 1) }, Step::Taint),
            (
                "and waits for its units",
                Facts { node: GOES, has_units: true, ..facts(Phase::Retiring, 1) },
                Step::Wait(None),
            ),
            ("then its pods are looked at once more", Facts { node: GOES, ..facts(Phase::Retiring, 1) }, Step::Drain),
            ("and it is taken down", facts(Phase::Terminating, 1), Step::Terminate),
        ] {
            assert_eq!(next(&facts, now()), expected, "{name}");
        }
    }

    #[test]
    fn what_never_comes_is_given_up() {
        for (facts, expected) in [
            (facts(Phase::Pending, 300), "the provider did not confirm the launch within 5 minutes"),
            (facts(Phase::Launching, 600), "its node was not Ready within 10 minutes"),
            (
                Facts { instance: Instance::Lost, ..facts(Phase::Launching, 1) },
                "the machine was lost before its node was Ready",
            ),
            (Facts { instance: Instance::Lost, node: SERVES, ..facts(Phase::Ready, 1) }, "the machine was lost"),
            (facts(Phase::Ready, 1), "its Node object was deleted"),
            (facts(Phase::Retiring, 1), "retired"),
            (Facts { deleted: true, ..facts(Phase::Pending, 1) }, "deleted before its launch"),
        ] {
            assert_eq!(next(&facts, now()), Step::GiveUp(expected));
        }
    }

    #[test]
    fn a_machine_whose_node_stays_silent_is_given_up_in_the_end() {
        let ago = |minutes| Some(now() - SignedDuration::from_mins(minutes));
        for phase in [Phase::Ready, Phase::Retiring] {
            let silent =
                |minutes| Facts { node: GOES, has_units: true, unready_since: ago(minutes), ..facts(phase, 9999) };
            assert_eq!(next(&silent(5), now()), Step::Wait(None));
            assert_eq!(next(&silent(6), now()), Step::GiveUp("its node was not Ready for 6 minutes"));
        }
    }

    #[test]
    fn an_object_that_somebody_deletes_retires_and_does_not_kill() {
        for (phase, node) in [(Phase::Launching, JOINED), (Phase::Ready, SERVES)] {
            let facts = Facts { deleted: true, node, has_units: true, ..facts(phase, 1) };
            assert_eq!(next(&facts, now()), Step::Retire);
        }
    }

    #[test]
    fn the_back_off_doubles_up_to_five_minutes() {
        let seconds: Vec<i64> = (0..9).map(|failures| back_off(failures).as_secs()).collect();
        assert_eq!(seconds, [5, 5, 10, 20, 40, 80, 160, 300, 300]);
    }
}
