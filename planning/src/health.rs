//! Whether an environment or a queue can be used, and what it says about itself.
//!
//! Invariant: what keeps it from being used makes it INVALID and is all that it says then; what only hinders it is said beside that it is
//! healthy. Does not write.

use std::collections::BTreeMap;

use model::plan::QueueCounts;
use model::snapshot::{Closed, Environment};

use crate::rights;

/// Whether something can be used, and what it says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// It can be used.
    pub valid: bool,
    /// `statusReason`.
    pub reason: String,
}

/// What is known about an environment besides what it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hindrances<'a> {
    /// So many of its machines seem lost that none is given up; it can be used all the same.
    pub losses: Option<&'a str>,
    /// What hinders work on its nodes, and on pods there.
    pub nodes: Option<&'a str>,
}

/// Health of an environment; `closed`: namespaces in which no pod of the API can be made.
pub fn of_environment(
    environment: &Environment,
    closed: &BTreeMap<String, Closed>,
    hindrances: Hindrances<'_>,
) -> Health {
    let scaling = environment.scaling.as_ref();
    let offers = scaling.and_then(|scaling| scaling.offers.as_ref().err());
    if let Some(problem) = rights::problem(environment, closed).or_else(|| offers.cloned()) {
        return Health { valid: false, reason: problem };
    }
    let setbacks = scaling.map(|scaling| scaling.setbacks.as_slice()).unwrap_or_default();
    let refused = setbacks.iter().find(|setback| setback.offer.is_none()).map(|setback| &setback.message);
    let mut reason = match (hindrances.losses, refused) {
        (Some(losses), _) => losses.to_owned(),
        (None, Some(refused)) => format!("ComputeEnvironment Healthy, but nothing is launched for now: {refused}"),
        (None, None) => "ComputeEnvironment Healthy".to_owned(),
    };
    if let Some(nodes) = hindrances.nodes {
        reason = format!("{reason}; {nodes}");
    }
    Health { valid: true, reason }
}

/// Health of a queue.
pub fn of_queue(counts: &QueueCounts) -> Health {
    let reason = match (&counts.problem, &counts.refused) {
        (Some(problem), _) => problem.clone(),
        (None, Some(refused)) => format!("JobQueue Healthy, but {refused}"),
        (None, None) => "JobQueue Healthy".to_owned(),
    };
    Health { valid: counts.problem.is_none(), reason }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use model::snapshot::{Scaling, Setback};

    use super::*;

    fn environment(scaling: Option<Scaling>) -> Environment {
        Environment {
            name: "ce".into(),
            aws_name: "CE".into(),
            uuid: "u".into(),
            enabled: true,
            namespace: Some("work".into()),
            scaling,
        }
    }

    #[track_caller]
    fn check(
        environment: &Environment,
        closed: &[(&str, Closed)],
        hindrances: Hindrances<'_>,
        valid: bool,
        reason: &str,
    ) {
        let closed = closed.iter().map(|(name, why)| ((*name).to_owned(), why.clone())).collect();
        let health = of_environment(environment, &closed, hindrances);
        assert_eq!(health.valid, valid);
        assert!(health.reason.starts_with(reason), "{}", health.reason);
    }

    #[test]
    fn an_environment_is_invalid_while_its_namespace_takes_no_pods() {
        let (ce, none) = (environment(None), Hindrances::default());
        let lost = Hindrances { losses: Some("5 of its 6 machines seem lost"), nodes: Some("n") };
        check(&ce, &[], none, true, "ComputeEnvironment Healthy");
        check(&ce, &[("other", Closed::Forbidden)], none, true, "ComputeEnvironment Healthy");
        for why in [Closed::Forbidden, Closed::NotThere] {
            let reason = "CLIENT_ERROR - Unable to validate Kubernetes Namespace: ";
            check(&ce, &[("work", why)], lost, false, reason);
        }
    }

    #[test]
    fn what_only_hinders_is_said_beside_its_health() {
        let ce = environment(None);
        let nodes = Hindrances { nodes: Some("1 of its nodes"), losses: None };
        check(&ce, &[], nodes, true, "ComputeEnvironment Healthy; 1 of its nodes");
        let lost = Hindrances { losses: Some("5 of its 6 machines seem lost"), ..nodes };
        check(&ce, &[], lost, true, "5 of its 6 machines seem lost; 1 of its nodes");
    }

    #[test]
    fn an_environment_whose_provider_fails_is_invalid_and_one_that_refuses_launches_is_not() {
        let setback = |offer: Option<&str>| Setback {
            offer: offer.map(ToOwned::to_owned),
            until: Timestamp::UNIX_EPOCH,
            message: "no".into(),
            capacity: false,
        };
        let with = |offers, setbacks| {
            environment(Some(Scaling {
                min_milli: 0,
                max_milli: 1000,
                instance_types: Vec::new(),
                spot: false,
                scale_down_delay: SignedDuration::ZERO,
                offers,
                setbacks,
                learned: [].into(),
                unsettled_until: None,
                delivered: 0,
            }))
        };
        let none = Hindrances::default();
        check(&with(Err("it is down".into()), vec![]), &[], none, false, "it is down");
        check(&with(Ok(vec![]), vec![setback(Some("o"))]), &[], none, true, "ComputeEnvironment Healthy");
        let refused = "ComputeEnvironment Healthy, but nothing is launched for now: no";
        check(&with(Ok(vec![]), vec![setback(Some("o")), setback(None)]), &[], none, true, refused);
    }

    #[test]
    fn a_queue_says_what_it_lacks_and_what_the_cluster_does_not_let_happen() {
        for (problem, refused, valid, reason) in [
            (None, None, true, "JobQueue Healthy"),
            (None, Some("no"), true, "JobQueue Healthy, but no"),
            (Some("ce x is missing"), None, false, "ce x is missing"),
            (Some("ce x is missing"), Some("no"), false, "ce x is missing"),
        ] {
            let counts = QueueCounts {
                queue: "q".into(),
                waiting: 1,
                dispatched: 2,
                milli_cpu: 3,
                problem: problem.map(ToOwned::to_owned),
                refused: refused.map(ToOwned::to_owned),
            };
            assert_eq!(of_queue(&counts), Health { valid, reason: reason.to_owned() });
        }
    }
}
