//! What a node to come, or one that has just joined, can be expected to be.
//!
//! Invariant: what nodes of the same offer really were counts for more than what is promised, so that nothing is launched again for what
//! a node never gets; of what has not been seen yet, the promise holds. Knows nothing about where a promise comes from.

use std::collections::BTreeMap;

use model::placement::{Effect, Shape, Taint};
use model::resources::Resources;
use model::snapshot::{Given, Node};

use crate::labels;

/// Every kubelet reports it, and hardly a provider does: it is enough until a node has said how much.
/// (<https://kubernetes.io/docs/concepts/storage/ephemeral-storage/>)
const EPHEMERAL_STORAGE: &str = "ephemeral-storage";
/// More than anybody asks for, and far from the end of the numbers.
const ENOUGH: i64 = i64::MAX / 4;

/// What is expected.
#[derive(Debug)]
pub(crate) struct Promise {
    /// What it gives to units.
    pub(crate) room: Resources,
    /// Labels that it may have.
    pub(crate) labels: BTreeMap<String, String>,
    /// Those of them that it will not be without.
    pub(crate) certain: BTreeMap<String, String>,
    /// Taints that it keeps.
    pub(crate) taints: Vec<Taint>,
}

impl Promise {
    /// From what an offer says, and what was seen of others of its kind, in the environment with this UUID.
    pub(crate) fn new(
        room: &Resources,
        promised: &BTreeMap<String, String>,
        given: Option<&Given>,
        environment_uuid: &str,
    ) -> Self {
        let room = match given {
            Some(given) => room.limited_by(&given.room),
            None if room.get(EPHEMERAL_STORAGE) == 0 => room.clone().with(EPHEMERAL_STORAGE, ENOUGH),
            None => room.clone(),
        };
        let (labels, certain) = labels::expected(promised, given, environment_uuid);
        Self { room, labels, certain, taints: given.map(|given| given.taints.clone()).unwrap_or_default() }
    }

    /// Whether selectors and affinity may allow it.
    pub(crate) fn selected_by(&self, shape: &Shape) -> bool {
        shape.may_select("", &self.labels, &self.certain)
    }

    /// The taint that keeps a unit away.
    pub(crate) fn keeps_away(&self, shape: &Shape) -> Option<&Taint> {
        shape.kept_away_by(&self.taints)
    }

    /// Whether a node that has just joined is not yet what was promised: a resource or a label is missing, or it has a taint that others
    /// of its kind lost.
    pub(crate) fn is_open(&self, node: &Node) -> bool {
        let repels = |taint: &&Taint| taint.effect != Effect::PreferNoSchedule;
        self.missing(&node.allocatable).next().is_some()
            || node.taints.iter().filter(repels).any(|taint| !self.taints.contains(taint))
            || self.certain.keys().any(|key| !node.labels.contains_key(key))
    }

    /// Adds what a node has not reported yet.
    pub(crate) fn add_missing(&self, reported: &Resources, free: &mut Resources) {
        for (name, amount) in self.missing(reported) {
            free.set(name, free.get(name).saturating_add(amount));
        }
    }

    fn missing<'a>(&'a self, reported: &'a Resources) -> impl Iterator<Item = (&'a str, i64)> {
        let asked = self.room.other.iter().map(|(name, amount)| (name.as_str(), *amount));
        asked.filter(|(name, amount)| *name != EPHEMERAL_STORAGE && *amount > 0 && reported.get(name) == 0)
    }
}
