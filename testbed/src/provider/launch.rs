//! Decides what a launch request leads to. Invariant: the same token never makes a second machine. Pure.

use api::provider::{ErrorCode, LaunchRequest, Offer, ProviderError};

use super::faults::Faults;
use super::instance::Record;
use crate::node::NodeOptions;
use crate::shape::Machine;

/// What to do about a launch request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// There is such an instance; answer with it.
    Known,
    /// Make it.
    Make,
    /// Answer with this.
    Refuse(ProviderError),
}

/// Looks at one request.
pub(super) fn decide(
    token: &str,
    request: &LaunchRequest,
    known: Option<&Record>,
    deleted: bool,
    offers: &[Offer],
    faults: &Faults,
    machine: &Machine,
) -> Decision {
    let refuse = |code, message: String| Decision::Refuse(ProviderError { code, message });
    if let Some(record) = known {
        if record.request == *request {
            return Decision::Known;
        }
        return refuse(ErrorCode::InvalidRequest, format!("`{token}` was launched before, with a different request"));
    }
    if deleted {
        return refuse(
            ErrorCode::InvalidRequest,
            format!("`{token}` was deleted; a DELETE wins over what comes after it"),
        );
    }
    let Some(offer) = offers.iter().find(|offer| offer.name == request.offer) else {
        let names: Vec<&str> = offers.iter().map(|offer| offer.name.as_str()).collect();
        return refuse(
            ErrorCode::InvalidRequest,
            format!("there is no offer `{}`; there are {}", request.offer, names.join(", ")),
        );
    };
    if let Err(error) = options(token, request, offer).check(machine) {
        return refuse(ErrorCode::InvalidRequest, format!("{error:#}"));
    }
    if faults.insufficient_capacity.contains(&request.offer) {
        return refuse(ErrorCode::InsufficientCapacity, format!("no `{}` is to be had now", request.offer));
    }
    Decision::Make
}

/// The node that a launch boots.
pub(super) fn options(token: &str, request: &LaunchRequest, offer: &Offer) -> NodeOptions {
    NodeOptions {
        name: token.to_owned(),
        cpu: Some(offer.cpu.clone()),
        memory: Some(offer.memory.clone()),
        labels: request.labels.clone(),
        taints: request.taints.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::instance::Phase;
    use super::super::offers::offers;
    use std::collections::BTreeMap;

    use super::*;

    const MACHINE: Machine = Machine { cpu_milli: 2000, memory: 8 << 30 };

    fn request(offer: &str) -> LaunchRequest {
        LaunchRequest {
            offer: offer.into(),
            labels: BTreeMap::default(),
            taints: vec![],
            compute_environment: "ce".into(),
        }
    }

    /// Of a token that was `deleted` if it begins so.
    fn outcome(token: &str, offer: &str, known: Option<&str>, short: &[&str]) -> String {
        let known = known.map(|offer| Record { id: "i".into(), request: request(offer), phase: Phase::Failed });
        let faults =
            Faults { insufficient_capacity: short.iter().map(|s| (*s).to_owned()).collect(), ..Faults::default() };
        match decide(
            token,
            &request(offer),
            known.as_ref(),
            token.starts_with("deleted"),
            &offers(MACHINE),
            &faults,
            &MACHINE,
        ) {
            Decision::Refuse(error) => format!("{:?}: {}", error.code, error.message),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_launch_is_made_once_or_refused_with_the_reason() {
        let check = |token: &str, offer: &str, known: Option<&str>, short: &[&str], expect: &str| {
            let got = outcome(token, offer, known, short);
            assert!(got.starts_with(expect), "{got}");
        };
        check("a", "local.small", None, &[], "Make");
        check("a", "local.small", Some("local.small"), &[], "Known");
        check("a", "local.small", Some("local.small"), &["local.small"], "Known");
        check("a", "local.small", Some("m5.large"), &[], "InvalidRequest: `a` was launched before");
        check("a", "local.small", None, &["local.small"], "InsufficientCapacity: no `local.small`");
        check("a", "local.small", None, &["m5.large"], "Make");
        check("deleted", "local.small", None, &[], "InvalidRequest: `deleted` was deleted");
        check("deleted", "local.small", Some("local.small"), &[], "Known");
        check("a", "x", None, &[], "InvalidRequest: there is no offer `x`; there are m5.large, local.medium");
        check("A_", "local.small", None, &[], "InvalidRequest: `A_` cannot be a node's name");
    }

    #[test]
    fn a_machine_gets_the_size_of_its_offer() {
        let all = offers(MACHINE);
        let node = options("a", &request("local.small"), &all[2]);
        assert_eq!((node.cpu.as_deref(), node.memory.as_deref()), (Some("500m"), Some("1Gi")));
        assert_eq!(node.check(&MACHINE).unwrap().cpu_milli, 1500);
    }
}
