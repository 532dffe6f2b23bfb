//! What a planning cycle is told of nodes of environments, with what is on them, and what they have taught.
//!
//! Invariant: a node hangs on its object, the environments, the machine of its name, the pods on it, those for which room is kept there, and
//! the end of its start; whoever changes one of these marks the node. Does not decide anything.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use api::convert::node::NodeRecord;
use api::convert::pod::{Origin, WatchedPod};
use jiff::Timestamp;
use model::clock::Now;
use model::resources::Resources;
use model::snapshot::{Environment, Machine, Node};
use planning::learned;
use planning::membership::{Label, Of, belongs};

use super::marks::Marked;
use super::state::State;

/// What nodes have taught is looked at this often although nothing has changed: how long it counts is counted from the last time.
const AGAIN: Duration = Duration::from_mins(1);

impl State {
    /// The marked batch nodes as they are now, with what is on them.
    pub(super) fn batch_nodes_at(&mut self, marked: &mut Marked, now: Now) -> BTreeMap<String, Option<Node>> {
        let over = self.places.starting.iter().filter(|(_, until)| **until <= now.wall).map(|(name, _)| name.clone());
        marked.nodes.extend(over);
        let kinds = self.kinds();
        if kinds != self.places.kinds {
            self.places.kinds = kinds;
            marked.nodes.extend(self.nodes.keys().chain(&self.places.batch).cloned());
        }
        for name in &marked.nodes {
            if self.nodes.get(name).is_some_and(|record| self.is_batch(record)) {
                self.places.batch.insert(name.clone());
            } else {
                self.places.batch.remove(name);
            }
        }
        let kept = self.kept();
        let turned: Vec<String> = kept.symmetric_difference(&self.places.kept).cloned().collect();
        marked.nodes.extend(turned);
        self.places.kept = kept;
        let mut ours: HashMap<&str, Vec<&str>> = HashMap::new();
        for (pod, node) in self.assumed.bound_pods() {
            ours.entry(node).or_default().push(pod);
        }
        let of = |name: &String| {
            let record = self.nodes.get(name).filter(|_| self.places.batch.contains(name))?;
            let ours = ours.get(name.as_str()).into_iter().flatten().copied();
            Some((self.with_pods(record, ours), record.created))
        };
        let there: Vec<(String, Option<(Node, Timestamp)>)> =
            marked.nodes.iter().map(|name| (name.clone(), of(name))).collect();
        there.into_iter().map(|(name, node)| (name.clone(), self.in_time(&name, node, now))).collect()
    }

    /// Whether a node is one of an environment.
    fn is_batch(&self, record: &NodeRecord) -> bool {
        // A label of an environment that is not there yet harms nothing: no unit can go there.
        let of = |uuid: &str| self.places.kinds.get(uuid).copied();
        record.environment_uuid().is_some_and(|uuid| of(uuid).is_none_or(|of: Of| belongs(self.label(record), of)))
    }

    fn label(&self, record: &NodeRecord) -> Label {
        let of_same = |machine: &api::BatchNode| {
            Some(machine.spec.compute_environment_uuid.as_str()) == record.environment_uuid()
        };
        let machine = self.batch_nodes.get(&record.node.name);
        let has_machine = machine.is_some_and(|machine| machine.as_ref().map_or(true, of_same));
        Label { has_machine, registered: record.registered }
    }

    /// The nodes that are kept for units that kube-scheduler has: all on which room is held; of those that it refused only the first that is
    /// there, so that a unit which fits nowhere does not keep every idle machine, nor has a new one launched again and again.
    fn kept(&self) -> BTreeSet<String> {
        let mut kept = BTreeSet::new();
        for (nodes, refused) in self.found.held.values() {
            let most = if *refused { 1 } else { nodes.len() };
            kept.extend(nodes.iter().filter(|node| self.places.batch.contains(*node)).take(most).cloned());
        }
        kept
    }

    /// A node with what pods take of it; `ours` are those that we bound a moment ago.
    fn with_pods<'a>(&'a self, record: &NodeRecord, ours: impl Iterator<Item = &'a str>) -> Node {
        let mut node = record.node.clone();
        let ours = ours.filter_map(|uid| self.pods.get(uid)).filter(|record| record.node.is_none());
        let shown = self.residents.of(&node.name).filter_map(|uid| self.pods.get(uid));
        for record in shown.chain(ours) {
            self.add_pod(&mut node, record);
        }
        node
    }

    fn add_pod(&self, node: &mut Node, record: &WatchedPod) {
        node.used.add(&record.requests);
        if record.fills_node {
            // More than all of it, whatever others take.
            node.used.add(&node.allocatable);
        }
        if self.origin_of(record) == Origin::Unit {
            node.units += 1;
            return;
        }
        node.foreign.add(&record.requests);
        if matches!(record.origin, Origin::DaemonSet | Origin::Static) {
            node.daemons.add(&record.requests);
        }
    }

    /// A batch node with what hangs on the time, and when it was created; `None`: it is none, or none any more.
    fn in_time(&mut self, name: &str, node: Option<(Node, Timestamp)>, now: Now) -> Option<Node> {
        let Some((mut node, created)) = node else {
            self.idle.forget(name);
            self.node_ages.forget(name);
            self.places.starting.remove(name);
            self.learn_from(name, None);
            return None;
        };
        let until = self.node_ages.of(name, created, now).checked_add(learned::START).ok();
        node.starting_until = until.filter(|until| *until > now.wall);
        match node.starting_until {
            Some(until) => drop(self.places.starting.insert(name.to_owned(), until)),
            None => drop(self.places.starting.remove(name)),
        }
        let busy = node.units > 0 || self.places.kept.contains(name);
        node.idle_since = self.idle.since(&node, busy, now);
        self.learn_from(name, Some(&node));
        Some(node)
    }

    /// Notes what may be learned from a node, if it is a machine.
    fn learn_from(&mut self, name: &str, node: Option<&Node>) {
        let lesson = node.filter(|_| self.batch_nodes.get(name).is_some()).map(|node| Node {
            used: Resources::default(),
            foreign: Resources::default(),
            units: 0,
            idle_since: None,
            ..node.clone()
        });
        if self.places.lessons.get(name) == lesson.as_ref() {
            return;
        }
        self.places.learned_at = None;
        match lesson {
            Some(lesson) => drop(self.places.lessons.insert(name.to_owned(), lesson)),
            None => drop(self.places.lessons.remove(name)),
        }
    }

    /// Writes on the environments what nodes of their offers really were.
    pub(super) fn learn_from_nodes(
        &mut self,
        environments: &mut [Environment],
        machines: &[Machine],
        changed: bool,
        now: Now,
    ) {
        let is_known = self.places.learned_at.is_some_and(|last| now.moment.since(last) < AGAIN);
        if is_known && !changed {
            for environment in environments {
                if let (Some(scaling), Some(learned)) =
                    (&mut environment.scaling, self.places.learned.get(&environment.name))
                {
                    scaling.learned.clone_from(learned);
                }
            }
            return;
        }
        let lessons: Vec<Node> = self.places.lessons.values().cloned().collect();
        let created = |name: &str| self.nodes.get(name).map_or(Timestamp::UNIX_EPOCH, |record| record.created);
        self.learned.update(environments, machines, &lessons, created, now);
        let of = |one: &Environment| Some((one.name.clone(), one.scaling.as_ref()?.learned.clone()));
        self.places.learned = environments.iter().filter_map(of).collect();
        self.places.learned_at = Some(now.moment);
    }

    /// Marks what may be learned from, and what a machine makes of a node.
    pub(super) fn mark_machine(&mut self, name: &str) {
        self.marks.node(name);
        self.marks.with(|marked| marked.lessons = true);
    }

    /// Marks the pods on a node.
    pub(super) fn mark_pods_on(&mut self, node: &str) {
        for uid in self.residents.of(node) {
            self.marks.pod(uid);
        }
    }
}
