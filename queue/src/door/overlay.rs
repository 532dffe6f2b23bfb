//! What the API's jobs add to nodes and Jobs that the index shows, of which it tells only those that have changed.
//!
//! Invariant: a world that is told what comes of it knows each thing as the index shows it, with what is added to it now and with nothing that
//! was added before. Does not know why something is added.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use model::resources::Resources;
use model::snapshot::{Job, Node};
use model::status::Reason;
use planning::world::Changes;

/// Something that is added to a thing.
pub(super) trait Layer: PartialEq {
    /// What it is added to.
    type Thing;
    /// What the index shows there.
    type Under;

    /// Adds it. Returns what was there.
    fn lay(&self, thing: &mut Self::Thing) -> Self::Under;
    /// Takes it off.
    fn lift(under: Self::Under, thing: &mut Self::Thing);
}

/// What is added to things of one kind, by name or UID, with what the index shows there.
#[derive(Debug)]
pub(super) struct Overlay<L: Layer>(HashMap<String, (L, L::Under)>);

impl<L: Layer> Default for Overlay<L> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<L: Layer> Overlay<L> {
    /// Adds to what the index tells, and tells of others to which something else is added than before. `known` is what was told of a thing.
    pub(super) fn lay(
        &mut self,
        mut layers: BTreeMap<String, L>,
        Changes { whole, things }: &mut Changes<L::Thing>,
        known: impl Fn(&str) -> Option<L::Thing>,
    ) {
        let mut before = std::mem::take(&mut self.0);
        // What the index tells has nothing on it, and what it does not tell of all that there is, is not there.
        before.retain(|key, _| !*whole && !things.contains_key(key));
        let is_new = |key: &&String| before.get(*key).map(|(layer, _)| layer) != layers.get(*key);
        let others = before.keys().chain(layers.keys()).filter(|key| !*whole && !things.contains_key(*key));
        let others: BTreeSet<String> = others.filter(is_new).cloned().collect();
        for key in others {
            let laid = before.remove(&key);
            let Some(mut thing) = known(&key) else { continue };
            if let Some((_, under)) = laid {
                L::lift(under, &mut thing);
            }
            things.insert(key, Some(thing));
        }
        self.0 = before;
        for (key, thing) in things {
            if let (Some(thing), Some(layer)) = (thing, layers.remove(key)) {
                let under = layer.lay(thing);
                self.0.insert(key.clone(), (layer, under));
            }
        }
    }
}

/// What is added to a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct OnNode {
    /// What jobs take of which the index shows no pod yet.
    pub(super) used: Resources,
    /// How many these are.
    pub(super) units: u32,
    /// Room is kept on it, so that it is not idle.
    pub(super) kept: bool,
    /// Until when it keeps logs.
    pub(super) logs_until: Option<Timestamp>,
}

/// What a node uses, how many units there are, and since when it has been idle.
#[derive(Debug)]
pub(super) struct UnderNode(Resources, u32, Option<Timestamp>);

impl Layer for OnNode {
    type Thing = Node;
    type Under = UnderNode;

    fn lay(&self, node: &mut Node) -> UnderNode {
        let under = UnderNode(node.used.clone(), node.units, node.idle_since);
        node.used.add(&self.used);
        node.units += self.units;
        node.idle_since = node.idle_since.filter(|_| self.units == 0 && !self.kept);
        node.logs_until = self.logs_until;
        under
    }

    fn lift(UnderNode(used, units, idle_since): UnderNode, node: &mut Node) {
        (node.used, node.units, node.idle_since, node.logs_until) = (used, units, idle_since, None);
    }
}

/// Why a Job is not planned for, whatever the index says.
#[derive(Debug, PartialEq)]
pub(super) struct Barred(pub(super) Reason);

impl Layer for Barred {
    type Thing = Job;
    type Under = Option<Reason>;

    fn lay(&self, job: &mut Job) -> Option<Reason> {
        job.barred.replace(self.0.clone())
    }

    fn lift(under: Option<Reason>, job: &mut Job) {
        job.barred = under;
    }
}

#[cfg(test)]
mod tests {
    use model::snapshot::Snapshot;
    use planning::world::{News, World};
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u8) -> Timestamp {
        Timestamp::from_second(i64::from(seconds)).unwrap()
    }

    fn node(name: &str, number: u8) -> Node {
        Node {
            name: name.to_owned(),
            used: Resources::new(i64::from(number), 0),
            units: u32::from(number % 3),
            idle_since: (number.is_multiple_of(2)).then(|| at(number)),
            ..Node::default()
        }
    }

    fn layer(number: u8) -> OnNode {
        OnNode {
            used: Resources::new(i64::from(number), 1),
            units: u32::from(number % 2),
            kept: number > 200,
            logs_until: number.is_multiple_of(5).then(|| at(number)),
        }
    }

    /// Some of three nodes, by what is different of them.
    fn some() -> impl Strategy<Value = BTreeMap<String, u8>> {
        prop::collection::btree_map("[abc]", 0..4u8, 0..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn what_is_told_comes_to_the_same_as_adding_to_everything(
            steps in prop::collection::vec((some(), some(), any::<bool>()), 1..8),
        ) {
            let (mut overlay, mut world) = (Overlay::<OnNode>::default(), World::default());
            let mut there: BTreeMap<String, u8> = BTreeMap::new();
            for (nodes, layers, whole) in steps {
                let all: BTreeMap<String, Option<Node>> =
                    nodes.iter().map(|(name, number)| (name.clone(), Some(node(name, *number)))).collect();
                let gone = there.keys().filter(|name| !nodes.contains_key(*name)).map(|name| (name.clone(), None));
                let mut things: BTreeMap<String, Option<Node>> = all.clone().into_iter().chain(gone).collect();
                things.retain(|name, _| whole || there.get(name) != nodes.get(name));
                let mut changes = Changes { whole, things };
                let layers: BTreeMap<String, OnNode> =
                    layers.into_iter().map(|(name, number)| (name, layer(number * 60))).collect();
                overlay.lay(layers.clone(), &mut changes, |name| world.node(name).cloned());
                world.show(News { nodes: changes, ..News::default() });
                let expected: Vec<Node> = all
                    .into_values()
                    .flatten()
                    .map(|mut node| {
                        if let Some(layer) = layers.get(&node.name) {
                            layer.lay(&mut node);
                        }
                        node
                    })
                    .collect();
                prop_assert_eq!(world.snapshot(), Snapshot { nodes: expected, ..Snapshot::default() });
                there = nodes;
            }
        }
    }
}
