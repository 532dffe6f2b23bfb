//! What a world is shown: of what there is little, all; of nodes, Jobs and units those of which something is new.
//!
//! Invariant: each thing is said as a whole, so that it may be said again and only the last time counts. Knows nothing about what follows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::snapshot::{Closed, Environment, Job, Machine, Node, Queue, Refused, Snapshot, Unit};

/// What is so, as far as it may not be known yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// Whether the API server calls Bulkhead for new pods.
    pub hooks_missing: bool,
    /// All namespaces in which no pod of the API can be made.
    pub closed: BTreeMap<String, Closed>,
    /// All queues.
    pub queues: Vec<Queue>,
    /// All environments.
    pub environments: Vec<Environment>,
    /// All machines.
    pub machines: Vec<Machine>,
    /// All writes that did not go through.
    pub refused: Vec<Refused>,
    /// Since when room has been kept for what still waits, by UID.
    pub kept_since: BTreeMap<String, Timestamp>,
    /// Nodes, by name.
    pub nodes: Changes<Node>,
    /// Jobs, by UID.
    pub jobs: Changes<Job>,
    /// Units, by UID.
    pub units: Changes<Unit>,
}

/// What has become of things of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes<T> {
    /// These are all that there are: others are not there any more.
    pub whole: bool,
    /// Each as it is now; `None`: it is not there, or not any more.
    pub things: BTreeMap<String, Option<T>>,
}

impl<T> Default for Changes<T> {
    fn default() -> Self {
        Self { whole: false, things: BTreeMap::new() }
    }
}

impl<T> Changes<T> {
    /// All things that there are.
    pub fn all(things: Vec<T>, key: impl Fn(&T) -> String) -> Self {
        Self { whole: true, things: things.into_iter().map(|one| (key(&one), Some(one))).collect() }
    }

    /// Those that are there.
    pub fn there(&self) -> impl Iterator<Item = &T> {
        self.things.values().flatten()
    }
}

impl From<Snapshot> for News {
    fn from(snapshot: Snapshot) -> Self {
        // Without `..`: nothing of it may be forgotten.
        let Snapshot { hooks_missing, closed, queues, environments, nodes, machines, jobs, units, refused, kept_since } =
            snapshot;
        Self {
            hooks_missing,
            closed,
            queues,
            environments,
            machines,
            refused,
            kept_since,
            nodes: Changes::all(nodes, |one| one.name.clone()),
            jobs: Changes::all(jobs, |one| one.uid.clone()),
            units: Changes::all(units, |one| one.uid.clone()),
        }
    }
}
