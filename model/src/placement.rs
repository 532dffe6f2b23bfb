//! Where a pod may run, as far as the planner judges it: node selector, required node affinity, tolerations; and taints.
//!
//! Invariant: two pods with equal [`Shape`]s are interchangeable for the planner. Does not know pod affinity, topology spread, volumes or
//! resource claims: pods with those go through kube-scheduler.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resources::Resources;

/// What a unit needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    /// Its requests, one of `pods` included.
    pub requests: Resources,
    /// Labels its node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Required node affinity: one term must match; none: any node.
    pub affinity: Vec<NodeTerm>,
    /// Taints it tolerates.
    pub tolerations: Vec<Toleration>,
    /// Whether the planner picks the node; else kube-scheduler does, among those on which the plan holds room.
    pub judged: bool,
}

/// All expressions must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeTerm {
    /// On the node's labels.
    pub labels: Vec<Requirement>,
    /// On the node's fields (`metadata.name` only, as in Kubernetes).
    pub fields: Vec<Requirement>,
}

/// One expression of a node selector term.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// Label or field.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub values: Vec<String>,
}

/// Operators of node selector requirements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operator {
    /// One of the values.
    In,
    /// None of the values, or absent.
    NotIn,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
    /// An integer greater than the value.
    Gt,
    /// An integer less than the value.
    Lt,
    /// One that this version does not know; never matches.
    Unknown,
}

/// What a taint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// New pods stay away.
    NoSchedule,
    /// New pods prefer to stay away.
    PreferNoSchedule,
    /// New pods stay away and running ones are evicted.
    NoExecute,
}

/// A taint on a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value; may be empty.
    pub value: String,
    /// Effect.
    pub effect: Effect,
}

/// A toleration of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// Key; `None`: every taint.
    pub key: Option<String>,
    /// Value it must have; `None`: any (operator `Exists`).
    pub value: Option<String>,
    /// Effect; `None`: all.
    pub effect: Option<Effect>,
}

impl Toleration {
    /// Whether it tolerates `taint`.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.effect.is_none_or(|effect| effect == taint.effect)
            && self.key.as_ref().is_none_or(|key| *key == taint.key)
            && self.value.as_ref().is_none_or(|value| *value == taint.value)
    }
}

impl Requirement {
    /// Whether it holds for a value that may be absent.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|one| one == value);
        let compare = |less: bool| {
            let number = value.and_then(|value| value.parse::<i64>().ok());
            let bound = self.values.first().and_then(|bound| bound.parse::<i64>().ok());
            number.zip(bound).is_some_and(|(number, bound)| if less { number < bound } else { number > bound })
        };
        match self.operator {
            Operator::In => value.is_some_and(listed),
            Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => compare(false),
            Operator::Lt => compare(true),
            Operator::Unknown => false,
        }
    }
}

impl Shape {
    /// Whether its selectors and affinity allow a node of this name with these labels.
    pub fn selects(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.may_select(name, labels, labels)
    }

    /// Whether its selectors and affinity may allow a node to come: what they ask for must be among the labels it may have, and what they
    /// forbid not among those it surely has.
    pub fn may_select(
        &self,
        name: &str,
        possible: &BTreeMap<String, String>,
        certain: &BTreeMap<String, String>,
    ) -> bool {
        self.node_selector.iter().all(|(key, value)| possible.get(key) == Some(value))
            && (self.affinity.is_empty() || self.affinity.iter().any(|term| term.matches(name, possible, certain)))
    }

    /// The first taint that keeps it away.
    pub fn kept_away_by<'a>(&self, taints: &'a [Taint]) -> Option<&'a Taint> {
        let repels = |taint: &&Taint| {
            taint.effect != Effect::PreferNoSchedule
                && !self.tolerations.iter().any(|toleration| toleration.tolerates(taint))
        };
        taints.iter().find(repels)
    }
}

impl NodeTerm {
    fn matches(&self, name: &str, possible: &BTreeMap<String, String>, certain: &BTreeMap<String, String>) -> bool {
        let of = |one: &Requirement| {
            let forbids = matches!(one.operator, Operator::NotIn | Operator::DoesNotExist);
            if forbids { certain.get(&one.key) } else { possible.get(&one.key) }.map(String::as_str)
        };
        // An empty term matches no objects (Kubernetes API reference, NodeSelectorTerm).
        !(self.labels.is_empty() && self.fields.is_empty())
            && self.labels.iter().all(|one| one.matches(of(one)))
            && self.fields.iter().all(|one| one.key == "metadata.name" && one.matches(Some(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(operator: Operator, values: &[&str]) -> Requirement {
        Requirement { key: "k".to_owned(), operator, values: values.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn requirements_follow_kubernetes() {
        for (operator, values, value, expected) in [
            (Operator::In, &["a", "b"][..], Some("b"), true),
            (Operator::In, &["a"], None, false),
            (Operator::NotIn, &["a"], None, true),
            (Operator::NotIn, &["a"], Some("a"), false),
            (Operator::Exists, &[], Some(""), true),
            (Operator::DoesNotExist, &[], Some("x"), false),
            (Operator::Gt, &["3"], Some("4"), true),
            (Operator::Gt, &["3"], Some("x"), false),
            (Operator::Lt, &["3"], Some("4"), false),
            (Operator::Lt, &["3"], Some("2"), true),
            (Operator::Unknown, &[], Some("2"), false),
        ] {
            assert_eq!(requirement(operator, values).matches(value), expected, "{operator:?} {values:?} {value:?}");
        }
    }

    #[test]
    fn an_empty_term_matches_nothing() {
        let shape = Shape { affinity: vec![NodeTerm::default()], ..Shape::default() };
        assert!(!shape.selects("n", &BTreeMap::new()));
        assert!(Shape::default().selects("n", &BTreeMap::new()));
    }

    #[test]
    fn a_toleration_without_key_tolerates_everything_of_its_effect() {
        let taint = |effect| Taint { key: "a".to_owned(), value: "b".to_owned(), effect };
        let all = Toleration { key: None, value: None, effect: None };
        let execute = Toleration { key: None, value: None, effect: Some(Effect::NoExecute) };
        assert!(all.tolerates(&taint(Effect::NoSchedule)));
        assert!(execute.tolerates(&taint(Effect::NoExecute)));
        assert!(!execute.tolerates(&taint(Effect::NoSchedule)));
        let shape = Shape { tolerations: vec![execute], ..Shape::default() };
        assert!(shape.kept_away_by(&[taint(Effect::PreferNoSchedule), taint(Effect::NoExecute)]).is_none());
        assert!(shape.kept_away_by(&[taint(Effect::NoSchedule)]).is_some());
    }
}
