//! Which machines count as lost, and when so many seem lost at once that none is believed to be.
//!
//! Invariant: a machine whose node is Ready is not lost, whatever its provider says; one answer of a provider ends no fleet. Knows nothing
//! about how lists are asked for.

use std::time::Duration;

use super::{Facts, Instance, NodeState, Phase};

/// Lists that agree for longer than this, and a node that is not Ready, show that a machine is gone.
const ABSENT: Duration = Duration::from_mins(1);
/// A kubelet that is restarted says for a moment that its node is not Ready.
const MOMENT: Duration = Duration::from_secs(15);
/// A machine whose node stays without a Ready condition for this long is given up. Kubernetes evicts its pods after 5 minutes.
const LOST_TOUCH: Duration = Duration::from_mins(6);
/// A node that is not Ready for this long counts when it is asked how many seem lost at once.
const QUIET: Duration = Duration::from_mins(1);
/// Up to so many are given up, whatever part of the environment they are.
const FEW: usize = 3;
/// More than one in so many is too large a part.
const PART: usize = 3;

/// Why a machine is lost, judged by itself.
pub(super) fn cause(facts: &Facts) -> Option<&'static str> {
    let unready = match (facts.node, facts.unready) {
        (NodeState::Absent, _) => Duration::MAX,
        (NodeState::Unreadable, _) => return None,
        (NodeState::Present { .. }, unready) => unready?,
    };
    match facts.instance {
        Instance::Ended => Some("the machine was lost: its provider says that it has ended"),
        Instance::Absent(time) if time > ABSENT && unready >= MOMENT => {
            Some("the machine was lost: its node is not Ready, and its provider has not listed it for a minute")
        }
        _ if facts.node != NodeState::Absent && unready >= LOST_TOUCH => Some("its node was not Ready for 6 minutes"),
        _ => None,
    }
}

/// Whether a machine seems lost, whether or not it is.
pub(super) fn is_doubted(facts: &Facts) -> bool {
    matches!(facts.instance, Instance::Ended | Instance::Absent(_)) || facts.unready.is_some_and(|time| time >= QUIET)
}

/// How many machines of an environment serve, and how many of those seem lost at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    serving: usize,
    doubted: usize,
}

impl Tally {
    /// Counts a machine.
    pub fn add(&mut self, facts: &Facts) {
        if matches!(facts.phase, Phase::Ready | Phase::Retiring) {
            self.serving += 1;
            self.doubted += usize::from(is_doubted(facts));
        }
    }

    /// Whether so many seem lost that it is more likely that somebody is mistaken.
    pub fn is_mass(self) -> bool {
        self.doubted > FEW && self.doubted * PART > self.serving
    }

    /// What an environment says about itself then, and what an admin can do.
    pub fn notice(self, environment: &str) -> String {
        let Self { serving, doubted } = self;
        format!(
            "{doubted} of its {serving} machines seem lost at once: their provider does not list them or says that they have ended, or their \
             nodes are not Ready. None of them is given up until that changes; if they are really gone, say so: kubectl annotate \
             computeenvironment {environment} {}={}",
            model::keys::LOST_MACHINES,
            model::keys::LOST_MACHINES_GONE
        )
    }
}
