//! Kinds of nodes: those that no class tells apart, but for their room and name.
//!
//! Invariant: nodes are of one kind exactly if they have the same taints and the same values of all labels that some class reads; whether a
//! class suits a kind is found once. Knows nothing about room.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::placement::Taint;

use super::class::{Class, ClassId, Classes};

/// Which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KindId(u32);

/// Labels that nodes may have, those that they surely have, and taints.
type Key = (Vec<Option<String>>, Vec<Option<String>>, Vec<Taint>);

#[derive(Debug)]
struct Kind {
    possible: BTreeMap<String, String>,
    certain: BTreeMap<String, String>,
    taints: Vec<Taint>,
    /// By class, as far as it was asked.
    suits: Vec<Option<bool>>,
}

/// All kinds.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    /// The labels by which they are told apart.
    keys: BTreeSet<String>,
    ids: HashMap<Key, KindId>,
    all: Vec<Kind>,
}

impl Kinds {
    /// Tells nodes apart by these labels from now on. True if that is something else than before: all kinds are found anew.
    pub(crate) fn read(&mut self, keys: &BTreeSet<String>) -> bool {
        if self.keys == *keys {
            return false;
        }
        *self = Self { keys: keys.clone(), ..Self::default() };
        true
    }

    /// How many there are, those that no node is of any more included.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// The kind of a node with these labels and taints.
    pub(crate) fn of(&mut self, labels: &BTreeMap<String, String>, taints: &[Taint]) -> KindId {
        self.coming(labels, labels, taints)
    }

    /// The kind of a node to come that may have some labels, and surely has others.
    pub(crate) fn coming(
        &mut self,
        possible: &BTreeMap<String, String>,
        certain: &BTreeMap<String, String>,
        taints: &[Taint],
    ) -> KindId {
        let values = |labels: &BTreeMap<String, String>| self.keys.iter().map(|key| labels.get(key).cloned()).collect();
        let key: Key = (values(possible), values(certain), taints.to_vec());
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let id = KindId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        let read = |labels: &BTreeMap<String, String>| {
            self.keys.iter().filter_map(|key| Some((key.clone(), labels.get(key)?.clone()))).collect()
        };
        let (possible, certain) = (read(possible), read(certain));
        self.all.push(Kind { possible, certain, taints: taints.to_vec(), suits: Vec::new() });
        self.ids.insert(key, id);
        id
    }

    /// Whether units of a class may run on nodes of a kind, as far as that does not hang on the name or the room of a node.
    pub(crate) fn suits(&mut self, kind: KindId, class: ClassId, classes: &Classes) -> bool {
        let Kind { possible, certain, taints, suits } = &mut self.all[kind.0 as usize];
        if suits.len() <= class.index() {
            suits.resize(classes.len(), None);
        }
        *suits[class.index()].get_or_insert_with(|| {
            let Class { shape, is_named, .. } = &classes[class];
            shape.kept_away_by(taints).is_none() && (*is_named || shape.may_select("", possible, certain))
        })
    }
}
