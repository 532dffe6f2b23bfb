//! Labels of nodes to come, and what a pod asks of them.
//!
//! Invariant: what the newest node of an offer really had counts for more than what the offer promises, so that no machine is launched again
//! for a label that it never gets. Does not know how nodes get their labels.

use std::collections::BTreeMap;

use model::keys;
use model::placement::{Operator, Shape};
use model::snapshot::Given;

/// Well-known labels that each have an old name (<https://kubernetes.io/docs/reference/labels-annotations-taints/>). Kubelets and the
/// cluster's controllers keep both.
const TWINS: [(&str, &str); 5] = [
    ("kubernetes.io/arch", "beta.kubernetes.io/arch"),
    ("kubernetes.io/os", "beta.kubernetes.io/os"),
    ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"),
    ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"),
    ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"),
];
/// What kubelets say by themselves, on machines of which nothing else is said.
const DEFAULTS: [(&str, &str); 2] = [("kubernetes.io/arch", "amd64"), ("kubernetes.io/os", "linux")];
/// Every node has its own.
pub const HOSTNAME: &str = "kubernetes.io/hostname";
/// Stands in for a name that is not known: it cannot be the value of a label, so no pod asks for it.
const SOME_NAME: &str = "?";

/// Adds the other name of each well-known label that is there under one.
pub fn with_twins(labels: &mut BTreeMap<String, String>) {
    for (new, old) in TWINS {
        for (from, to) in [(new, old), (old, new)] {
            if let (Some(value), false) = (labels.get(from), labels.contains_key(to)) {
                labels.insert(to.to_owned(), value.clone());
            }
        }
    }
}

/// Labels that a node to come may have, in the environment with this UUID, and those that it surely has: those of the newest of its kind,
/// and what that had in common with the one before; else what its offer promises and what every node has.
pub(crate) fn expected(
    promised: &BTreeMap<String, String>,
    given: Option<&Given>,
    environment_uuid: &str,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let given = given.filter(|given| given.promised == *promised && !given.labels.is_empty());
    let (labels, certain) = given.map_or_else(
        || (predicted(promised), predicted(promised)),
        |given| (given.labels.clone(), given.same_labels.clone()),
    );
    let own = |mut labels: BTreeMap<String, String>| {
        labels.insert(keys::CE_UUID.to_owned(), environment_uuid.to_owned());
        labels.insert(HOSTNAME.to_owned(), SOME_NAME.to_owned());
        labels
    };
    (own(labels), own(certain))
}

fn predicted(promised: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels = promised.clone();
    with_twins(&mut labels);
    for (key, value) in DEFAULTS {
        labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
    with_twins(&mut labels);
    labels
}

/// What no node has that a pod asks for, in words.
pub(crate) fn missing(shape: &Shape) -> String {
    let by_selector = shape.node_selector.get(HOSTNAME);
    let by_affinity = || {
        let mut named = shape.affinity.iter().flat_map(|term| {
            let labels = term.labels.iter().filter(|one| one.key == HOSTNAME);
            labels.chain(&term.fields).filter(|one| one.operator == Operator::In).filter_map(|one| one.values.first())
        });
        named.next()
    };
    match by_selector.or_else(by_affinity) {
        Some(name) => format!(
            "the pod asks for the node {name} ({HOSTNAME}), which it does not have, and a node that is launched gets a name of its own"
        ),
        None => "no node of it has the labels the pod asks for".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_well_known_label_is_expected_under_both_its_names() {
        let promised = map(&[
            ("node.kubernetes.io/instance-type", "m5.large"),
            ("topology.kubernetes.io/zone", "z"),
            ("failure-domain.beta.kubernetes.io/region", "r"),
            ("beta.kubernetes.io/arch", "arm64"),
            ("disk", "ssd"),
        ]);
        let all = map(&[
            ("node.kubernetes.io/instance-type", "m5.large"),
            ("beta.kubernetes.io/instance-type", "m5.large"),
            ("topology.kubernetes.io/zone", "z"),
            ("failure-domain.beta.kubernetes.io/zone", "z"),
            ("topology.kubernetes.io/region", "r"),
            ("failure-domain.beta.kubernetes.io/region", "r"),
            ("kubernetes.io/arch", "arm64"),
            ("beta.kubernetes.io/arch", "arm64"),
            ("kubernetes.io/os", "linux"),
            ("beta.kubernetes.io/os", "linux"),
            ("disk", "ssd"),
            (HOSTNAME, "?"),
            (keys::CE_UUID, "u"),
        ]);
        assert_eq!(expected(&promised, None, "u"), (all.clone(), all));
        let (bare, _) = expected(&map(&[]), None, "u");
        assert_eq!(bare["kubernetes.io/arch"], "amd64");
        assert_eq!(bare["beta.kubernetes.io/arch"], "amd64");
    }

    #[test]
    fn what_the_newest_node_had_counts_for_more_until_something_else_is_promised() {
        let promised = map(&[("disk", "ssd")]);
        let given = Given {
            labels: map(&[("gpu", "yes"), ("rack", "7"), (HOSTNAME, "n")]),
            same_labels: map(&[("gpu", "yes")]),
            promised: promised.clone(),
            ..Given::default()
        };
        let had = map(&[("gpu", "yes"), ("rack", "7"), (HOSTNAME, "?"), (keys::CE_UUID, "u")]);
        let surely = map(&[("gpu", "yes"), (HOSTNAME, "?"), (keys::CE_UUID, "u")]);
        assert_eq!(expected(&promised, Some(&given), "u"), (had, surely));
        let (other, _) = expected(&map(&[("disk", "nvme")]), Some(&given), "u");
        assert_eq!(other.get("disk").map(String::as_str), Some("nvme"));
        assert_eq!(other.get("gpu"), None);
    }
}
