//! One instance as stored, and what it looks like from outside. Pure.

use api::provider::{Instance, InstanceState, LaunchRequest};
use serde::{Deserialize, Serialize};

/// What is stored about an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The provider's own id.
    pub(super) id: String,
    /// What was asked for.
    pub(super) request: LaunchRequest,
    /// What is to be done with its machine, or was.
    pub(super) phase: Phase,
}

/// Where an instance is in its life; every phase but the two last ones is work to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// To be booted.
    Pending,
    /// To be cut from power, then [`Phase::Failed`].
    Vanishing,
    /// To be cut from power, then forgotten.
    Terminating,
    /// Booted.
    Started,
    /// Dead.
    Failed,
}

impl Record {
    /// The instance as clients see it. `machine_alive` is asked only of a booted one.
    pub(super) fn view(&self, token: &str, machine_alive: impl FnOnce() -> bool) -> Instance {
        let state = match self.phase {
            Phase::Pending => InstanceState::Pending,
            Phase::Terminating => InstanceState::Terminating,
            Phase::Started if machine_alive() => InstanceState::Running,
            Phase::Started | Phase::Vanishing | Phase::Failed => InstanceState::Failed,
        };
        Instance {
            token: token.to_owned(),
            id: self.id.clone(),
            state,
            node_name: token.to_owned(),
            offer: self.request.offer.clone(),
            compute_environment: self.request.compute_environment.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_booted_machine_that_died_is_seen_as_failed() {
        let check = |phase: Phase, alive: bool, expect: InstanceState| {
            let request = LaunchRequest {
                offer: "local.small".into(),
                labels: BTreeMap::default(),
                taints: vec![],
                compute_environment: "ce".into(),
            };
            let view = Record { id: "i-1".into(), request, phase }.view("a", || alive);
            assert_eq!(view.state, expect);
            assert_eq!((view.token.as_str(), view.node_name.as_str()), ("a", "a"));
        };
        check(Phase::Pending, false, InstanceState::Pending);
        check(Phase::Started, true, InstanceState::Running);
        check(Phase::Started, false, InstanceState::Failed);
        check(Phase::Vanishing, true, InstanceState::Failed);
        check(Phase::Failed, false, InstanceState::Failed);
        check(Phase::Terminating, true, InstanceState::Terminating);
    }
}
