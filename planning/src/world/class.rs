//! Classes: what units need, each different need once.
//!
//! Invariant: two units are of one class exactly if their [`Shape`]s are equal; ids say nothing about order. What nobody needs any more is not
//! kept, and its id never means anything else. Knows nothing about nodes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use model::placement::Shape;

use super::amounts::{Need, ResourceNames};
use crate::labels::HOSTNAME;

/// Which class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClassId(pub(crate) u32);

impl ClassId {
    /// As an index.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What units of one class need.
#[derive(Debug, Default)]
pub(crate) struct Class {
    /// In the words of the model.
    pub(crate) shape: Arc<Shape>,
    /// Its requests, made ready for comparing.
    pub(crate) need: Need,
    /// Its requests, in words.
    pub(crate) requests: String,
    /// Its selectors ask for the name of a node, so that each node has to be looked at.
    pub(crate) is_named: bool,
    /// How many units and Jobs are of it.
    users: u32,
}

/// All classes.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    ids: HashMap<Arc<Shape>, ClassId>,
    all: Vec<Class>,
    /// Labels that selectors of any class read, the name of the node left out.
    read: BTreeSet<String>,
}

impl Classes {
    /// The class of a shape, which somebody needs from now on.
    pub(crate) fn join(&mut self, shape: &Arc<Shape>, names: &mut ResourceNames) -> ClassId {
        if let Some(id) = self.ids.get(&**shape) {
            return self.join_again(*id);
        }
        let id = ClassId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        let shape = shape.clone();
        let requirements = || shape.affinity.iter().flat_map(|term| &term.labels).map(|one| &one.key);
        let keys: Vec<&String> = shape.node_selector.keys().chain(requirements()).collect();
        let is_named =
            keys.iter().any(|key| *key == HOSTNAME) || shape.affinity.iter().any(|term| !term.fields.is_empty());
        for key in keys.into_iter().filter(|key| *key != HOSTNAME) {
            if !self.read.contains(key) {
                self.read.insert(key.clone());
            }
        }
        let need = Need::new(names.amounts(&shape.requests));
        let requests = shape.requests.to_string();
        self.all.push(Class { shape: shape.clone(), need, requests, is_named, users: 1 });
        self.ids.insert(shape, id);
        id
    }

    /// Whether anybody needs it.
    pub(crate) fn is_needed(&self, id: ClassId) -> bool {
        self.all[id.index()].users > 0
    }

    /// One more needs it.
    pub(crate) fn join_again(&mut self, id: ClassId) -> ClassId {
        let users = &mut self.all[id.index()].users;
        *users = users.saturating_add(1);
        id
    }

    /// One of those who needed it does not any more.
    pub(crate) fn leave(&mut self, id: ClassId) {
        let class = &mut self.all[id.index()];
        class.users = class.users.saturating_sub(1);
        if class.users == 0 {
            let class = std::mem::take(class);
            self.ids.remove(&class.shape);
        }
    }

    /// How many there are, those that nobody is of any more included.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many of them somebody needs.
    pub(crate) fn needed(&self) -> usize {
        self.ids.len()
    }

    /// Labels that selectors read.
    pub(crate) fn read(&self) -> &BTreeSet<String> {
        &self.read
    }
}

impl std::ops::Index<ClassId> for Classes {
    type Output = Class;

    fn index(&self, id: ClassId) -> &Class {
        &self.all[id.index()]
    }
}
